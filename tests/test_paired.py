"""Paired statistics against values worked out by hand, by scipy or by sacrebleu."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evalkit.contract.errors import UserError
from evalkit.statistics import paired


def test_binary_is_exact_mcnemar_with_bonett_price() -> None:
    # 10 items lost, 2 gained, 88 the same: exact two-sided binomial(12, 2) = 2 * 79 / 4096.
    base = [1.0] * 60 + [0.0] * 40
    candidate = [0.0] * 10 + [1.0] * 50 + [1.0] * 2 + [0.0] * 38
    found = paired.paired_difference(base, candidate)
    assert found.p_value == pytest.approx(2 * 79 / 4096)
    assert (found.n, found.lost, found.gained, found.binary) == (100, 10, 2, True)
    assert found.value == pytest.approx(-0.08)
    up, down = 3 / 102, 11 / 102
    half = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / 102)
    assert found.interval == pytest.approx((up - down - half, up - down + half), abs=1e-6)
    assert found.method == "mcnemar:exact|ci:bonett-price"
    assert found.detectable == pytest.approx((1.959964 + 0.841621) * found.stderr, rel=1e-5)


def test_identical_answers_keep_an_interval() -> None:
    found = paired.paired_difference([1.0] * 30, [1.0] * 30)
    assert found.value == 0
    assert found.p_value == 1
    assert found.interval[0] < 0 < found.interval[1]


def test_small_continuous_is_students_t() -> None:
    from scipy.stats import ttest_rel

    generator = np.random.default_rng(1)
    a, b = generator.random(20), generator.random(20)
    found = paired.paired_difference(a, b)
    theirs = ttest_rel(b, a)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval()))


def test_large_continuous_is_a_seeded_bootstrap_near_t() -> None:
    from scipy.stats import ttest_rel

    generator = np.random.default_rng(2)
    a = generator.random(400)
    b = a + generator.normal(0.02, 0.1, 400)
    found = paired.paired_difference(a, b, seed=5)
    assert found == paired.paired_difference(a, b, seed=5)
    assert found.interval != paired.paired_difference(a, b, seed=6).interval
    assert found.interval == pytest.approx(tuple(ttest_rel(b, a).confidence_interval()), abs=0.002)
    assert found.method == "bootstrap:paired|b:2000|seed:5"


def test_clusters_widen_what_is_not_independent() -> None:
    generator = np.random.default_rng(3)
    shift = np.repeat(generator.normal(0, 1, 30), 10)
    b = shift + generator.normal(0, 0.1, 300)
    labels = np.repeat(np.arange(30), 10)
    plain = paired.paired_difference(np.zeros(300), b)
    clustered = paired.paired_difference(np.zeros(300), b, clusters=labels)
    assert clustered.clusters == 30
    assert clustered.stderr > 2.5 * plain.stderr
    # By hand: with equal clusters it is the standard error of the cluster means.
    means = b.reshape(30, 10).mean(axis=1)
    assert clustered.stderr == pytest.approx(means.std(ddof=1) / math.sqrt(30), rel=0.01)


def test_no_difference_never_makes_an_interval_a_point() -> None:
    labels = np.repeat(np.arange(12), 6)
    for values in ([1.0] * 72, [0.25] * 72):
        found = paired.paired_difference(values, values, clusters=labels)
        assert found.value == 0
        assert found.p_value == 1
        assert found.interval[1] == pytest.approx(1.959964 * math.sqrt(2 / 74 / 74), rel=1e-5)
        assert found.method == "mcnemar:exact|ci:bonett-price"


def test_few_clusters_are_not_used() -> None:
    found = paired.paired_difference([0.0, 1.0] * 10, [1.0, 1.0] * 10, clusters=["a", "b"] * 10)
    assert found.clusters is None


def test_corpus_bleu_agrees_with_sacrebleu() -> None:
    from sacrebleu.metrics import BLEU
    from sacrebleu.significance import PairedTest

    from evalkit.metrics.finding import lookup

    words = [
        "the",
        "cat",
        "sat",
        "on",
        "a",
        "mat",
        "while",
        "the",
        "dog",
        "ran",
        "over",
        "a",
        "hill",
        "and",
        "the",
        "bird",
        "sang",
    ]
    generator = np.random.default_rng(4)
    references = [" ".join(generator.choice(words, 9)) for _ in range(60)]

    def system(noise: float) -> list[str]:
        return [
            " ".join(str(generator.choice(words)) if generator.random() < noise else word for word in line.split())
            for line in references
        ]

    one, two = system(0.3), system(0.33)
    metric = BLEU()
    corpus = lookup("bleu", "text").combine.function
    statistics = [np.array(BLEU()._extract_corpus_statistics(lines, [references]), float) for lines in (one, two)]
    one_tail = paired.corpus_difference(statistics[0], statistics[1], corpus, resamples=300, rule="sacrebleu")
    found = paired.corpus_difference(statistics[0], statistics[1], corpus, resamples=300)
    test = PairedTest([("one", one), ("two", two)], {"BLEU": metric}, [references], "bs", n_samples=300)
    theirs = test()[1]["BLEU"]
    assert corpus(statistics[0].sum(axis=0)) == pytest.approx(theirs[0].score)
    assert found.value == pytest.approx(theirs[1].score - theirs[0].score)
    assert one_tail.p_value == pytest.approx(theirs[1].p_value)
    assert found.p_value > one_tail.p_value


def test_holm_and_planning() -> None:
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([]) == []
    assert paired.detectable_effect(0.01) == pytest.approx(0.028016, abs=1e-6)
    # A margin of 2.8016 standard errors needs about the items there are; half of it four times as many.
    assert paired.items_needed(0.01, 100, 0.028016) == 101
    assert paired.items_needed(0.01, 100, 0.014008) in (400, 401)
    assert paired.items_needed(0.01, 100, 0.0) is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        paired.paired_difference([1.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="at least 2"):
        paired.paired_difference([1.0], [1.0])
    with pytest.raises(ValueError, match="finite"):
        paired.paired_difference([1.0, math.nan], [1.0, 0.0])


def test_joining() -> None:
    assert paired.join_keys(["a", "b", "a", "a"]) == ["a", "b", "a#1", "a#2"]
    assert paired.aligned(["a", "b", "c"], ["c", "a"], "t") == ([0, 2], [1, 0])
    with pytest.raises(UserError, match="share no item"):
        paired.aligned(["a"], ["b"], "t")
