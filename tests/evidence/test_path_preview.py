"""The picture of examples: `softshare data shortest-paths --preview`."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from softshare.cli import main
from softshare.data.path_examples import PathSettings, draw_examples
from softshare.evidence.paths.preview import coloured


def preview(file, *arguments):
    return main(["data", "shortest-paths", "--preview", str(file), *arguments])


def test_colours_are_those_of_figure_5a():
    examples = draw_examples(PathSettings(), 3, "train", 0, 4)
    pixels = coloured(examples)
    blue, red, white, black = ((pixels == colour).all(-1) for colour in COLOURS)
    np.testing.assert_array_equal(blue, examples.inputs[:, 0] == 1)
    np.testing.assert_array_equal(red, examples.inputs[:, 1] == 1)
    np.testing.assert_array_equal(white | blue, examples.labels == 1)
    assert (blue ^ red ^ white ^ black).all()


COLOURS = [(40, 90, 255), (230, 40, 40), (255, 255, 255), (0, 0, 0)]


def test_picture_shows_every_phase_and_repeats_itself(tmp_path, capsys):
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for file, seed in zip(files, ("4", "4", "5"), strict=True):
        assert preview(file, "--seed", seed, "--examples", "2") == 0
        assert str(file) in capsys.readouterr().out
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    pixels = np.asarray(Image.open(files[0]).convert("RGB"))
    shown = (pixels == COLOURS[0]).all(-1)  # query points
    bands = np.array_split(shown, 5)
    assert all(band.any() for band in bands)


def test_svg_too(tmp_path):
    assert preview(tmp_path / "new" / "a.svg", "--examples", "1") == 0
    assert "<svg" in (tmp_path / "new" / "a.svg").read_text()


def test_it_loads_no_torch(tmp_path):
    arguments = ["data", "shortest-paths", "--preview", str(tmp_path / "a.png"), "--examples", "1"]
    code = f"import sys; from softshare.cli import main; main({arguments}); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("a.png", ["--examples", "0"], "examples: 0: must be a whole number from 1 to 20"),
        ("a.png", ["--examples", "21"], "examples: 21"),
        ("a.png", ["--seed", "-1"], "seed: -1"),
        ("a.jpeg", [], "unknown kind of picture; png, svg or pdf"),
        ("a", [], "unknown kind of picture"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(name, arguments, said, tmp_path, capsys):
    assert preview(tmp_path / name, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert list(tmp_path.iterdir()) == []
