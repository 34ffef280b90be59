"""The report on paper: black on white whatever the theme, everything unfolded, all plots there without scrolling."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_runs as made
import pytest

from evalkit.contract.types import Group
from evalkit.render.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)

LONG = "subject_with_a_long_name_of_many_words_and_no_end_in_sight"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paper")
    names = [f"g_{number}" for number in range(4)]
    tasks = [made.choice_task(name, made.answers(1200, 0.4, 3)) for name in (*names, LONG)]
    run = made.write_run(root / "run", tasks, groups=[Group("g", tuple(names), aggregate=("acc,none",))])
    return write_report([run], root / "report.html")


@pytest.fixture(scope="module")
def page(report: Path) -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_context(color_scheme="dark", viewport={"width": 1280, "height": 700}).new_page()
        page.goto(report.as_uri())
        page.wait_for_selector("#b-list button")
        yield page
        chromium.close()


def test_numbers_stay_on_one_line_and_names_break_after_underscores(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    lines = """all => all.map(one => {
      const range = document.createRange(); range.selectNodeContents(one); return range.getClientRects().length })"""
    counts = page.eval_on_selector_all("td[data-run='n']", lines)
    assert counts
    assert set(counts) == {1}
    assert page.inner_text(".full td[data-run='n']") == "4,800"
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_paper_is_white_and_the_page_is_as_it_was_after(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = false })")
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.evaluate(
        "addEventListener('beforeprint', () => { window.seen = document.querySelectorAll('details[open]').length })"
    )
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("window.seen") == page.locator("details").count()
    assert page.locator("details[open]").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("document.documentElement.dataset.paper") is None
    page.emulate_media(media="print")
    style = "(one) => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]"
    assert page.eval_on_selector("body", style) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.is_hidden("#samples")
