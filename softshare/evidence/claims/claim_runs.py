"""What claims stand on: the runs of a scale, found by the paper's settings that claims name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from softshare.errors import UserError
from softshare.evidence.claims.finding import UnansweredError
from softshare.evidence.claims.measures import MEASURES
from softshare.evidence.claims.reading import Claim, Claims
from softshare.evidence.runs.gather import CellEvidence, cautions_between, gather, mixed_between
from softshare.evidence.runs.runfolder import Record
from softshare.evidence.similarity.reading import Group, read_similarity
from softshare.evidence.statistics import summary_of
from softshare.evidence.verdict import FEWEST_SEEDS, Verdict
from softshare.evidence.wording import by_reason, seeds_in_words
from softshare.names import SHORTEST_PATHS, parse_model_name
from softshare.plan import Cell, Experiment, Plan
from softshare.runfiles import MANIFEST, SIMILARITY
from softshare.scales import Run, Scale, Setting

# Stored epochs and groups of a run, by its seed.
Stored = dict[int, tuple[tuple[int, ...], tuple[Group, ...]]]


@dataclass(frozen=True)
class ClaimRuns:
    """The runs of a scale and the rules that claims are judged by.

    Attributes:
        scale: What stands in for what.
        results: `results/<scale>`.
        bench: Folder that holds `bench.csv`.
        claims: The claims, their level, and the paper's tables that they name.
        cells: The runs behind each of the paper's settings.
        planned: Every run that an experiment of the plan makes.
        root: Folder that holds `config/` and `reports/`; None = the project's.
    """

    scale: Scale
    results: Path
    bench: Path
    claims: Claims
    cells: dict[Setting, CellEvidence]
    planned: frozenset[Run]
    root: Path | None = None

    @property
    def alpha(self) -> float:
        """Level of every test."""
        return self.claims.alpha

    def of(self, setting: Setting, enough: bool = True) -> CellEvidence:
        """The runs behind a setting of the paper, if there are enough to be tested (asked for by `enough`).

        Raises:
            UnansweredError: None is complete, too few are, they depart from the plan, or are of more than one kind.
        """
        found = self.cells[setting]
        if found.cell.run is None:
            raise UnansweredError(Verdict.NOT_RUN, f"{setting} is not run at scale {self.scale.name}")
        if not found.complete:
            raise UnansweredError(Verdict.NOT_RUN, self._why_none(found))
        if found.departures:
            what = "; ".join(found.departures)
            raise UnansweredError(Verdict.NOT_COMPARABLE, f"runs of {found.cell.run} depart from the plan: {what}")
        if found.mixed:
            raise UnansweredError(Verdict.MIXED, f"the runs of {found.cell.run} are mixed: {'; '.join(found.mixed)}")
        if enough:
            self.require_enough(found, len(found.complete), "are complete")
        return found

    def pair(self, claim: Claim, one: str, other: str, enough: bool = True) -> tuple[CellEvidence, CellEvidence]:
        """The runs of two settings of a claim, by the keys that its test names them under.

        Raises:
            UnansweredError: As `of`, the same network stands in for both, or theirs are not of one kind.
        """
        return self.pair_of(claim.setting(one), claim.setting(other), enough)

    def pair_of(self, first: Setting, second: Setting, enough: bool = True) -> tuple[CellEvidence, CellEvidence]:
        """As `pair`, of two settings."""
        ours, base = self.scale.stand_in(first), self.scale.stand_in(second)
        if ours is not None and ours == base:
            raise UnansweredError(
                Verdict.NOT_COMPARABLE, f"{ours} stands in for both {first} and {second} at scale {self.scale.name}"
            )
        # Both are looked up before either is found too few: "not run" tells more than "inconclusive".
        for setting in (first, second):
            if not self.cells[setting].complete:
                self.of(setting)
        found, beside = self.of(first, enough), self.of(second, enough)
        if mixed := mixed_between(found, beside):
            what = f"the runs of {found.cell.run} and {beside.cell.run} are mixed"
            raise UnansweredError(Verdict.MIXED, f"{what}: {'; '.join(mixed)}")
        return found, beside

    def require_enough(self, found: CellEvidence, n: int, what: str) -> None:
        """Refuses fewer seeds than a verdict needs.

        Raises:
            UnansweredError: So it is.
        """
        if n < FEWEST_SEEDS:
            total = len(self._expected(found))
            runs = "run" if total == 1 else "runs"
            reason = f"{n} of {total} {runs} of {found.cell.run} {what}; a verdict needs {FEWEST_SEEDS}"
            if total < FEWEST_SEEDS:
                reason += f", and scale {self.scale.name} plans no more"
            raise UnansweredError(Verdict.INCONCLUSIVE, reason)

    def similarities(self, setting: Setting) -> tuple[CellEvidence, Stored]:
        """Stored epochs and layer similarity matrices of the runs behind a setting, by seed.

        Raises:
            UnansweredError: As `of`, counted over the runs whose matrices can be read.
        """
        found = self.of(setting)
        stored, wrong = {}, {}
        for record in found.complete:
            seed, folder = record.run.seed, self.results / record.folder
            layers = parse_model_name(record.run.setting.model).layers
            try:
                similarity = read_similarity(folder / SIMILARITY)
            except UserError as error:
                wrong[seed] = str(error).replace(f"{folder}/", "")
                continue
            sizes = {group.weights.shape[1] for group in similarity.groups}
            if sizes == {layers}:
                stored[seed] = (similarity.epochs, similarity.groups)
            else:
                wrong[seed] = f"groups of {sizes} layers, not of {layers}" if sizes else "none is stored"
        if not stored:
            raise UnansweredError(
                Verdict.NOT_RUN, f"no layer similarity of {found.cell.run}: {'; '.join(by_reason(wrong.items()))}"
            )
        self.require_enough(found, len(stored), "hold layer similarities")
        return found, stored

    def table_cell(self, setting: Setting, row: str) -> CellEvidence:
        """The runs behind a setting, as the cell of a row of a table."""
        found = self.cells[setting]
        return replace(found, cell=replace(found.cell, row=row))

    def describe(self, setting: Setting) -> dict[str, Any]:
        """What was run for a setting of the paper, in plain values."""
        found = self.cells[setting]
        errors = [] if setting.dataset == SHORTEST_PATHS else found.errors
        summary = summary_of(errors) if errors else None
        return {
            "paper": str(setting),
            "run": str(found.cell.run) if found.cell.run else None,
            "epochs": found.values("epochs"),
            "seeds": [record.run.seed for record in found.complete],
            "n": len(found.complete),
            "n_planned": sum(run in self.planned for run in found.cell.runs),
            "mean_error": summary and summary.mean,
            "sd_error": summary and summary.sd,
            "manifests": [(record.folder / MANIFEST).as_posix() for record in found.complete],
            "left_out": [
                f"seed {record.run.seed}: {record.reason}"
                for record in self._expected(found)
                if not record.complete and (found.complete or record.reason != "not run")
            ],
        }

    def seen(self, settings: Iterable[Setting], measure: str) -> tuple[str, ...]:
        """Means behind settings where a test was not made: to be read, not to be relied on."""
        cells = [self.cells[setting] for setting in settings if setting.dataset != SHORTEST_PATHS]
        means = {found.cell.run: list(found.by_seed(measure).values()) for found in cells if found.complete}
        told = [f"{run} {MEASURES[measure].told(values)} (n = {len(values)})" for run, values in means.items()]
        return (f"seen, not tested: {', '.join(told)}",) if told else ()

    def notes(self, settings: Iterable[Setting]) -> tuple[str, ...]:
        """What makes the runs behind a claim unlike each other, hard to repeat, or unlike the paper's."""
        cells = [self.cells[setting] for setting in settings]
        notes = [f"{cell.cell.run}: {caution}" for cell in cells for caution in cell.cautions]
        notes += [f"{cell.cell.run}: {diverged}" for cell in cells if (diverged := _diverged(cell))]
        for one, other in itertools.pairwise(cells):
            notes += cautions_between(one, other)
        for cell in cells:
            notes += [record.lossy for record in cell.complete if record.lossy]
        return tuple(dict.fromkeys(notes))

    def _expected(self, found: CellEvidence) -> list[Record]:
        """Runs that an experiment of the plan makes, or that are there without."""
        return [record for record in found.records if record.run in self.planned or record.reason != "not run"]

    def _why_none(self, found: CellEvidence) -> str:
        wrong = {record.run.seed: record.reason for record in found.records if record.reason != "not run"}
        if wrong:
            return f"no run of {found.cell.run} can be used: {'; '.join(by_reason(wrong.items()))}"
        if not any(run in self.planned for run in found.cell.runs):
            return f"{found.cell.run} is not run; none of the experiments reported here makes it"
        return f"{found.cell.run} is not run"


def find_claim_runs(claims: Claims, plan: Plan, results: Path, bench: Path, root: Path | None = None) -> ClaimRuns:
    """Finds the runs behind every setting that claims name; a bad folder is listed, and the rest stands.

    Args:
        claims: The claims.
        plan: What was to be run.
        results: `results/<scale>`.
        bench: Folder that holds `bench.csv`.
        root: Folder that holds `config/` and `reports/`; the project's by default.
    """
    settings = dict.fromkeys(setting for claim in claims.claims for setting in claim.settings)
    named = Plan(plan.scale, (Experiment("claims", "claims", "", tuple(_cell(each, plan) for each in settings)),))
    cells = gather(named, results, root).cells["claims"]
    by_setting = dict(zip(settings, cells, strict=True))
    return ClaimRuns(plan.scale, results, bench, claims, by_setting, frozenset(plan.runs), root)


def _diverged(found: CellEvidence) -> str:
    """Tells of trainings that diverged: what is said of the others is said of those that did not."""
    seeds = [record.run.seed for record in found.records if record.diverged]
    return f"{seeds_in_words(seeds)} diverged and {'is' if len(seeds) == 1 else 'are'} in no number" if seeds else ""


def _cell(setting: Setting, plan: Plan) -> Cell:
    ours = plan.scale.stand_in(setting)
    seeds = plan.scale.seeds_on(setting.dataset)
    runs = tuple(Run(ours, seed) for seed in seeds) if ours else ()
    return Cell("claims", str(setting), setting, ours, runs)
