"""Sections of a report: a package adds one through its entry point, and nothing else is touched."""

from __future__ import annotations

import re
from pathlib import Path

import made_runs as made
import pytest

from evalkit.contract import registry
from evalkit.render.report import write_markdown, write_report

GUIDE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
TEN_LINES = """
from evalkit.render.sections import Section
SECTION = Section(
    title="Labels",
    build=lambda source: [run.label for run in source.runs],
    html="<p>{% for label in value %}{{ label }}{% endfor %}</p>",
    markdown="{% for label in value %}{{ label | md }}{% endfor %}",
    order=150,
)
"""


def block(containing: str) -> str:
    return next(text for text in re.findall(r"```\w+\n(.*?)```", GUIDE, re.DOTALL) if containing in text)


def install(site: Path, module: str, code: str, entry: str) -> None:
    """A package as pip leaves it: a module, and metadata with its entry point."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(code, "utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[evalkit.report_sections]\n{entry}\n", "utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    counters = {"tasks": {"a": {"seconds": 1.5}, "b<i>": {"seconds": 2.5}}}
    tasks = [made.choice_task("a", [True, False])]
    return made.write_run(tmp_path / "run", tasks, label="<b>mine</b> *", counters=counters)


def pages(run: Path, folder: Path) -> tuple[str, str]:
    html = write_report([run], folder / "r.html").read_text("utf-8")
    return html, write_markdown([run], folder / "r.md").read_text("utf-8")


def test_a_packages_section_of_ten_lines_is_in_both_formats_at_its_place(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, before_markdown = pages(run, tmp_path)
    assert len(TEN_LINES.strip().splitlines()) < 10
    install(tmp_path / "site", "ten_lines", TEN_LINES, "labels = ten_lines:SECTION")
    monkeypatch.syspath_prepend(tmp_path / "site")
    html, markdown = pages(run, tmp_path)
    anchors = re.findall(r'<section id="([^"]+)"', html)
    assert anchors == ["summary", "labels", "samples", "tasks", "performance", "reproduce"]
    assert re.findall(r'^ *<a href="#([^"]+)">', html, re.M) == anchors
    assert "<p>&lt;b&gt;mine&lt;/b&gt; *</p>" in html
    assert "## Labels\n\n&lt;b&gt;mine&lt;/b&gt; \\*" in markdown
    # Nothing else changed: without the section the page is what it was.
    own = re.search(r'<section id="labels".*?</section>\n\n', html, re.DOTALL)
    assert own is not None
    assert re.sub(r' *<a href="#labels">Labels</a>\n', "", html.replace(own[0], "")) == before
    assert markdown.replace("\n## Labels\n\n&lt;b&gt;mine&lt;/b&gt; \\*\n", "", 1) == before_markdown


def test_a_section_is_registered_while_a_program_runs(run: Path, tmp_path: Path) -> None:
    from evalkit.render.sections import Section

    section = Section(title="Now", build=lambda source: len(source.runs), html="<p>{{ value }} run</p>")
    registry.register(registry.SECTIONS, "now", section, origin=registry.defined_at(section, 1))
    try:
        html, markdown = pages(run, tmp_path)
    finally:
        registry.unregister(registry.SECTIONS, "now")
    assert '<section id="now" aria-labelledby="h-now">' in html
    assert "<p>1 run</p>" in html
    assert "Now" not in markdown
    assert 'id="now"' not in pages(run, tmp_path)[0]


def test_the_guides_section(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = block("evalkit_slowest:SECTION").splitlines()[1].replace('"', "")
    install(tmp_path / "site", "evalkit_slowest", block("def slowest"), entry)
    monkeypatch.syspath_prepend(tmp_path / "site")
    html, markdown = pages(run, tmp_path)
    assert "<li>&lt;b&gt;mine&lt;/b&gt; *: b&lt;i&gt;, 2.5 s</li>" in html
    assert "## Slowest task\n\n* &lt;b&gt;mine&lt;/b&gt; \\*: b&lt;i&gt;, 2.5 s" in markdown
    assert html.index('id="samples"') < html.index('id="slowest"') < html.index('id="reproduce"')


def test_a_section_that_fails_says_so_and_takes_nothing_away(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = TEN_LINES.replace("run.label", "run.nothing_of_this_name_<i>").replace("_<i>", "")
    install(tmp_path / "site", "broken_section", broken, "broken = broken_section:SECTION")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for text in pages(run, tmp_path):
        assert "This section could not be made: AttributeError" in text
        assert "Reproduce" in text


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        (TEN_LINES, "main", "cannot be an anchor"),
        (TEN_LINES, "b-list", "cannot be an anchor"),
        (TEN_LINES, "Über", "cannot be an anchor"),
        ("SECTION = 7", "seven", "is of type int, not Section"),
        ("import nothing_that_is_there", "gone", "cannot be loaded"),
    ],
)
def test_what_is_no_section_is_told_in_its_place(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, name: str, message: str
) -> None:
    module = f"wrong_{abs(hash(name)) % 10_000}_section"
    install(tmp_path / "site", module, code, f"{name} = {module}:SECTION")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for text in pages(run, tmp_path):
        told = re.search(r"This section could not be made: .*", text)
        assert told is not None
        assert message in told[0]
        assert module in told[0].replace("\\_", "_")
        assert "Reproduce" in text
