"""Stop strings, looked for in tokens as they come: one rule for every backend that sees tokens.

A stop string may be ordinary text, a special token ("<|im_end|>", which a decoded text leaves out), or both; it may be
cut anywhere by tokens, even within a letter's bytes. So it is looked for in the text with its special tokens written
out, and the answer is the text before it without them. It counts once the model has ended its thought, if it thinks
(`evalkit.backends.thinking`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evalkit.backends.thinking import PAIRS, Marks, cut_at_stops, in_whole, taken_apart
from evalkit.contract.backend import GenerateResult
from evalkit.contract.types import UNFINISHED

Decode = Callable[[Sequence[int], bool], str]
"""Text of token ids; true: with special tokens as they are written, false: without them."""


class StopScan:
    """One row's tokens as they are produced. ``ends``: ids that end a text and are no part of it; ``end_text``: what
    ends it where it is written out; ``size``: ids that the tokenizer has (an embedding may have more, which are no
    text); ``opened``: the prompt ends within a thought.
    """

    def __init__(
        self,
        until: Sequence[str],
        decode: Decode,
        ends: frozenset[int] = frozenset(),
        max_tokens: int | None = None,
        size: int | None = None,
        end_text: str = "",
        marks: Marks = Marks(*PAIRS[0]),
        opened: bool = False,
    ) -> None:
        self._until = tuple(stop for stop in (*until, end_text) if stop)
        self._end_text = end_text
        self._decode = decode
        self._ends = ends
        self._most = max_tokens
        self._size = size
        self._marks = marks
        self._opened = opened
        # A text of b bytes lies within the last b tokens that are text (each is a byte or more); one more because a
        # text that begins within a letter is decoded as something else there.
        self._window = max((len(stop.encode()) for stop in self._until), default=0) + 2
        self._mark_window = max(self._window, len(marks.end.encode()) + 2)
        self._tail: list[int] = []
        """The last tokens that are text: of the whole reply, of its thought, or of its answer."""
        self._after_thought = False
        self._look = self._in_thought if opened or marks.always else self._at_beginning
        self.tokens: list[int] = []
        self.finish: str | None = None
        """Why the row ended, "stop" or "length"; None while it goes on."""

    @property
    def thinking(self) -> bool:
        """Whether the row is within a thought, where no stop string counts."""
        return self._look == self._in_thought

    def add(self, token: int) -> bool:
        """Take the next token; true where the row ends with it. What comes after the end is not taken."""
        if self.finish is not None:
            return True
        if token in self._ends:
            self.finish = "stop"
            return True
        self.tokens.append(token)
        if self._size is None or token < self._size:
            self._tail.append(token)
            self._look()
        if self.finish is None and self._most is not None and len(self.tokens) >= self._most:
            self.finish = "length"
        return self.finish is not None

    def _at_beginning(self) -> None:
        """Of the reply, or of what stands behind a thought, whose end is in the tail then."""
        text = self._decode(self._tail, True)
        found = taken_apart(text, self._marks, self._after_thought)
        if self._end_text and self._end_text in text:
            self.finish = "stop"
        elif found.begin is None:
            self._look = self._in_thought
        elif not found.open and (text[found.begin :] or not found.thought):
            self._after_thought = found.thought
            self._tail = self._tail[-1:] if found.thought else self._tail
            self._look = self._in_answer
            self._stops_in(text[found.begin :])

    def _in_thought(self) -> None:
        self._tail = self._tail[-self._mark_window :]
        text = self._decode(self._tail, True)
        if self._end_text and self._end_text in text:
            self.finish = "stop"
        elif any(stop in text for stop in self._until) and self._by_special_tokens(text):
            self.finish = "stop"  # the end of the turn, thought or not
        elif self._marks.end in text:
            self._after_thought = True
            self._look = self._at_beginning
            self._look()

    def _by_special_tokens(self, text: str) -> bool:
        """Whether a stop string in the tail is there by special tokens, which no thought writes by chance."""
        plain = self._decode(self._tail, False)
        return any(stop in text and stop not in plain for stop in self._until if stop != self._marks.end)

    def _in_answer(self) -> None:
        if not self._until:
            return
        if len(self._tail) > self._window:
            self._tail = self._tail[-self._window :]
            self._after_thought = False
        text = self._decode(self._tail, True)
        self._stops_in(text.lstrip() if self._after_thought else text)

    def _stops_in(self, text: str) -> None:
        if any(stop in text for stop in self._until):
            self.finish = "stop"

    def extend(self, tokens: Sequence[int]) -> bool:
        """Take tokens one by one up to the row's end; whether it was reached."""
        return any(self.add(token) for token in tokens)

    def answer(self) -> GenerateResult:
        """The text before the first stop string, and what was produced for it."""
        finish = self.finish or "stop"
        written = self._decode(self.tokens, True)
        found = in_whole(written, self._marks, self._opened, finish)
        if found.begin is None:
            return GenerateResult("", len(self.tokens), UNFINISHED, thought=written)
        if not found.thought:
            return GenerateResult(before_stops(self.tokens, self._until, self._decode), len(self.tokens), finish)
        first = _tokens_within(self.tokens, found.begin, self._decode)
        skip = found.begin - len(self._decode(self.tokens[:first], True))
        text = before_stops(self.tokens[first:], self._until, self._decode, skip).lstrip()
        return GenerateResult(text, len(self.tokens), finish, thought=written[: found.begin])


def before_stops(tokens: Sequence[int], stops: Sequence[str], decode: Decode, skip: int = 0) -> str:
    """The text of ``tokens`` behind its first ``skip`` characters and before the first stop string, without special
    tokens.
    """
    text, written = decode(tokens, False)[skip:], decode(tokens, True)[skip:]
    begins = [written.find(stop) for stop in stops if stop and stop in written and stop not in text]
    if not begins:
        return cut_at_stops(text, stops)
    # The stop string has a special token in it, so the text without these does not show where it begins.
    begin = min(begins) + skip
    low = _tokens_within(tokens, begin, decode)
    whole = decode(tokens[:low], False)[skip:]
    if low < len(tokens) and decode(tokens[low : low + 1], False):
        whole += (" " * skip + written)[max(skip, len(decode(tokens[:low], True))) : begin]
    return cut_at_stops(whole, stops)


def _tokens_within(tokens: Sequence[int], length: int, decode: Decode) -> int:
    """How many tokens lie within the first ``length`` characters of the text with its special tokens written out."""
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high + 1) // 2
        if len(decode(tokens[:middle], True)) <= length:
            low = middle
        else:
            high = middle - 1
    return low
