"""A completion that comes piece by piece: server-sent events become a text, its end, and the time of each piece."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from evalkit.backends.openai.replies import Told, calls_in, is_first, text_in, thought_in, told
from evalkit.perf import clocks
from evalkit.text.reading import parse_json

DONE = b"[DONE]"
SHOWN = 4096
"""Bytes of what cannot be read that go into a message, before secrets are cut out and it is shortened."""


class BrokenStream(Exception):
    """The stream tells of an error, cannot be read, or ends before its end (``cut``)."""

    def __init__(self, message: str, status: int = 0, cut: bool = False, told: Told | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.cut = cut
        self.told = told


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
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._done = False
        self._rest: list[bytes] = []

    @property
    def text(self) -> str | None:
        """What was said; None where no piece of text came, not even an empty one."""
        return "".join(self._texts) if self._texts else None

    @property
    def refusal(self) -> str | None:
        """What was said under the name of a refusal."""
        return "".join(self._refusals) if self._refusals else None

    @property
    def thought(self) -> str:
        """What was thought, where the server tells it apart from what was said."""
        return "".join(self._thoughts)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """(name, arguments as JSON) of the functions that are called, in the order of their numbers."""
        return [(name, arguments or "{}") for _, (name, arguments) in sorted(self._calls.items())]

    def take(self, chunk: bytes) -> None:
        """The next bytes of the reply. Raises BrokenStream."""
        first, *lines = chunk.split(b"\n")
        self._rest.append(first)
        for line in lines:
            self._line(self._buffered())
            self._rest.append(line)

    def _buffered(self) -> bytes:
        line, self._rest = b"".join(self._rest), []
        return line.strip()

    def end(self) -> None:
        """No more comes. Raises BrokenStream where more would have to."""
        with suppress(BrokenStream):  # half a line: the stream was cut
            self._line(self._buffered())
        if not self._done and self.finish is None:
            raise BrokenStream("the stream ended in the middle", cut=True)

    def _line(self, line: bytes) -> None:
        # Other fields (event, id, retry) and comments carry nothing here.
        if line.startswith(b"error:"):
            self.told_of_error({"error": _read(line[6:])})
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
        self.told_of_error(event)
        self.take_event(event)

    def take_event(self, event: Mapping[str, Any]) -> None:
        """One event, which tells of no error; other protocols have other events."""
        for name in ("usage", "timings"):
            if isinstance(event.get(name), Mapping):
                setattr(self, name, event[name])
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and is_first(choice):
                delta = choice.get("delta")
                self._part(delta if isinstance(delta, Mapping) else choice)
                self.finish = choice.get("finish_reason") or self.finish
                return

    def _part(self, part: Mapping[str, Any]) -> None:
        if isinstance(part.get("refusal"), str):
            self._refusals.append(part["refusal"])
        called = self._call(part)
        self.piece(text_in(part), thought_in(part))
        if called:
            self.pieces.append(clocks.now() - self._sent)

    def _call(self, part: Mapping[str, Any]) -> bool:
        """Take the pieces of calls in a part; whether there were some."""
        listed = part.get("tool_calls")
        pieces = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        for place, piece in enumerate(pieces):
            number = piece.get("index")
            found = calls_in({"tool_calls": [piece]})
            if not found:  # nothing is called: a whole reply of this calls nothing either
                continue
            call = self._calls.setdefault(number if isinstance(number, int) else place, ["", ""])
            ((name, arguments),) = found
            call[0] += name
            call[1] += "" if arguments == "{}" and not (piece.get("function") or {}).get("arguments") else arguments
        return bool(pieces)

    def piece(self, said: str | None, thought: str) -> None:
        """What came now: of the text (None: nothing, not even an empty piece) and of the thought."""
        if said is not None:
            self._texts.append(said)
        self._thoughts.append(thought)
        if said or thought:
            self.pieces.append(clocks.now() - self._sent)

    @staticmethod
    def told_of_error(event: Mapping[str, Any]) -> None:
        """Raise BrokenStream where the event tells of an error."""
        error = told(event)
        if error is not None:
            raise BrokenStream(f"the server broke the stream off: {error.message}", error.status, told=error)


def _read(data: bytes) -> Any:
    try:
        return parse_json(data)
    except ValueError:
        shown = data[:SHOWN].decode("utf-8", "replace")
        raise BrokenStream(f"an event of the stream is not JSON: {shown!r}") from None
