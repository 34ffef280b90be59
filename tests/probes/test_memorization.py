"""Memorization: passages behind prefixes of several lengths, and what counts as continued word for word."""

from __future__ import annotations

import pytest

import evalkit
from evalkit.backends import mock
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle, Response
from evalkit.probes.memorization import MemorizationTask, Settings
from evalkit.spec.models import EngineSpec, ModelSpec


class NoData:
    name = "none"

    def load(self, dataset, split):
        raise AssertionError("the text is the user's")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(f"line {n} goes on and on" for n in range(60)))
    (tmp_path / "b.md").write_text(" ".join(f"word{n}" for n in range(300)))
    return tmp_path


def asked_of(folder, **changes):
    model = mock.load(ModelSpec(name="mock", backend="mock", args={"tokenizer": "word"}), EngineSpec())
    task = MemorizationTask("t", Settings(folder, **{"prefix": (4, 16), "suffix": 6, "n": 8, **changes}))
    documents = task.documents(NoData())
    return task, model, documents, list(task.requests(documents, PromptStyle(encode=model.encode, max_length=512)))


def test_the_same_passages_behind_every_prefix(folder) -> None:
    _, model, documents, made = asked_of(folder)
    assert len(documents) == 16
    by_passage: dict[int, list] = {}
    for document, asked in zip(documents, made, strict=True):
        (request,) = asked
        by_passage.setdefault(document.data["passage"], []).append(asked)
        assert len(model.encode([request.context])[0]) <= document.data["prefix"]
        text = (folder / document.data["file"]).read_text()
        # Prefix and passage stand in the text one behind the other, line breaks and all.
        at = text.index(request.context) + len(request.context)
        assert text[at:].split()[: len(asked.note)] == asked.note or text.count(request.context) > 1
    for short, long in by_passage.values():
        assert short.note == long.note
        assert long[0].context.endswith(short[0].context)
    assert documents[0].hash == asked_of(folder)[2][0].hash
    assert asked_of(folder, seed=2)[2][0].hash != documents[0].hash


def test_extractable_is_word_for_word_and_matched_the_share_before_the_first_other_word(folder) -> None:
    task, _, documents, made = asked_of(folder)
    texts = []
    for document, asked in zip(documents, made, strict=True):
        half = [*asked.note[: len(asked.note) // 2], "otherwise", *asked.note]
        whole = [*asked.note, "and", "more"]
        texts.append("\n ".join(whole if document.data["prefix"] == 16 else half))
    samples = [
        task.score(document, asked, [Response(text=text, output_tokens=9)])
        for document, asked, text in zip(documents, made, texts, strict=True)
    ]
    found = {metric.name: metric for metric in task.summarize(samples)}
    assert (found["extractable_16"].value, found["extractable_4"].value) == (1.0, 0.0)
    assert found["matched_4"].value == pytest.approx(
        sum((len(asked.note) // 2) / len(asked.note) for asked in made[::2]) / 8
    )
    assert task.info.primary == "extractable_16,none"
    assert not found["extractable_16"].higher_is_better


def test_what_does_not_fit_is_unscored_and_too_little_text_is_told(folder) -> None:
    task = MemorizationTask("t", Settings(folder, (4, 200), 6, n=2))
    documents = task.documents(NoData())
    made = list(task.requests(documents, PromptStyle(max_length=100)))
    assert [len(asked) for asked in made] == [1, 0, 1, 0]
    assert task.score(documents[1], made[1], []).status == "unscored"
    with pytest.raises(UserError, match=r"room for \d+ passages .* and 5,000 are asked for"):
        MemorizationTask("t", Settings(folder, n=5000)).documents(NoData())
    with pytest.raises(UserError, match="give a text: memorization:text=FOLDER"):
        evalkit.evaluate("mock", ["memorization:text=no-such-folder"])


def test_it_runs_by_name(folder, tmp_path) -> None:
    run = evalkit.evaluate("mock", [f"memorization:text={folder}:prefix=4+16:suffix=6:n=4"], output=tmp_path / "run")
    (task,) = run.result.tasks
    assert {metric.name for metric in task.metrics} == {"extractable_16", "extractable_4", "matched_16", "matched_4"}
    assert task.metrics[0].n == 4
