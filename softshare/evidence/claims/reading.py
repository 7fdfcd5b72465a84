"""The claims of the paper as `reports/paper/claims.yaml` fixes them before the runs that answer them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softshare.errors import UserError, did_you_mean
from softshare.evidence.reported import PaperTable, read_paper_table
from softshare.files import project_root
from softshare.scales import Setting, check_name, names_in, require_dataset, require_model
from softshare.schemas import read_yaml

# Under which a test names a setting. Where there are two, the first is expected to err less or to be the less alike.
SETTING_KEYS = ("setting", "lower", "ours", "one", "higher", "than", "other")
# Under which it names several.
_LIST_KEYS = ("others", "shared", "plain")
_TABLE_KEYS = ("table", "margin_of")
_ROW_KEYS = ("row", "lower_row", "higher_row", "quoted_row")


@dataclass(frozen=True)
class Claim:
    """A statement of the paper and the test that it is held against.

    Attributes:
        id: Its name here.
        section: Where in the paper it stands.
        words: What the paper says.
        test: Kind of test and what that kind needs, as in the file.
        note: What a reader of the verdict should know.
        unplanned: Why no experiment makes its runs.
        exploratory_at: Scales whose runs were known when it was drawn up: there its verdict counts among no others.
    """

    id: str
    section: str
    words: str
    test: dict[str, Any]
    note: str = ""
    unplanned: str = ""
    exploratory_at: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Kind of the test."""
        return self.test["kind"]

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The paper's settings that are held against each other or against a number."""
        several = (setting for key in _LIST_KEYS for setting in self.settings_under(key))
        return (*(self.setting(key) for key in SETTING_KEYS if key in self.test), *several)

    def settings_under(self, key: str) -> tuple[Setting, ...]:
        """The settings under a key of the test that may name several; none where it is not there."""
        return tuple(Setting(*name.split("/")) for name in self.test.get(key, ()))

    def setting(self, key: str) -> Setting:
        """The setting under a key of the test."""
        return Setting(*self.test[key].split("/"))


@dataclass(frozen=True)
class Claims:
    """The whole file.

    Attributes:
        source: Which text the claims are taken from.
        notes: What a reader of all verdicts should know.
        changes: What was changed after the first runs, when, and before which others.
        alpha: Level of every test.
        claims: In the file's order.
        tables: Tables of the paper that claims name, by name.
    """

    source: str
    notes: tuple[str, ...]
    changes: tuple[str, ...]
    alpha: float
    claims: tuple[Claim, ...]
    tables: dict[str, PaperTable]


def read_claims(root: Path | None = None) -> Claims:
    """Reads the claims and checks that whatever they name is there.

    Args:
        root: Folder that holds `config/` and `reports/`; the project's by default.

    Raises:
        UserError: The file breaks its schema, an id appears twice, or a claim names an unknown scale, dataset,
            model, recipe, table, row or bench.
    """
    root = root or project_root()
    file = root / "reports" / "paper" / "claims.yaml"
    raw = read_yaml(file, schema="claims")
    claims = tuple(
        Claim(**entry | {"exploratory_at": tuple(entry.get("exploratory_at", ()))}) for entry in raw["claims"]
    )
    scales = names_in(root / "config" / "scales")
    seen: set[str] = set()
    tables: dict[str, PaperTable] = {}
    for index, claim in enumerate(claims):
        if claim.id in seen:
            raise UserError("appears twice", file=file, key=f"claims.{index}.id", value=claim.id)
        seen.add(claim.id)
        for name in claim.exploratory_at:
            if name not in scales:
                key, remedy = f"claims.{index}.exploratory_at", did_you_mean(name, scales)
                raise UserError("unknown scale", file=file, key=key, value=name, remedy=remedy)
        _Checks(root, file, f"claims.{index}.test", tables).check(claim)
    notes, changes = (tuple(text.strip() for text in raw.get(key, ())) for key in ("notes", "changes"))
    return Claims(raw["source"], notes, changes, raw["alpha"], claims, tables)


@dataclass(frozen=True)
class _Checks:
    root: Path
    file: Path
    key: str
    tables: dict[str, PaperTable]

    def check(self, claim: Claim) -> None:
        test = claim.test
        named = [(key, test[key]) for key in SETTING_KEYS if key in test]
        several = [(key, setting) for key in _LIST_KEYS for setting in test.get(key, ())]
        for key, setting in [*named, *several]:
            dataset, model, recipe = setting.split("/")
            self._dataset(key, dataset)
            self._model(key, model)
            self._one_of("recipe", key, recipe, names_in(self.root / "config" / "recipes"))
        for key in ("model", "over"):
            if key in test:
                self._model(key, test[key])
        if "dataset" in test:
            self._dataset("dataset", test["dataset"])
        for name in test.get("counts", ()):
            dataset, _, model = name.partition("/")
            self._dataset("counts", dataset)
            self._model("counts", model)
        if "rows" in test:
            bounds = read_yaml(self.root / "config" / "bench.yaml", schema="bench")["bounds"]
            for row in test["rows"]:
                self._one_of("bench", "rows", row, bounds)
        for key in _TABLE_KEYS:
            if key in test:
                self._table(claim, key)

    def _table(self, claim: Claim, key: str) -> None:
        name, dataset = claim.test[key], claim.settings[0].dataset
        known = [each for each in names_in(self.root / "reports" / "paper") if each != "claims"]
        self._one_of("table", key, name, known)
        if name not in self.tables:
            self.tables[name] = read_paper_table(name, self.root)
        table = self.tables[name]
        self._one_of("dataset of the table", key, dataset, table.datasets)
        if key == "margin_of" and table.datasets[dataset].no_worse_margin is None:
            raise self._error(f"gives no margin on {dataset}", key, name)
        for row_key in _ROW_KEYS:
            if row_key in claim.test:
                row = claim.test[row_key]
                self._one_of("row", row_key, row, table.rows)
                if table.rows[row].values.get(dataset) is None:
                    raise self._error(f"has no number on {dataset} in {name}", row_key, row)

    def _dataset(self, key: str, name: str) -> None:
        check_name(name, self.file, f"{self.key}.{key}", require_dataset)

    def _model(self, key: str, name: str) -> None:
        check_name(name, self.file, f"{self.key}.{key}", require_model)

    def _one_of(self, what: str, key: str, value: str, known: Iterable[str]) -> None:
        if value not in (known := list(known)):
            raise self._error(f"unknown {what}", key, value, did_you_mean(value, known))

    def _error(self, problem: str, key: str, value: object, remedy: str | None = None) -> UserError:
        return UserError(problem, file=self.file, key=f"{self.key}.{key}", value=value, remedy=remedy)
