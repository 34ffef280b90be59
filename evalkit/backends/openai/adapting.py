"""Parameters that a server refuses by name: changed once where the question stays the same, told, and recorded."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.backends.openai.http import RequestFailed
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate

log = logging.getLogger(__name__)

REFUSALS = frozenset({200, 400, 404, 415, 422, 501})
"""Statuses of a refused parameter; 200: told in a reply that pretends to be one."""

LENGTHS = ("max_tokens", "max_completion_tokens")

_REFUSED = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra|deprecated", re.I
)

STOPS = frozenset({"stop", "stop_sequences", "stopSequences"})
"""What APIs call stop strings."""
INNER = frozenset({"generationConfig", "inferenceConfig", "options"})
"""Where APIs keep the settings of a generation that do not stand beside the prompt."""

_WITHOUT = {
    "stop": "stop strings are cut here, and tokens behind them are paid for",
    "seed": "draws cannot be repeated",
    "temperature": "the server samples at its own temperature, so that a second run may answer otherwise",
}
"""What may be left out, and what is different then."""


class Adaptation:
    """What one server does not take, learned from its refusals; safe to use from several threads."""

    def __init__(self, max_tokens_field: str | None, default: str, record: Callable[[Mapping[str, str]], None]) -> None:
        """``max_tokens_field``: as the user chose it; None: ``default``, and the other one where that is refused.
        ``record`` is given everything that was changed, by parameter, each time something is.
        """
        self._chosen = max_tokens_field
        self._length = max_tokens_field or default
        self._record = record
        self._changes: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def length_field(self) -> str:
        """The name that the limit of new tokens goes by."""
        return self._length

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` as this server takes it."""
        sent = {
            key: self._left(value) if key in INNER and isinstance(value, Mapping) else value
            for key, value in self._left(body).items()
        }
        other = next(name for name in LENGTHS if name != self._length)
        if other in sent:
            sent[self._length] = sent.pop(other)
        return sent

    def _left(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        names = {key: "stop" if key in STOPS else key for key in settings}
        return {
            key: value
            for key, value in settings.items()
            if names[key] not in self._changes or names[key] not in _WITHOUT
        }

    @property
    def stops_here(self) -> bool:
        """Whether stop strings are cut here and not sent."""
        return "stop" in self._changes

    def stop_here(self) -> None:
        """Send no stop strings: the model thinks, and a server would end it within its thought."""
        what = "not sent: the model thinks, and stop strings count behind its thought; they are cut here"
        self._note("stop", what, f"stop strings are {what}")

    def learn(self, error: RequestFailed, sent: Mapping[str, Any], request: Generate) -> bool:
        """Whether the refused request can be sent anew without the parameter that the server names.

        Raises UserError for a parameter whose absence would change what the user asked.
        """
        name = refused(error, sent)
        if name is None:
            return False
        if name in LENGTHS:
            other = next(one for one in LENGTHS if one != name)
            if self._chosen or name in self._changes or other in self._changes:
                raise UserError(f"the server refuses {name} ({error}): try --model_args max_tokens_field={other}")
            self._change(name, f"sent as {other}")
            self._length = other
            return True
        asked = {key for key, _ in request.sampling.extra} | {"top_p", "top_k"}
        given = _flat(sent).get(name)
        common = "stop" if name in STOPS else name
        if name in asked or common not in _WITHOUT or (name == "temperature" and given):
            raise UserError(
                f"the server does not take {name}={given!r} ({error}): leave it out of the settings "
                "(--gen_kwargs, or the task's own)"
            )
        self._change(common, f"not sent: {_WITHOUT[common]}")
        return True

    def _change(self, name: str, what: str) -> None:
        self._note(name, what, f"the server does not take {name}: {what}")

    def _note(self, name: str, what: str, line: str) -> None:
        with self._lock:
            if name in self._changes:
                return
            self._changes[name] = what
            self._record(dict(self._changes))
        log.warning("%s", line)


def refused(error: RequestFailed, sent: Mapping[str, Any]) -> str | None:
    """The parameter of ``sent`` that the failure is about; None where it is about something else (a value too large, a
    prompt too long).
    """
    words = str(error)
    if error.status not in REFUSALS or not _REFUSED.search(words):
        return None
    names = _flat(sent)
    if error.param is not None:
        return error.param if error.param in names else None
    named = [(found.start(), name) for name in names if (found := re.search(rf"(?<![\w.]){name}(?!\w)", words))]
    return min(named)[1] if named else None


def _flat(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a request, those further in as well."""
    inner = [sent[key] for key in INNER & sent.keys() if isinstance(sent[key], Mapping)]
    return {**{key: value for one in inner for key, value in one.items()}, **sent}
