"""A comparison that is kept: its runs, and a page that comes out of them again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from test_paths import CNN, SCNN, write_path_run
from test_side_by_side import change

from softshare.cli import main
from softshare.errors import UserError
from softshare.evidence.comparison.publishing import COMPARED, publish_comparison
from softshare.files import project_root
from softshare.plan import Plan, load_plan
from softshare.scales import Run

PAGES = tuple(f"comparison.{ending}" for ending in ("md", "csv", "svg", "png", "pdf"))
PUBLISHED = project_root() / "reports" / "published"


@pytest.fixture
def plan() -> Plan:
    return load_plan("compact", ["figure5"])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    """One run that both hold, and one that each holds alone."""
    first, second = tmp_path / "made" / "fp32", tmp_path / "kept" / "compact"
    write_path_run(first, Run(CNN, 0), 0.5)
    write_path_run(first, Run(SCNN, 0), 0.5)
    for seed in (0, 1):
        write_path_run(second, Run(CNN, seed), 0.6, manifest={"precision": "bf16"})
    (first / "runs" / Run(CNN, 0).folder / "model.safetensors").write_bytes(b"heavy")
    return first, second


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_compared_is_kept_and_the_page_follows_from_it(plan: Plan, sides: tuple[Path, Path]) -> None:
    out = sides[1].parent / "precision"
    files = publish_comparison(plan, *sides, out)
    run = Path("runs") / Run(CNN, 0).folder
    kept = [run / name for name in ("history.csv", "manifest.json", "metrics.json")]
    assert files == sorted([*map(Path, PAGES), Path(COMPARED), *kept])
    assert json.loads((out / COMPARED).read_text()) == {"scale": "compact", "experiments": ["figure5"], "runs": 1}
    page = (out / "comparison.md").read_text()
    assert f"[first]({run}/manifest.json)" in page and f"[second](../compact/{run}/manifest.json)" in page
    assert "scnn-20" not in page, "it tells of a run that does not lie beside it"
    publish_comparison(plan, out, sides[1], out.with_name("again"))
    assert contents(out.with_name("again")) == contents(out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["again", "compact", "precision"]


def test_it_is_replaced_whole_or_not_at_all(
    plan: Plan, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = sides[1].parent / "precision"
    publish_comparison(plan, *sides, out)
    (out / "stale").write_text("old")
    before = contents(out)

    def full(*_: object) -> None:
        raise UserError("cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr("softshare.evidence.comparison.publishing.write_comparison", full)
        with pytest.raises(UserError, match="No space left"):
            publish_comparison(plan, *sides, out)
    assert contents(out) == before
    publish_comparison(plan, *sides, out)
    assert contents(out).keys() == before.keys() - {"stale"}
    assert sorted(path.name for path in out.parent.iterdir()) == ["compact", "precision"]


@pytest.mark.parametrize("marker", ["published.json", "thesis.tex"])
def test_neither_a_scale_nor_what_nobody_published_is_replaced(
    marker: str, plan: Plan, sides: tuple[Path, Path]
) -> None:
    out = sides[1].parent / "paper"
    out.mkdir()
    (out / marker).write_text("{}")
    with pytest.raises(UserError, match=r"paper: holds no comparison.json, so nobody published it; it is not replaced"):
        publish_comparison(plan, *sides, out)
    assert contents(out) == {marker: b"{}"}


@pytest.mark.parametrize("side", [0, 1])
def test_uncommitted_changes_are_refused_unless_told(side: int, plan: Plan, sides: tuple[Path, Path]) -> None:
    change(sides[0], SCNN, 0, dirty=True)  # which is not compared
    out = sides[1].parent / "precision"
    assert publish_comparison(plan, *sides, out)
    change(sides[side], CNN, 0, dirty=True)
    with pytest.raises(UserError, match=r"seed0/manifest.json: dirty: True: was made with uncommitted changes"):
        publish_comparison(plan, *sides, out)
    assert publish_comparison(plan, *sides, out, allow_dirty=True)


@pytest.mark.parametrize("place", ["first", "second", "above", "below"])
def test_what_is_compared_is_not_published_over(place: str, plan: Plan, sides: tuple[Path, Path]) -> None:
    first, second = sides
    out = {"first": first, "second": second, "above": first.parent, "below": second / "kept"}[place]
    with pytest.raises(UserError, match="publish: is, holds or lies in what is compared; name another folder"):
        publish_comparison(plan, *sides, out)


def test_links_are_not_followed(plan: Plan, sides: tuple[Path, Path]) -> None:
    history = sides[0] / "runs" / Run(CNN, 0).folder / "history.csv"
    history.rename(sides[0].parent / "history.csv")
    history.symlink_to(sides[0].parent / "history.csv")
    with pytest.raises(UserError, match=r"history.csv: is a link"):
        publish_comparison(plan, *sides, sides[1].parent / "precision")


def test_the_command_keeps_it(sides: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = sides[1].parent / "precision"
    command = ["compare", *map(str, sides), "--scale", "compact", "--experiments", "figure5"]
    assert main([*command, "--allow-dirty"]) == 2
    assert "allow-dirty: works only with --publish" in capsys.readouterr().err
    assert main([*command, "--publish", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("# The same runs, made twice\n") and told.endswith(f"9 files in {out}\n")
    assert "scnn-20/paths, complete in the first alone: seed 0" in told


@pytest.mark.parametrize(("kept", "scale"), [("precision", "compact"), ("devices", "paper")])
def test_a_published_comparison_comes_out_byte_for_byte(kept: str, scale: str, tmp_path: Path) -> None:
    for name in (kept, scale):
        shutil.copytree(PUBLISHED / name / "runs", tmp_path / name / "runs")
    told = json.loads((PUBLISHED / kept / COMPARED).read_text())
    assert told["scale"] == scale
    out = tmp_path / "again"
    publish_comparison(load_plan(scale, told["experiments"]), tmp_path / kept, tmp_path / scale, out)
    assert contents(out) == contents(PUBLISHED / kept), (
        f"softshare compare reports/published/{kept} reports/published/{scale} --scale {scale}"
        f" --out reports/published/{kept} writes the page anew"
    )
