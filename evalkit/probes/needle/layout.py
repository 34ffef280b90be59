"""From a puzzle and a length in tokens to a prompt of exactly that length.

All prompts of one repetition take their filling from one endless text, from its beginning. What stands before the first
needle is therefore the same in all of them, for every depth, length and question, and the engine's prefix tree reads it
once: sharing changes no token of any prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, PromptStyle
from evalkit.probes.needle.puzzles import Insert, Puzzle, Question

CHARACTERS_A_TOKEN = 4
"""What is assumed of a tokenizer that is not at hand (a server's)."""
_FILLERS = (" so", " a", ".", " .", "\n", "!", " and")
"""What makes up the last missing tokens; most tokenizers have one token for each."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt as text and, by a chat template, as messages; ``tokens`` counts it, ``before`` its filling's pieces
    before the first needle.
    """

    context: str
    messages: tuple[Message, ...] | None
    tokens: int
    before: int


class Haystack:
    """The endless filling of one repetition, with the tokens of its pieces (each with its leading space)."""

    def __init__(self, pieces: Iterator[str], encode: Callable[[Sequence[str]], list[list[int]]] | None) -> None:
        self._source = pieces
        self._encode = encode
        self.pieces: list[str] = []
        self.ends: list[int] = [0]
        """Tokens of the first k pieces, about: neighbours may share a token."""

    def reach(self, tokens: int) -> None:
        """Have at least so many tokens at hand. UserError where the text is at its end."""
        while self.ends[-1] < tokens:
            more = [piece for _, piece in zip(range(256), self._source, strict=False)]
            if not more:
                raise UserError(
                    f"needle: the text has about {self.ends[-1]} tokens and {tokens} are needed; give more text, or "
                    "shorter lengths"
                )
            sizes = self.count([f" {piece}" for piece in more])
            self.ends += list(accumulate(sizes, initial=self.ends[-1]))[1:]
            self.pieces += more

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        if self._encode is None:
            return [-(-len(text) // CHARACTERS_A_TOKEN) for text in texts]
        return [len(ids) for ids in self._encode(texts)]

    def pieces_within(self, tokens: float) -> int:
        """How many pieces from the beginning fit into so many tokens."""
        low, high = 0, len(self.pieces)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.ends[middle] <= tokens else (low, middle - 1)
        return low


def fit(
    puzzle: Puzzle, question: Question, depth: float, tokens: int, haystack: Haystack, style: PromptStyle, prefix: bool
) -> Fitted:
    """The prompt of one cell: ``tokens`` long, its first needle after ``depth`` (0 to 1) of the filling.

    Where no filler makes the length exact it is the nearest below, and ``Fitted.tokens`` says so. UserError for a
    length in which needles and question alone do not fit.
    """

    def prompt(text: str) -> tuple[str, tuple[Message, ...] | None]:
        return _prompt(puzzle, text, question, style, prefix)

    def size(text: str) -> int:
        return haystack.count([prompt(text)[0]])[0]

    bare = size(" ".join(insert.text for insert in puzzle.inserts))
    room = tokens - bare
    if room < 0:
        raise UserError(f"needle: {tokens} tokens are too few: question and needles alone take {bare}; use more")
    haystack.reach(room + 256)
    places = [(haystack.pieces_within(room * _place(insert, depth)), insert.text) for insert in puzzle.inserts]
    count = haystack.pieces_within(room)
    while count and size(_assembled(haystack.pieces[:count], places)) > tokens:
        count -= 1
    while size(_assembled(haystack.pieces[: count + 1], places)) <= tokens:
        count += 1
        haystack.reach(haystack.ends[count] + 256)
    text = _filled(_assembled(haystack.pieces[:count], places), haystack.pieces[count], tokens, size)
    context, messages = prompt(text)
    first = min((place for place, _ in places), default=0)
    return Fitted(context, messages, haystack.count([context])[0], first)


def _place(insert: Insert, depth: float) -> float:
    """Where in the filling an insert lies, 0 to 1."""
    if insert.wrap:
        place = depth + insert.at
        return place if place <= 1 else place - 1
    return depth + insert.at * (1 - depth)


def _assembled(pieces: Sequence[str], places: Sequence[tuple[int, str]]) -> str:
    parts: list[str] = []
    done = 0
    for place, text in sorted(places, key=lambda one: one[0]):
        parts += pieces[done:place]
        parts.append(text)
        done = max(done, min(place, len(pieces)))
    return " ".join([*parts, *pieces[done:]])


def _filled(text: str, following: str, tokens: int, size: Callable[[str], int]) -> str:
    """The text with words of what follows, then filler, until its prompt has ``tokens`` tokens."""
    for word in following.split(" "):
        longer = f"{text} {word}"
        if size(longer) > tokens:
            break
        text = longer
    missing = tokens - size(text)
    best = text
    for filler in _FILLERS if missing else ():
        for repeat in range(missing, 0, -1):
            got = size(text + filler * repeat)
            if got == tokens:
                return text + filler * repeat
            if got < tokens:
                best = text + filler * repeat if got > size(best) else best
                break
    return best


def _prompt(
    puzzle: Puzzle, text: str, question: Question, style: PromptStyle, prefix: bool
) -> tuple[str, tuple[Message, ...] | None]:
    before, after, begin = puzzle.labels
    asked = f"{puzzle.task}\n\n{text}\n\n{before}: {question.text}"
    system = style.system or ""
    if style.chat is None:
        head = f"{system}\n\n" if system else ""
        return f"{head}{asked}\n{after}:" + (f" {question.lead}" if prefix else ""), None
    if prefix:
        asked += f"\n{begin}: {question.lead}"
    messages = (*((Message("system", system),) if system else ()), Message("user", asked))
    return style.chat(messages, True), messages


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, each on one line."""
    return [" ".join(sentence.split()) for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def from_folder(folder: Path) -> list[str]:
    """The sentences of a text file, or of all .txt and .md files of a folder in the order of their paths."""
    files = sorted(one for one in folder.rglob("*") if one.suffix in (".txt", ".md")) if folder.is_dir() else [folder]
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"needle: {file}: cannot be read ({error}); give UTF-8 text") from None
        found += sentences_of(text)
    if not found:
        raise UserError(f"needle: {folder}: holds no text; .txt and .md files are read")
    return found
