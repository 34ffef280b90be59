"""The board in a real browser: it sorts, filters, searches, keeps its view in the address; nothing planted runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_entries import BOARD, entry

from evalkit.leaderboard.entry import write_entry
from evalkit.leaderboard.site import build_site
from evalkit.leaderboard.table import Table

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)

PLANTED = (
    "<script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    "</script><script>document.title='ran'</script>",
    "{{ 7 * 7 }}{% include 'x' %}",
    "javascript:document.title='ran'",
    '"><svg onload="document.title=\'ran\'">',
    "\u202egnp.exe\u202c",
    "='x'!A1",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=[*args, "--disable-component-update"])
        yield chromium
        chromium.close()


class Watched:
    """A page with everything it complained of or asked for."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append("dialog"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def models(self) -> list[str]:
        return self.page.eval_on_selector_all("#table tbody th a", "all => all.map(one => one.textContent)")

    def close(self) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:"))] == []
        self.context.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("board")
    speed = "throughput.decode_tokens_per_s"
    write_entry(entry("alpha", 0.8, 0.6, parameters=7e9, precision="float16", counters={speed: 20.0}), root / "e")
    write_entry(entry("beta", 0.7, 0.9, parameters=1e9, precision="int8", counters={speed: 90.0}), root / "e")
    write_entry(entry("gamma", 0.2, 0.1, parameters=3e9, precision="float16"), root / "e")
    write_entry(entry("delta", 0.9, None, precision="float16"), root / "e")
    build_site([root / "e"], BOARD, root / "site")
    return root / "site"


def test_sorting_filtering_searching_and_columns(browser: Any, site: Path) -> None:
    watched = Watched(browser, (site / "index.html").as_uri())
    page = watched.page
    assert watched.models() == ["beta", "alpha", "gamma", "delta"]
    page.click("th[data-column=c0] button")
    assert watched.models() == ["delta", "alpha", "beta", "gamma"]
    assert page.get_attribute("th[data-column=c0]", "aria-sort") == "descending"
    page.click("th[data-column=c0] button")
    assert watched.models() == ["gamma", "beta", "alpha", "delta"]
    page.click("th[data-column=c2] button")
    assert watched.models()[:2] == ["beta", "alpha"]
    page.select_option("select[data-filter=precision]", "float16")
    assert watched.models() == ["alpha", "gamma", "delta"]
    page.fill("#min", "5")
    assert watched.models() == ["alpha"]
    assert page.inner_text("#count") == "1 of 4 rows"
    page.click("#reset")
    page.keyboard.press("/")
    page.keyboard.type("gam")
    assert watched.models() == ["gamma"]
    page.click(".chooser summary")
    page.uncheck("input[data-column=c1]")
    assert page.is_hidden("th[data-column=c1]")
    assert "q=gam" in page.url
    again = Watched(browser, page.url)
    assert again.models() == ["gamma"]
    assert again.page.is_hidden("th[data-column=c1]")
    assert again.page.input_value("#q") == "gam"
    again.close()
    watched.close()


def test_plots_stand_there_and_pages_link(browser: Any, site: Path) -> None:
    watched = Watched(browser, (site / "index.html").as_uri())
    page = watched.page
    assert page.locator("#plots .plot circle, #plots .plot .symbol").count() >= 2
    page.click("#table tbody th a >> nth=0")
    assert page.inner_text("h1") == "beta"
    page.click("table a >> nth=0")
    assert page.inner_text("h1") == "A, %"
    assert page.locator("table a").first.inner_text() == "delta"
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_no_sideways_page_and_themes_differ(browser: Any, site: Path, scheme: Any) -> None:
    watched = Watched(
        browser, (site / "index.html").as_uri(), viewport={"width": 390, "height": 844}, color_scheme=scheme
    )
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
    colour = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(20, 23, 25)") == (scheme == "dark")
    watched.close()


def test_the_keyboard_alone_sorts(browser: Any, site: Path) -> None:
    watched = Watched(browser, (site / "index.html").as_uri())
    watched.page.focus("th[data-column=model] button")
    watched.page.keyboard.press("Enter")
    assert watched.models() == ["alpha", "beta", "delta", "gamma"]
    watched.close()


def test_nothing_planted_runs(browser: Any, tmp_path: Path) -> None:
    for text in PLANTED:
        one = entry(text, 0.5, 0.5, type=text, precision=text, quantization=text, adapters=(text,), backend=text,
                    revision=text, hardware=text, source=text)  # fmt: skip
        results = {task: result.model_copy(update={"version": text}) for task, result in one.results.items()}
        write_entry(one.model_copy(update={"results": results}), tmp_path / "e")
    columns = tuple(
        c.model_copy(update={"title": f"{PLANTED[0]}{n}", "group": PLANTED[1]}) for n, c in enumerate(BOARD.columns)
    )
    board = BOARD.model_copy(update={"title": PLANTED[0], "description": PLANTED[2], "columns": columns})
    table: Table = build_site([tmp_path / "e"], board, tmp_path / "site")
    assert len(table.rows) == len(PLANTED)
    pages = ["index.html", *(f"models/{row.key}.html" for row in table.rows)]
    pages += [f"tasks/{path.name}" for path in (tmp_path / "site" / "tasks").iterdir()]
    for name in pages:
        watched = Watched(browser, (tmp_path / "site" / name).as_uri())
        watched.page.wait_for_timeout(60)
        assert watched.page.title() != "ran"
        assert watched.page.locator("main img, main svg[onload], a[href^='javascript']").count() == 0
        assert "49" not in watched.page.inner_text("h1")
        watched.close()


def test_a_thousand_rows_sort(browser: Any, tmp_path: Path) -> None:
    for number in range(1000):
        write_entry(entry(f"model {number:04d}", (number * 37 % 1000) / 1000, 0.5), tmp_path / "e")
    build_site([tmp_path / "e"], BOARD, tmp_path / "site")
    watched = Watched(browser, (tmp_path / "site" / "index.html").as_uri())
    watched.page.click("th[data-column=c0] button")
    for _ in range(40):
        if watched.page.locator("#table tbody tr").count() == 1000:
            break
        watched.page.evaluate("() => { document.querySelector('.board-scroll').scrollTop = 1e7; }")
        watched.page.wait_for_timeout(30)
    shown = watched.page.eval_on_selector_all(
        "tbody td:nth-child(4)", "all => all.map(one => parseFloat(one.textContent))"
    )
    assert len(shown) == 1000
    assert shown == sorted(shown, reverse=True)
    watched.page.fill("#q", "model 0999")
    assert watched.models() == ["model 0999"]
    watched.close()
