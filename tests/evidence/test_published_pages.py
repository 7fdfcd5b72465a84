"""Pages written by hand say what the published claims and comparison say; all that is published is of clean commits."""

import csv
import json
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from softshare.evidence.claims.matrices import off_diagonal
from softshare.evidence.paths.scores import mean_of_part
from softshare.evidence.similarity.reading import read_similarity
from softshare.files import project_root

PUBLISHED = project_root() / "reports" / "published"
PAGES = (project_root() / "README.md", PUBLISHED / "README.md")
ON_PATHS = PUBLISHED / "shortest-paths.md"
WORDS = {  # of a page, for a verdict
    "reproduced": "are reproduced",
    "close": "(?:is|are) close",
    "not reproduced": "are not reproduced",
    "inconclusive": "cannot be told",
}
INTERVAL = re.compile(r"([+-]?\d\.\d{3}) \((?:95 % interval )?(-?\d\.\d{3}) to (-?\d\.\d{3})\)")


def claims_at(scale):
    with (PUBLISHED / scale / "claims.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def claims():
    return claims_at("compact")


@pytest.mark.parametrize("page", PAGES, ids=["README", "published"])
def test_verdicts_are_counted_as_they_are(page, claims):
    text = " ".join(page.read_text().split())
    counts = Counter(claim["verdict"] for claim in claims if claim["exploratory"] == "False")
    assert f"{counts.total()} claims" in text
    for verdict, words in WORDS.items():
        told = re.search(rf"(\d+) {words}", text)
        assert told and int(told[1]) == counts[verdict], verdict
    not_run = re.search(r"(\d+) are not run|\*\*Not run: (\d+)\*\*", text)
    assert not_run and int(not_run[1] or not_run[2]) == counts["not run"]


@pytest.mark.parametrize("scale, heading", [("compact", "At the reduced size"), ("paper", "At the paper's size")])
def test_each_interval_is_that_of_a_claim_with_that_verdict(scale, heading):
    (section,) = (each for each in ON_PATHS.read_text().split("\n## ") if each.startswith(heading))
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    told = {match.groups(): row for row in rows if (match := INTERVAL.search(row))}
    asked = [claim for claim in claims_at(scale) if claim["interval_low"] and claim["kind"].startswith("paths")]
    assert len(told) == len(asked) > 0
    for claim in asked:
        numbers = [float(claim[key]) for key in ("estimate", "interval_low", "interval_high")]
        (row,) = (row for said, row in told.items() if [float(each) for each in said] == [round(n, 3) for n in numbers])
        word = "cannot be told" if claim["verdict"] == "inconclusive" else f"**{claim['verdict']}**"
        assert row.split("|")[2].strip() == word, claim["id"]
        assert row.startswith("| *exploratory:*") == (claim["exploratory"] == "True"), claim["id"]


def test_the_readme_tells_the_slower_start_as_it_is(claims):
    (slower,) = (claim for claim in claims if claim["id"] == "paths-regularizer-faster-at-first")
    lower, low, high = (-float(slower[key]) for key in ("estimate", "interval_high", "interval_low"))
    assert slower["verdict"] == "not reproduced"
    assert f"F1 is {lower:.2f} lower (95 % interval {low:.2f} to {high:.2f})" in PAGES[0].read_text()


@pytest.mark.parametrize("page", PAGES, ids=["README", "published"])
def test_the_cost_of_a_step_is_told_as_it_is(page, claims):
    (cost,) = (claim for claim in claims if claim["kind"] == "cost")
    ratio, low, high = (float(cost[key]) for key in ("estimate", "interval_low", "interval_high"))
    assert cost["verdict"] == "reproduced"
    assert re.search(rf"{ratio:.2f} \((95 % interval )?{low:.2f} to {high:.2f}\)", page.read_text())


def test_all_that_is_published_was_made_from_a_clean_commit():
    files = [*PUBLISHED.rglob("manifest.json"), *PUBLISHED.rglob("folding.json")]
    assert len(files) > 50
    for file in files:
        told = json.loads(file.read_text())
        for each in (told, *told.get("stretches", ())):
            assert each["dirty"] is False and re.fullmatch("[0-9a-f]{40}", each["commit"]), file


def test_the_comparison_of_precisions_is_told_as_it_is():
    rows = re.findall(
        r"^\| shortest-paths/\S+, seed \d+ +\|[^|]+\|[^|]+\| ([+\N{MINUS SIGN}]\d\.\d+) +\| (within|beyond) (\S+) +\|$",
        (PUBLISHED / "precision" / "comparison.md").read_text(),
        re.M,
    )
    differences = [float(difference.replace("\N{MINUS SIGN}", "-")) for difference, _, _ in rows]
    beyond = [(difference, most) for difference, judged, most in rows if judged == "beyond"]
    assert len(rows) == 6 and sum(each > 0 for each in differences) == 5
    text = " ".join(ON_PATHS.read_text().split())
    assert f"end up to {max(map(abs, differences)):.2f} of F1 apart" in text and "higher in five of six" in text
    ((difference, most),) = beyond
    assert f"one of six lies beyond (SCNN-R, seed 0: {difference} where seeds part by {most} at most)" in text


def test_what_grew_alike_on_paths_is_told_as_it_is():
    runs = PUBLISHED / "paper" / "runs" / "shortest-paths"
    shared = [read_similarity(file).groups[0].weights for file in runs.glob("scnn-20/paths/seed*/similarity.npz")]
    plain = [np.load(file)["unshared/layers"] for file in runs.glob("cnn-20/paths/seed*/similarity.npz")]
    pairs = np.triu_indices(20, 1)
    assert len(shared) == len(plain) == 3
    ends, plain_ends = ([each[pairs] for each in found] for found in ([seed[-1] for seed in shared], plain))
    means, plain_means = ([float(each.mean()) for each in found] for found in (ends, plain_ends))
    most, plain_most = (max(float(each.max()) for each in found) for found in (ends, plain_ends))
    told = f"by {min(means):.2f} to {max(means):.2f} on average and {most:.2f} at most"
    text = " ".join(PAGES[1].read_text().split())
    assert told in text
    assert f"{min(plain_means):.2f} to {max(plain_means):.2f}, and {plain_most:.2f} at most" in text


def differences_anew(statistics, phases, part):
    """SCNN less CNN in F1 over a claim's part, of the seeds scored by both statistics."""
    runs = PUBLISHED / "compact" / "runs" / "shortest-paths"
    columns = {"anew": "anew_f1", "running": "test_f1"}

    def means(model):
        return {
            file.parent.name: mean_of_part(
                pd.read_csv(file)[columns[statistics]].to_numpy().reshape(5, -1), phases, part
            )
            for file in runs.glob(f"{model}/paths-anew/seed*/history.csv")
        }

    shared, plain = means("scnn-20"), means("cnn-20")
    assert shared.keys() == plain.keys() and len(shared) == 5
    return np.array([shared[seed] - plain[seed] for seed in shared])


def test_claims_by_statistics_anew_are_told_as_they_are():
    text = " ".join(ON_PATHS.read_text().split())
    for phases, part in (((1, 2, 3, 4, 5), (0.8, 1.0)), ((5,), (0.8, 1.0))):
        anew, running = (differences_anew(each, phases, part) for each in ("anew", "running"))
        low, high = stats.t.interval(0.95, len(anew) - 1, anew.mean(), stats.sem(anew))
        p, p_running = (stats.ttest_1samp(each, 0, alternative="greater").pvalue for each in (anew, running))
        mean = f"{anew.mean():+.3f} ({low:.3f} to {high:.3f}"
        assert p < 0.05 and mean in text and f"p = {p:.3f}; running {running.mean():.3f}, p = {p_running:.2f}" in text
        assert f"{p:.3f}" in PAGES[1].read_text()
    for phases, part in (((2, 3, 4, 5), (0.0, 0.2)), ((1,), (0.0, 1.0))):
        anew = differences_anew("anew", phases, part)
        low, high = stats.t.interval(0.95, len(anew) - 1, anew.mean(), stats.sem(anew))
        assert f"{anew.mean():.3f} ({low:.3f} to {high:.3f})" in text


def test_pairs_of_the_plain_network_on_paths_are_counted_as_they_are():
    files = sorted((PUBLISHED / "paper" / "runs" / "shortest-paths").glob("cnn-20/paths/seed*/similarity.npz"))
    counts = [int((off_diagonal(np.load(file)["unshared/layers"]) > 0.1).sum()) for file in files]
    one, two, three = counts
    assert f"has {one}, {two} and {three} of its 190 pairs" in " ".join(PAGES[1].read_text().split())
    assert f"{min(counts)} to {max(counts)} of 190 pairs" in " ".join(PAGES[0].read_text().split())


def test_when_structure_settles_is_told_as_it_is():
    runs = PUBLISHED / "compact" / "runs" / "cifar10"
    text = " ".join((PUBLISHED / "cifar10.md").read_text().split())
    after = {}
    for model in ("swrn-40-1-8", "swrn-28-1"):
        stored = [read_similarity(file) for file in runs.glob(f"{model}/cifar/seed*/similarity.npz")]
        entries = [
            [np.concatenate([off_diagonal(group.coefficients[at]) for group in each.groups]) for at in (0, 2, 4, -1)]
            for each in stored
        ]
        assert [each.epochs[at] for each in stored for at in (0, 2, 4)] == [1, 3, 5] * 3
        after[model] = np.sort([[np.corrcoef(seed[at], seed[-1])[0, 1] for at in range(3)] for seed in entries], axis=0)
    deep, full = after["swrn-40-1-8"], after["swrn-28-1"]
    first = [", ".join(f"{each:.2f}" for each in found[:2, 0]) + f" and {found[2, 0]:.2f}" for found in (deep, full)]
    assert f"by {first[0]} after epoch 1, {deep[0, 1]:.2f} to {deep[2, 1]:.2f} after epoch 3" in text
    assert f"and {deep[0, 2]:.2f} to {deep[2, 2]:.2f} after epoch 5" in text
    assert f"by {first[1]} after epoch 1 and by {full[0, 2]:.2f} to {full[2, 2]:.2f} after epoch 5" in text
