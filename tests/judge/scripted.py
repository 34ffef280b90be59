"""A judge whose replies are written down."""

from __future__ import annotations

from evalkit.backends import mock
from evalkit.judge import Judge
from evalkit.spec.models import EngineSpec, ModelSpec


def judge(*script: dict[str, object], chat: bool = False) -> Judge:
    """Gives the first reply whose "match" is in the prompt."""
    backend = mock.load(ModelSpec(name="mock", backend="mock", args={"script": list(script)}), EngineSpec())
    return Judge(backend, chat=chat)
