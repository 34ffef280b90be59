"""The five metrics of the E2E NLG challenge against its own script, and what gathers the references of one input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evalkit
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.captions import meteor_of
from evalkit.metrics.finding import combine_of, lookup

ITEMS = [
    (
        "Copper Kettle is a coffee shop in the centre of the city.",
        [
            "Copper Kettle is a coffee shop in the city centre.",
            "In the city centre there is a coffee shop called Copper Kettle.",
        ],
    ),
    (
        "Lantern House is a Chinese restaurant near Town Hall, meals cost £20-25.",
        [
            "Lantern House is a Chinese restaurant near the Town Hall with meals for £20-25.",
            "Near the Town Hall, Lantern House serves Chinese meals for 20 to 25 pounds.",
            "Lantern House (Chinese) is near the Town Hall.",
        ],
    ),
    (
        "Green Fork is not child-friendly",
        ["Green Fork is an expensive Indian restaurant with an average rating. It isn't child-friendly."],
    ),
    (
        "The pub Blue Anchor serves cheap fast food downtown.",
        [
            "Blue Anchor is a cheap pub with fast food in the city centre.",
            "In the city centre you get cheap fast food at a pub named Blue Anchor.",
        ],
    ),
    (
        "Willow Room has good ratings; families love it!",
        [
            "Willow Room is a family friendly coffee shop with English food and a high rating.",
            "Highly rated and good for families, the coffee shop Willow Room serves English food.",
        ],
    ),
]
LOWER = {"lowercase": True}
GOLDEN = json.loads((Path(__file__).parent / "e2e_golden.json").read_text("utf-8"))
"""Printed for ITEMS by the functions of tuetschek/e2e-metrics: its pymteval, and pycocoevalcap 1.2 with Java 17."""


def inputs() -> list[ScoringInput]:
    return [ScoringInput(text=answer, target=references, args=LOWER) for answer, references in ITEMS]


def test_bleu_and_nist_are_those_of_the_challenge() -> None:
    bleu, nist = lookup("bleu", "generate"), lookup("nist", "generate")
    found = aggregate(bleu, [bleu.per_item(one) for one in inputs()], args=LOWER)
    assert found.value == pytest.approx(100 * GOLDEN["bleu"], abs=1e-9)
    found = aggregate(nist, [], samples=inputs())
    assert found.value == pytest.approx(GOLDEN["nist"], abs=1e-9)
    assert found.interval is not None
    assert combine_of("nist").name == ""
    # A blank answer scores nothing, and no answer at all is no number.
    assert aggregate(nist, [], samples=[ScoringInput(text="", target=["A pub."])]).value == 0
    assert aggregate(nist, []).value is None


def test_nist_is_nltks_where_there_is_one_reference() -> None:
    from nltk.translate.nist_score import corpus_nist

    from evalkit.metrics.nist import tokenized

    single = [ScoringInput(text=answer, target=references[:1]) for answer, references in ITEMS]
    peer = corpus_nist([[tokenized(one[0])] for _, one in ITEMS], [tokenized(answer) for answer, _ in ITEMS], n=5)
    assert aggregate(lookup("nist", "generate"), [], samples=single).value == pytest.approx(peer, abs=1e-9)


@pytest.mark.slow
def test_captions_metrics_are_those_of_the_challenge() -> None:
    pytest.importorskip("pycocoevalcap")
    for name, key in (("cider", "cider"), ("coco_rouge_l", "rouge_l"), ("meteor_1_5", "meteor")):
        metric = lookup(name, "generate")
        try:
            assert metric.prepare is not None
            metric.prepare({})
        except UserError as error:
            pytest.skip(str(error))
        assert metric.all_items is not None
        values = metric.all_items(inputs(), {})
        assert not isinstance(values, float)
        per_item = [meteor_of(value) if name == "meteor_1_5" else value for value in values]
        assert per_item == pytest.approx(GOLDEN[f"{key}_items"], abs=1e-9)
        assert metric.joined.value(list(values)) == pytest.approx(GOLDEN[key], abs=1e-9)
        assert metric.describe is not None
        assert metric.describe({}, values) == "case:lc|tok:ptb-3.4.1"


def test_cider_and_rouge_without_java() -> None:
    args = {"tokenize": "13a"}
    same = [ScoringInput(text=references[0], target=references[:1]) for _, references in ITEMS]
    assert aggregate(lookup("coco_rouge_l", "generate"), [], samples=same, args=args).value == pytest.approx(1)
    found = aggregate(lookup("cider", "generate"), [], samples=same, args=args)
    assert found.value == pytest.approx(10)
    assert "tok:13a" in found.signature
    with pytest.raises(UserError, match="choose one of ptb, 13a"):
        lookup("cider", "generate").prepare({"tokenize": "words"})  # type: ignore[misc]


def test_without_the_package_or_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = lookup("meteor_1_5", "generate").prepare
    assert prepare is not None
    monkeypatch.setattr("evalkit.metrics.java_words.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"meteor_1_5 needs .*pycocoevalcap.*\[captions\]"):
        prepare({})


def test_rows_of_one_input_are_one_document(tmp_path: Path) -> None:
    folder = tmp_path / "tuetschek" / "e2e_nlg" / "default"
    folder.mkdir(parents=True)
    rows = [
        {"meaning_representation": "name[A]", "human_reference": "A."},
        {"meaning_representation": "name[B]", "human_reference": "B."},
        {"meaning_representation": "name[A]", "human_reference": "It is A."},
    ]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    run = evalkit.evaluate("mock", "e2e_nlg", data_dir=tmp_path, output=tmp_path / "run", progress=False)
    targets = list(run.samples("e2e_nlg")["target"])
    assert targets == [["A.", "It is A."], ["B."]]
    (folder / "test.jsonl").write_text('{"mr": "name[A]", "human_reference": "A."}\n', "utf-8")
    with pytest.raises(UserError, match="row 1: the field 'meaning_representation' is missing, by which dataset"):
        evalkit.evaluate("mock", "e2e_nlg", data_dir=tmp_path, output=tmp_path / "other", progress=False)
