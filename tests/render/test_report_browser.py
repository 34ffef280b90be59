"""The report in a real browser: it works, asks for nothing, and runs nothing that was planted in a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_runs as made
import pytest
from planted_run import planted_run

from evalkit.contract.types import Group
from evalkit.render.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)

OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield chromium
        chromium.close()


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own wait_for_function needs the eval that the page's policy forbids."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"did not come true: {condition}")


class Watched:
    """A page with everything it complained of or asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append("dialog"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("#b-list button")

    def close(self) -> None:
        assert self.complaints == []
        assert [url for url in self.requests[1:] if not url.startswith("data:")] == []
        self.context.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    base = made.answers(120, 0.5, 1)
    other = [not right if number < 7 else right for number, right in enumerate(base)]
    names = [f"g_{number}" for number in range(8)]
    group = [Group("g", tuple(names), aggregate=("acc,none",))]
    runs = [
        made.write_run(
            root / label,
            [*(made.choice_task(name, outcomes) for name in names), made.choice_task("solo", outcomes)],
            label=label,
            groups=group,
            counters={"throughput": {"tokens_per_s": speed}},
        )
        for label, outcomes, speed in (("first", base, 100.0), ("second", other, 200.0))
    ]
    return write_report(runs, root / "report.html")


def test_filter_search_open_and_compare(browser: Any, report: Path) -> None:
    seen = Watched(browser, report)
    page = seen.page
    assert page.inner_text("#b-count") == "120 of 120 documents"
    page.select_option("#b-show", "flip")
    until(page, "document.getElementById('b-count').textContent.startsWith('7 of')")
    page.select_option("#b-show", "")
    page.fill("#b-search", "has number 11?")
    until(page, "document.getElementById('b-count').textContent.startsWith('1 of')")
    page.click("#b-list button")
    page.wait_for_selector("#b-detail .answer:nth-child(2) .choices")
    detail = page.inner_text("#b-detail")
    assert "Which colour has number 11?" in detail
    assert "first" in detail
    assert "second" in detail
    assert "−" in page.inner_text("#b-detail .choices td.num")
    page.select_option("#b-right", "")
    until(page, "document.querySelectorAll('#b-detail .answer').length === 1")
    assert page.locator(".gold .badge.best").inner_text() == "target"
    seen.close()


def test_keyboard_alone(browser: Any, report: Path) -> None:
    seen = Watched(browser, report)
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "b-search"
    page.locator("#b-list button").first.focus()
    page.keyboard.press("ArrowDown")
    until(page, "document.getElementById('b-detail').textContent.includes('document 1')")
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    page.focus("#b-next")
    page.keyboard.press("Enter")
    until(page, "document.getElementById('b-page').textContent === 'page 2 of 3'")
    seen.close()


def test_plots_stand_there_and_follow_the_theme(browser: Any, report: Path) -> None:
    seen = Watched(browser, report, color_scheme="dark")
    page = seen.page
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    titles = page.locator("#plots figcaption h3").all_inner_texts()
    assert titles == ["g by task", "Quality against speed", "Calibration"]
    assert page.locator("#plots .plot circle.dot").count() > 2
    assert page.locator("#plots .heat td").count() == 16
    assert all("95 % interval" in one for one in page.locator("#plots .of-scatter figcaption").all_inner_texts())
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    seen.close()


def test_narrow_screen_does_not_scroll_sideways(browser: Any, report: Path) -> None:
    seen = Watched(browser, report, viewport={"width": 360, "height": 740})
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
    seen.page.click("#b-list button")
    seen.page.wait_for_selector("#b-detail .choices")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
    seen.close()


def test_permanent_link_opens_a_document(browser: Any, report: Path) -> None:
    seen = Watched(browser, report)
    seen.page.goto(report.as_uri() + "#sample-8-77")
    seen.page.reload()
    until(seen.page, "document.getElementById('b-detail').textContent.includes('solo · document 77')")
    seen.requests[1:] = [url for url in seen.requests[1:] if not url.startswith("file:")]
    seen.close()


def test_nothing_planted_runs(browser: Any, tmp_path: Path) -> None:
    out = write_report([planted_run(tmp_path / "run")], tmp_path / "report.html")
    seen = Watched(browser, out)
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    for number in range(page.locator("#b-task option").count()):
        page.select_option("#b-task", str(number))
        until(page, "document.getElementById('b-count').textContent.startsWith('2 of')")
        for row in range(2):
            page.locator("#b-list button").nth(row).click()
            page.wait_for_selector("#b-detail .answer")
            page.wait_for_timeout(20)
    assert page.evaluate("window.planted") is None
    assert page.locator("a:not([href^='#'])").count() == 0
    assert page.locator("main img, main iframe, svg script").count() == 0
    assert page.evaluate("document.querySelectorAll('[onerror],[onload],[onmouseover]').length") == 0
    assert "{{ 7*7 }}" in page.inner_text("main")
    seen.close()


def test_a_hundred_thousand_samples_open_and_can_be_searched(browser: Any, tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "run", [made.choice_task("big", made.answers(100_000, 0.5, 1))], label="big")
    seen = Watched(browser, write_report([run], tmp_path / "big.html"))
    page = seen.page
    assert page.inner_text("#b-count") == "100,000 of 100,000 documents"
    page.fill("#b-search", "has number 99999?")
    until(page, "document.getElementById('b-count').textContent.startsWith('1 of 100,000')")
    page.click("#b-list button")
    page.wait_for_selector("#b-detail .answer .choices")
    assert "Which colour has number 99999?" in page.inner_text("#b-detail")
    seen.close()
