"""axe-core's rules (WCAG 2.1 A and AA, good practice) over every kind of page, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import made_runs as made
import pytest
from served import Client, served

from evalkit.contract.types import Group
from evalkit.leaderboard.site import build_site
from evalkit.render.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, list[str]]]:
    root = tmp_path_factory.mktemp("pages")
    names = [f"g_{number}" for number in range(8)]
    base = made.answers(60, 0.5, 1)
    runs = [
        made.write_run(
            root / "runs" / label,
            [made.choice_task(name, outcomes) for name in names],
            label=label,
            groups=[Group("g", tuple(names), aggregate=("acc,none",))],
            counters={"throughput": {"tokens_per_s": speed}, "memory": {"host_peak_bytes": int(speed * 1e7)}},
        )
        for label, outcomes, speed in (("first", base, 100.0), ("second", [not one for one in base], 200.0))
    ]
    files = [write_report(runs, root / "two.html"), write_report(runs[:1], root / "one.html")]
    build_site(runs, None, root / "site")
    files += [root / "site" / "index.html", *list((root / "site" / "models").iterdir())[:1]]
    files += list((root / "site" / "tasks").iterdir())[:1]
    with served(root / "runs") as found:
        paths = ["/", "/run?id=first", "/compare?run=first&run=second", "/boards", "/run?id=none"]
        yield found, [*(file.as_uri() for file in files), *(found.base + path for path in paths)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_by_everybody(client: tuple[Client, list[str]], scheme: str) -> None:
    server, addresses = client
    found: list[Any] = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(color_scheme=scheme, reduced_motion="reduce").new_page()
        page.goto(server.url)
        for address in addresses:
            page.goto(address)
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            if page.locator("#browser").count():
                page.locator("#b-list button").first.click()
                page.wait_for_selector("#b-detail .choices")
            said = axe.Axe().run(page, options=RULES).response["violations"]
            found += [(address, one["id"], one["nodes"][0]["html"][:200]) for one in said]
        browser.close()
    assert found == []
