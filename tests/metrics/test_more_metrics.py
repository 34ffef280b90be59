"""Calibration, diversity, entities, pass@k, bias, extras and metrics of the package evaluate."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.entities import entities
from evalkit.metrics.finding import fits, lookup
from evalkit.metrics.repeats import pass_at_k


def choice(probabilities: list[float], target: int) -> ScoringInput:
    return ScoringInput(
        target=target,
        choices=tuple("ABCD"[: len(probabilities)]),
        loglikelihoods=tuple(math.log(one) for one in probabilities),
    )


def test_calibration_error_by_hand() -> None:
    ece = lookup("ece", "multiple_choice")
    samples = [choice([0.9, 0.1], 0), choice([0.9, 0.1], 1), choice([0.6, 0.4], 0), choice([0.3, 0.7], 1)]
    values = [ece.per_item(one) for one in samples]
    found = aggregate(ece, values)
    # Bins of 1/15: the two of 0.9 share one (|0.5 - 0.9| * 2), 0.6 and 0.7 stand alone.
    assert found.value == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)
    assert "|agg:ece|" in found.signature
    assert "bins:15" in found.signature
    assert ece.per_item(ScoringInput(target=[0, 1], choices=("a", "b"), loglikelihoods=(-1.0, -2.0))) is None
    sure = aggregate(ece, [ece.per_item(choice([1.0 - 1e-12, 1e-12], 0))] * 3)
    assert sure.value == pytest.approx(0, abs=1e-9)


def test_distinct_and_entropy_are_over_the_corpus() -> None:
    texts = ["a b a b", "A b c", "", "a"]
    distinct, entropy = lookup("distinct_2", "generate"), lookup("entropy_1", "generate")
    found = aggregate(distinct, [distinct.per_item(ScoringInput(text=text)) for text in texts])
    assert found.value == pytest.approx(3 / 5)  # ab, ba, ab | ab, bc
    assert (found.stderr, found.interval, found.n) == (None, None, 4)
    bits = aggregate(entropy, [entropy.per_item(ScoringInput(text=text)) for text in texts])
    counts = [4, 3, 1]
    assert bits.value == pytest.approx(-sum(c / 8 * math.log2(c / 8) for c in counts))
    assert aggregate(distinct, [()]).value is None


def test_entities_follow_the_stated_rule() -> None:
    text = "Yesterday Marie Curie met the mayor of New York in 1921. Prizes were given. The mayor praised Curie."
    # "Prizes" and "The" begin a sentence; a name that begins one keeps the capitalised word before it.
    assert set(entities(text)) == {"yesterday marie curie", "new york", "1921", "curie"}
    overlap = lookup("entity_overlap", "generate")
    args = {"part": "precision", "against": "article"}
    document = {"article": "In 1999 the town of Lund had 40 shops."}
    assert overlap.per_item(ScoringInput(text="It was in Lund in 1999.", document=document, args=args)) == 1.0
    assert overlap.per_item(ScoringInput(text="It was in Oslo in 1999.", document=document, args=args)) == 0.5
    assert overlap.per_item(ScoringInput(text="nothing here", document=document, args=args)) is None
    assert overlap.prepare is not None
    with pytest.raises(UserError, match="f1, precision or recall"):
        overlap.prepare({"part": "all"})


def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer() -> None:
    for n, correct, k in ((5, 2, 1), (5, 2, 3), (6, 1, 4), (4, 4, 2), (4, 0, 2), (3, 2, 3)):
        right = [index < correct for index in range(n)]
        draws = list(itertools.combinations(right, k))
        assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert 0 < pass_at_k(10_000, 3, 100) < 1
    metric = lookup("pass_at_k", "generate")
    sample = ScoringInput(text="4", texts=("4", "5", "4", "[invalid]"), target="4", args={"k": 2})
    assert metric.per_item(sample) == pytest.approx(pass_at_k(4, 2, 2))
    assert metric.per_item(ScoringInput(text="4", texts=("4",), target="4", args={"k": 2})) is None


def test_bias_metrics() -> None:
    more = ScoringInput(target=0, choices=("a", "b"), loglikelihoods=(-1.0, -3.5))
    assert lookup("pct_stereotype", "multiple_choice").per_item(more) == 1.0
    assert lookup("likelihood_diff", "multiple_choice").per_item(more) == 2.5


def test_tokens_are_counted_where_the_backend_does() -> None:
    metric = lookup("token_perplexity", "rolling")
    found = aggregate(metric, [metric.per_item(ScoringInput(loglikelihoods=(-6.0,), tokens=3, reference_text="a b"))])
    assert found.value == pytest.approx(math.exp(2))
    assert metric.per_item(ScoringInput(loglikelihoods=(-6.0,), reference_text="a b")) is None


def test_missing_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    bleu = lookup("bleu", "generate")
    assert bleu.prepare is not None
    if importlib.util.find_spec("MeCab") is None:
        with pytest.raises(MissingExtra, match=r"ja-mecab needs the package mecab-python3.*evalkit\[translation\]"):
            bleu.prepare({"target_language": "ja"})
    with pytest.raises(UserError, match="unknown tokenizer"):
        bleu.prepare({"tokenize": "moses"})


def test_meteor_needs_wordnet() -> None:
    from nltk.corpus import wordnet

    meteor = lookup("meteor", "generate")
    assert meteor.prepare is not None
    try:
        wordnet.ensure_loaded()
    except LookupError:
        with pytest.raises(UserError, match=r"nltk\.downloader wordnet"):
            meteor.prepare({})
        return
    meteor.prepare({})
    same = ScoringInput(text="The cat sat on the mat.", target=["The cat sat on the mat."])
    assert (meteor.per_item(same) or 0) > 0.99


def test_a_metric_fits_the_kinds_it_is_registered_for() -> None:
    assert fits("ece", "multiple_choice")
    assert not fits("ece", "generate")
    assert fits("acc", "score")
    assert fits("exact_match", "generate")
    assert fits("evaluate:rouge", "generate")
    assert not fits("evaluate:rouge", "rolling")
    with pytest.raises(UserError, match="did you mean rouge"):
        fits("roug1", "generate")


LOCAL = """
import datasets
import evaluate


class Shouting(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description="share of answers that are the reference in capitals",
            citation="",
            inputs_description="",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references, offset=0.0):
        hits = [p == r.upper() for p, r in zip(predictions, references)]
        return {"shouting": sum(hits) / len(hits) + offset, "count": float(len(hits))}
"""


def test_a_local_metric_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("evaluate")
    script = tmp_path / "shouting" / "shouting.py"
    script.parent.mkdir()
    script.write_text(LOCAL, encoding="utf-8")
    metric = lookup(f"evaluate:{script}", "generate")
    assert metric.name == "shouting"
    assert metric.prepare is not None
    metric.prepare({})
    samples = [ScoringInput(text="YES", target=["yes"]), ScoringInput(text="no", target="no")]
    found = aggregate(metric, [None, None], samples=samples)
    assert (found.value, found.n) == (0.5, 2)
    assert "|evaluate:" in found.signature
    assert aggregate(metric, [], samples=samples, args={"key": "count"}).value == 2.0
    assert aggregate(metric, [], samples=samples, args={"offset": 0.25}).value == 0.75
    with pytest.raises(UserError, match="shouting, count"):
        aggregate(metric, [], samples=samples, args={"key": "nothing"})
    assert aggregate(metric, []).value is None
