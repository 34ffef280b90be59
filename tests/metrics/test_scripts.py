"""Texts in scripts other than Latin, and numbers as people write them."""

from __future__ import annotations

import pytest

from evalkit.metrics import filters
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup
from evalkit.text.scripts import mostly_latin, words


def rouge(text: str, reference: str) -> list[float | None]:
    one = ScoringInput(target=reference, text=text)
    return [lookup(name, "generate").per_item(one) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")]  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["नमस्ते दुनिया, यह हिन्दी है।", "今天天气很好，我们去公园。", "これは日本語の文です。", "สวัสดีชาวโลก",
     "Привет, большой мир!", "مرحبا أيها العالم", "안녕하세요 세계 여러분", "γειά σου κόσμε", "שלום עולם גדול"],
)  # fmt: skip
def test_a_text_agrees_with_itself_in_every_script(text: str) -> None:
    assert rouge(text, text) == [1.0, 1.0, 1.0, 1.0]
    assert rouge("another text", text) == [0.0, 0.0, 0.0, 0.0]


def test_a_part_of_the_words_is_a_part_of_the_score() -> None:
    assert rouge("большой мир", "Привет большой мир")[0] == pytest.approx(2 * (1 * 2 / 3) / (1 + 2 / 3))
    assert rouge("天气", "天气很好")[0] == pytest.approx(2 * (1 * 0.5) / 1.5)


@pytest.mark.parametrize("text", ["The café's naïve señor", "Ça va très bien", "xin chào thế giới", "123", "", "a क"])
def test_latin_texts_are_left_to_rouge_score(text: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    assert mostly_latin(text)
    theirs = RougeScorer(["rouge1"], use_stemmer=True).score(text, "the cafes va chào 123")["rouge1"].fmeasure
    assert rouge("the cafes va chào 123", text)[0] == pytest.approx(theirs)


def test_words_keep_their_marks() -> None:
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]
    assert words("Größe e\u0301t\u0301e") == ["größe", "ét\u0301e"]
    assert words("東京2020年") == ["東", "京", "2020", "年"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("... so it costs $29.00.", "29"),
        ("#### 1,234", "1234"),
        ("it is 1,234,567.50 dollars", "1234567.5"),
        ("first 3, then 4", "4"),
        ("5-3 = 2, or −7", "-7"),
        ("20-5", "5"),
        ("(-8)", "-8"),
        ("x=-0.0", "-0"),
        ("€.50", "0.5"),
        ("half: .50", "0.5"),
        ("100%", "100"),
        ("007", "7"),
        ("**18**", "18"),
        ("$ 5", "5"),
        ("no number", "[invalid]"),
        ("", "[invalid]"),
        ("9" * 400, "9" * 400),
    ],
)
def test_the_last_number(text: str, number: str) -> None:
    assert filters.build("last_number")(text) == number


def test_gsm8k_takes_dollars_by_our_rule_and_leaves_lm_eval_s_beside_it() -> None:
    from evalkit.contract.types import Document, Response
    from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
    from evalkit.task import catalog

    spec = RunSpec(model=ModelSpec(name="mock"), tasks=(TaskSpec(name="gsm8k@sample"),))
    (task,) = catalog.resolve(spec).tasks
    document = Document(0, {"question": "How much?", "answer": "20 + 9 = 29\n#### 29"}, "0" * 64)
    scored = task.score(document, (), [Response(text="Twenty and nine, so it costs $29.00.")])
    assert scored.metrics["exact_match,last-number"] == 1.0
    assert scored.metrics["exact_match,flexible-extract"] == 0.0
