"""A metric that a user registers is a metric everywhere: in the run, compare, gate, baselines, boards and reports."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.analysis.baseline import save_baseline
from evalkit.analysis.compare import compare
from evalkit.analysis.gate import gate
from evalkit.analysis.policy import Policy, Rule
from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Request
from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.collect import collect
from evalkit.leaderboard.rows import value_text
from evalkit.leaderboard.table import build_table
from evalkit.metrics.base import Metric, MetricDef, ScoringInput
from evalkit.metrics.combine import items
from evalkit.metrics.finding import lookup
from evalkit.render.report import write_report
from evalkit.store.verify import verify

WORDS = ("red", "green", "blue", "white", "black", "grey", "pink")
ITEMS = 90


@pytest.fixture
def word_f1() -> Iterator[Metric]:
    """F1 over all documents' words: no mean of the documents' F1, and its name ends like a metric in percent."""
    metric = Metric(
        name="word_meter",
        kind="text",
        per_item=counts,
        combine=lambda sums: 2 * sums[0] / (sums[1] + sums[2]),
        unit="share",
        bounds=(0.0, 1.0),
        higher_is_better=True,
    )
    evalkit.register_metric("word_meter", metric)
    yield metric
    registry.unregister(registry.METRICS, "word_meter")


def counts(item: ScoringInput) -> tuple[float, ...]:
    answer, target = set((item.text or "").split()), set(str(item.target).split())
    return float(len(answer & target)), float(len(answer)), float(len(target))


def line(number: int) -> str:
    return " ".join(WORDS[(number + step * (number % 3 + 1)) % len(WORDS)] for step in range(2 + number % 3))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks" / "colours"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(
        'name: colours\nversion: "1"\ndescription: Repeat colours.\n'
        "dataset: {id: example/colours, splits: {eval: test}}\nkind: generate\nprompt: 'Repeat {{ line }} ({{ n }}):'\n"
        "target: line\nmetrics: [{metric: word_meter}]\nsample: sample.jsonl\n",
        "utf-8",
    )
    rows = ({"line": line(number), "n": number, "_split": "test"} for number in range(ITEMS))
    (folder / "sample.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return tmp_path / "tasks"


def run(task: Path, out: Path, forgets: int) -> Path:
    """A model that leaves out the last word of every ``forgets``-th document."""

    def answer(request: Request) -> str:
        assert isinstance(request, Generate)
        words = request.context.rpartition("Repeat ")[2].partition(" (")[0].split()
        number = int(request.context.rpartition("(")[2].partition(")")[0])
        return " ".join(words[:-1] if number % forgets == 0 else words)

    model = evalkit.mock(answer, name=out.name, fingerprint=str(forgets))
    evalkit.evaluate(model, "colours@sample", include_path=[str(task)], output=out, progress=False)
    return out


def expected(forgets: int) -> float:
    shared = sizes = 0
    for number in range(ITEMS):
        target = set(line(number).split())
        said = set(line(number).split()[:-1]) if number % forgets == 0 else target
        shared, sizes = shared + len(said & target), sizes + len(said) + len(target)
    return 2 * shared / sizes


def test_a_registered_metric_is_one_everywhere(tmp_path: Path, task: Path, word_f1: Metric) -> None:
    base, worse = run(task, tmp_path / "base", 30), run(task, tmp_path / "worse", 2)
    # in the run
    metric = evalkit.load_run(base)["colours"]["word_meter"]
    assert metric.value == pytest.approx(expected(30))
    assert metric.interval is not None
    assert metric.interval[0] < metric.value < metric.interval[1] <= 1.0
    assert metric.stderr is not None
    assert (metric.unit, metric.aggregator, metric.bounds) == ("share", "word_meter", (0.0, 1.0))
    written = json.loads((base / "results.json").read_text("utf-8"))["evalkit"]["tasks"][0]["metrics"][0]
    assert (written["unit"], written["aggregator"], written["bounds"], written["higher_is_better"]) == (
        "share", "word_meter", [0.0, 1.0], True,
    )  # fmt: skip
    assert not verify(base)
    # a paired test
    row = compare(base, [worse]).candidates[0].metrics[0]
    assert row.difference.value == pytest.approx(expected(2) - expected(30))
    assert row.difference.interval[1] < 0
    assert row.verdict == "worse"
    assert row.is_share
    # the gate, from the run and from a baseline file
    file = save_baseline(base, tmp_path / "baseline.json")
    for known in (base, file):
        assert gate(known, worse).outcome == "regression"
        assert gate(known, base, Policy(default=Rule(margin=0.05))).outcome == "pass"
    # a board
    board = Board(name="own", title="Own", columns=(Column(title="Colours", task="colours", metric="word_meter,none"),))
    table = build_table(board, collect([base, worse]))
    assert [value_text(one.cells[0]) for one in table.rows] == [f"{100 * expected(n):.1f}" for n in (30, 2)]
    assert [one.cells[0].unit for one in table.rows if one.cells[0]] == ["%", "%"]
    # a report
    write_report([base, worse], tmp_path / "report.md")
    assert f"{100 * expected(30):.1f}" in (tmp_path / "report.md").read_text("utf-8")


def words(item: ScoringInput) -> tuple[float, float]:
    return float(len((item.text or "").split())), float(len(str(item.target).split()))


def of_every_scale() -> tuple[Metric, ...]:
    """Corpus-level metrics of the words that are said and wanted, per document: percent, falling, without bounds."""

    def rmse(item: ScoringInput) -> tuple[float, ...]:
        said, wanted = words(item)
        return (said - wanted) ** 2, 1.0

    def named(name: str, **more: Any) -> Metric:
        return Metric(name=name, kind="text", **{"per_item": words, "higher_is_better": True, **more})

    return (
        named("kept", combine=lambda sums: 100 * sums[0] / sums[1], unit="percent", bounds=(0.0, 100.0)),
        named(
            "lost",
            combine=lambda sums: 100 - 100 * sums[0] / sums[1],
            unit="percent",
            bounds=(0.0, 100.0),
            higher_is_better=False,
        ),
        named(
            "off",
            per_item=rmse,
            combine=lambda sums: math.sqrt(sums[0] / sums[1]),
            unit="words",
            bounds=(0.0, None),
            higher_is_better=False,
        ),
        named("ratio", combine=lambda sums: math.log(sums[0] / sums[1]), unit="nats"),
        named("balance", per_item=lambda item: 1000 * (words(item)[0] - words(item)[1])),
    )


def test_units_bounds_and_directions_are_the_metrics_own_everywhere(tmp_path: Path, task: Path) -> None:
    metrics = of_every_scale()
    file = task / "colours" / "task.yaml"
    listed = ", ".join(f"{{metric: {one.name}}}" for one in metrics)
    file.write_text(file.read_text("utf-8").replace("{metric: word_meter}", listed), "utf-8")
    for one in metrics:
        evalkit.register_metric(one)
    try:
        base, worse = run(task, tmp_path / "base", 10), run(task, tmp_path / "worse", 2)
        baseline = save_baseline(base, tmp_path / "baseline.json")
        rows = {row.metric: row for row in compare(base, [worse]).candidates[0].metrics}
        for one in metrics:
            found, lower = evalkit.load_run(base)["colours"][one.name], evalkit.load_run(worse)["colours"][one.name]
            assert (found.unit, found.bounds) == (one.unit, one.bounds)
            assert found.interval[0] < found.value < found.interval[1]
            assert (found.value > lower.value) == one.higher_is_better
            row = rows[f"{one.name},none"]
            assert row.difference.value == pytest.approx(lower.value - found.value)
            assert row.verdict == "worse"
            policy = Policy(tasks={"colours": Rule(metric=one.name, margin=abs(lower.value - found.value) / 4)})
            for known in (base, baseline):
                assert gate(known, worse, policy).outcome == "regression"
                assert gate(worse, base, policy).outcome == "pass"
            column = Column(title="Colours", task="colours", metric=f"{one.name},none")
            table = build_table(Board(name="own", title="Own", columns=(column,)), collect([base, worse]))
            assert [row.entry.model.name for row in table.rows] == ["base", "worse"]
            assert [row.score for row in table.rows] == pytest.approx([found.value, lower.value])
        both = tuple(Column(title=name, task="colours", metric=f"{name},none") for name in ("kept", "lost"))
        with pytest.raises(UserError, match=r"board own: of lost less is better.*weight: 0"):
            build_table(Board(name="own", title="Own", columns=both), collect([base, worse]))
        shares = build_table(Board(name="own", title="Own", columns=both, score="win_rate"), collect([base, worse]))
        assert [row.score for row in shares.rows] == [100, 0]
    finally:
        for one in metrics:
            registry.unregister(registry.METRICS, one.name)


def test_of_a_metric_that_is_not_there_nothing_is_guessed(tmp_path: Path, task: Path, word_f1: Metric) -> None:
    base, worse = run(task, tmp_path / "base", 30), run(task, tmp_path / "worse", 2)
    file = save_baseline(base, tmp_path / "baseline.json")
    registry.unregister(registry.METRICS, "word_meter")
    try:
        for known in (base, file):
            with pytest.raises(UserError, match=r"word_meter is not judged.*no installed package"):
                compare(known, [worse])
    finally:
        evalkit.register_metric("word_meter", word_f1)


def test_a_metric_that_no_sum_gives(tmp_path: Path, task: Path, word_f1: Metric) -> None:
    def median(values: list[tuple[float, ...]]) -> float:
        return sorted(one[1] for one in values)[len(values) // 2]

    lengths = Metric(
        name="median_words", kind="text", per_item=counts, combine=items(median), unit="words", higher_is_better=False
    )
    file = task / "colours" / "task.yaml"
    file.write_text(file.read_text("utf-8").replace("word_meter}", "word_meter}, {metric: median_words}"), "utf-8")
    evalkit.register_metric("median_words", lengths)
    try:
        base, worse = run(task, tmp_path / "base", 30), run(task, tmp_path / "worse", 1)
        metric = evalkit.load_run(base)["colours"]["median_words"]
        assert (metric.value, metric.unit, metric.aggregator) == (3.0, "words", "median_words")
        candidate = compare(base, [worse]).candidates[0]
        assert "median_words,none" in {one.metric for one in candidate.metrics}
        # One that cannot be decided never passes the gate.
        policy = Policy(tasks={"colours": Rule(metric="median_words")})
        registry.unregister(registry.METRICS, "median_words")
        found = gate(base, worse, policy)
        assert found.outcome == "inconclusive"
        assert "no installed package" in found.checks[-1].message
    finally:
        evalkit.register_metric("median_words", lengths)
        registry.unregister(registry.METRICS, "median_words")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"combine": "median"}, "unknown aggregator 'median'"),
        ({"combine": 3}, "give a function of the summed"),
        ({"kind": "image"}, "unknown kind 'image'"),
        ({"unit": "a very long unit of measurement"}, "at most 20"),
        ({"bounds": (1.0, 0.0)}, "the least comes first"),
        ({"name": "a,b"}, 'without ","'),
        ({"higher_is_better": None}, "give True or False"),
    ],
)
def test_a_definition_without_sense_is_refused_where_it_is_made(fields: dict[str, object], message: str) -> None:
    plain = {"name": "m", "kind": "text", "per_item": counts, "higher_is_better": True}
    with pytest.raises(UserError, match=message):
        Metric(**(plain | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("m = Metric(name='m', kind='choice', higher_is_better=True)", "for tasks of kind choice, not generate"),
        ("m = Metric(name='m', kind='text', higher_is_better=True, combine='sum')", "unknown aggregator 'sum'"),
        ("import no_such_package", "no_such_package"),
    ],
)
def test_a_wrong_metric_is_told_before_a_model_loads(tmp_path: Path, task: Path, code: str, message: str) -> None:
    (task / "colours" / "task.py").write_text(f"from evalkit.metrics.base import Metric\n{code}\n", "utf-8")
    file = task / "colours" / "task.yaml"
    file.write_text(file.read_text("utf-8").replace("word_meter", "task.py:m"), "utf-8")

    def answer(request: Request) -> str:
        raise AssertionError("the model was asked")

    with pytest.raises(UserError, match=message):
        evalkit.evaluate(
            evalkit.mock(answer), "colours@sample", include_path=[str(task)], output=tmp_path / "r", progress=False
        )


def test_a_metric_as_0_1_wrote_it_still_works() -> None:
    with pytest.warns(DeprecationWarning, match="MetricDef is deprecated"):
        old = MetricDef("half", "choice", lambda one: 0.5, "mean", False, False, "here", bounds=(0.0, 1.0))
    assert old.per_item(ScoringInput()) == 0.5
    assert (old.aggregator, old.unit, old.higher_is_better, old.source) == ("mean", "share", False, "here")


def test_metrics_of_one_computation_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    asked = []
    score = RougeScorer.score
    monkeypatch.setattr(RougeScorer, "score", lambda *given: asked.append(given) or score(*given))
    known: dict[object, object] = {}
    values = [
        lookup(name, "generate").per_item(ScoringInput(text="a red cat", target=["a red dog"], known=known))
        for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")
    ]
    assert values == pytest.approx([2 / 3, 1 / 2, 2 / 3, 2 / 3])
    assert len(asked) == 1
