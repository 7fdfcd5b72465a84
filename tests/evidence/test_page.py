"""The report's page: needs no network, honest about what was not run, and alive in a real browser."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import pytest

from softshare.evidence.page import slug
from softshare.evidence.report import write_report
from softshare.plan import load_plan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SVG = "http://www.w3.org/2000/svg"


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as browsers:
        opened = browsers.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
        )
        yield opened
        opened.close()


@pytest.fixture
def page(tmp_path, make_run, make_similarity, make_forecast):
    """Of the quick scale with a forecast and some of its runs, one of them unusable."""
    plan = load_plan("quick")
    for index, run in enumerate(plan.runs):
        if run.setting.dataset == "shortest-paths" or index % 7 == 2:
            continue
        folder = make_run(run, 3.0 + index / 10, scale="quick", metrics={"parameters": 100_000 + index})
        if run.setting.model.startswith("s"):
            make_similarity(folder, layers=6)
    first = tmp_path / "runs" / plan.runs[0].folder / "metrics.json"
    first.write_text(first.read_text().replace('"error"', '"<script>error"'))
    make_forecast(plan)
    write_report(plan, tmp_path, tmp_path / "report.md")
    return tmp_path / "report.html"


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links, self.fetched, self.headings, self.unlabelled = set(), [], [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            assert given["id"] not in self.ids, f"{given['id']} stands twice"
            self.ids.add(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("script", "img", "link", "iframe", "source") and (place := given.get("src") or given.get("href")):
            self.fetched.append(place)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img" and not given.get("alt"):
            self.unlabelled.append(given)


def test_all_it_needs_is_in_it_and_every_link_leads_somewhere(page):
    text = page.read_text()
    read = _Reader()
    read.feed(text)
    assert all(place.startswith("data:") for place in read.fetched) and not re.search(r"url\(|@import", text)
    for link in read.links:
        target = link[1:] if link.startswith("#") else None
        assert (target in read.ids) if target else (page.parent / link).exists(), link
    assert read.headings[0] == 1 and read.headings.count(1) == 1 and not read.unlabelled
    assert all(after - before <= 1 for before, after in zip(read.headings, read.headings[1:], strict=False))
    assert "<script>error" not in text.replace("<script>\n", "")


@pytest.fixture
def linking(page, quick_plan):
    """The same page as it is published, beside a drawing that a page of its own would not hold."""
    figures = page.parent / "figures"
    figures.mkdir(exist_ok=True)
    (figures / "figure8.svg").write_text(f'<svg xmlns="{SVG}" width="7" height="5"><!--{"x" * 700_000}--></svg>')
    write_report(quick_plan, page.parent, page.parent / "report.md", standalone=False)
    return page


def test_a_published_page_links_its_drawings(linking):
    read = _Reader()
    read.feed(linking.read_text())
    linked = [place for place in read.fetched if not place.startswith("data:")]
    assert linked == ["figures/figure8.svg"] and linking.stat().st_size < 700_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_drawings_that_a_published_page_links(linking, browser):
    tab = browser.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto(linking.as_uri())
    assert tab.locator("#figure8 img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [7, 5]
    assert said == []


def test_every_table_figure_and_claim_stands_in_it(page):
    text = page.read_text()
    plan = load_plan("quick")
    assert all(f'id="{slug(experiment.name)}"' in text for experiment in plan.experiments)
    assert text.count('<tr id="claim-') >= 20
    assert "unusable" in text and "not run" in text
    assert 'id="forecast"' in text and "runs so far: in all took/forecast = " in text


def test_nothing_run_is_a_page_too(tmp_path):
    for scale in ("quick", "compact", "paper"):
        write_report(load_plan(scale), tmp_path / scale, tmp_path / scale / "report.md")
        text = (tmp_path / scale / "report.html").read_text()
        assert (
            "not run" in text
            and " complete of " in text
            and 'class="verdict reproduced"' not in text.split('id="table1"')[1]
        )


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_the_sliders_move_and_a_cell_leads_to_its_manifest(page, browser):
    for scheme in ("light", "dark"):
        tab = browser.new_page(color_scheme=scheme)
        said, asked = [], []
        tab.on("console", lambda message, said=said: said.append(message.text))
        tab.on("pageerror", lambda error, said=said: said.append(str(error)))
        tab.on("request", lambda request, asked=asked: asked.append(request.url))
        tab.goto(page.as_uri())
        _move_epochs(tab)
        _move_threshold(tab)
        link = tab.locator("#table1 td a").first
        place = link.get_attribute("href")
        link.focus()
        tab.keyboard.press("Enter")  # by keyboard
        run = tab.locator(f"[id='{place[1:]}']")
        run.locator("pre").last.wait_for(state="visible")  # it opens
        assert '"fingerprint"' in run.inner_text()
        assert tab.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert said == [] and [url for url in asked if not url.startswith(("data:", page.as_uri()))] == []
        tab.close()


def _move_epochs(tab):
    figure = tab.locator("#figure8 figure[data-epochs]").first
    slider, output = figure.locator("input[type=range]"), figure.locator("output")
    assert output.inner_text() == "12 of 12"
    last = figure.locator("svg").first.get_attribute("aria-label")
    assert last == "mean similarity of two layers 1.00, largest 1.00"
    slider.focus()
    tab.keyboard.press("Home")
    assert output.inner_text() == "1 of 12"
    assert figure.locator("svg").first.get_attribute("aria-label") == "mean similarity of two layers 0.00, largest 0.00"
    assert figure.locator("small").first.inner_text().endswith("by chance 0.27 and 0.77")


def _move_threshold(tab):
    figure = tab.locator("#figure4 figure[data-folding]").first
    told = figure.locator(".told")
    slider = figure.locator("input[type=range]")
    slider.focus()
    tab.keyboard.press("End")  # all are equal at the end of these runs: they fold even at 1
    assert figure.locator("output").inner_text() == "1.00"
    assert figure.locator("code").all_inner_texts() == ["(a) x 6"] * 3
    after, before = re.fullmatch(r".*; ([\d,]+) parameters in place of ([\d,]+)", told.inner_text()).groups()
    size = 16 * 16 * 9
    assert int(before.replace(",", "")) - int(after.replace(",", "")) == 3 * ((6 * size + 36) - (size + 5))
