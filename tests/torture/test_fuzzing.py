"""Every parser fed what nobody would write: a refusal in one line, or a value; never another error."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, tried
from hypothesis import given, settings
from hypothesis import strategies as st

SECONDS = 10  # of atheris a parser


@pytest.mark.parametrize("target", TARGETS)
def test_a_good_input_is_taken(target):
    if target not in ("CIFAR", "folded networks"):  # a good one of these is large
        TARGETS[target].read(TARGETS[target].good)


@st.composite
def damaged(draw, good):
    """Good bytes with a few places cut, doubled, turned round or written over; or none of them."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 12))
        new = draw(st.one_of(st.binary(max_size=12), st.sampled_from(WORDS)))
        content[place : place + length] = new
    return bytes(content)


WORDS = [
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"99999999999999999999",
    400 * b"9",  # more than a float holds
    5000 * b"9",  # more than Python reads
    "\N{ARABIC-INDIC DIGIT THREE}".encode(),
    b"\x1b[2J",
    b"&a",
    b"*a",
    b"!!",
    b"\n",
    b": ",
]


@pytest.mark.attack("parsers fed by hypothesis")
@pytest.mark.parametrize("target", TARGETS)
def test_damaged_input_is_refused_in_one_line(target, full, tries):
    @settings(max_examples=300 if full else 25)
    @given(st.one_of(damaged(TARGETS[target].good), st.binary(max_size=64)))
    def run(content):
        with tries.one():
            tried(target, content)

    run()


@pytest.mark.torture_alone
@pytest.mark.attack("parsers fed by atheris (coverage-guided)")
@pytest.mark.parametrize("target", TARGETS)
def test_atheris_finds_nothing(target, tries, tmp_path):
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install '.[torture]'")
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), target, str(SECONDS)]
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=600, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    made = max(map(int, re.findall(r"^(?:#|Done )(\d+)", result.stderr, re.M)), default=1)
    tries.add(made, made - (result.returncode != 0))
    assert result.returncode == 0 and "Done" in result.stderr, result.stdout[-2000:] + result.stderr[-6000:]
