"""Outputs made elsewhere: matched to their documents exactly, or refused with file and line."""

import json

import pytest

from evalkit.backends.predictions import load
from evalkit.contract.backend import TextBackend
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Generate, Response, Rolling, Score
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest


def backend(path, *records, text=None):
    path.write_text("".join(json.dumps(r) + "\n" for r in records) if text is None else text, encoding="utf-8")
    return load(ModelSpec(name=f"predictions:{path}"), EngineSpec())


def documents(count, start=0):
    return [Document(n, {"n": n}, digest({"n": n})) for n in range(start, start + count)]


GENERATE = [Generate(f"Q{n}", until=("\n",)) for n in range(3)]
SCORE = [Score(f"Q{n}", choice) for n in range(2) for choice in (" a", " b")]


def texts(answers):
    return {index: response.text for index, response in answers}


def test_plain_lines_in_order(tmp_path):
    made = backend(tmp_path / "out.txt", text="one\n\nthree \u2028 x\n")
    assert isinstance(made, TextBackend)
    assert made.capabilities.by_document
    assert texts(made.respond(GENERATE)) == {0: "one", 1: "", 2: "three \u2028 x"}
    assert made.info.fingerprint.startswith("predictions:")
    assert made.info.name == "out"


def test_doc_id_gives_the_order(tmp_path):
    made = backend(tmp_path / "o.jsonl", *({"doc_id": n, "text": f"t{n}"} for n in (2, 0, 1)))
    assert texts(made.respond(GENERATE)) == {0: "t0", 1: "t1", 2: "t2"}


@pytest.mark.parametrize("name", ["text", "prediction", "response"])
def test_prompts_are_matched_exactly(tmp_path, name):
    made = backend(tmp_path / "o.jsonl", *({"prompt": f"Q{n}", name: f"t{n}"} for n in (2, 0, 1)))
    assert texts(made.respond(GENERATE[::-1])) == {0: "t2", 1: "t1", 2: "t0"}
    with pytest.raises(UserError, match=r"no output for a request with prompt 'Q9'"):
        list(made.respond([Generate("Q9")]))


def test_doc_hash_needs_the_documents(tmp_path):
    docs = documents(3)
    made = backend(tmp_path / "o.jsonl", *({"doc_hash": d.hash, "text": f"t{d.id}"} for d in reversed(docs)))
    with pytest.raises(UserError, match="the run gave no documents"):
        list(made.respond(GENERATE))
    made.bind(docs, [(request,) for request in GENERATE], "quiz")
    assert texts(made.respond(GENERATE)) == {0: "t0", 1: "t1", 2: "t2"}
    assert texts(made.respond(GENERATE[2:])) == {0: "t2"}  # a resumed run asks for what is missing


def test_a_limited_run_takes_its_documents_only(tmp_path):
    made = backend(tmp_path / "o.jsonl", *({"id": n, "text": f"t{n}"} for n in range(9)))
    made.bind([documents(9)[4], documents(9)[7]], [(GENERATE[0],), (GENERATE[1],)])
    assert texts(made.respond(GENERATE[:2])) == {0: "t4", 1: "t7"}
    with pytest.raises(UserError, match="no output for a document with id 12"):
        made.bind(documents(1, 12), [(GENERATE[0],)])


def test_tasks_are_told_apart(tmp_path):
    records = [{"doc_id": 0, "task": task, "text": task} for task in ("a", "b")]
    made = backend(tmp_path / "o.jsonl", *records)
    made.bind(documents(1), [(GENERATE[0],)], "b")
    made.bind(documents(1), [(GENERATE[1],)], "a")
    assert texts(made.respond(GENERATE[:2])) == {0: "b", 1: "a"}


def test_equal_prompts_keep_their_own_outputs(tmp_path):
    made = backend(tmp_path / "o.txt", text="first\nsecond\n")
    twice = [GENERATE[0], GENERATE[0]]
    made.bind(documents(2), [(request,) for request in twice])
    made.finish()
    assert texts(made.respond(twice)) == {0: "first", 1: "second"}
    with pytest.raises(UserError, match="answered otherwise in line 1"):
        list(made.respond(twice[:1]))


def test_loglikelihoods_one_a_choice(tmp_path):
    records = [{"doc_id": n, "loglikelihoods": [-1.5 - n, -2], "is_greedy": [True, False]} for n in range(2)]
    expected = [
        Response(loglikelihood=v, is_greedy=g) for v, g in ((-1.5, True), (-2, False), (-2.5, True), (-2, False))
    ]
    made = backend(tmp_path / "o.jsonl", *records)
    assert [response for _, response in made.respond(SCORE)] == expected
    made.bind(documents(2), [tuple(SCORE[:2]), tuple(SCORE[2:])])
    assert [response for _, response in made.respond(SCORE)] == expected
    with pytest.raises(UserError, match="2 loglikelihoods for a document with 1 choices"):
        made.bind(documents(1), [(SCORE[0],)])


def test_a_reported_failure_is_an_error_not_an_answer(tmp_path):
    made = backend(tmp_path / "o.jsonl", {"text": "x"}, {"error": "timeout"})
    assert list(made.respond(GENERATE[:2])) == [
        (0, Response(text="x", finish="stop")),
        (1, Response(status="error", error="timeout")),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"doc_id": 0, "text": "a"}\n{"doc_id": 1, "te', ":2: not valid JSON"),
        ('{"doc_id": 0, "text": "a"}\n[1]\n', ":2: not a JSON object"),
        ('{"doc_id": 0, "text": "a"}\n{"text": "b"}\n', ":2: has no 'doc_id'"),
        ('{"doc_id": "0", "text": "a"}\n', ":1: has a wrong 'doc_id'"),
        ('{"doc_id": 0, "text": "a"}\n\n{"doc_id": 0, "text": "b"}\n', ":3: doc_id 0 stands in line 1 already"),
        ('{"doc_id": 0}\n', ":1: no output"),
        ('{"doc_id": 0, "text": null}\n', ":1: the output is no text but NoneType"),
        ('{"doc_id": 0, "loglikelihoods": [NaN]}\n', ":1: loglikelihoods holds nan"),
        ('{"doc_id": 0, "loglikelihoods": []}\n', ":1: loglikelihoods is not a list"),
        ("", "is empty"),
        ("\n \n", "is empty"),
    ],
)
def test_a_broken_file_names_its_line(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        backend(tmp_path / "o.jsonl", text=text)
    assert str(tmp_path / "o.jsonl") in str(caught.value)
    assert message in str(caught.value)


def test_counts_and_kinds_must_fit(tmp_path):
    made = backend(tmp_path / "o.txt", text="one\ntwo\n")
    with pytest.raises(UserError, match="2 outputs for 3 requests"):
        list(made.respond(GENERATE))
    with pytest.raises(UserError, match=r"o\.txt:1: the task scores choices"):
        list(made.respond(SCORE[:2]))
    with pytest.raises(UserError, match="perplexity"):
        list(made.respond([Rolling("x"), Rolling("y")]))
    with pytest.raises(UserError, match="only 2 outputs"):
        made.bind(documents(3), [(request,) for request in GENERATE])
    left = backend(tmp_path / "l.txt", text="one\ntwo\n")
    left.bind(documents(1), [(GENERATE[0],)])
    with pytest.raises(UserError, match="2 outputs for 1 requests"):
        left.finish()
    numbers = backend(tmp_path / "n.jsonl", {"loglikelihoods": [-1.0]})
    with pytest.raises(UserError, match="the task asks for text"):
        list(numbers.respond(GENERATE[:1]))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(ModelSpec(name=f"predictions:{tmp_path / 'none'}"), EngineSpec())
    with pytest.raises(UserError, match="no file given"):
        load(ModelSpec(name="x"), EngineSpec())
    (tmp_path / "latin.txt").write_bytes(b"ok\n\xff\n")
    with pytest.raises(UserError, match=r"latin\.txt:2: not UTF-8"):
        load(ModelSpec(name="m", args={"file": str(tmp_path / "latin.txt")}), EngineSpec())
