"""The page on CIFAR-10, written by hand, tells the errors and foldings that the published runs have."""

import json
import re

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
