"""Tokenizers by the target language: BLEU's, TER's, ROUGE's; and what an item's metrics share."""

from __future__ import annotations

import pytest

from evalkit.contract.errors import UserError
from evalkit.metrics import rouge, translation
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import resolve
from evalkit.task.native import NativeTask


@pytest.mark.parametrize(
    ("tokenizer", "codes"),
    [
        ("zh", "zh zh-CN zh_TW zh-Hans zho zho_Hans zho_Hant chi cmn cmn-Hans yue_Hant yue ZH Chinese lzh"),
        ("ja-mecab", "ja jpn jpn_Jpan ja-JP ja_JP Japanese"),
        ("ko-mecab", "ko kor kor_Hang ko-KR Korean"),
        ("13a", "en deu_Latn de-CH fr nan_Latn cs rus_Cyrl tha_Thai jav_Latn kor_Latn zul"),
    ],
)
def test_codes_of_a_language_are_one_language(tokenizer: str, codes: str) -> None:
    for code in codes.split():
        assert translation.tokenizer_of({"target_language": code}) == tokenizer, code
    assert translation.tokenizer_of({"target_language": "ja", "tokenize": "char"}) == "char"
    assert translation.tokenizer_of({}) == "13a"


@pytest.mark.parametrize(
    ("language", "answer", "reference"),
    [
        ("zh", "我们去公园散步。", "我们到公园去散步。"),
        ("jpn", "昨日、東京に行きました。", "昨日は東京へ行きました。"),
        ("zho_Hant", "天氣很好", "今天天氣很好"),
    ],
)
def test_ter_of_chinese_and_japanese_is_sacrebleu_s_with_asian_support(
    language: str, answer: str, reference: str
) -> None:
    from sacrebleu.metrics import TER

    ter, args = lookup("ter", "generate"), {"target_language": language}
    theirs = TER(normalized=True, asian_support=True).corpus_score([answer], [[reference]])
    item = ScoringInput(text=answer, target=[reference], args=args)
    found = aggregate(ter, [ter.per_item(item)], args=args)
    assert found.value == pytest.approx(theirs.score)
    # without it a sentence is one word, and any difference costs all of it
    plain = ter.per_item(ScoringInput(text=answer, target=[reference], args={"target_language": "en"}))
    assert isinstance(plain, tuple)
    assert plain[:2] == (1.0, 1.0)
    assert found.value < 100
    assert "|norm:yes|" in found.signature
    assert "|asian:yes|" in found.signature


@pytest.mark.parametrize("language", ["en", "ko", None])
def test_ter_of_other_languages_stays(language: str | None) -> None:
    from sacrebleu.metrics import TER

    answer, reference = "the cat sat, on a mat.", "The cat sat on the mat."
    args = {} if language is None else {"target_language": language}
    ter = lookup("ter", "generate")
    found = aggregate(ter, [ter.per_item(ScoringInput(text=answer, target=[reference], args=args))], args=args)
    assert found.value == pytest.approx(TER().corpus_score([answer], [[reference]]).score)
    assert "|asian:no|" in found.signature


def test_a_metric_that_is_asked_for_speaks_the_task_s_language() -> None:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name="wmt20:en-zh"),), metrics=("ter", "rouge1"))
    (task,) = resolve(spec).tasks
    assert isinstance(task, NativeTask)
    entries = {one.metric: one.args for one in task.definition.metrics}
    assert entries["bleu"] == entries["ter"] == {"target_language": "zh"}
    assert entries["rouge1"] == {}


def test_rouge_names_its_tokenizer() -> None:
    metric = lookup("rouge1", "generate")
    one = ScoringInput(text="天气", target="天气很好")
    assert "|tok:by-script|stem:yes|rouge-score:" in aggregate(metric, [metric.per_item(one)]).signature
    args = {"tokenizer": "rouge-score"}
    forced = ScoringInput(text="天气", target="天气很好", args=args)
    found = aggregate(metric, [metric.per_item(forced)], args=args)
    assert (found.value, "|tok:rouge-score|" in found.signature) == (0.0, True)
    latin = {"tokenizer": "scripts", "stemmer": False}
    # rouge-score's own would split the word at its accent
    assert metric.per_item(ScoringInput(text="café", target="caf", args=latin)) == 0.0
    assert metric.per_item(ScoringInput(text="café", target="caf", args={"stemmer": False})) == 1.0
    assert metric.prepare is not None
    with pytest.raises(UserError, match="tokenizer is 'moses'; choose one of by-script, rouge-score, scripts"):
        metric.prepare({"tokenizer": "moses"})


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[str]:
    """The calls of a method, which does its work."""
    calls: list[str] = []
    original = getattr(owner, name)

    def method(self: object, *args: object, **more: object) -> object:
        calls.append(type(self).__name__)
        return original(self, *args, **more)

    monkeypatch.setattr(owner, name, method)
    return calls


def test_metrics_of_one_item_share_their_work(monkeypatch: pytest.MonkeyPatch) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.base import Metric

    rouges = counted(monkeypatch, RougeScorer, "score_multi")
    extractions = counted(monkeypatch, Metric, "_extract_corpus_statistics")
    names = (*rouge.ROUGE, "bleu", "chrf", "chrf_plus_plus")
    item = ScoringInput(text="the cat sat", target=["the cat sat down"])
    for name in names * 2:
        assert lookup(name, "generate").per_item(item) is not None
    assert (len(rouges), extractions) == (1, ["BLEU", "CHRF"])


@pytest.mark.parametrize("references", [["the cat sat down"], ["a dog", "the cats were sitting", "the cat sat, down"]])
def test_chrf_and_chrf_plus_plus_are_sacrebleu_s(references: list[str]) -> None:
    from sacrebleu.metrics import CHRF

    item = ScoringInput(text="the cat was sitting down", target=references)
    for name, words in (("chrf", 0), ("chrf_plus_plus", 2)):
        metric = lookup(name, "generate")
        theirs = CHRF(word_order=words).corpus_score([str(item.text)], [[one] for one in references])
        assert aggregate(metric, [metric.per_item(item)]).value == pytest.approx(theirs.score, abs=1e-9)
