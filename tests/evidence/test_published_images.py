"""The page on CIFAR-10, written by hand, tells the errors and foldings that the published runs have."""

import csv
import json
import re
from collections import defaultdict
from statistics import mean

import numpy as np
import pytest

from softshare.files import project_root

PUBLISHED = project_root() / "reports" / "published"
PAGE = PUBLISHED / "cifar10.md"
RUNS = PUBLISHED / "compact" / "runs" / "cifar10"
NAMES = re.compile(r"`(s?wrn-[0-9-]+)`, `(cifar[a-z0-9.-]*)`")


def rows():
    for line in PAGE.read_text().splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line[1:-1].split("|")]


def error(run):
    return json.loads((run / "metrics.json").read_text())["test"]["error"]


def folded():
    """Every published folding, with the row that tells it: that of its seed in the table below the network's name."""
    model, told = None, {}
    for line in PAGE.read_text().splitlines():
        if match := re.match(r"S?WRN (\d+-\d+-\d+), ", line):
            model = f"swrn-{match[1]}"
        elif match := re.match(r"\| (\d) \| ", line):
            told[model, match[1]] = [cell.strip() for cell in line[1:-1].split("|")]
    return told


def test_every_published_run_s_error_is_told():
    told = {}
    for cells in rows():
        if match := NAMES.fullmatch(cells[1]):
            for seed, value in enumerate(cells[2:]):
                if value:
                    told[f"{match[1]}/{match[2]}/seed{seed}"] = value
    made = {str(file.parent.relative_to(RUNS)): f"{error(file.parent):.2f}" for file in RUNS.rglob("metrics.json")}
    assert told == made and len(made) >= 5


def test_every_published_folding_is_told():
    made = {(file.parts[-5], file.parts[-3].removeprefix("seed")) for file in RUNS.rglob("folding.json")}
    assert folded().keys() == made and made


@pytest.mark.parametrize("model, seed", folded())
def test_a_folding_is_told_as_it_is(model, seed):
    _, stages, largest, *errors = folded()[model, seed]
    folding = json.loads((RUNS / model / "cifar" / f"seed{seed}" / "folding" / "folding.json").read_text())
    (chosen,) = (each for each in folding["foldings"] if each["threshold"] == folding["threshold"])
    (whole,) = (each for each in folding["costs"] if each["threshold"] == folding["threshold"])
    (before,) = (each for each in folding["costs"] if each["threshold"] is None)
    assert stages == ", ".join(" ".join(labels) for labels in chosen["stages"].values())
    matrices = folding["similarity"].values()
    most = [max(row[j] for i, row in enumerate(matrix) for j in range(i)) for matrix in matrices]
    assert largest == ", ".join(f"{each:.2f}" for each in most)
    wanted = []
    for stage in ("stage2", "stage3", None):
        cost, labels = folding["stage_costs"].get(stage, whole), chosen["stages"].get(stage, "aa")
        if len(set(labels)) == len(labels):
            wanted += ["nothing to tie", ""]
            continue
        anew = (before["error_reestimated"], cost["error_reestimated"])
        for pair in ((cost["error_before"], cost["error_after"]), anew):
            wanted.append(f"{pair[0]:.2f} to {pair[1]:.2f}")
    assert errors == wanted


def text():
    return " ".join(PAGE.read_text().split())


def upper(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


def final_similarities(run):
    with np.load(run / "similarity.npz") as stored:
        rows = [stored[f"stage{stage}/coefficients"][-1].astype(float) for stage in (1, 2, 3)]
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in rows]
    return [upper(abs(unit @ unit.T)) for unit in units]


def test_the_run_in_two_precisions_is_told_as_it_is():
    name = "swrn-28-1-4/cifar/seed0"
    full, half = PUBLISHED / "precision/runs/cifar10" / name, RUNS / name
    assert f"errs on {error(full):.2f} %, and on {error(half):.2f} % in bf16" in text()
    histories = [list(csv.DictReader((run / "history.csv").open())) for run in (full, half)]
    apart = defaultdict(list)
    for one, other in zip(*histories, strict=True):
        assert abs(float(one["train_loss"]) - float(other["train_loss"])) < 0.02
        apart[round(float(one["learning_rate"]), 6)].append(abs(float(one["test_error"]) - float(other["test_error"])))
    first, second, *later = (max(each) for each in apart.values())
    assert (
        f"by up to {first:.0f} points until the learning rate's first drop, by {second:.2f} at most after it" in text()
    )
    assert f"by {max(later):.2f} at most after the second" in text()
    pairs = list(zip(final_similarities(full), final_similarities(half), strict=True))
    together = [f"{np.corrcoef(one, other)[0, 1]:.2f}" for one, other in pairs]
    assert "correlate by {}, {} and {} by stage".format(*together) in text()
    largest = [f"{one.max():.2f}" for one, _ in pairs] + [f"{other.max():.2f}" for _, other in pairs]
    assert "similarities are {}, {} and {} for {}, {} and {}".format(*largest) in text()


def test_likeness_at_even_and_odd_distances_is_told_as_it_is():
    by_distance, matrices = defaultdict(list), defaultdict(dict)
    with (PUBLISHED / "compact/figures/figure7.csv").open() as file:
        for row in csv.DictReader(file):
            distance = int(row["other"]) - int(row["layer"])
            if row["of"] == "coefficients" and distance > 0:
                by_distance[distance].append(float(row["similarity"]))
                matrices[row["run"], row["group"]][float(row["similarity"])] = distance
    means = [[mean(by_distance[each]) for each in range(first, 10, 2)] for first in (2, 1)]
    even, odd = (f"{min(each):.2f} to {max(each):.2f}" for each in means)
    assert f"({even} on average, those an odd number apart {odd})" in text()
    largest_at = [entries[max(entries)] for entries in matrices.values()]
    assert len(largest_at) == 9 and all(distance % 2 == 0 for distance in largest_at)
    assert "in all nine matrices the largest entry lies there, in three of them at i and i + 2" in text()
    assert largest_at.count(2) == 3
