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
from evalkit.metrics.finding import combine_of, fits, lookup
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
    # Different bigrams (ab, ba, bc) over words, as Li et al. 2016 scale it.
    assert found.value == pytest.approx(3 / 8)
    assert "|agg:distinct_by_words|" in found.signature
    once = lookup("distinct_1", "generate")
    assert aggregate(once, [once.per_item(ScoringInput(text=text)) for text in texts]).value == pytest.approx(3 / 8)
    # what evalkit 0.1 wrote is joined as it was: over n-grams
    assert combine_of("distinct").value([(1.0, 2.0, 1.0), (1.0, 3.0), ()]) == pytest.approx(3 / 5)
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


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("He met Dr. Smith in Paris.", {"smith", "paris"}),
        ("Prof. Dr. Ada Meyer-Lind spoke.", {"ada meyer-lind"}),
        ("He saw Mr. Jones. Prizes were given.", {"jones"}),
        ("The U.S. Army left.", {"us army"}),
        ("They live in the U.S. The army left.", {"us"}),
        ("the U.K. and the US", {"uk", "us"}),
        ("In Washington, D.C. the U.S. Senate met.", {"washington", "dc", "us senate"}),
        ("I met U.S. President Lincoln. He spoke.", {"us president lincoln"}),
        ("J. Moreau wrote it.", {"j moreau"}),
        ("A book by J.K. Moreau. Prizes were given.", {"jk moreau"}),
        ("At Acme Inc. Lisa Holt spoke in Oct. 2020.", {"acme inc", "lisa holt", "oct", "2020"}),
        ("It rose to 3.5 million. Money is short.", {"3.5"}),
        ("He said no. Money is short. The cat sat. Prizes were given.", set()),
    ],
)
def test_a_period_of_an_abbreviation_ends_no_sentence(text: str, names: set[str]) -> None:
    assert set(entities(text)) == names


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
    tie = ScoringInput(target=0, choices=("a", "b"), loglikelihoods=(-2.0, -2.0))
    stereotype, neutral = lookup("pct_stereotype", "multiple_choice"), lookup("pct_neutral", "multiple_choice")
    found = aggregate(stereotype, [stereotype.per_item(one) for one in (more, tie)])
    assert (found.value, "|ties:as-0|" in found.signature) == (0.5, True)
    assert aggregate(neutral, [neutral.per_item(one) for one in (more, tie)]).value == 0.5


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
        with pytest.raises(MissingExtra, match=r"ja-mecab needs .*mecab-python3.*evalkit-harness\[translation\]"):
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
        with pytest.raises(UserError, match=r"nltk\.downloader wordnet punkt_tab"):
            meteor.prepare({})
        return
    meteor.prepare({})
    same = ScoringInput(text="The cat sat on the mat.", target=["The cat sat on the mat."])
    assert (meteor.per_item(same) or 0) > 0.99
    # A period within the text is a word of its own, as in nltk's word_tokenize: "mat." is "mat".
    inner = ScoringInput(text="The cat sat on the mat. It slept.", target=["The cat sat on the mat"])
    bare = ScoringInput(text="The cat sat on the mat It slept .", target=["The cat sat on the mat"])
    assert (meteor.per_item(inner) or 0) > (meteor.per_item(bare) or 0) - 0.05


def test_meteor_splits_words_sentence_by_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk
    from nltk.translate import meteor_score

    # A sentence splitter that has learnt nothing: periods end sentences.
    learnt = tmp_path / "tokenizers" / "punkt_tab" / "english"
    learnt.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (learnt / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    seen: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(meteor_score, "single_meteor_score", lambda one, other: seen.append((one, other)) or 0.5)
    item = ScoringInput(text="The cat sat. It slept.", target=["It isn't a cat. No."])
    assert lookup("meteor", "generate").per_item(item) == 0.5
    assert seen == [
        (["It", "is", "n't", "a", "cat", ".", "No", "."], ["The", "cat", "sat", ".", "It", "slept", "."]),
    ]  # fmt: skip


def test_a_metric_fits_the_kinds_it_is_registered_for() -> None:
    assert fits("ece", "multiple_choice")
    assert not fits("ece", "generate")
    assert fits("acc", "score")
    assert fits("exact_match", "generate")
    assert fits("evaluate:rouge", "generate")
    assert not fits("evaluate:rouge", "rolling")
    with pytest.raises(UserError, match="did you mean rouge"):
        fits("roug1", "generate")
