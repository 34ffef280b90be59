"""Pictures for the README and the documentation, from a real report and a real board, through Chromium.

    python scripts/screenshots.py --report runs/x/report.html --board site/ [--out docs/images]

Needs the package playwright and a Chromium; pictures over 200 kB are refused.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

LIMIT = 200_000
SIZE = {"width": 1200, "height": 760}


def take(report: Path | None, board: Path | None, out: Path) -> list[Path]:
    """Write every picture that the given pages have; returns them. Raises SystemExit where one is too large."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("no Chromium here: install the distribution's package")
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        taken = [*(_report(browser, report, out) if report else ()), *(_board(browser, board, out) if board else ())]
        browser.close()
    for path in taken:
        size = path.stat().st_size
        print(f"{path}: {size / 1000:.0f} kB")
        if size > LIMIT:
            raise SystemExit(f"{path} has {size:,} bytes, more than {LIMIT:,}")
    return taken


def _open(browser: Any, page: Path, ready: str, scheme: str = "light") -> Any:
    context = browser.new_context(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce")
    shown = context.new_page()
    shown.set_default_timeout(120_000)
    shown.goto(page.resolve().as_uri())
    shown.wait_for_selector(ready)
    return shown


def _report(browser: Any, report: Path, out: Path) -> list[Path]:
    page = _open(browser, report, "#b-list button")
    taken = [_shot(page, out / "report-summary.png")]
    if page.locator("#plots figure").count():
        page.locator("#plots").evaluate("one => one.scrollIntoView()")
        page.wait_for_timeout(3000)
        taken.append(_shot(page, out / "report-plots.png"))
    page.context.close()
    dark = _open(browser, report, "#b-list button", "dark")
    dark.locator("#samples").evaluate("one => one.scrollIntoView()")
    dark.locator("#b-list button").nth(1).click()
    dark.wait_for_selector("#b-detail .answer")
    # The pointer would leave its mark on the row below it.
    dark.mouse.move(5, 5)
    dark.wait_for_timeout(300)
    taken.append(_shot(dark, out / "report-samples.png"))
    dark.context.close()
    return taken


def _board(browser: Any, board: Path, out: Path) -> list[Path]:
    page = _open(browser, board / "index.html" if board.is_dir() else board, "#table tbody tr")
    page.wait_for_timeout(300)
    taken = [_shot(page, out / "leaderboard.png")]
    page.context.close()
    return taken


def _shot(page: Any, path: Path) -> Path:
    page.screenshot(path=str(path))
    return path


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="a report's HTML file")
    parser.add_argument("--board", type=Path, help="the folder of a built board")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    chosen = parser.parse_args()
    if chosen.report is None and chosen.board is None:
        parser.error("give --report, --board or both")
    take(chosen.report, chosen.board, chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
