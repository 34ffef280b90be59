"""Executors: one backend as many, on this machine or on a cluster. See docs/scale.md."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from evalkit import registry
from evalkit.backends.base import Done, GenerateRow, ScoreRow
from evalkit.engine.executors.cluster import Cluster
from evalkit.engine.executors.fleet import Fleet
from evalkit.engine.units import split
from evalkit.perf.counters import Meter
from evalkit.spec import EngineSpec, ModelSpec
from evalkit.types import Message

__all__ = ["Replicated", "open_replicas"]


class TextPart(Protocol):
    """What of a token backend works without weights; the module of a backend's ``load`` may offer it as
    ``load_tokens(model: ModelSpec) -> TextPart``.
    """

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]: ...

    def decode(self, tokens: Sequence[int]) -> str: ...

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str: ...


class Replicated:
    """An `evalkit.backends.base.TokenBackend` whose rows are computed by a fleet of replicas, unit by unit."""

    def __init__(self, fleet: Fleet, executor: str, text: TextPart | None = None) -> None:
        assert fleet.opened is not None
        self.fleet = fleet
        self._text = text or _Remote(fleet)
        info = fleet.opened.info
        self.info = replace(info, details={**info.details, "executor": executor, "replicas": fleet.size})
        self.eot_id, self.prefix_id = fleet.opened.tokens

    @property
    def meter(self) -> Meter:
        """The replicas' counters as one: tokens add up, and so do the seconds that each spent on its own."""
        whole = Meter()
        for part in self.fleet.meters():
            whole.add(part)
        return whole

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return self._text.encode(texts, special)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._text.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._text.chat(messages, add_generation_prompt)

    def score(self, rows: Sequence[ScoreRow], done: Done) -> None:
        """See `TokenBackend.score`."""
        units = split([row.tokens[:-1] for row in rows], self.fleet.size)
        self.fleet.compute("score", rows, units, done)

    def generate(self, rows: Sequence[GenerateRow], done: Done) -> None:
        """See `TokenBackend.generate`."""
        extra = [row.max_tokens for row in rows]
        self.fleet.compute("generate", rows, split([row.tokens for row in rows], self.fleet.size, extra), done)

    def close(self) -> None:
        """End the replicas."""
        self.fleet.close()


class _Remote:
    """The tokenizer of a replica, for backends that offer none without their weights."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        encoded: list[list[int]] = self._fleet.call("encode", list(texts), special)
        return encoded

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self._fleet.call("decode", list(tokens)))

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        return str(self._fleet.call("chat", list(messages), add_generation_prompt))


def open_replicas(model: ModelSpec, engine: EngineSpec) -> Replicated:
    """``engine.replicas`` replicas of ``model`` (its backend resolved), ready to work as soon as one of them has
    loaded. Raises UserError where the model does not load or the devices do not suffice.
    """
    cluster: Cluster
    if engine.executor == "ray":
        from evalkit.engine.executors.ray_cluster import RayCluster

        cluster = RayCluster(engine.replicas, engine.gpus_per_replica, engine.ray_address)
    else:
        from evalkit.engine.executors.processes import Processes, divide

        cluster = Processes(engine.replicas, divide(engine.replicas, engine.gpus_per_replica, model.device))
    fleet = Fleet(cluster, model, engine)
    try:
        return Replicated(fleet, engine.executor, _tokens(model))
    except BaseException:
        fleet.close()
        raise


def _tokens(model: ModelSpec) -> TextPart | None:
    load = registry.load("evalkit.backends", model.backend or "hf")
    offered = getattr(importlib.import_module(load.__module__), "load_tokens", None)
    part: TextPart | None = offered(model) if offered else None
    return part
