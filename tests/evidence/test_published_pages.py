"""Pages written by hand say what the published claims and comparison say; all that is published is of clean commits."""

import csv
import json
import re
from collections import Counter

import numpy as np
import pytest

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
