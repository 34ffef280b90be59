"""What a backend reports while it works.

A `Meter` takes one short call a forward pass, decode step or request (about a microsecond), so it is always on.
Backends hold one as their attribute ``meter``; the runner reads it after answering. Its calls may come from several
threads, and a copy taken in between is whole.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from evalkit.perf import latency

SUMS = ("given", "computed", "generated", "proposed", "accepted", "unshared", "uncounted")
DURATIONS = ("prefill", "step", "ttft", "itl", "tpot", "e2e", "score")
"""Each is two columns of a meter: NAME_seconds and NAME_tokens."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to a model that is not driven pass by pass (a server, vLLM), as it looks from here.

    Durations are in seconds; what is not known is None, or empty.
    """

    given: int | None = None
    """Tokens of the prompt, and of the continuation where one was scored."""
    generated: int | None = 0
    """Tokens that were made; 0 for a scored request."""
    cached: int | None = None
    """Tokens of ``given`` that need not be read again."""
    scored: bool = False
    seconds: float | None = None
    """From sending the request to its complete reply."""
    ttft: float | None = None
    """From sending the request to the first piece of text."""
    gaps: tuple[float, ...] = ()
    """Between one piece of text and the next."""
    decode_seconds: float | None = None
    """From the first piece of text to the last."""


class Meter:
    """Tokens and durations of one model's work. Durations are in seconds, read after the device has synchronised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.given = 0
        """Tokens handed over to be read, shared or not."""
        self.computed = 0
        """Tokens that the model read: a prefix shared by rows counts once."""
        self.generated = 0
        """Tokens chosen, end-of-sequence included."""
        self.proposed = 0
        """Tokens that a draft or the prompt proposed."""
        self.accepted = 0
        self.unshared = 0
        """Given tokens of which nobody says how many were computed: with any, "computed" is not known."""
        self.uncounted = 0
        """Requests whose tokens nobody counted."""
        self.predicted_bytes = 0
        """The largest memory that was planned for, weights left out."""
        for name in DURATIONS:
            setattr(self, f"{name}_seconds", array("d"))
            setattr(self, f"{name}_tokens", array("q"))

    prefill_seconds: array[float]
    prefill_tokens: array[int]
    step_seconds: array[float]
    step_tokens: array[int]
    ttft_seconds: array[float]
    ttft_tokens: array[int]
    itl_seconds: array[float]
    itl_tokens: array[int]
    tpot_seconds: array[float]
    tpot_tokens: array[int]
    e2e_seconds: array[float]
    e2e_tokens: array[int]
    score_seconds: array[float]
    score_tokens: array[int]

    # -- reports of a model driven pass by pass -----------------------------------------------------------------------

    def read(self, given: int) -> None:
        """Rows of ``given`` tokens together are about to be read."""
        with self._lock:
            self.given += given

    def prefill(self, tokens: int, seconds: float) -> None:
        """One forward pass over ``tokens`` tokens of prompts or scored texts."""
        with self._lock:
            self.computed += tokens
            self.prefill_tokens.append(tokens)
            self.prefill_seconds.append(seconds)

    def first(self, seconds: float, sequences: int = 1) -> None:
        """The first token of ``sequences`` sequences, ``seconds`` after their prompts' turn began."""
        with self._lock:
            self.generated += sequences
            self.ttft_seconds.extend([seconds] * sequences)
            self.ttft_tokens.extend([1] * sequences)

    def step(self, tokens: int, seconds: float) -> None:
        """One decode step that chose ``tokens`` tokens: one for each live sequence."""
        with self._lock:
            self.generated += tokens
            self.step_tokens.append(tokens)
            self.step_seconds.append(seconds)

    def speculated(self, proposed: int, accepted: int) -> None:
        """``accepted`` of ``proposed`` tokens were what the model itself chose."""
        with self._lock:
            self.proposed += proposed
            self.accepted += accepted

    def predict(self, size: int) -> None:
        """A pass was planned to take ``size`` bytes beside the weights."""
        with self._lock:
            self.predicted_bytes = max(self.predicted_bytes, size)

    # -- reports of a model that takes whole requests -----------------------------------------------------------------

    def exchange(self, one: Exchange) -> None:
        """One request was answered."""
        given, made = one.given or 0, one.generated or 0
        with self._lock:
            self.given += given
            self.generated += made
            self.uncounted += one.given is None or one.generated is None
            if one.cached is None:
                self.unshared += given
            self.computed += max(0, given - (one.cached or 0))
            if one.seconds is not None:
                self._note("score" if one.scored else "e2e", one.seconds, given if one.scored else made)
            if one.ttft is not None:
                self._note("ttft", one.ttft, 1)
            self.itl_seconds.extend(one.gaps)
            self.itl_tokens.extend([1] * len(one.gaps))
            if one.decode_seconds is not None and made > 1:
                self._note("tpot", one.decode_seconds / (made - 1), made - 1)

    def _note(self, name: str, seconds: float, tokens: int) -> None:
        getattr(self, f"{name}_seconds").append(seconds)
        getattr(self, f"{name}_tokens").append(tokens)

    # -- copies and sums ----------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, taken between two reports and never in the middle of one."""
        with self._lock:
            return {
                name: value[:] if isinstance(value, array) else value
                for name, value in self.__dict__.items()
                if name != "_lock"
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def copy(self) -> Meter:
        """The counts up to now."""
        found = Meter()
        found.add(self)
        return found

    def add(self, other: Meter) -> None:
        """Count ``other``'s work too, as of another copy of the model, or of another model of a cascade: tokens and
        requests add up, durations stand side by side, and the larger of two planned sizes stays.
        """
        state = other.__getstate__()
        with self._lock:
            for name in SUMS:
                setattr(self, name, getattr(self, name) + state[name])
            self.predicted_bytes = max(self.predicted_bytes, state["predicted_bytes"])
            for name in DURATIONS:
                for column in (f"{name}_seconds", f"{name}_tokens"):
                    getattr(self, column).extend(state[column])

    # -- what it all comes to -----------------------------------------------------------------------------------------

    def raw(self) -> dict[str, tuple[array[float], array[int]]]:
        """Every duration as it was read, with its tokens, by kind: "prefill", "decode", and others of DURATIONS. The
        arrays are the meter's own, for they may be long: read them when the work is done.
        """
        return {
            {"step": "decode"}.get(name, name): (getattr(self, f"{name}_seconds"), getattr(self, f"{name}_tokens"))
            for name in DURATIONS
        }

    def counters(self) -> dict[str, Any]:
        """ "tokens", "throughput" and "latency"; what was not measured is absent, never zero."""
        tokens: dict[str, Any] = {"given": self.given}
        if not self.unshared:
            tokens |= {"computed": self.computed, "shared": self.given - self.computed}
        tokens["generated"] = self.generated
        if self.uncounted:
            tokens["uncounted_requests"] = self.uncounted
        if self.proposed:
            tokens |= {
                "draft_proposed": self.proposed,
                "draft_accepted": self.accepted,
                "draft_acceptance": self.accepted / self.proposed,
            }
        throughput: dict[str, float] = {}
        if prefill := sum(self.prefill_seconds):
            throughput["prefill_tokens_per_s"] = sum(self.prefill_tokens) / prefill
        if decode := sum(self.step_seconds):
            throughput["decode_tokens_per_s"] = sum(self.step_tokens) / decode
        found = {
            "ttft": latency.summary(self.ttft_seconds),
            "per_token": latency.summary(self.step_seconds, self.step_tokens),
            "itl": latency.summary(self.itl_seconds),
            "tpot": latency.summary(self.tpot_seconds),
            "e2e": latency.summary(self.e2e_seconds),
            "score": latency.summary(self.score_seconds),
        }
        return {
            "tokens": tokens,
            "throughput": throughput,
            "latency": {name: value for name, value in found.items() if value is not None},
        }


@runtime_checkable
class Metered(Protocol):
    """A backend that reports to a meter."""

    meter: Meter


@runtime_checkable
class Composed(Protocol):
    """A backend that is several: a cascade's stages, replicas in processes of their own."""

    def parts(self) -> Mapping[str, Mapping[str, Any]]:
        """Groups of a run's counters by name, to be added to the run's own: "memory" in bytes, and others."""
        ...
