"""Executors: one backend as many, on this machine or on a cluster. See docs/scale.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult, no_op
from evalkit.contract.capabilities import BackendType
from evalkit.contract.errors import UserError
from evalkit.contract.optional import KnowsEncoding, TextPart
from evalkit.contract.types import Message
from evalkit.engine.executors.cluster import Cluster
from evalkit.engine.executors.fleet import Fleet
from evalkit.engine.executors.processes import Processes, divide
from evalkit.engine.executors.ray_cluster import RayCluster
from evalkit.engine.executors.service import NO_REPLICAS, Measured
from evalkit.engine.units import split
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec

__all__ = ["Replicated", "open_replicas"]


class Replicated:
    """An `evalkit.contract.backend.TokenBackend` whose rows are computed by a fleet of replicas, unit by unit."""

    def __init__(self, fleet: Fleet, executor: str, text: TextPart | None = None) -> None:
        assert fleet.opened is not None
        self.fleet = fleet
        self.after_pass: Callable[[], None] = no_op
        self._text = text or _Remote(fleet)
        self._known: dict[int, Measured] | None = None
        # The fleet hands out units and looks around after each; which rows share a batch depends on who was free.
        self.capabilities = replace(
            fleet.opened.capabilities, reproduces_batches=False, stops_between_passes=True, ignores_end=False
        )
        info = fleet.opened.info
        self.info = replace(info, details={**info.details, "executor": executor, "replicas": fleet.size})
        self.eot_id, self.prefix_id = fleet.opened.tokens

    @property
    def meter(self) -> Meter:
        """The replicas' counters as one: tokens add up, durations stand side by side. A rate is therefore that of one
        replica on the average; what all do together is tokens over the run's seconds.
        """
        whole = Meter()
        for one in self._measured().values():
            if one.meter is not None:
                whole.add(one.meter)
        return whole

    def parts(self) -> dict[str, dict[str, Any]]:
        """Each replica's counters, how many there are, and their memory: names with "replica" are of the largest one,
        the others sums of each one's own peak (pages that processes share are counted in each).
        """
        known = self._measured()
        memory: dict[str, int] = {}
        for name in dict.fromkeys(name for one in known.values() for name in one.memory):
            values = [one.memory[name] for one in known.values() if name in one.memory]
            if name == "weights_bytes" or name.startswith("device_"):
                memory[name] = sum(values)
            elif name != "host_start_bytes":
                memory[f"replicas_{name}"] = sum(values)
            if name.startswith(("device_", "host_")) and name != "host_start_bytes":
                memory[f"replica_{name}"] = max(values)
        return {
            "memory": memory,
            "replicas": {"asked": self.fleet.size, "loaded": len(known), "lost": self.fleet.losses},
            "by_replica": {
                str(worker): {**(one.meter.counters() if one.meter else {}), "memory": dict(one.memory)}
                for worker, one in known.items()
            },
        }

    def _measured(self) -> dict[int, Measured]:
        """Asked once after each piece of work, so that sums, parts and raw durations are of one moment."""
        if self._known is None:
            self._known = self.fleet.measured()
        return self._known

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return self._text.encode(texts, special)

    @property
    def encoding_identity(self) -> str | None:
        """See `TokenBackend`; None where the tokenizer is a replica's."""
        return self._text.encoding_identity if isinstance(self._text, KnowsEncoding) else None

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._text.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._text.chat(messages, add_generation_prompt)

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """See `TokenBackend.score`."""
        self._known = None
        units = split([row.tokens[:-1] for row in rows], self.fleet.size)
        self.fleet.compute("score", rows, units, done, self.after_pass)

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """See `TokenBackend.generate`."""
        self._known = None
        extra = [row.max_tokens for row in rows]
        units = split([row.tokens for row in rows], self.fleet.size, extra)
        self.fleet.compute("generate", rows, units, done, self.after_pass)

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


def open_replicas(model: ModelSpec, engine: EngineSpec, kind: BackendType) -> Replicated:
    """``engine.replicas`` replicas of ``model`` (of the backend ``kind``), ready to work as soon as one of them has
    loaded. Raises UserError where the model does not load or the devices do not suffice.
    """
    if not kind.replicas:
        raise UserError(NO_REPLICAS.format(model=model.name))
    cluster: Cluster
    if engine.executor == "ray":
        cluster = RayCluster(engine.replicas, engine.gpus_per_replica, engine.ray_address)
    else:
        cluster = Processes(engine.replicas, divide(engine.replicas, engine.gpus_per_replica, model.device))
    fleet = Fleet(cluster, model, engine)
    try:
        return Replicated(fleet, engine.executor, kind.load_tokens(model) if kind.load_tokens else None)
    except BaseException:
        fleet.close()
        raise
