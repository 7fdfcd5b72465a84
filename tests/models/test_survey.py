"""The page of architectures: its numbers, and that the one in the repository is what the command writes."""

import pytest

from softshare.cli import main
from softshare.files import project_root
from softshare.models.survey import ARCHITECTURES, survey, write_survey

BY_NAME = {architecture.name: architecture for architecture in ARCHITECTURES}
PAGE = project_root() / "reports" / "docs" / "architectures.md"


def rows(page):
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "|" in line]
    return {row[0]: row for row in cells if row[0].startswith("`")}


def test_resnet50_by_hand():
    found = survey(BY_NAME["torchvision.resnet50"])
    assert found.plain == 25_557_032  # as torchvision's documentation has it
    # (layers, parameters of one) of each group; a stage's blocks past the first have the same three shapes.
    groups = []
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        groups += [(blocks - 1, 4 * width * width), (blocks, 9 * width * width), (blocks, 4 * width * width)]
    # The first stage's projection has the shape of its blocks' last convolution.
    groups[2] = (4, 4 * 64 * 64)
    assert (found.groups, found.layers) == (len(groups), sum(layers for layers, _ in groups))
    for templates, shared in zip((1, 2, 99), found.shared, strict=True):
        saved = sum(
            (layers - min(templates, layers)) * size - layers * min(templates, layers) for layers, size in groups
        )
        assert found.plain - shared == saved


@pytest.mark.parametrize("name", ["torchvision.densenet121", "timm.regnetx_002", "timm.vit_tiny_patch16_224"])
def test_the_page_in_the_repository_is_up_to_date(name):
    assert rows(write_survey(None, [name]))[f"`{name}`"] == rows(PAGE.read_text())[f"`{name}`"]


def test_the_page_in_the_repository_has_all_architectures_in_order():
    assert list(rows(PAGE.read_text())) == [f"`{name}`" for name in BY_NAME]


def test_the_command_writes_or_prints_a_page(tmp_path, capsys):
    out = tmp_path / "page.md"
    chosen = ["--architectures", "timm.regnetx_002", "timm.dla34"]
    assert main(["survey", "--out", str(out), *chosen]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert list(rows(out.read_text())) == ["`timm.regnetx_002`", "`timm.dla34`"]
    assert main(["survey", *chosen]) == 0
    assert capsys.readouterr().out == out.read_text() + "\n"


def test_an_unknown_architecture_is_one_line_and_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "page.md"
    assert main(["survey", "--out", str(out), "--architectures", "timm.regnetx_02"]) == 2
    error = capsys.readouterr().err
    assert "architectures: 'timm.regnetx_02': unknown architecture; did you mean 'timm.regnetx_002'?" in error
    assert error.count("\n") == 1 and not out.exists()
