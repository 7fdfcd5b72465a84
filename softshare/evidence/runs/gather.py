"""All runs that a plan names, sorted by what may be said of each, and grouped into the paper's cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.evidence.runs.runfolder import Record, State, read_run
from softshare.plan import Cell, Experiment, Plan
from softshare.recipes import load_recipe
from softshare.scales import Run


@dataclass(frozen=True)
class CellEvidence:
    """The runs behind a number of the paper.

    Attributes:
        cell: The number's place.
        records: Its runs, by seed.
        departures: How complete runs depart from what the plan asks; such runs do not answer the paper.
        cautions: What makes the runs of the cell unlike each other, or hard to repeat.
        mixed: Those of the cautions by which the runs are not of one kind: no verdict follows from them.
    """

    cell: Cell
    records: tuple[Record, ...]
    departures: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()

    @property
    def complete(self) -> list[Record]:
        """The runs whose numbers may be used."""
        return [record for record in self.records if record.complete]

    @property
    def errors(self) -> list[float]:
        """Test errors of the complete runs, in percent."""
        return [record.error for record in self.complete]

    @property
    def errors_by_seed(self) -> dict[int, float]:
        """Test error of each complete run, in percent, by its seed."""
        return self.by_seed("error")

    def by_seed(self, measure: str) -> dict[int, float]:
        """A number of each complete run by its seed: a test error (`error`, `top5_error`), or `train_loss`."""
        numbers = [record.metrics | record.metrics["test"] for record in self.complete]
        return {record.run.seed: each[measure] for record, each in zip(self.complete, numbers, strict=True)}

    def values(self, key: str) -> list[int]:
        """The different values of a whole number in metrics.json, such as `epochs`."""
        return sorted({record.metrics[key] for record in self.complete})


@dataclass(frozen=True)
class Evidence:
    """All that is known of a plan's runs."""

    plan: Plan
    records: dict[Run, Record]
    cells: dict[str, tuple[CellEvidence, ...]]

    def in_state(self, state: State) -> list[Record]:
        """The runs in a state, in order."""
        return [record for record in self.records.values() if record.state is state]


def gather(plan: Plan, results: Path, root: Path | None = None) -> Evidence:
    """Reads the folder of every run that a plan names. A bad folder is listed, and the rest stands.

    Args:
        plan: What was to be run.
        results: `results/<scale>`.
        root: Folder that holds `config/`; the project's by default.

    Raises:
        UserError: A recipe of the plan cannot be read.
    """
    settings = {name: load_recipe(name, plan.scale, root) for name in {run.setting.recipe for run in plan.runs}}
    records = _without_repeats(_as_asked(read_run(results, run), settings[run.setting.recipe]) for run in plan.runs)
    cells = {
        experiment.name: tuple(_cell(cell, records, settings) for cell in experiment.cells)
        for experiment in plan.experiments
    }
    return Evidence(plan, records, cells)


def find_experiment(plan: Plan, name: str, *kinds: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: The plan has none, or it is shown in another way than these.
    """
    names = [experiment.name for experiment in plan.of_kind(*kinds)]
    if name not in names:
        kind = " or ".join(map(repr, kinds))
        raise UserError(f"no experiment of kind {kind}", value=name, remedy=did_you_mean(name, names))
    return plan.experiment(name)


def mixed_between(one: CellEvidence, other: CellEvidence) -> list[str]:
    """How the complete runs of two cells are not of one kind: no comparison of the two follows from them."""
    return list(_mixed(_circumstances((*one.complete, *other.complete))))


def mixed_among(records: Sequence[Record]) -> list[str]:
    """How complete runs of one setting are not of one kind: what parts them is then not the seed alone."""
    facts = [told | _facts(record) for told, record in zip(_circumstances(records), records, strict=True)]
    return [*_mixed(facts), *_changed(records)]


def cautions_between(one: CellEvidence, other: CellEvidence) -> list[str]:
    """How the circumstances of two cells' complete runs differ: what a comparison of the two should know."""
    records = (*one.complete, *other.complete)
    facts = [told | _place(record) for told, record in zip(_circumstances(records), records, strict=True)]
    return list(_mixed(facts))


def _as_asked(record: Record, wanted: dict[str, Any]) -> Record:
    """The record; of a divergence under other settings than the plan's, no result, one that says so."""
    if not record.diverged or not (departures := _departures(record, wanted)):
        return record
    reason = f"{record.reason}; {', '.join(departures)}"
    return replace(record, reason=reason, manifest={}, diverged=False)


def _without_repeats(records: Iterable[Record]) -> dict[Run, Record]:
    # Two trainings never end with the same losses to the last digit: a folder was copied, or a setting
    # was ignored.
    kept: dict[Run, Record] = {}
    first: dict[str, Run] = {}
    for record in records:
        if record.complete:
            # With `anew`: a run that is scored by other statistics besides is, to the bit, the training without them.
            numbers = [record.metrics.get(key) for key in ("test", "validation", "train_loss", "anew")]
            original = first.setdefault(json.dumps(numbers, sort_keys=True), record.run)
            if original != record.run:
                reason = f"metrics.json repeats the numbers of {original} to the last digit"
                record = replace(record, state=State.UNUSABLE, reason=reason, metrics={}, manifest={})
        kept[record.run] = record
    return kept


def _cell(cell: Cell, records: dict[Run, Record], settings: dict[str, dict[str, Any]]) -> CellEvidence:
    found = tuple(records[run] for run in cell.runs)
    complete = [record for record in found if record.complete]
    wanted = settings[cell.run.recipe] if cell.run else {}
    departures = dict.fromkeys(text for record in complete for text in _departures(record, wanted))
    mixed = mixed_among(complete)
    return CellEvidence(cell, found, tuple(departures), (*mixed, *_cautions(complete)), tuple(mixed))


def _departures(record: Record, wanted: dict[str, Any]) -> list[str]:
    settings = record.settings
    return [
        f"seed {record.run.seed} ran with {key} {settings.get(key)} in place of {value}"
        for key, value in wanted.items()
        if settings.get(key) != value
    ]


def _cautions(complete: list[Record]) -> Iterable[str]:
    yield from _mixed([_place(record) for record in complete])
    dirty = [str(record.run.seed) for record in complete if any(code.dirty for code in record.codes)]
    if dirty:
        yield f"code with uncommitted changes: seed {', '.join(dirty)}"
    unknown = [str(record.run.seed) for record in complete if any(code.commit is None for code in record.codes)]
    if unknown:
        yield f"code not recorded: seed {', '.join(unknown)}"


def _changed(complete: Iterable[Record]) -> Iterable[str]:
    """Runs that were resumed with other code than they began with."""
    for record in complete:
        (code,) = _codes([record])
        if len(code) > 1:
            yield f"seed {record.run.seed} was trained with code that changed: {_in_turn(code)}"


def _codes(records: Sequence[Record]) -> list[list[str]]:
    """The code of each run, in turn: by what it was where all of them tell, for a commit may change a page alone."""
    codes = [record.stretches for record in records]
    by_digest = all(code.digest for each in codes for code in each)
    if not by_digest:
        return [list(dict.fromkeys(map(str, each))) for each in codes]
    first = {code.digest: code for each in reversed(codes) for code in reversed(each)}
    return [list(dict.fromkeys(f"{first[code.digest]} ({str(code.digest)[:8]})" for code in each)) for each in codes]


def _in_turn(codes: Iterable[object]) -> str:
    return ", then ".join(map(str, codes))


def _mixed(facts: list[dict[str, object]]) -> Iterable[str]:
    for name in dict.fromkeys(name for fact in facts for name in fact):
        values = sorted({str(fact.get(name)) for fact in facts})
        if len(values) > 1:
            yield f"mixes {name}: {', '.join(values)}"


def _facts(record: Record) -> dict[str, object]:
    """What must be alike in the runs of one cell, besides their circumstances."""
    settings = {f"settings of {key}": value for key, value in sorted(record.settings.items())}
    return {"numbers of parameters": record.metrics["parameters"]} | settings


def _circumstances(records: Sequence[Record]) -> list[dict[str, object]]:
    """What must be alike even in runs of different networks and recipes."""
    return [
        {
            "code": _in_turn(code),
            "numbers of test images": record.metrics["test"].get("images"),
            "numbers of test examples": record.metrics["test"].get("examples"),
            "versions of the dataset": _version_of(record.manifest["dataset"]),
            "precisions": record.manifest.get("precision"),
            "numbers of processes": record.manifest.get("processes", 1),
            "kinds of batch norm": record.manifest.get("batch_norm", "own"),
            "kinds of compilation": "compiled" if record.manifest.get("compile", False) else "not compiled",
            "decodings": _decoding(record.manifest),
        }
        for record, code in zip(records, _codes(records), strict=True)
    ]


def _decoding(manifest: dict[str, Any]) -> object:
    """Of photographs: which of FFCV's files they were decoded from, or the originals; not every manifest tells."""
    identity = manifest.get("identity")
    return (identity.get("decoding", "") if isinstance(identity, dict) else "") or "the originals"


def _place(record: Record) -> dict[str, object]:
    """Where a run was made, and with which torch; runs that differ in it may stand in one row, and a reader is told."""
    stretches = record.manifest.get("stretches", ())
    versions = {str(told.get("torch")) for told in (record.manifest["versions"], *stretches)}
    return {"devices": record.device, "versions of torch": _in_turn(sorted(versions))}


def _version_of(dataset: dict[str, Any]) -> object:
    """Which data they were; those drawn anew for each seed are one dataset, told by their settings."""
    return dataset.get("fingerprint") if dataset.get("seed") is None else dataset.get("settings")
