"""Stages give new values and change nothing; an item is rendered once; a conversation is written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.backends import mock
from evalkit.contract.types import Asked, Document, Documents, Message, PromptStyle, Response, Score
from evalkit.data import open_source
from evalkit.runner.styling import LaterChat
from evalkit.runner.workload import build_requests, load_documents, subset
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.task.catalog import resolve
from evalkit.task.generative_choice import by_generation
from evalkit.task.rendering import Reader

NAMES = ["boolq", "triviaqa@2shot", "lambada_openai", "winogrande@1shot", "mmlu_anatomy@2shot", "order:boolq"]


def selected(*names: str):
    asked = {"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": name} for name in names], "sample": True}
    return resolve(RunSpec.model_validate(asked))


def answers(asked) -> list[Response]:
    return [Response(loglikelihood=-1.0, is_greedy=False, text="A", prompt_tokens=3) for _ in asked]


@pytest.mark.parametrize("name", [*NAMES, "needle:single:lengths=256:depths=50:repeats=1"])
@pytest.mark.parametrize("generative", [False, True])
def test_no_stage_changes_the_task(name: str, generative: bool) -> None:
    selection = by_generation(selected(name)) if generative else selected(name)
    (task,) = selection.tasks
    before = dict(vars(task))
    documents = task.documents(open_source(None))
    given = list(documents)
    asked = list(task.requests(documents, PromptStyle()))
    samples = [task.score(one, requests, answers(requests)) for one, requests in zip(documents, asked, strict=True)]
    task.summarize(samples)
    after = vars(task)
    assert before.keys() == after.keys()
    assert all(before[key] is after[key] for key in before)
    assert list(documents) == given
    assert list(task.requests(documents, PromptStyle())) == asked  # the few-shot draw begins anew


def test_an_item_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    item = Reader.item

    def counted(self, view, where):
        rendered.append(where)
        return item(self, view, where)

    monkeypatch.setattr(Reader, "item", counted)
    (task,) = selected("boolq").tasks
    work = build_requests(load_documents(task, open_source(None), 3, None), PromptStyle())
    samples = [task.score(one, asked, answers(asked)) for one, asked in zip(work.documents, work.requests, strict=True)]
    task.summarize(samples)
    assert len(rendered) == len(set(rendered)) == 3


def test_a_part_of_the_documents_keeps_the_pool_of_examples() -> None:
    whole = Documents(tuple(Document(index, {}, str(index)) for index in range(9)), pool=({"q": 1},))
    for part in (whole[:2], whole[3:], whole.take([4, 1]), subset(whole, 3, "t", None), subset(whole, 3, "t", 1)):
        assert part.pool == whole.pool
    assert [one.id for one in whole.take([4, 1])] == [4, 1]
    assert whole[0] == Document(0, {}, "0", item=lambda: "an item is no part of what a document is")


@pytest.mark.parametrize("multiturn", [True, False])
@pytest.mark.parametrize("generative", [False, True])
def test_conversations_put_in_later_are_those_written_at_once(multiturn: bool, generative: bool) -> None:
    model = mock.load(ModelSpec(name="mock"), EngineSpec())
    selection = selected(*NAMES)
    for task in (by_generation(selection) if generative else selection).tasks:
        loaded = load_documents(task, open_source(None), 4, None)
        direct = build_requests(loaded, PromptStyle(chat=model.chat, system="Be brief.", multiturn=multiturn))
        later = LaterChat()
        waiting = build_requests(loaded, PromptStyle(chat=later, system="Be brief.", multiturn=multiturn))
        (settled,) = later.settled([waiting], model.chat)
        assert settled.requests == direct.requests
        assert [type(one) for one in settled.requests] == [type(one) for one in direct.requests]
        assert not any("\x00" in str(request) for asked in settled.requests for request in asked)


def test_a_conversation_within_a_conversation_is_put_in_too() -> None:
    later = LaterChat()
    inner = later((Message("user", "hello"),), True)
    outer = later((Message("user", f"say: {inner}"),), False)
    asked = Asked((Score(f"<{outer}> ", "x", (Message("user", f"say: {inner}"),)),), note=7)
    work = build_requests(load_documents(selected("boolq").tasks[0], open_source(None), 1, None), PromptStyle())
    (settled,) = later.settled(
        [type(work)(work.task, work.documents, 1, "", (asked,))], lambda m, a: f"[{m[0].content}]{a}"
    )
    ((request,),) = settled.requests
    assert request == Score("<[say: [hello]True]False> ", "x", (Message("user", "say: [hello]True"),))
    assert settled.requests[0].note == 7


def test_prompts_of_a_run_with_a_template_are_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.runner.evaluate import execute
    from evalkit.task.native import NativeTask

    built: list[str] = []
    requests = NativeTask.requests

    def counted(self, documents, style):
        built.append(self.info.name)
        return requests(self, documents, style)

    monkeypatch.setattr(NativeTask, "requests", counted)
    model = {"name": "mock", "backend": "mock", "chat_template": True}
    execute(
        RunSpec.model_validate(
            {"model": model, "tasks": [{"name": "boolq"}], "sample": True, "limit": 2, "output": tmp_path / "run"}
        )
    )
    assert built == ["boolq"]


def test_of_very_many_items_only_some_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.task.rendering.KEPT", 2)
    (task,) = selected("boolq").tasks
    documents = task.documents(open_source(None))[:4]
    items = [task.item(one) for one in documents]
    again = [task.item(one) for one in documents]
    assert items == again
    assert [one is other for one, other in zip(items, again, strict=True)] == [True, True, False, False]
