"""RULER's thirteen tasks: templates beside lm-eval's, counts, lengths in tokens, scores, scripted models."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from probe_runs import metrics_of

from evalkit.backends import mock
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle, Response
from evalkit.data import open_source
from evalkit.probes import windows
from evalkit.probes.ruler import hidden
from evalkit.probes.ruler.task import RulerTask, Settings, matched
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.task.catalog import Catalog, resolve

pytest.importorskip("wonderwords", reason="needs wonderwords (pip install 'evalkit-harness[ruler]')")
ESSAY = hidden.Materials(tuple(f"This is sentence number {place} of the text." for place in range(900)))
QUESTIONS = hidden.Materials(
    (),
    tuple(
        hidden.Question(f"Who lives in house {n}?", (f"Mr {n}", f"{n}"), own=(n,), near=(n + 1,)) for n in range(5)
    ),
    tuple(f"In house {place} lives Mr {place}. It is a house like any other house." for place in range(60)),
)  # fmt: skip


class Given:
    """A source whose rows a test gives."""

    name = "given"

    def load(self, dataset, split):
        if dataset.id.startswith("baber"):
            return [{"text": " ".join(ESSAY.essay)}]
        if dataset.id.startswith("rajpurkar"):
            return [
                {"title": f"t{n % 3}", "context": text, "question": f"q{n}", "answers": {"text": [f"Mr {n}"] * 2}}
                for n, text in enumerate(QUESTIONS.documents)
            ]
        return [
            {
                "question": "q",
                "answer": "a",
                "context": {"title": [f"t{n}", "s"], "sentences": [[f"One {n}. " * 9, "Two."], ["x"]]},
            }
            for n in range(40)
        ]


def asked(kind: str, **more):
    model = mock.load(ModelSpec(name="mock", backend="mock", args={"tokenizer": "word"}), EngineSpec())
    task = RulerTask(f"ruler:{kind}", kind, Settings(**{"lengths": (1024, 2048), "n": 3, **more}))
    documents = task.documents(Given())
    style = PromptStyle(encode=model.encode, max_length=4096)
    return model, task, documents, list(task.requests(documents, style))


@pytest.mark.parametrize("kind", list(hidden.DEFINITIONS))
def test_every_prompt_leaves_room_for_its_answer_and_little_more(kind):
    definition = hidden.DEFINITIONS[kind]
    model, _, documents, made = asked(kind)
    for document, requests in zip(documents, made, strict=True):
        (request,) = requests
        tokens = len(model.encode([request.context])[0])
        room = document.data["length"] - definition.tokens
        assert (tokens <= room, request.max_tokens) == (True, definition.tokens)
        assert tokens > (0.9 if kind in ("fwe", "cwe") else 0.95) * room
        assert requests.note["tokens"] == tokens
        assert request.context.rstrip().endswith((":", "is", "are"))


def made_of(kind: str, units: int, length: int = 4096) -> tuple[hidden.Made, str]:
    materials = hidden.Materials(ESSAY.essay, QUESTIONS.questions, QUESTIONS.documents)
    made = hidden.DEFINITIONS[kind].make(random.Random(5), materials, 0, length)
    return made, made.write(units)


@pytest.mark.parametrize(
    ("kind", "needles", "answers", "value"),
    [
        ("niah_single_1", 1, 1, r"\d{7}"),
        ("niah_single_2", 1, 1, r"\d{7}"),
        ("niah_single_3", 1, 1, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("niah_multikey_1", 4, 1, r"\d{7}"),
        ("niah_multikey_2", 101, 1, r"\d{7}"),
        ("niah_multikey_3", 101, 1, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("niah_multivalue", 4, 4, r"\d{7}"),
        ("niah_multiquery", 4, 4, r"\d{7}"),
    ],
)
def test_needles_are_as_many_and_of_the_kind_that_ruler_has(kind, needles, answers, value):
    made, text = made_of(kind, 100 if "multikey_2" in kind or "multikey_3" in kind else 2000)
    assert text.count("One of the special magic ") == needles
    assert len(made.answers) == answers
    assert all(re.fullmatch(value, answer) and f"is: {answer}." in text for answer in made.answers)
    keys = re.findall(r"One of the special magic \w+ for (\S+) is:", text)
    assert len(set(keys)) == {"niah_multivalue": 1}.get(kind, needles)


def test_variables_are_five_through_four_hops_and_shown_by_an_example():
    made, text = made_of("vt", 60)
    assert len(made.answers) == 5
    value = re.search(r"assigned the value (\d{5})", text)[1]
    assert f"VAR {made.answers[0]} = {value}" in text
    for before, after in zip(made.answers, made.answers[1:], strict=False):
        assert text.index(f"VAR {after} = VAR {before}") > text.index(f"VAR {before} =")
    example = made.example(lambda text: len(text) // 4)
    assert 380 < len(example) // 4 <= 470
    assert re.search(r"they are: [A-Z]{3}( [A-Z]{3}){4}\n\n$", example)


@pytest.mark.parametrize(("length", "often", "seldom"), [(4096, 30, 3), (2048, 6, 1)])
def test_common_words_come_up_as_often_as_ruler_says(length, often, seldom):
    made, text = made_of("cwe", 50, length)
    listed = re.findall(r"\d+\. (.+?)(?= \d+\. |\n)", text.split("Answer:")[1].split("\n", 1)[1])
    counts = Counter(listed)
    assert {counts[word] for word in made.answers} == {often}
    assert len(made.answers) == 10
    assert Counter(counts.values())[seldom] == 40
    assert "Answer: The top 10 words that appear most often in the list are:1. " in text, "its example is there"


def test_frequent_words_follow_zipfs_law():
    made, text = made_of("fwe", 3000)
    counts = Counter(text.split("coded words. ")[1].split("\n")[0].split())
    first, *rest = [count for _, count in counts.most_common(4)]
    assert counts["..."] == first == int(3000 * 0.6079271)
    assert [counts[word] for word in made.answers] == rest == [int(3000 * 0.6079271 / k**2) for k in (2, 3, 4)]


def test_questions_have_their_document_and_then_those_of_their_article():
    made, text = made_of("qa_1", 1)
    assert text.count("\nDocument ") == 1
    assert "Mr 0" in text
    _, text = made_of("qa_1", 2)
    assert "In house 1 lives" in text
    assert made.most == 60


def test_hotpots_questions_stand_among_all_their_paragraphs():
    """On rows in HotpotQA's form: the set itself is in no mirror of ours. Ten paragraphs a question, as in its setting
    with distractors, titles before them, as RULER writes them.
    """

    class Hotpot:
        name = "given"

        def load(self, dataset, split):
            assert (dataset.id, dataset.config, split) == ("hotpotqa/hotpot_qa", "distractor", "validation")
            return [
                {
                    "question": f"Who lives at the end of street {number}?",
                    "answer": f"Mr {number}",
                    "context": {
                        "title": [f"House {number}.{place}" for place in range(10)],
                        "sentences": [[f"House {number} is tall.", f" In it lives Mr {number}."]] * 10,
                    },
                }
                for number in range(9)
            ]

    model = mock.load(ModelSpec(name="mock", backend="mock", args={"tokenizer": "word"}), EngineSpec())
    task = RulerTask("ruler:qa_2", "qa_2", Settings(lengths=(512, 1024), n=3))
    documents = task.documents(Hotpot())
    made = list(task.requests(documents, PromptStyle(encode=model.encode, max_length=4096)))
    assert len(made) == 6
    for document, requests in zip(documents, made, strict=True):
        (request,) = requests
        number = re.search(r"end of street (\d)\?", request.context)[1]
        for place in range(10):
            assert f"House {number}.{place}\nHouse {number} is tall. In it lives Mr {number}." in request.context
        for reply, score in ((f"It is Mr {number}.", 1), ("Nobody.", 0)):
            assert set(task.score(document, requests, [Response(text=reply)]).metrics.values()) == {score}


def test_templates_are_lm_evals(monkeypatch):
    nltk = pytest.importorskip("nltk")
    pytest.importorskip("lm_eval")
    monkeypatch.setattr(nltk.data, "find", lambda *given: None)  # its sentence splitter is fetched on import
    few = {"nouns": ["cat"], "adjectives": ["red", "new", "old", "big"], "verbs": ["go"]}
    few |= {"noun": few["nouns"], "adjective": few["adjectives"], "verb": few["verbs"]}
    # Its words are all pairs, six million of them.
    monkeypatch.setattr("wonderwords.RandomWord", type("Few", (), {"_categories": few}))
    cwe = pytest.importorskip("lm_eval.tasks.ruler.cwe_utils")
    from lm_eval.tasks.ruler import fwe_utils, niah_utils, prepare_niah, qa_utils, vt_utils

    assert cwe.CONFIG["template"] == hidden.COMMON
    assert cwe.CONFIG["answer_prefix"].strip() == hidden.COMMON_ARE
    assert fwe_utils.CONFIG["template"] == hidden.FREQUENT
    assert fwe_utils.CONFIG["answer_prefix"].strip() == hidden.FREQUENT_ARE
    assert qa_utils.TEMPLATE == hidden.DOCUMENTS
    tracking = vt_utils.CONFIG["variable_tracking"]
    assert tracking["template"].replace("{query}", "{value}") == hidden.TRACKING
    theirs = tracking["answer_prefix"].strip().replace("{query}", "{value}").replace("{num_v}", "{count}")
    assert theirs == hidden.TRACKED
    for module, kind in ((cwe, "cwe"), (fwe_utils, "fwe"), (qa_utils, "qa_1")):
        assert module.CONFIG["tokens_to_generate"] == hidden.DEFINITIONS[kind].tokens
    assert tracking["tokens_to_generate"] == hidden.DEFINITIONS["vt"].tokens
    text, answers, query = prepare_niah.generate_input_output(
        30, hidden.NOISE, type_haystack="repeat", num_needle_k=1, type_needle_k="words", num_needle_v=1,
        type_needle_v="numbers", template=niah_utils.TEMPLATE, random_seed=1,
    )  # fmt: skip
    made, ours = made_of("niah_single_1", 30)
    key = re.search(r"magic number for (\S+) mentioned", ours)[1]
    swapped = ours.replace(key, query).replace(made.answers[0], answers[0])
    assert sorted(swapped.split("\n")) == sorted(text.split("\n"))
    text, _, query = prepare_niah.generate_input_output(
        30, hidden.NOISE, type_haystack="repeat", num_needle_k=4, type_needle_k="words", num_needle_v=1,
        type_needle_v="numbers", template=niah_utils.TEMPLATE, num_needle_q=4, random_seed=1,
    )  # fmt: skip
    assert text.startswith(hidden.SOME.format(kind="numbers", context="", query="").split("\n")[0])
    assert text.endswith(hidden.SOME.split("\n")[-1].format(kind="numbers", query=query))


def test_scores_are_rulers():
    assert matched("the values are 12 and AB", ["12", "ab", "7"], False) == pytest.approx(2 / 3)
    assert matched("It is Paris.", ["paris", "Paris, France"], True) == 1
    assert matched("", ["x"], False) == 0


@pytest.mark.parametrize("kind", ["niah_single_1", "niah_multikey_2", "vt", "cwe", "fwe"])
def test_scripted_models_land_where_they_must(kind):
    name = f"ruler:{kind}:lengths=1024+2048:n=4"
    for text in ("", "I do not know.", "42"):
        found = metrics_of(name, {"text": text}, tokenizer="word", sample=False)
        assert (found["score"], found["effective_length"]) == (0, 0)
    _, task, documents, made = asked(kind, n=4)
    samples = [
        task.score(document, requests, [Response(text=", ".join(requests.note["answers"]))])
        for document, requests in zip(documents, made, strict=True)
    ]
    found = {metric.name: metric for metric in task.summarize(samples)}
    assert found["score"].value == found["score_1024"].value == 1
    assert found["effective_length"].value == 2048
    assert found["score"].clusters == 4


def test_what_cannot_be_filled_or_does_not_fit_is_left_out_and_says_why():
    _, task, documents, made = asked("qa_1", lengths=(256, 512, 4096, 8192), n=1)
    said = [
        task.score(document, requests, ()).error if not requests else ""
        for document, requests in zip(documents, made, strict=True)
    ]
    assert said[2].startswith("all there is to fill 4096 tokens with makes")
    assert "window of 4096" in said[3]
    _, task, documents, made = asked("cwe", lengths=(256,), n=1)
    assert "too few" in task.score(documents[0], made[0], ()).error


def test_lengths_follow_the_window():
    assert windows.ladder(131_072) == (4096, 8192, 16384, 32768, 65536, 131_072)
    assert windows.ladder(1 << 20)[-1] == 1 << 20
    assert windows.ladder(2048) == (512, 1024, 2048)
    assert windows.ladder(40_960) == (2048, 4096, 8192, 16384, 32768, 40_960)
    assert windows.ladder(300) == (300,)
    task = RulerTask("ruler:vt", "vt", Settings())
    assert "score_131072,none" in task.fitted(131_072).info.higher_is_better
    assert RulerTask("r", "vt", Settings(lengths=(512,))).fitted(4096).info.config["ruler"]["lengths"] == [512]


def test_names_and_groups(mirror):
    def tasks(name: str) -> list[str]:
        spec = RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": name}]})
        return [task.info.name for task in resolve(spec).tasks]

    assert tasks("ruler") == [f"ruler:{kind}" for kind in hidden.DEFINITIONS]
    assert tasks("ruler:synthetic:lengths=512:n=2")[-1] == "ruler:fwe:lengths=512:n=2"
    for name, message in {
        "ruler:niah": "choose one of",
        "ruler:vt:m=3": "no parameter",
        "ruler:vt:text=/no": "no file",
    }.items():
        with pytest.raises(UserError, match=message):
            Catalog.of().require(name)
    with pytest.raises(UserError, match="text=FOLDER"):
        RulerTask("ruler:niah_single_2", "niah_single_2", Settings()).documents(open_source(mirror))
    books = RulerTask("b", "niah_single_2", Settings(n=1, text=mirror / "haystack"))
    assert len(books.documents(open_source(mirror))) == 3
