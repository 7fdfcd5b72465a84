"""Is a whole ILSVRC 2012 what it should be: each photograph in its class, and of each class as many as there are?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from softshare.data.ilsvrc import DevelopmentKit, PhotographFacts, development_kit
from softshare.data.photograph_sources import TRAIN, VALIDATION, Labelled
from softshare.errors import UserError

# Without the suffix: a set that was scaled or encoded anew may have another.
_TRAIN_NAME, _VALIDATION_NAME = re.compile(r"(n\d{8})_\d+"), re.compile(r"ILSVRC2012_val_(\d{8})")


def check_ilsvrc(facts: PhotographFacts, splits: Mapping[str, Labelled], path: Path) -> None:
    """Holds the photographs against what their names tell, what is known of the set, and its development kit.

    Training photographs lie in the class that they are named after, validation photographs have numbers of their own.
    Of each class there are as many to validate on; how many to train on the kit alone tells, and the class of a
    validation photograph too. A kit is looked for beside the photographs; names that are not ILSVRC's tell nothing.

    Args:
        facts: What is known of the set.
        splits: `train` and `validation`; a class or split that is missing altogether is not looked for.
        path: What was given to `find_photographs`.

    Raises:
        UserError: Something is wrong, or the kit is damaged; the photograph or class is named.
    """
    kit = development_kit(path if path.is_dir() else path.parent)
    if kit and len(kit.validation) != facts.validation:
        problem = f"tells the classes of {len(kit.validation):,} validation photographs, not of {facts.validation:,}"
        raise UserError(problem, file=kit.source, remedy="is it the kit of ILSVRC 2012?")
    if TRAIN in splits:
        _require_places(splits[TRAIN], _named(splits[TRAIN], _TRAIN_NAME), "its name")
        # Not trusted unless it adds up: what else it may count is not documented.
        if kit and sum(kit.train.get(name, 0) for name in facts.classes) == facts.train:
            _require_counts(TRAIN, splits[TRAIN], kit.train, path)
    if VALIDATION in splits:
        _check_validation(facts, splits[VALIDATION], kit)
        of_each = facts.validation // len(facts.classes)
        _require_counts(VALIDATION, splits[VALIDATION], dict.fromkeys(facts.classes, of_each), path)


def _check_validation(facts: PhotographFacts, part: Labelled, kit: DevelopmentKit | None) -> None:
    row_of: dict[int, int] = {}
    for row, name in _named(part, _VALIDATION_NAME).items():
        number, where = int(name), part.index.store.where(row)
        if not 1 <= number <= facts.validation:
            raise UserError(
                f"ILSVRC 2012's validation photographs have numbers from 1 to {facts.validation:,}", file=where
            )
        if number in row_of:
            first = part.index.store.where(row_of[number])
            raise UserError("has the number of another validation photograph", file=where, remedy=f"that is {first}")
        row_of[number] = row
    if kit:
        told = {row: kit.validation[number - 1] for number, row in row_of.items()}
        _require_places(part, told, "the development kit")


def _named(part: Labelled, pattern: re.Pattern[str]) -> dict[int, str]:
    """By their rows in the index, what the names tell that follow a pattern: its group."""
    stems = ((row, part.index.paths[row].rpartition("/")[2].rpartition(".")[0]) for row in part.rows)
    return {row: found[1] for row, stem in stems if (found := pattern.fullmatch(stem))}


def _require_places(part: Labelled, told: Mapping[int, str], by: str) -> None:
    """Refuses photographs that lie in another class than is told of them, by their rows in the index."""
    wrong = [(row, label) for row, label in zip(part.rows, part.labels, strict=True) if told.get(row, label) != label]
    if wrong:
        row, label = wrong[0]
        others = f"; {len(wrong) - 1:,} more lie in wrong classes" if wrong[1:] else ""
        problem = f"lies among the photographs of {label}, and is one of {told[row]} by {by}{others}"
        raise UserError(problem, file=part.index.store.where(row))


def _require_counts(split: str, part: Labelled, wanted: Mapping[str, int], path: Path) -> None:
    """Refuses a class of too few or too many photographs."""
    wrong = [(name, count) for name, count in sorted(Counter(part.labels).items()) if count != wanted.get(name)]
    if wrong:
        name, count = wrong[0]
        others = f" ({len(wrong) - 1:,} more classes are wrong too)" if wrong[1:] else ""
        remedy = "is it incomplete?" if count < wanted.get(name, 0) else "are there others among them?"
        problem = f"has {count:,} {split} photographs of {name}, not {wanted.get(name, 0):,}{others}"
        raise UserError(problem, file=path, remedy=remedy)
