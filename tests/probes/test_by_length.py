"""Perplexity against length: the same words behind contexts of several lengths, exact in tokens, paired by span."""

from __future__ import annotations

import math

import pytest

import evalkit
from evalkit.backends import mock
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle, Response
from evalkit.probes.by_length import ByLengthTask, Settings
from evalkit.spec.models import EngineSpec, ModelSpec


class NoData:
    name = "none"

    def load(self, dataset, split):
        raise AssertionError("the text is the user's")


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text(" ".join(f"Sentence number {n} is here." for n in range(600)))
    return tmp_path


def test_spans_are_the_same_and_contexts_end_where_they_begin(text):
    model = mock.load(ModelSpec(name="mock", backend="mock", args={"tokenizer": "word"}), EngineSpec())
    task = ByLengthTask("t", Settings(text, (128, 256, 1024), spans=4, tail=32))
    documents = task.documents(NoData())
    made = list(task.requests(documents, PromptStyle(encode=model.encode, max_length=2048)))
    by_span: dict[int, list] = {}
    for document, (request,) in zip(documents, made, strict=True):
        by_span.setdefault(document.data["span"], []).append(request)
        tokens = len(model.encode([request.context + request.continuation])[0])
        assert document.data["length"] - 8 < tokens <= document.data["length"]
    for short, middle, long in by_span.values():
        assert short.continuation == middle.continuation == long.continuation
        assert middle.context.endswith(short.context)
        assert long.context.endswith(middle.context)
    assert len({requests[0].continuation for requests in by_span.values()}) == 4


def test_perplexity_and_what_a_token_gains(text):
    task = ByLengthTask("t", Settings(text, (128, 256), spans=3, tail=32))
    documents = task.documents(NoData())
    made = list(task.requests(documents, PromptStyle(max_length=4096)))
    samples = [
        task.score(document, requests, [Response(loglikelihood=-n - document.data["length"] / 128, output_tokens=10)])
        for n, (document, requests) in enumerate(zip(documents, made, strict=True))
    ]
    found = {metric.name: metric for metric in task.summarize(samples)}
    assert found["perplexity_128"].value == pytest.approx(math.exp((0 + 2 + 4 + 3) / 30))
    assert found["gain_256"].value == pytest.approx(-0.2)
    assert task.info.primary == "perplexity_256,none"


def test_a_constant_model_gains_nothing_and_short_texts_are_refused(text, tmp_path):
    name = f"perplexity_by_length:text={text}:lengths=128+512:spans=3:tail=16"
    run = evalkit.evaluate(evalkit.mock(lambda request: -16.0), [name], output=tmp_path / "run")
    found = {metric.name: metric.value for metric in run.result.tasks[0].metrics}
    assert found["gain_512"] == 0
    with pytest.raises(UserError, match="give more text"):
        evalkit.evaluate("mock", [name.replace("512", "8192")], output=tmp_path / "other")
    with pytest.raises(UserError, match="give a text"):
        evalkit.evaluate("mock", ["perplexity_by_length:lengths=128"], output=tmp_path / "other")
