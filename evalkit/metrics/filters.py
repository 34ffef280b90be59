"""What is done to generated texts before they are scored: named steps, applied in order.

Most steps change one text. Where a task asks several times, others choose among the answers: ``take_first``,
``take_first_k`` and ``majority_vote``. The steps that lm-evaluation-harness also has do exactly what its own do
(lm_eval/filters, 0.4.13).
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.text.patterns import compiled

Filter = Callable[[str], str]
Many = Callable[[Sequence[str]], list[str]]
Step = str | Mapping[str, Any]
"""A step's name, or {function: NAME, ...arguments}."""


def build(steps: Step | Sequence[Step]) -> Filter:
    """One function from a step or a list of steps. UserError names an unknown step, argument or a malformed pattern."""
    if isinstance(steps, str | Mapping):
        steps = [steps]
    chain = [_build_step(step) for step in steps]

    def apply(text: str) -> str:
        for function in chain:
            text = function(text)
        return text

    return apply


def build_many(steps: Step | Sequence[Step]) -> Many:
    """As :func:`build`, for all answers to one prompt: those that the steps leave, changed by them."""
    if isinstance(steps, str | Mapping):
        steps = [steps]
    chain = [_choosing(step) or _each(_build_step(step)) for step in steps]

    def apply(texts: Sequence[str]) -> list[str]:
        found = list(texts)
        for function in chain:
            found = function(found)
        return found

    return apply


def _each(function: Filter) -> Many:
    return lambda texts: [function(text) for text in texts]


def take_first_k(k: int) -> Many:
    """The first ``k`` answers. UserError below 1."""
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise UserError(f"filter take_first_k: k is {k!r}; give 1 or more")
    return lambda texts: list(texts[:k])


def majority_vote(ignore: str | Sequence[str] = ()) -> Many:
    """The most frequent answer, the earliest of equals (self-consistency, Wang et al. 2022, arXiv 2203.11171).

    Texts in ``ignore`` ("[invalid]") vote only where there is nothing else; lm-eval lets them vote.
    """
    left_out = {ignore} if isinstance(ignore, str) else set(ignore)

    def vote(texts: Sequence[str]) -> list[str]:
        valid = [text for text in texts if text not in left_out] or list(texts)
        return [Counter(valid).most_common(1)[0][0]] if valid else []

    return vote


_CHOOSING: Mapping[str, Callable[..., Many]] = {
    "take_first": lambda: lambda texts: list(texts[:1]),
    "take_first_k": take_first_k,
    "majority_vote": majority_vote,
}


def _choosing(step: Step) -> Many | None:
    """A step that chooses among answers, or None for a step that changes each."""
    name, args = _parts(step)
    factory = _CHOOSING.get(name)
    return None if factory is None else _called(name, factory, args)


def strip_thinking(start: str = "<think>", end: str = "</think>") -> Filter:
    """A reasoning model's answer without its thinking, white space around it removed.

    The rule: every span from ``start`` to the next ``end`` goes; an ``end`` without a ``start`` (the prompt held it)
    takes all before it along; a ``start`` without an ``end`` (the length ran out while thinking) takes all after it,
    which may leave nothing.
    """
    if not start or not end:
        raise UserError("filter strip_thinking: start and end cannot be empty")

    def strip(text: str) -> str:
        kept, at = [], 0
        while (begin := text.find(start, at)) >= 0 and (stop := text.find(end, begin + len(start))) >= 0:
            kept.append(text[at:begin])
            at = stop + len(end)
        text = "".join((*kept, text[at:])).rpartition(end)[2]
        return text.partition(start)[0].strip()

    return strip


def regex(regex_pattern: str = r"#### (\-?[0-9\.\,]+)", group_select: int = 0, fallback: str = "[invalid]") -> Filter:
    """The ``group_select``-th match of the pattern (-1: the last), stripped; ``fallback`` where there is none.

    With several groups it is the first one of the match that is not empty.
    """
    try:
        pattern = compiled(regex_pattern)
    except re.error as error:
        raise UserError(f"filter regex: the pattern {regex_pattern!r} is malformed: {error}") from error

    def extract(text: str) -> str:
        matches = pattern.findall(text)
        if not -len(matches) <= group_select < len(matches):
            return fallback
        match = matches[group_select]
        if isinstance(match, tuple):
            match = next((group for group in match if group), fallback)
        return match.strip()

    return extract


_NUMBER = re.compile(r"(?:(?<![\w.)\]])[-−])?[$€£¥₹]?(?:\d+(?:,\d{3})*+(?:\.\d+)?|(?<!\w)\.\d+)")


def last_number(text: str) -> str:
    """The last number of a text as a plain decimal: "it costs $1,029.00." gives "1029", no number "[invalid]".

    A rule of ours: signs of currency, commas between thousands, the point that ends a sentence, and zeros behind a
    decimal point are no part of a number. (lm-eval's flexible-extract keeps them: "29.00." is not 29.)
    """
    found = _NUMBER.findall(text)
    if not found:
        return "[invalid]"
    digits = found[-1].replace("−", "-").translate(_NO_DIGITS)
    value = format(Decimal(digits), "f")
    return (value.rstrip("0").rstrip(".") if "." in value else value).removeprefix("+") or "0"


_NO_DIGITS = str.maketrans("", "", "$€£¥₹,")


def first_paragraph(text: str) -> str:
    """The text up to its first blank line; blank lines before it and white space around it go."""
    return re.split(r"\n[^\S\n]*\n", text.strip(), maxsplit=1)[0].strip()


def map_text(mapping_dict: Mapping[str, str], default_value: str = "") -> Filter:
    """A fixed table of texts, and what stands for any other."""
    table = dict(mapping_dict)
    return lambda text: table.get(text, default_value)


_FENCE = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
"""A block of code in Markdown, its fence, language and text; one that is not closed goes to the end."""


def code_block(language: str = "python") -> Filter:
    """The code of a reply: the first block of ``language``, else the first block; a reply without one as it is."""

    def take(text: str) -> str:
        blocks = _FENCE.findall(text)
        own = next((code for _, named, code in blocks if named.lower() in (language, language[:2])), None)
        return own if own is not None else blocks[0][2] if blocks else text

    return take


def _plain(function: Filter) -> Callable[[], Filter]:
    """A step without arguments."""
    return lambda: function


def _unchanged(text: str) -> str:
    return text


_STEPS: Mapping[str, Callable[..., Filter]] = {
    "none": _plain(_unchanged),
    # Of one text these leave that text.
    "take_first": _plain(_unchanged),
    "take_first_k": lambda k: _plain(_unchanged)(),
    "majority_vote": lambda ignore=(): _plain(_unchanged)(),
    "remove_whitespace": _plain(str.strip),
    "strip": _plain(str.strip),
    "lowercase": _plain(str.lower),
    "uppercase": _plain(str.upper),
    "regex": regex,
    "map": map_text,
    "strip_thinking": strip_thinking,
    "first_paragraph": _plain(first_paragraph),
    "last_number": _plain(last_number),
    "code_block": code_block,
}


def _parts(step: Step) -> tuple[str, dict[str, Any]]:
    """A step's name and arguments."""
    if isinstance(step, str):
        return step, {}
    args = dict(step)
    name = str(args.pop("function", ""))
    args.update(args.pop("args", None) or {})
    return name, args


def _build_step(step: Step) -> Filter:
    name, args = _parts(step)
    factory = _STEPS.get(name)
    if factory is None:
        raise UserError(f"unknown filter {name!r}{did_you_mean(name, _STEPS)}")
    return _called(name, factory, args)


def _called(name: str, factory: Callable[..., Any], args: Mapping[str, Any]) -> Any:
    try:
        inspect.signature(factory).bind(**args)
    except TypeError as error:
        raise UserError(f"filter {name}: {error}; its arguments are {inspect.signature(factory)}") from error
    return factory(**args)
