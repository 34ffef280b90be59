"""Graders: by words, by classifiers of one, two and three classes, by embeddings, by a prompted model, a plug-in's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from probe_runs import metrics_of
from tiny_classifier import classifier

import evalkit
from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim
from evalkit.metrics.base import ScoringInput
from evalkit.probes.grading import finding
from evalkit.probes.grading.lexical import is_supported
from evalkit.probes.hallucination import outcome

SOURCE = (
    "Maren Holt opened a bakery in Tilsund in 1987. It is known for its rye bread. Sales rose in two of three years. "
    "The owner did not sell the house."
)


@pytest.mark.parametrize(
    ("text", "supported"),
    [
        ("Maren Holt opened a bakery in 1987, known for rye bread.", True),
        ("Maren Holt opened a bakery in Tilsund.", True),
        ("Sales rose in 2 of 3 years.", True),
        ("The owner didn't sell the house.", True),
        ("Maren Holt never opened a bakery.", False),
        ("Maren Holt didn’t open a bakery in Tilsund.", False),
        ("Maren Holt closed a bakery in Tilsund in 1987.", False),
        ("Nobody opened a bakery in Tilsund in 1987.", False),
        ("The owner sold the house. The owner did sell the house.", False),
        ("Sales fell in two of three years.", False),
        ("Maren Holt opened a bakery in 1986.", False),
        ("The bakery of Tilsund belongs to Otto.", False),
    ],
)
def test_what_the_lexical_grader_says(text: str, supported: bool) -> None:
    assert is_supported(text, SOURCE) is supported


CAPITAL = {
    "question": "Tokyo is the capital of Norway. On which continent does the capital of Norway lie?",
    "premise": "Tokyo is the capital of Norway",
    "truth": ["Oslo"],
    "answers": ["Europe"],
    "sound": False,
}
HAMLET = {
    "question": "The 2003 exhibition showed the manuscript of Hamlet by Leo Tolstoy. What is the surname of the person "
    "who wrote Hamlet?",
    "premise": "Leo Tolstoy wrote Hamlet",
    "truth": ["Shakespeare"],
    "answers": ["Shakespeare"],
    "sound": False,
}


@pytest.mark.parametrize(
    ("document", "reply", "expected"),
    [
        (CAPITAL, "Tokyo is not located on the continent of Europe.", "wrong"),
        (CAPITAL, "The capital of Norway is not in Europe.", "wrong"),
        (CAPITAL, "Norway is not a member of the European Union.", "wrong"),
        (CAPITAL, "Europe.", "wrong"),
        (CAPITAL, "Tokyo is not the capital of Norway.", "correct"),
        (CAPITAL, "Tokyo is the capital of Japan, not of Norway.", "correct"),
        (CAPITAL, "It isn't the capital of Norway; that is Oslo.", "correct"),
        (CAPITAL, "That is false.", "correct"),
        (CAPITAL, "Tokyo is not the capital of Norway. The capital of Norway is Bergen.", "wrong"),
        (CAPITAL, "The capital is not Oslo but Tokyo.", "wrong"),
        (CAPITAL, "I do not know.", "abstained"),
        (HAMLET, "It was actually written by Jane Austen.", "wrong"),
        (HAMLET, "No, it was written by Jane Austen.", "wrong"),
        (HAMLET, "In fact, it was in Moscow.", "wrong"),
        (HAMLET, "Tolstoy did not write Hamlet.", "correct"),
        (HAMLET, "It was written by Shakespeare.", "correct"),
        ({**CAPITAL, "sound": True, "premise": "Oslo is the capital of Norway"}, "Europe, not Asia.", "correct"),
        ({**CAPITAL, "sound": True, "premise": "Oslo is the capital of Norway"}, "Oslo is not its capital.", "wrong"),
    ],
)
def test_what_refutes_a_false_premise(document: dict[str, Any], reply: str, expected: str) -> None:
    found = outcome(ScoringInput(text=reply, document=document, target=document["answers"], args={"rule": "premise"}))
    assert found == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("There is no such country.", "abstained"),
        ("Teiquoleis does not exist.", "abstained"),
        ("No.", "abstained"),
        ("It was not Paris but Zorn.", "wrong"),
        ("The capital was never moved from Zorn.", "wrong"),
        ("It is actually Zorn.", "wrong"),
    ],
)
def test_what_says_that_a_thing_is_not_there(reply: str, expected: str) -> None:
    assert outcome(ScoringInput(text=reply, document={"real": False}, args={"rule": "entity"})) == expected


def test_classifiers_of_three_two_and_one_class(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    import transformers

    claim = Claim("the sea is blue .", "the hill is red")
    for labels, place in (
        (["contradiction", "neutral", "entailment"], 2),
        (["hallucinated", "consistent"], 1),
        (["entailment", "not_entailment"], 0),
    ):
        folder = classifier(tmp_path / "-".join(labels), labels)
        made = finding.grader("nli", {"model": str(folder), "device": "cpu"})
        (score,) = made.grade([claim])
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        with torch.inference_mode():
            logits = model(**tokenizer(claim.source, claim.text, return_tensors="pt")).logits[0].double()
        assert score == pytest.approx(float(logits.softmax(-1)[place]), abs=1e-5)
        assert made.identity.startswith(f"nli:{folder}@")
    unclear = str(classifier(tmp_path / "unclear", ["LABEL_0", "LABEL_1"]))
    with pytest.raises(UserError, match=r"which class of .* means that a text is supported"):
        finding.grader("nli", {"model": unclear})
    told = finding.grader("nli", {"model": unclear, "supported": 1, "device": "cpu"})
    assert told.identity.endswith("supported=1")
    single = str(classifier(tmp_path / "single", ["LABEL_0"]))
    (score,) = finding.grader("nli", {"model": single, "supported": 0, "device": "cpu"}).grade([claim])
    assert score is not None
    assert 0 < score < 1
    with pytest.raises(UserError, match="no argument 'sort'"):
        finding.grader("nli", {"model": single, "sort": 1})


def test_a_source_longer_than_the_window_is_read_in_pieces(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = str(classifier(tmp_path / "nli", ["contradiction", "neutral", "entailment"]))
    made = finding.grader("nli", {"model": folder, "device": "cpu"})
    pieces = ["the sea is blue .", "a hill is red .", "the hill is a hill ."] * 4
    (whole,) = made.grade([Claim(" ".join(pieces), "the sea is red .")])
    assert whole is not None
    assert made.grade([Claim("the sea " * 40, "the sea is red .")]) == [None]


def test_embeddings_of_words() -> None:
    pytest.importorskip("wordllama")
    made = finding.grader("embedding", {})
    near, far, nothing = made.grade(
        [
            Claim(SOURCE, "Maren Holt opened a bakery in Tilsund."),
            Claim(SOURCE, "Quantum computers factor large integers."),
            Claim(SOURCE, " ... "),
        ]
    )
    assert near is not None
    assert far is not None
    assert near > 0.5 > far
    assert nothing is None


def test_a_language_model_as_grader() -> None:
    args = {
        "model": "mock",
        "backend": "mock",
        "args": {"script": [{"match": "It is red", "prefer": "no"}, {"prefer": "yes"}]},
    }
    made = finding.grader("lm", args)
    scores = made.grade([Claim("The sea is blue.", "It is red."), Claim("The sea is blue.", "It is blue.")])
    assert [one is not None and one > 0.5 for one in scores] == [False, True]
    args["args"] = {"script": [{"match": "It is red", "text": "[[no]]"}, {"text": "[[yes]]"}]}
    written = finding.grader("lm", {**args, "written": True})
    assert written.grade([Claim("s", "It is red."), Claim("s", "It is fine.")]) == [0.0, 1.0]
    assert written.identity != made.identity
    with pytest.raises(UserError, match="which model"):
        finding.grader("lm", {})


def test_a_grader_of_a_plugin_in_a_probe() -> None:
    @evalkit.register_grader("coin")
    def coin(args: Any) -> Any:
        class Coin:
            identity = "coin:1"

            def grade(self, claims: Any) -> list[float | None]:
                return [float("good" in claim.text) for claim in claims]

        return Coin()

    try:
        assert finding.grader("coin", {}).grade([Claim("", "good")]) == [1.0]
        assert finding.told("coin:1") == "grader:coin:1|kappa:not validated"
    finally:
        registry.unregister(registry.GRADERS, "coin")
    with pytest.raises(UserError, match="unknown grader 'lexicla'; did you mean lexical"):
        finding.grader("lexicla", {})


def test_a_probe_says_by_which_grader_and_what_it_was_measured_at() -> None:
    found = metrics_of("summary_faithfulness", {"text": "Zelda Quark bought nine submarines in 1802."})
    assert found["hallucinated"] == 1.0
    assert finding.told("lexical:2").startswith("grader:lexical:2|kappa:0.")
