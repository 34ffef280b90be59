"""Stop strings, looked for in tokens as they come: one rule for every backend that sees tokens.

A stop string may be ordinary text, a special token ("<|im_end|>", which a decoded text leaves out), or both; it may be
cut anywhere by tokens, even within a letter's bytes. So it is looked for in the text with its special tokens written
out, and the answer is the text before it without them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalkit.contract.backend import GenerateResult

Decode = Callable[[Sequence[int], bool], str]
"""Text of token ids; true: with special tokens as they are written, false: without them."""


def cut_at_stops(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string (the rule of lm-eval's postprocess_generated_text)."""
    for stop in stops:
        if stop:
            text = text.split(stop)[0]
    return text


class StopScan:
    """One row's tokens as they are produced. ``ends``: ids that end a text and are no part of it; ``size``: ids that
    the tokenizer has (an embedding may have more, which are no text).
    """

    def __init__(
        self,
        until: Sequence[str],
        decode: Decode,
        ends: frozenset[int] = frozenset(),
        max_tokens: int | None = None,
        size: int | None = None,
    ) -> None:
        self._stops = tuple(stop for stop in until if stop)
        self._decode = decode
        self._ends = ends
        self._most = max_tokens
        self._size = size
        # A stop string of b bytes lies within the last b tokens that are text (each is a byte or more); one more
        # because a text that begins within a letter is decoded as something else there.
        self._window = max((len(stop.encode()) for stop in self._stops), default=0) + 2
        self._tail: list[int] = []
        self.tokens: list[int] = []
        self.finish: str | None = None
        """Why the row ended, "stop" or "length"; None while it goes on."""

    def add(self, token: int) -> bool:
        """Take the next token; true where the row ends with it. What comes after the end is not taken."""
        if self.finish is not None:
            return True
        if token in self._ends:
            self.finish = "stop"
            return True
        self.tokens.append(token)
        if self._stops and (self._size is None or token < self._size):
            self._tail = [*self._tail, token][-self._window :]
            text = self._decode(self._tail, True)
            if any(stop in text for stop in self._stops):
                self.finish = "stop"
        if self.finish is None and self._most is not None and len(self.tokens) >= self._most:
            self.finish = "length"
        return self.finish is not None

    def extend(self, tokens: Sequence[int]) -> bool:
        """Take tokens one by one up to the row's end; whether it was reached."""
        return any(self.add(token) for token in tokens)

    def answer(self) -> GenerateResult:
        """The text before the first stop string, and what was produced for it."""
        text = before_stops(self.tokens, self._stops, self._decode)
        return GenerateResult(text, len(self.tokens), self.finish or "stop")


def before_stops(tokens: Sequence[int], stops: Sequence[str], decode: Decode) -> str:
    """The text of ``tokens`` before the first stop string, without special tokens."""
    text, written = decode(tokens, False), decode(tokens, True)
    begins = [written.find(stop) for stop in stops if stop and stop in written and stop not in text]
    if not begins:
        return cut_at_stops(text, stops)
    # The stop string has a special token in it, so the text without these does not show where it begins.
    begin = min(begins)
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high + 1) // 2
        if len(decode(tokens[:middle], True)) <= begin:
            low = middle
        else:
            high = middle - 1
    whole = decode(tokens[:low], False)
    if low < len(tokens) and decode(tokens[low : low + 1], False):
        whole += written[len(decode(tokens[:low], True)) : begin]
    return cut_at_stops(whole, stops)
