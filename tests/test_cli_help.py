"""What `--help` tells: a line on every command and every option, and the datasets that there are."""

import argparse

import pytest

from softshare import cli
from softshare.names import DATASETS, PHOTOGRAPHS, SHORTEST_PATHS


def commands(parser, name="softshare"):
    """Each parser by the words that lead to it, with its line in the list of commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {each.dest: each.help for each in action._choices_actions}
            for word, each in action.choices.items():
                yield f"{name} {word}", each, lines[word]
                yield from commands(each, f"{name} {word}")


COMMANDS = {name: (parser, line) for name, parser, line in commands(cli._parser())}


def test_all_commands_are_looked_at():
    assert {"softshare train", "softshare data write", "softshare status"} <= COMMANDS.keys() and len(COMMANDS) >= 18


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_all_its_options_are_explained(name):
    parser, line = COMMANDS[name]
    assert parser.description == f"{line[0].upper()}{line[1:]}."
    options = [each for each in parser._actions if not isinstance(each, argparse._SubParsersAction)]
    assert [each.dest for each in options if not each.help] == []
    assert parser.format_help()  # no % in a text that argparse would fill


@pytest.mark.parametrize(
    ("name", "beside"),
    [("train", [SHORTEST_PATHS]), ("data check", []), ("data write", [])],
)
def test_every_dataset_is_listed(name, beside):
    parser, _ = COMMANDS[f"softshare {name}"]
    (told,) = (each.help for each in parser._actions if each.dest == "dataset")
    assert set(told.replace(" or ", ", ").split(", ")) == {*DATASETS, *PHOTOGRAPHS, *beside}
