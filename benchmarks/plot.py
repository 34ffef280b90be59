"""The plot of docs/performance.md: seconds a document of lm-eval and evalkit, beside what this machine needs at least.

    python benchmarks/plot.py --measured benchmarks/results/vs_lm_eval.json --limit benchmarks/results/limit.json \\
        --output docs/images/seconds_per_document.png

plotly draws, and Chromium (driven by Playwright, as in the browser tests) takes the picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

COLOURS = {"lm-eval": "#8d99ae", "evalkit": "#2a6f97", "limit": "#e07a5f"}


def main() -> None:
    """Read both files, draw, take the picture."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--measured", type=Path, required=True, help="JSON of vs_lm_eval.py")
    made.add_argument("--limit", type=Path, required=True, help="JSON of limit.py --measured")
    made.add_argument("--output", type=Path, required=True, help="the PNG file")
    options = made.parse_args()
    measured, limit = (json.loads(path.read_text(encoding="utf-8")) for path in (options.measured, options.limit))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture(figure(measured, limit), options.output)


def figure(measured: dict[str, Any], limit: dict[str, Any]) -> Any:
    """Bars on a logarithmic axis, one group a workload; whiskers from the fastest to the slowest repetition."""
    import plotly.graph_objects as go

    rows = {name: row for name, row in measured["workloads"].items() if "ratio" in row}
    names = [f"{name.replace('_', ' ')}<br><b>{row['ratio']:.1f}x</b>" for name, row in rows.items()]
    drawn = go.Figure()
    for program, key in (("lm-eval", "lm_eval"), ("evalkit", "evalkit")):
        took = [row[key]["seconds_per_document"] for row in rows.values()]
        drawn.add_bar(
            x=names,
            y=[one["median"] for one in took],
            error_y={
                "array": [one["max"] - one["median"] for one in took],
                "arrayminus": [one["median"] - one["min"] for one in took],
                "thickness": 1,
            },
            name=program,
            marker_color=COLOURS[program],
        )
    least = [limit["workloads"][name]["limit_with_attention"] for name in rows]
    drawn.add_scatter(
        x=names, y=least, mode="markers", name="least possible",
        marker={"symbol": "line-ew", "size": 34, "line": {"width": 3, "color": COLOURS["limit"]}},
    )  # fmt: skip
    machine = measured["machine"]
    where = f"{measured['model']}, {measured['dtype']}, {machine['cpu']}, {machine['cores']} cores"
    drawn.update_layout(
        template="plotly_white",
        title=f"Seconds a document: {where}",
        yaxis={"type": "log", "dtick": "D2", "title": "seconds a document (log)"},
        legend={"orientation": "h", "y": 1.08, "x": 1, "xanchor": "right"},
        width=1000,
        height=460,
        margin={"l": 70, "r": 20, "t": 90, "b": 60},
    )
    return drawn


def picture(drawn: Any, output: Path) -> None:
    """A PNG of a figure."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "plot.html"
        drawn.write_html(page_file, include_plotlyjs=True, config={"displayModeBar": False})
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 460})
            page.goto(page_file.as_uri())
            page.wait_for_selector(".legend")
            page.screenshot(path=output)
            browser.close()


if __name__ == "__main__":
    main()
