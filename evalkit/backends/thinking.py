"""Thoughts in a model's reply: where they begin and end, and what of the reply is the answer.

One rule for every backend. A reply (behind white space) that begins with the mark of a thought, or that follows a
prompt which ends with it, is a thought up to the mark of its end; the answer is what stands behind, without the white
space before it. Stop strings count from the answer's first character on. A thought without an end leaves no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import UNFINISHED
from evalkit.spec.models import ModelSpec

PAIRS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
)
"""Marks that models of today write around their thoughts; the first pair is that of a model which tells of none."""

LEAD = 8
"""Characters of white space that may stand before a thought."""
PROMPT_END = 64
"""Tokens of a prompt's end in which the mark of a thought is looked for."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What begins and ends a thought. ``sure``: the user or the chat template says that the model thinks so."""

    start: str
    end: str
    sure: bool = False
    always: bool = False
    """The user named the end and nothing tells the beginning: whatever stands before an end is a thought."""

    def opened_by(self, prompt: str) -> bool:
        """Whether the reply to ``prompt`` begins within a thought."""
        return bool(self.start) and prompt.rstrip().endswith(self.start)

    def opened_by_tokens(self, prompt: Any, decode: Callable[[Sequence[int], bool], str]) -> bool:
        """The same of a prompt's tokens; ``decode(ids, true)`` writes special tokens out."""
        return self.opened_by(decode([int(token) for token in prompt[-PROMPT_END:]], True))


def marks_of(model: ModelSpec, template: str | None = None) -> Marks:
    """The marks that a model's replies are read by: the user's, else those that the chat template names, else <think>.

    UserError for marks that could not be told apart.
    """
    start, end = model.think_start, model.think_end
    if start == "" or end == "" or (start is not None and start == end):
        raise UserError("--think-start, --think-end: give two different texts, for example <think> and </think>")
    if start is None and end is None:
        found = next((pair for pair in PAIRS if template and pair[1] in template), None)
        return Marks(*(found or PAIRS[0]), sure=found is not None)
    for pair in PAIRS:
        if pair == (start, end) or (None in (start, end) and (start == pair[0] or end == pair[1])):
            return Marks(*pair, sure=True, always=start is None)
    if end is None:
        raise UserError(f"--think-start {start}: what ends such a thought? Give --think-end too")
    return Marks(start or "", end, sure=True, always=start is None)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply taken apart. ``begin``: where in it the answer begins; None within a thought that has not ended."""

    begin: int | None
    thought: bool
    open: bool = False
    """The reply may yet turn out to begin with a thought."""


def taken_apart(reply: str, marks: Marks, opened: bool) -> Reply:
    """Where the answer begins in what a model has written so far. ``opened``: the prompt began the thought."""
    at, thought = 0, False
    while True:
        if not (opened and not thought):
            rest = reply[at:].lstrip()
            begin = len(reply) - len(rest)
            late = not thought and begin > LEAD
            if late or not (marks.start and rest.startswith(marks.start)):
                waits = not late and bool(marks.start) and marks.start.startswith(rest)
                return Reply(begin if thought else 0, thought, waits)
            at = begin + len(marks.start)
        thought = True
        end = reply.find(marks.end, at)
        if end < 0:
            return Reply(None, True)
        at = end + len(marks.end)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is left of a reply: its answer, the thought before it (None: there was none), and how it ended."""

    text: str
    thought: str | None
    finish: str


def answer_of(reply: str, until: Sequence[str], marks: Marks, opened: bool = False, finish: str = "stop") -> Answer:
    """The answer in a whole reply, cut at the first stop string behind its thought. ``finish``: how the reply ended."""
    found = in_whole(reply, marks, opened, finish)
    if found.begin is None:
        return Answer("", reply, UNFINISHED)
    text = cut_at_stops(reply[found.begin :], until)
    ended = "stop" if len(text) < len(reply) - found.begin else finish
    return Answer(text, reply[: found.begin] if found.thought else None, ended)


def in_whole(reply: str, marks: Marks, opened: bool, finish: str | None) -> Reply:
    """A reply that has ended, taken apart."""
    found = taken_apart(reply, marks, opened)
    if not marks.always or found.thought:
        return found
    if marks.end in reply:
        return taken_apart(reply, marks, opened=True)
    return Reply(None, True) if finish == "length" else found


def cut_at_stops(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string (the rule of lm-eval's postprocess_generated_text)."""
    for stop in stops:
        if stop:
            text = text.split(stop)[0]
    return text
