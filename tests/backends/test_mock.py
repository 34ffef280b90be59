"""The mock model: reversible tokens, answers that do not depend on batches, scripts, and failure on command."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evalkit
from evalkit.backends import opening
from evalkit.backends.mock import Tokenizer, load
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, TokenBackend
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, Sampling
from evalkit.spec.models import EngineSpec, ModelSpec


def mock(**args):
    return load(ModelSpec(name="mock", args=args), EngineSpec())


def ids(backend, text):
    return np.array(backend.encode([text])[0], dtype=np.int32)


def score(backend, *pairs):
    rows = []
    for context, continuation in pairs:
        head = ids(backend, context)
        rows.append(LoglikelihoodRow(np.concatenate([head, ids(backend, continuation)]), len(head)))
    answers = {}
    backend.score(rows, answers.__setitem__)
    return [answers[n] for n in range(len(rows))]


def generate(backend, *prompts, until=(), max_tokens=200, sampling=None, key=""):
    sampling = sampling or Sampling()
    rows = [GenerateRow(ids(backend, prompt), until, max_tokens, sampling, key) for prompt in prompts]
    answers = {}
    backend.generate(rows, answers.__setitem__)
    return [answers[n] for n in range(len(rows))]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.sampled_from(["byte", "word"]))
@settings(max_examples=150, deadline=None)
def test_tokens_give_the_text_back(text, kind):
    tokenizer = Tokenizer(kind)
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert all(2 <= token < 2**31 for token in tokens)


def test_token_boundaries():
    byte, word = Tokenizer("byte"), Tokenizer("word")
    assert byte.encode("Answer") + byte.encode("ing") == byte.encode("Answering")
    assert word.encode("The answer:") + word.encode(" yes") == word.encode("The answer: yes")
    assert word.encode("ab") + word.encode("c") != word.encode("abc")
    assert byte.decode(byte.encode("é")[:1]) == "\ufffd"


def test_bos_and_chat():
    backend = load(ModelSpec(name="mock", add_bos=True, label="m"), EngineSpec(batch_size=2))
    assert isinstance(backend, TokenBackend)
    assert backend.info.name == "m"
    assert backend.encode(["a"]) == [[backend.prefix_id, 2 + ord("a")]]
    assert backend.encode(["a"], special=False) == [[2 + ord("a")]]
    assert mock().encode(["a"], special=True) == backend.encode(["a"])
    turns = [Message("system", "Be brief."), Message("user", "Hi")]
    assert backend.chat(turns, True) == "<|system|>\nBe brief.\n<|user|>\nHi\n<|assistant|>\n"
    with pytest.raises(UserError, match="without a chat template"):
        mock(chat=False).chat(turns, True)


def test_answers_are_deterministic_additive_and_batch_free():
    pairs = [("Q: 1\nA:", " yes"), ("Q: 1\nA:", " no"), ("Q: 2\nA:", " yes")]
    together = score(mock(), *pairs)
    assert together == [score(mock(), pair)[0] for pair in pairs]
    assert len({answer.loglikelihood for answer in together}) == 3
    assert all(-8 * 4 <= answer.loglikelihood < 0 for answer in together)
    (whole,) = score(mock(), ("Q:", " yes"))
    (first,) = score(mock(), ("Q:", " y"))
    (rest,) = score(mock(), ("Q: y", "es"))
    assert math.isclose(whole.loglikelihood, first.loglikelihood + rest.loglikelihood)
    assert score(mock(seed=1), pairs[0]) != score(mock(), pairs[0])


def test_a_script_is_followed_first_match_first(tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text(
        "- {match: 'capital of France', prefer: ' Paris'}\n"
        "- {match: 'broken', error: 'out of order'}\n"
        "- {match: 'nan', nan: true}\n"
        "- {match: 'fixed', continuation: 'b', loglikelihood: -1.5}\n"
        "- {text: 'first line\nsecond'}\n".replace("\n", "\n").replace("'first line\nsecond'", '"first line\\nsecond"')
    )
    backend = mock(script=str(script))
    paris, london = score(backend, ("The capital of France is", " Paris"), ("The capital of France is", " London"))
    assert paris.is_greedy
    assert not london.is_greedy
    assert paris.loglikelihood > -0.5
    assert london.loglikelihood < -10
    error, nan, fixed = score(backend, ("broken", "a"), ("nan", "a"), ("fixed", "b"))
    assert isinstance(error, RuntimeError)
    assert "out of order" in str(error)
    assert math.isnan(nan.loglikelihood)
    assert fixed.loglikelihood == -1.5
    (reply,) = generate(backend, "anything")
    assert (reply.text, reply.finish) == ("first line\nsecond", "stop")
    (stopped,) = generate(backend, "anything", until=("\n", "zzz"))
    assert (stopped.text, stopped.finish, stopped.output_tokens) == ("first line", "stop", 11)
    (cut,) = generate(backend, "anything", max_tokens=5)
    assert (cut.text, cut.finish, cut.output_tokens) == ("first", "length", 5)
    (greedy,) = score(backend, ("anything", "first"))
    assert greedy.is_greedy


def test_sampling_is_seeded_by_the_key():
    backend = mock(script=[{"text": ["a", "b", "c", "d"]}])
    hot = Sampling(temperature=1.0)
    assert generate(backend, "p") == generate(backend, "p", sampling=Sampling(seed=9))
    drawn = {generate(backend, "p", sampling=hot, key=str(n))[0].text for n in range(40)}
    assert drawn == {"a", "b", "c", "d"}
    assert generate(backend, "p", sampling=hot, key="3") == generate(backend, "p", sampling=hot, key="3")
    assert generate(mock(), "p") != generate(mock(), "q")


def test_failures_on_command():
    backend = mock(fail_first=2)
    kinds = [type(answer).__name__ for answer in score(backend, ("a", "b"), ("a", "c"), ("a", "d"))]
    assert kinds == ["RuntimeError", "RuntimeError", "LoglikelihoodResult"]
    small = mock(refuse_batch_above=2)
    with pytest.raises(MemoryError, match="3 rows is above 2"):
        score(small, ("a", "b"), ("a", "c"), ("a", "d"))
    assert len(score(small, ("a", "b"), ("a", "c"))) == 2
    assert small.batches == [2]
    with pytest.raises(ValueError, match="outside the backend's contract"):
        score(mock(max_length=3), ("abc", "de"))


def test_the_fingerprint_covers_what_changes_answers_and_nothing_else():
    plain = mock().info.fingerprint
    same = [
        mock(delay_s=0.1, fail_first=3, refuse_batch_above=4, batch_delay_s=1),
        mock(script=[{"match": "x", "error": "boom"}, {"nan": True}]),
    ]
    other = [mock(seed=1), mock(tokenizer="word"), mock(max_length=9), mock(script=[{"match": "x", "text": "y"}])]
    assert {backend.info.fingerprint for backend in same} == {plain}
    assert len({plain, *(backend.info.fingerprint for backend in other)}) == 5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"sede": 1}, "unknown argument 'sede'"),
        ({"max_length": "long"}, "max_length='long' is no whole number"),
        ({"max_length": 0}, "must be at least 1"),
        ({"tokenizer": "bpe"}, "use byte or word"),
        ({"script": [{"mach": "x"}]}, "rule 1: unknown key 'mach'"),
        ({"script": [{"match": "("}]}, "rule 1: match is not a regular expression"),
        (
            {"script": "missing.yaml"},
            "missing.yaml: cannot be read (No such file or directory): give a readable mock script",
        ),
        ({"script": 5}, "is not a list of rules"),
        ({"script": [{"text": []}]}, "text is an empty list"),
    ],
)
def test_bad_arguments_are_one_clear_line(args, message):
    with pytest.raises(UserError, match="mock") as caught:
        mock(**args)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arguments_as_text_are_read():
    backend = load(ModelSpec(name="mock", args={"max_length": "64", "delay_s": "0", "chat": "false"}), EngineSpec())
    assert backend.info.max_length == 64
    assert not backend.settings.chat
    assert load(ModelSpec(name="mock", max_length=32), EngineSpec()).info.max_length == 32


def test_settings_of_template_and_thoughts_are_recorded_and_part_of_the_identity(tmp_path: Path) -> None:
    def ran(name: str, **more: Any) -> Any:
        done = evalkit.evaluate("mock", ["boolq@bundled"], limit=2, output=tmp_path / name, **more)
        return json.loads((done.path / "results.json").read_text())

    plain, chat = ran("plain"), ran("chat", chat_template=True)
    told = ran("told", chat_template=True, model_args={"enable_thinking": False, "chat_template_args": {"tone": 1}})
    marked = ran("marked", think_end="</t>")
    assert (plain["chat_template"], plain["chat_template_sha"]) == (None, None)
    assert chat["chat_template_sha"] == hashlib.sha256(chat["chat_template"].encode()).hexdigest()
    assert told["evalkit"]["model"]["details"]["template_variables"] == {"tone": 1, "enable_thinking": False}
    prints = [one["evalkit"]["model"]["fingerprint"] for one in (plain, chat, told, marked)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    spec = told["evalkit"]["spec"]["model"]
    assert (spec["args"], spec["enable_thinking"], spec["chat_template_args"]) == ({}, False, {"tone": 1})
    with pytest.raises(UserError, match="enable_thinking"):
        ran("told", chat_template=True, model_args={"enable_thinking": True, "chat_template_args": {"tone": 1}})


def test_variables_without_a_template_are_said_to_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    opening.resolve(ModelSpec(name="mock", enable_thinking=False))
    assert caplog.messages == [
        "--enable-thinking: no conversations are asked for (--apply_chat_template): it changes no prompt"
    ]
