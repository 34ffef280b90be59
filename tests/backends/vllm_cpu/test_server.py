"""vLLM's own server beside transformers on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vllm_runs import responses

from evalkit.backends import opening
from evalkit.contract.types import Rolling, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytestmark = pytest.mark.model

NEAR = 1e-3


def connected(server: str, **args: Any) -> Any:
    return opening.open_backend(ModelSpec(name=server, args=args), EngineSpec())


def near(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[0] == pytest.approx(other[0], abs=NEAR)
        assert mine[1] == other[1]


@pytest.mark.parametrize("tokenizer", [None, "smollm2-135m"])
def test_scores_by_token_ids_are_those_of_transformers(
    server: str, hf: Any, tmp_path: Path, tokenizer: str | None
) -> None:
    backend = connected(server, **({"tokenizer": tokenizer} if tokenizer else {}))
    tasks = ["mmlu_anatomy@5shot", "hellaswag@1shot", "arc_easy"]
    ours = responses(backend, tasks, tmp_path / "server", limit=2)
    theirs = responses(hf, tasks, tmp_path / "hf", limit=2)
    assert backend.info.details["scoring"] == "tokens"
    for task in theirs:
        near(ours[task], theirs[task])
    backend.close()


def test_a_conversation_is_scored_as_by_transformers(server: str, hf: Any, tmp_path: Path) -> None:
    backend = connected(server)
    settings: dict[str, Any] = {"limit": 2, "chat_template": True, "system": "You are terse."}
    ours = responses(backend, ["arc_easy"], tmp_path / "server", **settings)
    near(ours["arc_easy"], responses(hf, ["arc_easy"], tmp_path / "hf", **settings)["arc_easy"])
    backend.close()


def test_the_echo_gives_the_same_and_cannot_score_whole_texts(server: str) -> None:
    requests = [Score("The capital of France is", end) for end in (" Paris", " London, of course", " a")]
    whole = Rolling("A cat sat on a mat and looked at the rain. " * 20)
    found = []
    for args in ({"scoring": "echo"}, {"scoring": "tokens", "tokenizer": "smollm2-135m"}):
        backend = connected(server, **args)
        found.append(dict(backend.respond([*requests, whole])))
        backend.close()
    for index in range(len(requests)):
        assert found[0][index].loglikelihood == pytest.approx(found[1][index].loglikelihood, abs=NEAR)
        assert found[0][index].is_greedy == found[1][index].is_greedy
    assert (found[0][3].status, found[1][3].status) == ("error", "ok")


def test_whole_texts_and_empty_contexts_need_the_tokenizer(server: str, hf: Any) -> None:
    from evalkit.engine import answer

    requests = [Rolling("A cat sat on a mat and looked at the rain. " * 20), Score("", "Hello world")]
    backend = connected(server, tokenizer="smollm2-135m")
    ours, theirs = dict(backend.respond(requests)), answer(hf, requests, None, EngineSpec())
    for index, other in enumerate(theirs):
        assert ours[index].loglikelihood == pytest.approx(other.loglikelihood, abs=NEAR)
    backend.close()
    bare = connected(server)
    assert all("tokenizer=" in str(one.error) for _, one in bare.respond(requests))
    bare.close()


def test_greedy_texts_and_their_times(server: str, hf: Any, tmp_path: Path) -> None:
    backend = connected(server)
    ours = responses(backend, ["triviaqa@5shot"], tmp_path / "server", limit=4)
    assert ours == responses(hf, ["triviaqa@5shot"], tmp_path / "hf", limit=4)
    assert len(backend.meter.ttft_seconds) == 4
    assert 0 < backend.meter.computed < backend.meter.given  # the examples came from the server's cache
    assert backend.meter.uncounted == 0
    backend.close()
