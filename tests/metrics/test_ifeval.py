"""IFEval's 25 kinds of instructions: rules of ours, and lm-eval's verdicts on the same answers."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.data.rows import read
from evalkit.metrics import splitting
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup
from evalkit.metrics.ifeval import variants, verdicts
from evalkit.metrics.instructions import KINDS, follows
from evalkit.store.paths import share

NAMES = [f"{level}_level_{how}_acc" for how in ("strict", "loose") for level in ("prompt", "inst")]
ANSWERS = Path(__file__).parent / "ifeval_answers.jsonl"
"""What SmolLM2-135M-Instruct answered to the first 100 prompts of the mirror, by its chat template, 160 tokens each."""
SAMPLE = share("tasks") / "ifeval" / "sample.jsonl"


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    """nltk, its sentence splitter and langdetect; the tests are skipped where one is missing."""
    try:
        splitting.sentence_splitter()
        splitting.require_languages()
    except UserError as error:
        pytest.skip(str(error))


CASES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2},
     ["DANGER: the ICE is thin."], ["DANGER: the ice is thin."]),
    ("change_case:english_capital", {}, ["THE CONCERT BEGINS AT EIGHT IN THE OLD TOWN HALL."],
     ["The CONCERT begins.", "DAS KONZERT BEGINNT HEUTE ABEND UM ACHT UHR IM RATHAUS."]),
    ("change_case:english_lowercase", {}, ["the cat is lost and we are looking for it."], ["The cat is lost."]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Write a limerick. "},
     ["  write a LIMERICK. There was"], ["Sure! Write a limerick. There was"]),
    ("combination:two_responses", {}, ["a ****** b", "******a******b******"], ["a", "a****** ******b", "a ****** a"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[a] [b]", "[[a] and []"], ["[a\n]", "[a]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Bye.\np. s. more", "x P.S. y"], ["PS: more"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["p.p.s more"], ["P.S. more"]),
    ("detectable_format:constrained_response", {}, ["Well. My answer is no."], ["My answer is No."]),
    ("detectable_format:json_format", {}, ['{"a": [1]}', '```json\n{"a": 1}\n```', "3"], ["{'a': 1}", "[" * 9999]),
    ("detectable_format:multiple_sections", {"section_spliter": "Day ", "num_sections": 2},
     ["Day 1 walk Day 2 rest", "Day1Day2"], ["day 1 day 2", "Day one Day two"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2},
     ["* a\n\n  - b", "*\nb\n* c", "a\n- b\n---"], ["* a", "** a\n* b", "* a\n* b\n* c", "*"]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     ["*a* *b*", "*a* **b**"], ["**a**", "* * **"]),
    ("detectable_format:title", {}, ["<<a>>", "x <<>> <<a>>"], ["<<>>", "<< >>", "<<a\n>>", "<<a>"]),
    ("keywords:existence", {"keywords": ["rope", "sea"]}, ["Ropes overSEAs"], ["rope"]),
    ("keywords:forbidden_words", {"forbidden_words": ["wet"]}, ["wetter"], ["It is Wet."]),
    ("keywords:frequency", {"keyword": " stall ", "frequency": 2, "relation": "less than"},
     ["Stall"], ["a stalls stall"]),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": "at least"}, ["q Q"], ["q"]),
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 2, "let_relation": "at least"}, ["# #"], ["#"]),
    ("language:response_language", {"language": "de"}, ["Das ist ein langer deutscher Satz über das Wetter.", "12345"],
     ["This is a long sentence about the weather."]),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Stones"},
     ["a\n\nstones, b", "a\n\n'\"Stones' b"], ["a\n\nstone b", "a\n\nx\n\nstones b", "a\n\n\n\nstones"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, ["a *** b", "***a***b***"], ["a", "a***  ***b"]),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"},
     ["Dr. Ash met Mr. Lee at 3 p.m. They spoke."], ["One. Two. Three."]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["it's so"], ["so so"]),
    ("punctuation:no_comma", {}, ["a; b"], ["a, b"]),
    ("startend:end_checker", {"end_phrase": "Good night."}, ['so "good NIGHT."'], ["Good night. Bye"]),
    ("startend:quotation", {}, [' "a" '], ['"', '"a', "“a”"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "args", "followed", "not_followed"), CASES)
def test_a_kind(kind: str, args: dict[str, Any], followed: list[str], not_followed: list[str]) -> None:
    assert [one for one in followed if not follows(kind, one, args)] == []
    assert [one for one in [*not_followed, "", " \n"] if follows(kind, one, args)] == []


def test_every_kind_has_a_case_and_a_bundled_item() -> None:
    assert len(KINDS) == 25
    assert {kind for kind, *_ in CASES} == set(KINDS)
    assert {kind for row in read(SAMPLE) for kind in row["instruction_id_list"]} == set(KINDS)


def test_loosely_lines_and_asterisks_go() -> None:
    assert variants("Sure:\n*a*\nb") == (
        "Sure:\n*a*\nb",
        "*a*\nb",
        "Sure:\n*a*",
        "*a*",
        "Sure:\na\nb",
        "a\nb",
        "Sure:\na",
        "a",
    )
    document = {"instruction_id_list": ["startend:quotation", "punctuation:no_comma"], "kwargs": [{"x": None}, None]}
    item = ScoringInput(text='Here you are:\n"a"', document=document)
    found = {name: lookup(f"ifeval.{name}", "generate").per_item(item) for name in NAMES}
    assert found == {
        "prompt_level_strict_acc": 0.0, "inst_level_strict_acc": (1.0, 2.0),
        "prompt_level_loose_acc": 1.0, "inst_level_loose_acc": (2.0, 2.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"instruction_id_list": ["a:b"], "kwargs": [{}]}, "knows no instruction 'a:b'"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{}]}, "arguments {} do not fit"),
        ({"instruction_id_list": ["keywords:existence"], "kwargs": [{"keywords": ["("]}]}, "do not fit"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}, "as many"),
        ({}, "instruction_id_list"),
    ],
)
def test_items_that_make_no_sense_are_told(document: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said.replace("{", r"\{").replace("}", r"\}")):
        verdicts("text", document, False)


def test_no_rule_reads_a_text_twice() -> None:
    """Texts on which a pattern that tries again from each place would take minutes."""
    args: dict[str, Any] = {}
    for _, given, *_ in CASES:
        args |= given
    for piece in ("\n", " \n", "[", "<<", "*", "* ", "***", "-", "p.", "a", "\n\n", "```", '"', "Day ", "1"):
        text = piece * (60_000 // len(piece))
        for kind in set(KINDS) - {"length_constraints:number_sentences", "change_case:capital_word_frequency"}:
            follows(kind, text, args)


SENTENCES = {
    "de": "Das ist ein langer deutscher Satz über das Wetter.", "ru": "Это длинное русское предложение о погоде.",
    "hi": "यह मौसम के बारे में एक लंबा वाक्य है।", "fi": "Tämä on pitkä suomenkielinen lause säästä.",
}  # fmt: skip


def many(count: int, relation: str) -> int:
    """A count that fits the relation."""
    return count if relation == "at least" else max(1, count - 1)


FOLLOWING: dict[str, Callable[[dict[str, Any]], str]] = {
    "change_case:english_capital": lambda args: "ALL OF THIS IS WRITTEN IN CAPITAL LETTERS TODAY",
    "detectable_format:constrained_response": lambda args: "My answer is maybe.",
    "detectable_format:json_format": lambda args: '```json\n{"a": 1}\n```',
    "detectable_format:multiple_sections": lambda args: " ".join(
        f"{args['section_spliter']} {n} text" for n in range(args["num_sections"])
    ),
    "detectable_format:number_bullet_lists": lambda args: "\n".join(["* a"] * args["num_bullets"]),
    "detectable_format:number_highlighted_sections": lambda args: "*a* " * args["num_highlights"],
    "detectable_format:title": lambda args: "<<A title>>",
    "language:response_language": lambda args: SENTENCES.get(args["language"], "text"),
    "length_constraints:nth_paragraph_first_word": lambda args: "\n\n".join(
        [f"{args['first_word']}, text"] * args["num_paragraphs"]
    ),
    "length_constraints:number_paragraphs": lambda args: " *** ".join(["a"] * args["num_paragraphs"]),
    "startend:end_checker": lambda args: f"That is all. {args['end_phrase']}",
    "startend:quotation": lambda args: '"All of it."',
    "change_case:capital_word_frequency": lambda args: (
        "WORD " * many(args["capital_frequency"], args["capital_relation"])
    ),
    "change_case:english_lowercase": lambda args: "this sentence is written in small letters and in english",
    "combination:repeat_prompt": lambda args: f"{args['prompt_to_repeat']} Done.",
    "combination:two_responses": lambda args: "a ****** b",
    "detectable_content:number_placeholders": lambda args: "[a] " * args["num_placeholders"],
    "detectable_content:postscript": lambda args: f"Bye.\n{args['postscript_marker']} More",
    "keywords:existence": lambda args: " ".join(args["keywords"]),
    "keywords:forbidden_words": lambda args: "A plain text.",
    "keywords:frequency": lambda args: f"{args['keyword']} " * many(args["frequency"], args["relation"]),
    "keywords:letter_frequency": lambda args: args["letter"] * many(args["let_frequency"], args["let_relation"]) + "1",
    "length_constraints:number_sentences": lambda args: "So it is. " * many(args["num_sentences"], args["relation"]),
    "length_constraints:number_words": lambda args: "word " * many(args["num_words"], args["relation"]),
    "punctuation:no_comma": lambda args: "A plain text.",
}
"""An answer that follows, by the kind."""


def scripted(rows: list[dict[str, Any]], seed: int = 5) -> list[tuple[dict[str, Any], str]]:
    """Answers put together of what the instructions are about, so that each kind is followed and broken."""
    rng = random.Random(seed)
    pieces = [
        "The harbour is quiet tonight.", "HELLO THERE, my friend!", "It's 5 p.m. in the U.S. now; Dr. Ash waits...",
        "* one\n* two", "- three\n\n- four", "*\nfive", "**bold** and *soft*", "<<A title>>", "***", "******", "[name]",
        "[a [b]", "P.S. more", "P.P.S more", '{"a": 1}', "```json\n[1, 2]\n```", "My answer is maybe.", "Day 1 rest",
        "SECTION 2 more", "\n\n", "\n", "das ist ein deutscher Satz über den Hafen.", "это предложение о море.",
        "all of this is written in small letters", "ALL OF THIS IS WRITTEN IN CAPITAL LETTERS", '"', "12 34",
        "Is there anything else I can help with?", "q q Q j", "culture", "what a day",
    ]  # fmt: skip
    found = []
    for place, kind in enumerate(sorted(KINDS) * 4):  # each kind four times
        row = rng.choice([one for one in rows if kind in one["instruction_id_list"]])
        own = [str(value) for given in row["kwargs"] for value in given.values() if isinstance(value, str)]
        own += [
            word for given in row["kwargs"] for words in given.values() if isinstance(words, list) for word in words
        ]
        parts = rng.choices([*pieces, *own, *own], k=rng.choice((1, 2, 4, 12, 40)))
        text = rng.choice((" ", "\n", "\n\n")).join(parts)
        args = dict(zip(row["instruction_id_list"], row["kwargs"], strict=True))
        if place < len(KINDS):
            found.append((row, FOLLOWING[kind](args[kind])))
            continue
        if rng.random() < 0.2:
            text = rng.choice((text.lower(), text.upper()))
        elif rng.random() < 0.2:
            text = f'"{text}"'
        elif own and rng.random() < 0.3:
            text = f"{own[0]} {text} {own[-1]}"
        found.append((row, rng.choice((text, text.replace(",", ""), f"Sure:\n{text}"))))
    return found


@pytest.mark.mirror
@pytest.mark.lm_eval
@pytest.mark.parametrize("kind", ["a model's", "scripted"])
def test_verdicts_are_lm_evals(kind: str, mirror: Path) -> None:
    langdetect = pytest.importorskip("langdetect")
    pytest.importorskip("immutabledict")
    langdetect.DetectorFactory.seed = 0
    from lm_eval.tasks.ifeval import utils

    rows = read(mirror / "google" / "IFEval" / "default" / "train.jsonl")
    by_key = {row["key"]: row for row in rows}
    pairs = scripted(rows) if kind == "scripted" else [(by_key[one["key"]], one["answer"]) for one in read(ANSWERS)]
    assert len(pairs) == 100
    seen: Counter[tuple[str, bool]] = Counter()
    for row, text in pairs:
        theirs = utils.process_results(row, [text])
        strict, loose = (verdicts(text, row, one) for one in (False, True))
        assert [list(strict), list(loose)] == [theirs["inst_level_strict_acc"], theirs["inst_level_loose_acc"]], text
        seen.update(zip(row["instruction_id_list"], strict, strict=True))
    followed, broken = ({name for name, said in seen if said == way} for way in (True, False))
    least = (25, 24) if kind == "scripted" else (14, 15)
    assert len(followed) >= least[0], json.dumps(sorted(set(KINDS) - followed))
    assert len(broken) >= least[1], json.dumps(sorted(set(KINDS) - broken))
