"""evalkit's own report sections; the one of published numbers is `evalkit.leaderboard.beside`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.render.charts import charts
from evalkit.render.figures import Figure
from evalkit.render.page import Attachment, embed
from evalkit.render.pareto import pareto_charts
from evalkit.render.performance_charts import performance_charts
from evalkit.render.sample_charts import sample_charts
from evalkit.render.samples import Browser
from evalkit.render.sections import Section, Source
from evalkit.render.view import tasks_of
from evalkit.store.paths import share


def shipped(name: str) -> Path:
    """The file of a template that comes with evalkit."""
    return share("reports") / "sections" / name


def plots_of(source: Source) -> list[Figure]:
    """Every plot that the runs have data for."""
    return [
        *charts(source.view),
        *pareto_charts(source.view),
        *sample_charts(source.opened, source.runs),
        *performance_charts(source.runs),
    ]


def _browser(source: Source) -> Browser:
    tasks = [(name, next(t for t in found if t).info.primary) for name, found in tasks_of(source.runs).items()]
    folded = {name for name, found in tasks_of(source.runs).items() if any(one and one.info.folded for one in found)}
    return Browser([run.label for run in source.runs], tasks, source.opened, folded)


def _sample_data(browser: Browser) -> Iterator[Attachment]:
    yield from browser.pieces()
    yield Attachment("manifest", embed(browser.manifest), "application/json")


SUMMARY = Section(
    title="Summary",
    build=lambda source: [row for block in source.view.blocks for row in block.headline],
    html=shipped("summary.html.j2"),
    markdown=shipped("summary.md.j2"),
    heading="",
    order=100,
)
TASKS = Section(
    title="Tasks",
    build=lambda source: source.view.blocks,
    html=shipped("tasks.html.j2"),
    markdown=shipped("tasks.md.j2"),
    heading="",
    order=200,
)
DOCUMENTS = Section(
    title="How the documents ended",
    note="scored, unscored, errors, over-long prompts",
    build=lambda source: source.view.counts,
    html=shipped("documents.html.j2"),
    markdown=shipped("documents.md.j2"),
    heading="Documents",
    order=220,
    block=True,
)
PLOTS = Section(
    title="Plots",
    build=lambda source: plots_of(source) or None,
    html=shipped("plots.html.j2"),
    order=300,
)
PERFORMANCE = Section(
    title="Performance",
    build=lambda source: source.view.counters,
    html=shipped("performance.html.j2"),
    markdown=shipped("performance.md.j2"),
    order=400,
)
SAMPLES = Section(title="Samples", build=_browser, html=shipped("samples.html.j2"), order=150, attach=_sample_data)
REPRODUCE = Section(
    title="Reproduce",
    build=lambda source: source.view.commands,
    html=shipped("reproduce.html.j2"),
    markdown=shipped("reproduce.md.j2"),
    order=600,
)
