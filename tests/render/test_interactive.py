"""Plots as plotly's figures: the numbers of the report, and a page that runs nothing that a run brought along."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import made_runs as made
import pytest
from planted_run import planted_run
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.render.interactive import write_interactive

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def two_runs(folder: Path) -> list[evalkit.Run]:
    tasks = ["triviaqa@bundled", "mmlu@bundled"]
    return [evalkit.evaluate("mock", tasks, output=folder / name) for name in ("yes", "no")]


def test_the_figures_have_the_runs_numbers(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    scores = evalkit.figures(runs)[0]
    points = [trace for trace in scores.data if trace.error_x.array is not None]
    assert [trace.name for trace in points] == ["mock (yes)", "mock (no)"]
    for run, trace in zip(runs, points, strict=True):
        metric = run["mmlu"].primary
        assert metric.value is not None
        assert metric.interval is not None
        at = next(place for place, text in enumerate(trace.text) if text.startswith("mmlu "))
        assert trace.x[at] == pytest.approx(100 * metric.value)
        assert trace.x[at] + trace.error_x.array[at] == pytest.approx(100 * metric.interval[1])
    assert "random guessing" in {trace.name for trace in scores.data}
    assert len(runs[0].figures()) >= 1


def test_the_command_writes_a_page_of_its_own(tmp_path: Path) -> None:
    folder = made.write_run(tmp_path / "run", [made.choice_task("one", [True, False, True])])
    out = tmp_path / "plots.html"
    done = CliRunner().invoke(
        app, ["report", str(folder), "-o", str(tmp_path / "report.html"), "--interactive", str(out)]
    )
    assert done.exit_code == 0, done.output
    text = out.read_text("utf-8")
    start = text.index('id="figures">') + len('id="figures">')
    assert len(json.loads(text[start : text.index("</script>", start)])) == 1
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium from the distribution's packages")
def test_planted_texts_do_nothing_in_a_browser(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    out = write_interactive([planted_run(tmp_path / "run")], tmp_path / "plots.html")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page: Any = browser.new_page()
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(out.as_uri())
        page.wait_for_selector(".interactive[data-drawn=yes] svg.main-svg")
        assert complaints == []
        assert requests == [out.as_uri()]
        assert page.evaluate("window.planted") is None
        assert page.locator(".interactive a").evaluate_all("all => all.filter(one => one.href).length") == 0
        browser.close()
