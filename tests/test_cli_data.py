"""Commands on datasets: options that would change nothing are refused; those left out are those of photographs."""

import pytest

from softshare.cli import data, main
from softshare.data import beton_datasets
from softshare.data.beton_images import PhotographSettings

USED = [("limit", "5"), ("allow-damaged", None)]
STORED = [("side", "100"), ("jpeg-share", "0.5"), ("jpeg-quality", "50")]


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
@pytest.mark.parametrize(
    ("action", "option", "value"),
    [("check", *each) for each in USED] + [("write", *each) for each in (*USED, *STORED)],
)
def test_options_of_photographs_are_refused_where_none_are_read(action, option, value, dataset, tmp_path, capsys):
    given = [f"--{option}", *([] if value is None else [value])]
    assert main(["data", action, dataset, *given, "--out", str(tmp_path / "out"), "--cache", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        f"softshare: error: {option}: {value or True}: is for photographs alone, not for {dataset};"
    )
    assert error.endswith(f"leave --{option} out\n") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_place_for_the_digits_is_refused(tmp_path, capsys):
    assert main(["data", "check", "digits", "--data", "mine.tar", "--out", str(tmp_path / "out")]) == 2
    told = "softshare: error: data: 'mine.tar': the digits come with scikit-learn; leave --data out\n"
    assert capsys.readouterr().err == told
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_is_none_is_what_is_told_of(tmp_path, capsys):
    for action in ("check", "write"):
        assert main(["data", action, "mnist", "--limit", "5", "--out", str(tmp_path / "out")]) == 2
        assert "dataset: 'mnist'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "how"),
    [
        ([], PhotographSettings()),
        (["--side", "100", "--jpeg-share", "0.5", "--jpeg-quality", "50"], PhotographSettings(100, 0.5, 50)),
        (["--jpeg-share", "0"], PhotographSettings(jpeg_share=0.0)),
    ],
)
def test_how_photographs_are_stored(given, how, tmp_path, monkeypatch):
    asked = []
    facts = {"train": 1, "test": 1, "dataset": "folder", "bytes": 1, "sha256": ""}
    monkeypatch.setattr(data, "_load_photographs", lambda arguments: "photographs")
    monkeypatch.setattr(beton_datasets, "write_photographs", lambda *given, **_: asked.append(given) or facts)
    assert main(["data", "write", "folder", "--out", str(tmp_path / "a.beton"), *given]) == 0
    assert asked == [("photographs", tmp_path / "a.beton", how)]


def test_the_defaults_that_help_tells_of_are_those(capsys):
    with pytest.raises(SystemExit):
        main(["data", "write", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    how = PhotographSettings()
    assert f"longest side in pixels (default: {how.side})" in told
    assert f"the rest as pixels (default: {how.jpeg_share:g})" in told
    assert f"encoded anew, 1 to 100 (default: {how.jpeg_quality})" in told
