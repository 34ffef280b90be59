"""Short-answer, translation and summary metrics against the official scripts and packages (tests/golden)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import Metric, ScoringInput
from evalkit.metrics.finding import lookup

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "golden" / "text_metrics.json").read_text(encoding="utf-8")
)


def squad_input(row: dict[str, Any]) -> ScoringInput:
    return ScoringInput(text=row["prediction"], target=row["answers"])


def test_triviaqa_is_the_official_scripts() -> None:
    em, f1 = lookup("triviaqa_em", "generate"), lookup("triviaqa_f1", "generate")
    for row in GOLDEN["triviaqa"]:
        assert em.per_item(squad_input(row)) == row["exact"], row
        assert f1.per_item(squad_input(row)) == pytest.approx(row["f1"], abs=1e-12), row


def test_squad_is_the_official_scripts() -> None:
    exact, f1 = lookup("squad2.exact", "generate"), lookup("squad2.f1", "generate")
    for row in GOLDEN["squad"]:
        assert exact.per_item(squad_input(row)) == row["exact"], row
        assert f1.per_item(squad_input(row)) == pytest.approx(row["f1"], abs=1e-12), row


@pytest.mark.parametrize("part", ["", "HasAns_", "NoAns_"])
@pytest.mark.parametrize("kind", ["exact", "f1"])
def test_squad_by_answerability(part: str, kind: str) -> None:
    metric = lookup(f"squad2.{part}{kind}", "generate")
    values = [metric.per_item(squad_input(row)) for row in GOLDEN["squad"]]
    expected = GOLDEN["squad_summary"][part.removesuffix("_") or "all"][kind]
    assert aggregate(metric, values).value == pytest.approx(expected, abs=1e-12)


def test_saying_unanswerable_counts_as_no_answer() -> None:
    metric = lookup("squad2.NoAns_exact", "generate")
    args = {"no_answer": ["unanswerable"]}
    assert metric.per_item(ScoringInput(text=" Unanswerable.", target=["unanswerable"], args=args)) == 1.0
    assert metric.per_item(ScoringInput(text="", target=["unanswerable"], args=args)) == 1.0
    assert metric.per_item(ScoringInput(text="in 1412", target=["unanswerable"], args=args)) == 0.0
    has = lookup("squad2.HasAns_f1", "generate")
    assert has.per_item(ScoringInput(text="in 1412", target=["unanswerable"], args=args)) is None
    assert has.per_item(ScoringInput(text="unanswerable", target=["in 1412"], args=args)) == 0.0


CORPUS = {
    "bleu": ("bleu", {}),
    "bleu_lc": ("bleu", {"lowercase": True}),
    "bleu_char": ("bleu", {"tokenize": "char"}),
    "chrf": ("chrf", {}),
    "chrf++": ("chrf_plus_plus", {}),
    "ter": ("ter", {}),
}


def corpus(metric: Metric, hypotheses: list[str], references: list[list[str]], args: dict[str, Any]) -> Any:
    rows = zip(hypotheses, zip(*references, strict=True), strict=True)
    values = [metric.per_item(ScoringInput(text=text, target=list(several), args=args)) for text, several in rows]
    return aggregate(metric, values, args=args)


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("count", [1, 2])
def test_corpus_metrics_are_sacrebleus(name: str, count: int) -> None:
    metric, args = CORPUS[name]
    found = corpus(lookup(metric, "generate"), GOLDEN["hypotheses"], GOLDEN["references"][:count], args)
    expected = GOLDEN["corpus"][f"{name}/{'one' if count == 1 else 'two'}"]
    assert found.value == pytest.approx(expected["score"], abs=1e-9)
    import sacrebleu

    ours = expected["signature"].replace("version:2.6.0", f"version:{sacrebleu.__version__}")
    assert f"|{ours}|" in found.signature
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]
    assert found.n == len(GOLDEN["hypotheses"])


def test_chinese_is_split_into_characters() -> None:
    found = corpus(
        lookup("bleu", "generate"),
        GOLDEN["zh"]["hypotheses"],
        [GOLDEN["zh"]["references"]],
        {"target_language": "zh"},
    )
    assert found.value == pytest.approx(GOLDEN["corpus"]["bleu_zh/zh"]["score"], abs=1e-9)
    assert "|tok:zh|" in found.signature


def test_rouge_is_rouge_scores() -> None:
    for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        metric = lookup(name, "generate")
        rows = zip(GOLDEN["hypotheses"], *GOLDEN["references"], GOLDEN["rouge"], strict=True)
        for text, first, second, expected in rows:
            found = metric.per_item(ScoringInput(text=text, target=[first, second]))
            assert found == pytest.approx(expected[name], abs=1e-12), (name, text)
        lines = GOLDEN["rouge_lines"]
        found = metric.per_item(ScoringInput(text=lines["prediction"], target=lines["reference"]))
        assert found == pytest.approx(lines[name], abs=1e-12)
