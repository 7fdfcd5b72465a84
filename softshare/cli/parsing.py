"""How the command line reads its words: plain numbers, nothing empty, and one line on what is wrong."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from softshare.errors import UserError, shorten
from softshare.numbers import decimal_number, whole_number
from softshare.telling import tell


class Parser(argparse.ArgumentParser):
    """Says in one line what was wrong; argparse would print every option that there is."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.register("type", int, whole_number)
        self.register("type", float, decimal_number)
        self.register("action", "parsers", Commands)

    def error(self, message: str) -> NoReturn:
        """As of `ArgumentParser`, in one line."""
        if message.endswith("expected one argument"):
            # `--budget -3h`: argparse takes a value that begins so for an option.
            message += " (a value that begins with - is given as --NAME=VALUE)"
        tell(f"softshare: error: {shorten(' '.join(message.split()), 240)}; see {self.prog} --help")
        sys.exit(2)


class Commands(argparse._SubParsersAction):
    """Commands whose own help begins with what the list of commands says of them."""

    def add_parser(self, name: str, **settings: Any) -> Any:
        """As of argparse, described by the line that it has in the list."""
        line = settings["help"]
        return super().add_parser(name, description=f"{line[0].upper()}{line[1:]}.", **settings)


def require_words(words: Sequence[str]) -> None:
    """Refuses words that mean nothing, or that no page could be written with.

    An empty word, as an unset variable of a shell leaves it, would mean the current folder or the default.

    Raises:
        UserError: A word, or an option's value, is empty or no UTF-8.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if not value and (equals or not option):
            name = option or (before if before.startswith("--") else "")
            raise UserError("is empty", key=name.lstrip("-") or "argument", value="", remedy="is a variable not set?")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError("is no UTF-8", key="argument", value=word, remedy="rename that file or folder") from None
