"""The paper's numbers, as `reports/paper/<experiment>.yaml` fixes them before any run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.files import project_root
from softshare.plan import Experiment, Plan
from softshare.schemas import read_yaml


@dataclass(frozen=True)
class PaperNumber:
    """A number of the paper, and what it takes to judge another against it.

    Attributes:
        value: As printed, in percent.
        n: Runs behind it, as told or as assumed.
        prior_sd: Spread between seeds that others measured, for the paper prints none.
        no_worse_margin: How much higher an error still counts as no worse; None where no claim asks for one.
    """

    value: float
    n: int
    prior_sd: float
    no_worse_margin: float | None = None


@dataclass(frozen=True)
class PaperDataset:
    """How the numbers on one dataset are judged: as for `PaperNumber`; None where the paper gives no number on it."""

    name: str
    n: int | None = None
    prior_sd: float | None = None
    prior_sd_source: str | None = None
    no_worse_margin: float | None = None


@dataclass(frozen=True)
class PaperRow:
    """A row of a table: parameters as printed, exact counts and values by dataset, its own training settings.

    A value of None says that the paper gives no number. `source` says whose number it is where the row is only quoted;
    `beside` holds what else the paper prints (`top5_error`, `gpu_days`), which is shown and not judged.
    """

    label: str
    parameters: str
    exact_parameters: dict[str, int]
    values: dict[str, float | None]
    training: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    source: str | None = None
    beside: dict[str, float] = field(default_factory=dict)

    @property
    def printed_parameters(self) -> float | None:
        """Parameters as printed, as a number: 36e6 for `36M`; None where none is printed."""
        number, unit = self.parameters[:-1], self.parameters[-1]
        return 1e6 * float(number) if unit == "M" else None


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper."""

    experiment: str
    source: str
    notes: tuple[str, ...]
    decimals: int
    training: dict[str, Any]
    datasets: dict[str, PaperDataset]
    rows: dict[str, PaperRow]

    def number(self, row: str, dataset: str) -> PaperNumber | None:
        """The number at a row and a dataset; None where the paper gives none."""
        value, by = self.rows[row].values[dataset], self.datasets[dataset]
        if value is None or by.n is None or by.prior_sd is None:
            return None
        return PaperNumber(value, by.n, by.prior_sd, by.no_worse_margin)


def read_reported(experiment: Experiment, root: Path | None = None) -> PaperTable:
    """Reads the paper's numbers for an experiment and checks that every cell has one, or is said to have none.

    Args:
        experiment: A table.
        root: Folder that holds `reports/`; the project's by default.

    Raises:
        UserError: The file is missing, breaks its schema, or does not fit the experiment.
    """
    file = paper_file(experiment.name, root)
    table = read_paper_table(experiment.name, root)
    for row in experiment.quoted:
        _require_row(row, table, file)
        if table.rows[row].source is None:
            raise UserError("is missing, though the row is quoted", file=file, key=f"rows.{row}.source")
    for row, dataset in _places(experiment):
        _require_row(row, table, file)
        if dataset not in table.rows[row].values:
            raise UserError("has no value in this row", file=file, key=f"rows.{row}", value=dataset)
    return table


def require_reported(plan: Plan, root: Path | None = None) -> None:
    """Refuses a plan of which a table or figure lacks the paper's numbers, before any run is made for it.

    Args:
        plan: Its experiments.
        root: Folder that holds `reports/`; the project's by default.

    Raises:
        UserError: A file is missing, breaks its schema, or does not fit its experiment.
    """
    for experiment in plan.experiments:
        own = [experiment.name] if experiment.kind == "table" else []
        for name in (*own, *experiment.numbers_from):
            file = paper_file(name, root)
            if not file.is_file():
                problem = f"is missing, and experiment {experiment.name!r} holds its runs against what stands there"
                raise UserError(problem, file=file, remedy="config/README.md shows one")
            if name in own:
                read_reported(experiment, root)
            else:
                read_paper_table(name, root)


def read_paper_table(name: str, root: Path | None = None) -> PaperTable:
    """Reads a file of the paper's numbers by its name.

    Raises:
        UserError: The file is missing or breaks its schema.
    """
    file = paper_file(name, root)
    raw = read_yaml(file, schema="paper")
    if raw["experiment"] != name:
        raise UserError("is not the file's name", file=file, key="experiment", value=raw["experiment"])
    return PaperTable(
        experiment=raw["experiment"],
        source=raw["source"],
        notes=tuple(note.strip() for note in raw.get("notes", ())),
        decimals=raw["decimals"],
        training=raw["training"],
        datasets={name: PaperDataset(**entry) for name, entry in raw["datasets"].items()},
        rows=_rows(raw, file),
    )


def paper_file(name: str, root: Path | None = None) -> Path:
    """Where the paper's numbers of that name stand."""
    return (root or project_root()) / "reports" / "paper" / f"{name}.yaml"


def _places(experiment: Experiment) -> list[tuple[str, str]]:
    run = [(cell.row, cell.paper.dataset) for cell in experiment.cells]
    return run + [(row, dataset) for row in experiment.quoted for dataset in experiment.datasets]


def _require_row(row: str, table: PaperTable, file: Path) -> None:
    if row not in table.rows:
        raise UserError("has no such row", file=file, key="rows", value=row, remedy=did_you_mean(row, table.rows))


def _rows(raw: dict[str, Any], file: Path) -> dict[str, PaperRow]:
    rows: dict[str, PaperRow] = {}
    for index, entry in enumerate(raw["rows"]):
        row = PaperRow(**{"exact_parameters": {}, **entry})
        if row.label in rows:
            raise UserError("appears twice", file=file, key=f"rows.{index}.label", value=row.label)
        for key, datasets in (("values", row.values), ("exact_parameters", row.exact_parameters)):
            for dataset in datasets:
                if dataset not in raw["datasets"]:
                    remedy = did_you_mean(dataset, raw["datasets"])
                    raise UserError(
                        "is not under datasets",
                        file=file,
                        key=f"rows.{index}.{key}",
                        value=dataset,
                        remedy=remedy,
                    )
        for dataset, value in row.values.items():
            if value is not None and "n" not in raw["datasets"][dataset]:
                raise UserError(
                    f"is missing, though row {row.label!r} has a number on it",
                    file=file,
                    key=f"datasets.{dataset}.n",
                    remedy="say how the number is judged, or that the paper gives none: null",
                )
        rows[row.label] = row
    return rows
