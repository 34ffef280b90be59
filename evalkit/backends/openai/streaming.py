"""A completion that comes piece by piece: server-sent events become a text, its end, and the time of each piece."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from evalkit.perf import clocks
from evalkit.text.reading import parse_json

DONE = b"[DONE]"
TEXTS = ("content", "text")
"""Where a piece of text stands: in a chat's delta, in a completion's choice."""
UNSPOKEN = ("reasoning_content", "reasoning")
"""Where a piece stands that is made like text, but is none of the answer."""


class BrokenStream(Exception):
    """The stream tells of an error, cannot be read, or ends before its end (``cut``)."""

    def __init__(self, message: str, status: int = 0, cut: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.cut = cut


class Stream:
    """One reply, fed chunk by chunk as it comes. ``sent``: when its request was sent, by `clocks.now`.

    Only the first of several choices counts. A server need not send [DONE], but then a finish reason.
    """

    def __init__(self, sent: float) -> None:
        self.finish: Any = None
        self.usage: Mapping[str, Any] = {}
        self.timings: Mapping[str, Any] = {}
        self.pieces: list[float] = []
        """Seconds from the request to each piece of text."""
        self._sent = sent
        self._texts: list[str] = []
        self._spoken = False
        self._done = False
        self._rest = b""

    @property
    def text(self) -> str | None:
        """What was said; None where no text was to be expected from what came (the end gives another reason)."""
        return "".join(self._texts) if self._spoken or self.finish in ("stop", "length", None) else None

    def take(self, chunk: bytes) -> None:
        """The next bytes of the reply. Raises BrokenStream."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line.strip())

    def end(self) -> None:
        """No more comes. Raises BrokenStream where more would have to."""
        with suppress(BrokenStream):  # half a line: the stream was cut
            self._line(self._rest.strip())
        if not self._done and self.finish is None:
            raise BrokenStream("the stream ended in the middle", cut=True)

    def _line(self, line: bytes) -> None:
        # Other fields (event, id, retry) and comments carry nothing here.
        if line.startswith(b"error:"):
            self._failed(_read(line[6:]))
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == DONE:
            self._done = True
        elif data:
            self._event(_read(data))

    def _event(self, event: Any) -> None:
        if not isinstance(event, Mapping):
            raise BrokenStream("an event of the stream is no JSON object")
        if event.get("error"):
            self._failed(event["error"])
        for name in ("usage", "timings"):
            if isinstance(event.get(name), Mapping):
                setattr(self, name, event[name])
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return
        choice = choices[0]
        if choice.get("index") not in (None, 0):
            return
        delta = choice.get("delta")
        self._piece(delta if isinstance(delta, Mapping) else choice)
        self.finish = choice.get("finish_reason") or self.finish

    def _piece(self, part: Mapping[str, Any]) -> None:
        said = next((part[name] for name in TEXTS if isinstance(part.get(name), str)), None)
        if said is not None:
            self._spoken = True
            self._texts.append(said)
        if said or any(part.get(name) for name in UNSPOKEN):
            self.pieces.append(clocks.now() - self._sent)

    @staticmethod
    def _failed(error: Any) -> None:
        told = error if isinstance(error, Mapping) else {"message": error}
        inner = told.get("error")
        told = inner if isinstance(inner, Mapping) else told
        code = told.get("code")
        message = f"the server broke the stream off: {told.get('message') or 'no reason'}"
        raise BrokenStream(message, code if isinstance(code, int) else 0)


def _read(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError:
        shown = data[:80].decode("utf-8", "replace")
        raise BrokenStream(f"an event of the stream is not JSON: {shown!r}") from None
