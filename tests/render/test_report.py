"""The HTML and Markdown report: contents, and that nothing planted in a run becomes markup or script."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path

import made_runs as made
import pytest
from planted_run import planted_run

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.render.report import load, write_markdown, write_report
from evalkit.render.view import Marks, build


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._open: str | None = None
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self._open == "wbr":
            self.texts[-1] += data
        elif self._open != "style":
            self.texts.append(data)

    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def piece(self, name: str) -> object:
        raw = next(text for attrs, text in self.scripts if attrs.get("id") == name)
        return json.loads(gzip.decompress(base64.b64decode(raw)))

    def data(self, name: str) -> object:
        return json.loads(next(text for attrs, text in self.scripts if attrs.get("id") == name))


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("two")
    base = made.answers(40, 0.5, 1)
    group = [Group("sums", ("t_a", "t_b"), aggregate=("acc,none",))]
    counters = {"seconds": {"load": 1.5}, "throughput": {"tokens_per_s": 812.0}}
    one = made.write_run(
        root / "one",
        [made.choice_task("t_a", base), made.choice_task("t_b", base), made.choice_task("solo", base, sample=True)],
        label="first",
        groups=group,
        counters=counters,
    )
    better = [True] * 40
    two = made.write_run(
        root / "two",
        [made.choice_task("t_a", better), made.choice_task("t_b", base), made.choice_task("solo", better, sample=True)],
        label="second",
        groups=group,
        counters=counters,
        partial=True,
    )
    return one, two


def test_report_is_one_file_that_loads_nothing(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = write_report(list(two_runs), tmp_path / "deep" / "report.html")
    page = Page(out.read_text("utf-8"))
    for tag, attrs in page.tags:
        assert "src" not in attrs
        assert tag not in ("link", "iframe", "object", "embed", "form") or attrs.get("id") == "controls"
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "a":
            assert (attrs.get("href") or "").startswith("#")


def test_policy_names_exactly_the_scripts_of_the_page(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = Page(write_report(list(two_runs), tmp_path / "r.html").read_text("utf-8"))
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    script_rule = policy.split(";")[1]
    assert "unsafe" not in script_rule
    inline = [text for attrs, text in page.scripts if "type" not in attrs]
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in script_rule
    assert script_rule.count("sha256") == len(inline) == 2


def test_an_ordinary_report_is_small(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert write_report(list(two_runs), tmp_path / "r.html").stat().st_size < 300_000


def test_a_group_without_an_average_is_summed_up_by_its_members(tmp_path: Path) -> None:
    tasks = [made.choice_task(name, made.answers(40, 0.5, 1)) for name in ("a_1", "a_2", "b", "c")]
    groups = [Group("whole", ("inner", "b", "loose")), Group("inner", ("a_1", "a_2"), aggregate=("acc,none",))]
    run = made.write_run(tmp_path / "run", tasks, groups=[*groups, Group("loose", ("c",))])
    _, (one,) = load([run])
    collects = {"whole", "loose"}
    found = [replace(g, micro=(), macro=()) if g.group.name in collects else g for g in one.result.groups]
    (block,) = build([replace(one, result=replace(one.result, groups=tuple(found)))], Marks()).blocks
    assert [(row.name, row.level) for row in block.standing] == [("inner", "micro"), ("b", "task"), ("c", "task")]
    assert {row.depth for row in block.headline} == {0}


def test_summary_banners_ties_and_counters(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    text = Page(write_report(list(two_runs), tmp_path / "r.html").read_text("utf-8")).text()
    assert "Bundled items: not comparable with the full set (solo)." in text
    assert "Partial: the run was interrupted; the numbers cover only what was answered. In: second." in text
    assert "2 runs side by side" in text
    assert "812/s" in text
    assert "1.5 s" in text
    # t_a: 100.0 is the best and 40 items show it; t_b has the same value on every item in both.
    assert re.search(r"t_a acc, % ↑ ?higher is better \d\d\.\d [\d.]+ to [\d.]+ 100\.0 best", text)
    assert re.search(r"t_b acc, % ↑ ?higher is better (\d\d\.\d) equal [\d.]+ to [\d.]+ \1 equal", text)
    assert "mean over documents" in text
    assert "mean over tasks" in text


def test_many_runs_are_a_row_each(tmp_path: Path) -> None:
    runs = [
        made.write_run(
            tmp_path / f"run{n}", [made.choice_task(t, made.answers(40, 0.1 * n, n)) for t in ("t_a", "t_b")]
        )
        for n in range(1, 10)
    ]
    markup = write_report(runs, tmp_path / "r.html").read_text("utf-8")
    table = markup[markup.index('<table class="byrun">') :].partition("</table>")[0]
    rows = table.partition("<tbody>")[2].split("</tr>")[:-1]
    assert len(rows) == 9
    for n, row in enumerate(rows, 1):
        assert row.count("<td") == row.count("<svg") == 2
        assert f"run{n}" in row
    assert '<table class="summary' not in markup
    for bars in re.findall(r'<dl class="bars.*?</dl>', markup):
        assert bars.startswith('<dl class="bars named">')
        assert '<span class="dim">run9</span>' in bars, "eight colours do not tell nine runs apart"


def test_samples_are_joined_by_document_and_shared_text_is_kept_once(
    two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    page = Page(write_report(list(two_runs), tmp_path / "r.html").read_text("utf-8"))
    manifest = page.data("manifest")
    assert isinstance(manifest, dict)
    assert [task["name"] for task in manifest["tasks"]] == ["t_a", "t_b", "solo"]
    assert manifest["runs"] == ["first", "second"]
    index, chunk = page.piece("i0"), page.piece("c0-0")
    assert isinstance(index, dict)
    assert isinstance(chunk, dict)
    base = made.answers(40, 0.5, 1)
    assert index["codes"] == ["rr" if right else "wr" for right in base]
    assert index["titles"][3] == "Which colour has number 3?"
    assert chunk["shared"].startswith("Q: What colour is snow?")
    item = chunk["items"][3]
    assert item["p"] == "Q: Which colour has number 3?\nA:"
    assert item["c"] == [" red", " green", " blue", " white"]
    assert item["g"] == 3
    assert len(item["r"][0]["l"]) == 4
    assert "p" not in item["r"][1]


def test_missing_task_in_one_run_is_said(tmp_path: Path) -> None:
    one = made.write_run(tmp_path / "a", [made.choice_task("x", [True, False])], label="a")
    two = made.write_run(tmp_path / "b", [made.choice_task("y", [True, False])], label="b")
    page = Page(write_report([one, two], tmp_path / "r.html").read_text("utf-8"))
    assert "not run" in page.text()
    index = page.piece("i0")
    assert isinstance(index, dict)
    assert index["codes"] == ["r-", "w-"]


def test_planted_markup_stays_text(tmp_path: Path) -> None:
    out = write_report([planted_run(tmp_path / "run")], tmp_path / "r.html")
    raw = out.read_text("utf-8")
    page = Page(raw)
    assert len([1 for attrs, _ in page.scripts if "type" not in attrs]) == 2
    kinds = {attrs.get("type") for attrs, _ in page.scripts} - {None}
    assert kinds == {"application/json", "application/gzip+base64"}
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "object")
        assert not [name for name in attrs if name.startswith("on")], (tag, attrs)
        assert not (attrs.get("href") or "").lower().startswith("javascript")
        for name, value in attrs.items():
            assert name.isascii()
            assert "planted" not in name
            assert value is None or name in ("title", "aria-label", "data-run", "content") or "planted" not in value
    markup = re.sub(r"<script type=\"application/json\".*?</script>", "", raw, flags=re.S)
    assert "<script>window.planted" not in markup
    assert "49" not in page.text().split("Reproduce")[0].split("{{ 7*7 }}")[0][-5:]
    assert "{{ 7*7 }}" in page.text()
    assert "\u202e" not in raw
    assert "⟨U+202E⟩" in raw


def test_planted_text_in_markdown_is_no_markup(tmp_path: Path) -> None:
    text = write_markdown([planted_run(tmp_path / "run")], tmp_path / "r.md").read_text("utf-8")
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.S | re.M)
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(javascript", outside)
    assert "http://" not in outside
    rows = [line for line in outside.splitlines() if line.startswith("| t0 ")]
    assert rows
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows[:1]}) == 1


def test_markdown_tables_are_well_formed(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    text = write_markdown(list(two_runs), tmp_path / "r.md").read_text("utf-8")
    width = None
    for line in text.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in (None, cells), line
        width = cells
    assert "**100.0**" in text
    assert "(equal)" in text
    assert "## Reproduce" in text


def test_same_runs_give_the_same_bytes(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    first = write_report(list(two_runs), tmp_path / "1.html").read_bytes()
    assert first == write_report(list(two_runs), tmp_path / "2.html").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_errors_name_what_to_do(two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run given"):
        write_report([], tmp_path / "r.html")
    with pytest.raises(UserError, match="no such folder"):
        write_report([tmp_path / "none"], tmp_path / "r.html")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="could not be saved"):
        write_report([two_runs[0]], tmp_path / "file" / "r.html")
