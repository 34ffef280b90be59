import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from evalkit.contract.types import Group, GroupResult, MetricResult, RunResult, TaskInfo, TaskResult
from evalkit.render import terminal


def metric(name: str = "acc", **changes) -> MetricResult:
    values = {
        "filter": "none",
        "value": 0.25,
        "stderr": 0.0433,
        "interval": (0.174, 0.3432),
        "n": 100,
        "higher_is_better": True,
        "signature": "acc|agg:mean",
        "baseline": 0.5,
    }
    return MetricResult(name, **{**values, **changes})


def result(name: str = "boolq", *metrics: MetricResult, groups=(), **changes) -> RunResult:
    info = TaskInfo(
        name, "2.0", "multiple_choice", None, "test", 5, "acc,none", {}, sample=changes.pop("sample", False)
    )
    task = TaskResult(info, metrics, **{"n": 100, "n_total": 100, "n_ok": 100, **changes})
    return RunResult({}, {}, {}, (task,), groups)


def shown(run: RunResult, width: int = 160, every: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(terminal.results_table(run, every))
    return out.getvalue()


def cells(text: str) -> list[list[str]]:
    """The rows below the titles, split at two spaces and more."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()[3:] if line.strip()]


def test_a_row_has_all_that_is_needed_to_read_a_number():
    text = shown(result("boolq", metric(), metric("brier_score")))
    assert cells(text) == [["boolq", "5", "acc ↑", "0.2500 [0.1740, 0.3432]", "100", "0.5000"]]
    every = shown(result("boolq", metric(), metric("brier_score", higher_is_better=False)), every=True)
    assert cells(every) == [
        ["boolq", "5", "acc ↑", "0.2500 [0.1740, 0.3432]", "0.0433", "100", "0.5000"],
        ["5", "brier_score ↓", "0.2500 [0.1740, 0.3432]", "0.0433", "100", "0.5000"],
    ]


def test_what_is_not_known_is_a_dash_and_never_a_zero():
    row = metric("perplexity", value=None, stderr=None, interval=None, n=0, baseline=None, higher_is_better=False)
    assert cells(shown(result("wiki", row), every=True)) == [["wiki", "5", "perplexity ↓", "–", "–", "0"]]


def many(count: int) -> RunResult:
    """A group of ``count`` subjects, and a task beside it."""
    names = [f"mmlu_high_school_subject_number_{n}" for n in range(count)]
    runs = [result(name, metric()).tasks[0] for name in [*names, "boolq"]]
    group = GroupResult(Group("mmlu", tuple(names)), (metric(value=0.3),), (metric(value=0.4),))
    return RunResult({}, {}, {}, tuple(runs), (group,))


def test_groups_come_first_with_their_average_and_fold_many_parts():
    assert [row[0] for row in cells(shown(many(3)))] == [
        "mmlu",
        *(f"mmlu_high_school_subject_number_{n}" for n in range(3)),
        "boolq",
    ]
    assert cells(shown(many(57))) == [
        ["mmlu", "5", "acc ↑", "0.3000 [0.1740, 0.3432]", "100", "0.5000"],
        ["boolq", "5", "acc ↑", "0.2500 [0.1740, 0.3432]", "100", "0.5000"],
    ]
    assert "57 tasks of groups" in (terminal.folded(many(57)) or "")
    assert terminal.folded(result("boolq", metric())) is None
    every = cells(shown(many(57), every=True))
    assert len(every) == 60
    assert ["5", "acc ↑ (macro)", "0.4000 [0.1740, 0.3432]", "0.0433", "100", "0.5000"] in every


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
@pytest.mark.parametrize("every", [False, True])
def test_no_number_and_no_word_is_broken_at_any_width(width, every):
    run = many(3)
    odd = metric("exact_match", filter="flexible-extract", value=-12345.678, interval=(-20000.5, -10000.25))
    run = replace(run, tasks=(*run.tasks, *result("a_task_with_a_really_long_name:of=parts", odd).tasks))
    text = shown(run, width, every)
    assert max(map(len, text.splitlines())) <= width
    for number in ("0.3000 [0.1740, 0.3432]", "-12,345.68", "-20,000.50", "-10,000.25"):
        assert number in " ".join(text.split())
    words = set(re.findall(r"[a-z]+", text))
    whole = set(re.findall(r"[a-z]+", shown(run, 1000, every) + "task shots metric value interval stderr n chance"))
    assert words <= whole


def test_names_are_printed_and_never_interpreted():
    text = shown(result("[red]x[/red]\x1b[31m\u202e", metric()))
    assert "[red]x[/red]�[31m�" in text
    assert "\x1b" not in text


def test_the_reader_is_warned_of_samples_limits_and_failures():
    run = result("boolq", metric(baseline=None), sample=True, n_total=500, n_error=2, n_unscored=3, n_truncated=4)
    assert terminal.warnings(run) == [
        "sample: not comparable with the full set: boolq",
        "not all documents were scored: boolq 100 of 500",
        "items failed: boolq 2",
        "items without a score: boolq 3",
        "items over the context window: boolq 4",
    ]
    assert terminal.warnings(result("boolq", metric(interval=(0.2, 0.5)))) == []
    low = result("boolq", metric(interval=(0.1, 0.4)))
    assert terminal.warnings(low) == ["below chance (the whole interval): boolq"]


def test_what_left_documents_out_is_named():
    def told(run: RunResult, **spec) -> str:
        partial = spec.pop("partial", False)
        (line,) = terminal.warnings(replace(run, spec=spec, partial=partial))
        return line.removeprefix("not all documents were scored").removesuffix(" 100 of 5,000")

    run = result("mmlu_anatomy", metric(baseline=None), n_total=5000)
    assert told(run, limit=100.0) == " (--limit 100): mmlu_anatomy"
    assert told(run, limit=0.02, limit_random=True) == " (--limit 0.02:random): mmlu_anatomy"
    assert told(run, limit=1234567.0, partial=True) == " (--limit 1234567, interrupted): mmlu_anatomy"
    assert told(run, partial=True) == " (interrupted): mmlu_anatomy"
    own = [{"name": "arc_easy", "limit": 3.0}, {"name": "mmlu@5shot", "limit": 100.0}]
    assert told(run, limit=7.0, tasks=own) == " (--limit 7): mmlu_anatomy"
    inside = replace(run, groups=(GroupResult(Group("mmlu", ("mmlu_anatomy",)), (), ()),))
    assert told(inside, limit=7.0, tasks=own) == " (--limit 100): mmlu_anatomy"
    assert told(run, limit=7.0, tasks=[{"name": "mmlu_*", "limit": 9.0}]) == " (--limit 9): mmlu_anatomy"
    assert told(run, limit=7.0, tasks=[{"name": "mmlu_*", "limit": None}]) == " (--limit 7): mmlu_anatomy"


def test_a_folded_group_counts_all_of_its_documents():
    run = many(57)
    cut = replace(run.tasks[0], n_total=400)
    (line,) = terminal.warnings(replace(run, tasks=(cut, *run.tasks[1:]), spec={"limit": 100.0}))[:1]
    assert line == "not all documents were scored (--limit 100): mmlu 5,700 of 6,000"
    assert not [line for line in terminal.warnings(run) if "not all documents" in line]


def test_numbers_keep_their_size():
    assert [terminal.number(value) for value in (0.12345, 12.0, 1234.567, 9.1e10, None)] == [
        "0.1235", "12.0000", "1,234.57", "9.100e+10", "–",
    ]  # fmt: skip
