import io
from dataclasses import replace

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


def shown(run: RunResult) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(terminal.results_table(run))
    return out.getvalue()


def test_a_row_has_all_that_is_needed_to_read_a_number():
    cells = shown(result("boolq", metric())).splitlines()[3].split()
    assert cells == [
        "boolq",
        "2.0",
        "none",
        "5",
        "acc",
        "↑",
        "0.2500",
        "0.0433",
        "0.1740",
        "–",
        "0.3432",
        "100",
        "0.5000",
    ]


def test_what_is_not_known_is_a_dash_and_never_a_zero():
    row = metric("perplexity", value=None, stderr=None, interval=None, n=0, baseline=None, higher_is_better=False)
    assert shown(result("wiki", row)).splitlines()[3].split() == [
        "wiki", "2.0", "none", "5", "perplexity", "↓", "–", "–", "–", "0", "–",
    ]  # fmt: skip


def test_groups_show_both_averages():
    group = GroupResult(Group("mmlu", ("a", "b")), (metric(value=0.3),), (metric(value=0.4),))
    lines = [line.split() for line in shown(result("boolq", metric(), groups=(group,))).splitlines()]
    assert ["mmlu", "1", "none", "micro", "acc", "↑", "0.3000"] in [line[:7] for line in lines]
    assert ["none", "macro", "acc", "↑", "0.4000"] in [line[:5] for line in lines]


def test_names_are_printed_and_never_interpreted():
    text = shown(result("[red]x[/red]\x1b[31m\u202e", metric()))
    assert "[red]x[/red]�[31m�" in text
    assert "\x1b" not in text


def test_the_reader_is_warned_of_samples_limits_and_failures():
    run = result("boolq", metric(), sample=True, n_total=500, n_error=2, n_unscored=3, n_truncated=4)
    assert terminal.warnings(run) == [
        "sample: not comparable with the full set: boolq",
        "not all documents were scored: boolq 100 of 500",
        "items failed: boolq 2",
        "items without a score: boolq 3",
        "items over the context window: boolq 4",
    ]
    assert terminal.warnings(result("boolq", metric())) == []


def test_what_left_documents_out_is_named():
    def told(run: RunResult, **spec) -> str:
        partial = spec.pop("partial", False)
        (line,) = terminal.warnings(replace(run, spec=spec, partial=partial))
        return line.removeprefix("not all documents were scored").removesuffix(" 100 of 5,000")

    run = result("mmlu_anatomy", metric(), n_total=5000)
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


def test_numbers_keep_their_size():
    assert [terminal.number(value) for value in (0.12345, 12.0, 1234.567, 9.1e10, None)] == [
        "0.1235", "12.0000", "1,234.57", "9.100e+10", "–",
    ]  # fmt: skip
