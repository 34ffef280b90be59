"""`evalkit view` in a real browser, wide and narrow, light and dark; and a run that is watched while it works."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made_runs as made
import pytest
from planted_run import planted_run
from served import Client, served

import evalkit
from evalkit.contract.types import Request, Response

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    root = tmp_path_factory.mktemp("runs")
    base = made.answers(300, 0.5, 1)
    other = [not right if number < 7 else right for number, right in enumerate(base)]
    for label, outcomes in (("first", base), ("second", other)):
        made.write_run(root / label, [made.choice_task("solo", outcomes)], label=label)
    planted_run(root / "planted")
    with served(root) as found:
        yield found


class Watched:
    """A page with everything it complained of, and everything that it asked elsewhere."""

    def __init__(self, browser: Any, client: Client, width: int, scheme: str) -> None:
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append("dialog"))
        self.page.on("request", lambda one: one.url.startswith(client.base) or self.complaints.append(one.url))
        self.page.goto(client.url)

    def close(self) -> None:
        assert self.complaints == []
        self.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_compare_by_a_click_and_read_a_flip(browser: Any, client: Client, width: int, scheme: str) -> None:
    seen = Watched(browser, client, width, scheme)
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for name in ("first", "second"):
        page.check(f'input[value="{name}"]')
    page.click("#compare")
    page.wait_for_selector("#b-list button")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".decisions tbody tr").count() == 1
    page.select_option("#b-show", "flip")
    playwright.expect(page.locator("#b-count")).to_have_text("7 of 300 documents")
    page.fill("#b-search", "number 3?")
    playwright.expect(page.locator("#b-count")).to_have_text("1 of 300 documents")
    page.click("#b-list button")
    page.wait_for_selector("#b-detail .answer:nth-child(2) .choices")
    page.click("#theme")
    seen.close()


def test_pages_of_documents_are_turned(browser: Any, client: Client) -> None:
    seen = Watched(browser, client, 1440, "light")
    seen.page.goto(f"{client.base}/run?id=first")
    seen.page.wait_for_selector("#b-list button")
    for _ in range(5):
        seen.page.click("#b-next")
    playwright.expect(seen.page.locator("#b-page")).to_have_text("page 6 of 6")
    playwright.expect(seen.page.locator("#b-list button").first).to_contain_text("number 250?")
    seen.close()


def test_nothing_planted_runs_in_view(browser: Any, client: Client) -> None:
    seen = Watched(browser, client, 1440, "light")
    seen.page.goto(f"{client.base}/run?id=planted")
    for number in range(seen.page.locator("#b-task option").count()):
        seen.page.select_option("#b-task", str(number))
        seen.page.locator("#b-list button").first.click()
        seen.page.wait_for_selector("#b-detail .answer")
    assert seen.page.evaluate("window.planted") is None
    seen.close()


def test_a_run_at_work_is_followed_without_a_reload(browser: Any, tmp_path: Path) -> None:
    go, asked = threading.Event(), [0]

    def answer(request: Request) -> Response:
        asked[0] += 1
        if asked[0] > 30:
            assert go.wait(60)
        return Response(loglikelihood=-1.0 - asked[0] % 3)

    def work() -> None:
        evalkit.evaluate(evalkit.mock(answer), ["boolq@sample"], output=tmp_path / "one", progress=False)

    thread = threading.Thread(target=work)
    with served(tmp_path) as client:
        seen = Watched(browser, client, 1440, "dark")
        page = seen.page
        page.evaluate("window.kept = 'yes'")
        thread.start()
        try:
            playwright.expect(page.locator("#runs")).to_contain_text("running", timeout=30_000)
            page.click("#runs a")
            playwright.expect(page.locator("#run")).to_contain_text("Scores so far", timeout=30_000)
            playwright.expect(page.locator("#b-count")).to_contain_text("15 of 15 documents", timeout=30_000)
            page.locator("#b-list button").nth(3).click()
            detail = page.inner_text("#b-detail")
            page.evaluate("window.kept = 'yes'")
        finally:
            go.set()
            thread.join(60)
        playwright.expect(page.locator("#run")).to_contain_text("Whole report", timeout=30_000)
        playwright.expect(page.locator("#b-count")).not_to_contain_text("15 of 15", timeout=30_000)
        assert page.evaluate("window.kept") == "yes"
        assert page.inner_text("#b-detail") == detail
        seen.close()
