"""`snakemake --report`: every table and figure stands in it with its caption, and nothing is fetched."""

import base64
import json
import re

import pytest

from softshare.bench.dag import pretend_all_was_made
from softshare.bench.project_copy import project_copy
from softshare.bench.run_folders import write_run_folders
from softshare.evidence.figures.legends import LEGENDS
from softshare.evidence.publishing.everything import build_everything
from softshare.plan import FIGURES, ON_PATHS, load_plan


@pytest.fixture(scope="module")
def plan():
    return load_plan("quick")


@pytest.fixture(scope="module")
def shown(plan, snakemake):
    """What the page carries of each file: caption, label, content; and under `file` what was there to be carried."""
    with project_copy() as project:
        results = project / "results" / "quick"
        write_run_folders(plan, results)
        build_everything(plan, results)
        pretend_all_was_made(project)
        assert "Nothing to be done" in snakemake(folder=project).stderr
        result = snakemake("--report", "page.html", folder=project)
        assert result.returncode == 0, result.stdout + result.stderr
        text = (project / "page.html").read_text()
        found, _ = json.JSONDecoder().raw_decode(text, text.index("{", text.index("var results = {")))
        for name, entry in found.items():
            entry["file"] = (project / name).read_bytes()
    assert "Softly shared layers" in text and not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', text)
    return found


@pytest.mark.long
def test_every_table_and_figure_is_shown_with_its_title(plan, shown):
    wanted = {f"figures/{each.name}.svg": each.title for each in plan.of_kind(*FIGURES)}
    wanted |= {f"tables/{each.name}.html": each.title for each in plan.of_kind("table", *ON_PATHS)}
    assert len(wanted) == 14
    for file, title in wanted.items():
        entry = shown[f"results/quick/{file}"]
        assert entry["labels"] == {"Shows": title}
        caption = re.sub(r"<[^>]+>|\s+", " ", entry["caption"])
        assert title.replace("  ", " ") in caption.replace("&quot;", '"') and len(caption) > len(title) + 100
        assert entry["mime_type"] in ("image/svg+xml", "text/html")  # what a browser shows, and is not only downloaded
        assert _content(entry) == entry["file"]
    for each in plan.of_kind(*FIGURES):
        caption = re.sub(r"<[^>]+>|\s+", " ", shown[f"results/quick/figures/{each.name}.svg"]["caption"])
        assert LEGENDS[each.kind].partition("'")[0] in caption  # a quotation mark is written as a reader expects it


@pytest.mark.long
def test_the_claims_and_the_report_are_shown_too(shown):
    assert {"results/quick/report.html", "results/quick/claims.html"} < shown.keys()
    assert _content(shown["results/quick/claims.html"]).count(b"<tr>") > 20
    assert all(entry["caption"] for entry in shown.values())


def _content(entry):
    return base64.b64decode(entry["data_uri"].rpartition(",")[2])
