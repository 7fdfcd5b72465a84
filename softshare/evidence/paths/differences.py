"""F1 of one network less that of another within a setting, paired by seed: looked at, and judged by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softshare.evidence.paths.runs import scores_of, seeds_on_other_examples
from softshare.evidence.paths.scores import PathScores, mean_of_part
from softshare.evidence.runs.checks import UnusableError
from softshare.evidence.runs.gather import CellEvidence, cautions_between, mixed_between
from softshare.evidence.statistics import TTest, paired
from softshare.evidence.verdict import FEWEST_SEEDS
from softshare.evidence.wording import DASH, signed
from softshare.plan import Experiment

RUNNING, ANEW = "running", "anew"

ABOUT = (
    "F1 of a row less that of the row beside it, paired by seed, with Student's 95 % interval. Exploratory: nothing is "
    "adjusted for how many there are, and no claim is judged on them."
)


@dataclass(frozen=True)
class Difference:
    """A row's F1 less another's.

    Attributes:
        row: Label of the one.
        minus: Label of the other.
        statistics: Of batch norm: `running`, or estimated `anew`.
        found: By part of the training, as `parts_of` names them; none where it cannot be told.
        notes: Why it cannot be told, or what a reader should know.
    """

    row: str
    minus: str
    statistics: str
    found: dict[str, TTest]
    notes: tuple[str, ...]


def parts_of(scores: PathScores, statistics: str) -> dict[str, float]:
    """Mean F1 over parts of the training, by their names; of statistics that the run has.

    Args:
        scores: Of a run.
        statistics: `running` or `anew`.
    """
    f1 = scores.f1 if scores.anew is None or statistics == RUNNING else scores.anew.f1
    phases = tuple(range(1, len(f1) + 1))
    later = {"first fifth of later phases": mean_of_part(f1, phases[1:], (0.0, 0.2))} if phases[1:] else {}
    return {
        "first fifth of phase 1": mean_of_part(f1, phases[:1], (0.0, 0.2)),
        **later,
        "phase ends": mean_of_part(f1, phases, (1.0, 1.0)),
    }


def find_differences(experiment: Experiment, cells: Sequence[CellEvidence], results: Path) -> list[Difference]:
    """The differences that an experiment asks for, by running statistics and, where all its runs have them, anew.

    Args:
        experiment: It names pairs of rows.
        cells: Its cells.
        results: `results/<scale>`.
    """
    by_row = {found.cell.row: found for found in cells}
    return [
        each
        for row, minus in experiment.differences
        for each in _differences(row, minus, by_row[row], by_row[minus], results)
    ]


def difference_rows(differences: Sequence[Difference]) -> Iterator[dict[str, Any]]:
    """Plain rows at full precision: one for each part, or one that tells why there is none."""
    for each in differences:
        key = {"row": each.row, "minus": each.minus, "statistics": each.statistics}
        notes = {"notes": "; ".join(each.notes) or None}
        if not each.found:
            yield key | {"part": None, "pairs": 0, "difference": None, "low": None, "high": None} | notes
        for part, test in each.found.items():
            low, high = test.interval or (None, None)
            told = {"part": part, "pairs": test.pairs, "difference": test.difference, "low": low, "high": high}
            yield key | told | notes


def shown_differences(differences: Sequence[Difference]) -> list[dict[str, str]]:
    """The differences for a reader, a row each."""
    parts = list(dict.fromkeys(part for each in differences for part in each.found))
    several = {each.statistics for each in differences} > {RUNNING}
    return [
        {
            "Row": each.row,
            "Minus": each.minus,
            **({"Statistics": each.statistics} if several else {}),
            "Pairs": str(next(iter(each.found.values())).pairs if each.found else 0),
            **{f"F1, {part}": _shown(each.found.get(part)) for part in parts},
            "Note": "; ".join(each.notes),
        }
        for each in differences
    ]


def _shown(test: TTest | None) -> str:
    if test is None:
        return DASH
    interval = "no interval" if test.interval is None else " to ".join(signed(end, 3) for end in test.interval)
    return f"{signed(test.difference, 3)} ({interval})"


def _differences(row: str, minus: str, ours: CellEvidence, base: CellEvidence, results: Path) -> Iterator[Difference]:
    seeds = sorted({r.run.seed for r in ours.complete} & {r.run.seed for r in base.complete})
    why = _why_not(ours, base, seeds)
    try:
        scores = [] if why else [_by_seed(found, seeds, results) for found in (ours, base)]
    except UnusableError as error:  # a run changed since it was looked through
        why, scores = str(error), []
    if why:
        yield Difference(row, minus, RUNNING, {}, (why,))
        return
    notes = tuple(cautions_between(ours, base))
    has_anew = all(each.anew for side in scores for each in side)
    for statistics in (RUNNING, ANEW) if has_anew else (RUNNING,):
        one, other = ([parts_of(each, statistics) for each in side] for side in scores)
        found = {part: paired([each[part] for each in one], [each[part] for each in other]) for part in one[0]}
        yield Difference(row, minus, statistics, found, notes)


def _by_seed(found: CellEvidence, seeds: Sequence[int], results: Path) -> list[PathScores]:
    records = {record.run.seed: record for record in found.complete}
    return [scores_of(records[seed], results) for seed in seeds]


def _why_not(ours: CellEvidence, base: CellEvidence, seeds: Sequence[int]) -> str:
    """Why two rows are not compared; empty where they are. The rule is that of claims."""
    for found in (ours, base):
        if not found.complete:
            return f"{found.cell.row}: not run"
        if found.departures or found.mixed:
            return f"{found.cell.row}: {'; '.join((*found.departures, *found.mixed))}"
    if mixed := mixed_between(ours, base):
        return "; ".join(mixed)
    if others := seeds_on_other_examples(ours, base):
        return f"other examples: seed {', '.join(map(str, others))}"
    if len(seeds) < FEWEST_SEEDS:
        return f"{len(seeds)} pairs; {FEWEST_SEEDS} are needed"
    return ""
