"""The documentation's search where the site is opened from disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
pytest.importorskip("mkdocs", reason="needs the extra docs")
pytest.importorskip("material", reason="needs the extra docs")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs chromium from the distribution's packages", allow_module_level=True)
ROOT = Path(__file__).parents[2]


def test_pages_that_are_opened_as_files_can_be_searched(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    asked: list[str] = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "site" / "view.html").as_uri())
        field = page.locator("[data-md-component=search-query]")
        field.click()
        page.wait_for_function("window.evalkitSearch")
        field.fill("holm correction")
        hits = page.locator(".md-search-result__link")
        playwright.expect(hits.first).to_be_visible()
        playwright.expect(page.locator(".md-search-result__meta")).to_contain_text("place")
        hit = page.locator(".md-search-result__link[href*='statistics.html']").first
        hit.click()
        playwright.expect(page.locator("h1").first).to_contain_text("Statistics", timeout=30_000)
        browser.close()
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
