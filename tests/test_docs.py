"""The documentation: its tutorial runs and prints what it says, its pages build without a warning."""

import contextlib
import doctest
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import softshare

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "reports" / "docs"

_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.M | re.S)


@pytest.mark.long
def test_the_tutorial_prints_what_it_says():
    blocks = _BLOCK.findall((PAGES / "tutorial.md").read_text())
    assert len(blocks) >= 7 and sum(bool(said) for _, said in blocks) >= 7
    names: dict = {"__name__": "tutorial"}
    for code, said in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "tutorial.md", "exec"), names)
        checker = doctest.OutputChecker()
        assert checker.check_output(said, printed.getvalue(), doctest.ELLIPSIS), f"{code}\n{printed.getvalue()}"
    # What "..." hides: the folded network is smaller, and the trained one has learnt.
    assert names["kept"] < names["after"] < names["before"]
    assert names["error"](names["model"]) < 40


@pytest.mark.slow
def test_pages_build_and_need_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", PAGES, tmp_path]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "api.html").read_text()
    for name in softshare.__all__:
        assert re.search(rf'id="softshare\.[\w.]*\.{name}"', page), f"{name} is not on the API page"
    for html in tmp_path.rglob("*.html"):
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', html.read_text())
        assert fetched == [], html.name


def test_the_readme_and_pages_name_files_that_are_there():
    for page in (ROOT / "README.md", *PAGES.glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
