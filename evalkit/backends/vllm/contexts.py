"""Rows by their contexts: what continuations of one context share is asked once.

Pure values, the same for the engine in this process and for one behind a server. `Report` is what came back for a
request: a log-probability for each position of the prompt that was read anew, or for chosen tokens behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow

MOST_TOKENS = 128
"""Tokens that one request may name: vLLM's own limit of ``logprob_token_ids``."""


@dataclass(frozen=True, slots=True)
class Value:
    """Log-probability of one token in nats, and whether no other token has a higher one."""

    logprob: float
    highest: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that have the same tokens before their start, sorted by their tokens."""

    context: list[int]
    rows: tuple[int, ...]
    """Indices into the rows given."""
    new: int
    """Tokens of the context and of its continuations that the group before does not have."""


@dataclass(slots=True)
class Known:
    """Log-probabilities found for one group: behind the context by token, further on by row and position."""

    first: dict[int, Value] = field(default_factory=dict)
    rows: dict[int, dict[int, Value]] = field(default_factory=dict)


def grouped(rows: Sequence[LoglikelihoodRow]) -> list[Group]:
    """The groups of ``rows`` in the order of their contexts' tokens, which is a walk of the contexts' prefix tree."""
    keys = [row.tokens.astype(">i4").tobytes() for row in rows]
    by_context: dict[bytes, list[int]] = {}
    for index, row in enumerate(rows):
        by_context.setdefault(keys[index][: 4 * row.start], []).append(index)
    groups: list[Group] = []
    before: list[int] = []
    for context in sorted(by_context):
        inside = sorted(by_context[context], key=keys.__getitem__)
        first = rows[inside[0]]
        tokens = first.tokens[: first.start].tolist()
        new = len(tokens) - common(before, tokens) + sum(len(rows[index].tokens) - first.start for index in inside)
        groups.append(Group(tokens, tuple(inside), new))
        before = tokens
    return groups


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def portions(groups: Sequence[Group], tokens: int, rows: int) -> Iterator[list[Group]]:
    """``groups`` in turn, as many at a time as have at most ``tokens`` new tokens and ``rows`` rows, or one."""
    part: list[Group] = []
    new = held = 0
    for group in groups:
        if part and (new + group.new > tokens or held + len(group.rows) > rows):
            yield part
            part, new, held = [], 0, 0
        part.append(group)
        new, held = new + group.new, held + len(group.rows)
    if part:
        yield part


def first_tokens(group: Group, rows: Sequence[LoglikelihoodRow]) -> list[list[int]]:
    """The tokens right behind the context, as many in a list as one request may name."""
    distinct = sorted({int(rows[index].tokens[len(group.context)]) for index in group.rows})
    return [distinct[begin : begin + MOST_TOKENS] for begin in range(0, len(distinct), MOST_TOKENS)]


def results(
    group: Group, rows: Sequence[LoglikelihoodRow], known: Known
) -> Iterator[tuple[int, LoglikelihoodResult | Exception | None]]:
    """(row, what is known of it) for each row of the group; None where a position lacks its value.

    A value is what was read for the row itself, what stands behind its context, or that of the row before it in the
    order of their tokens: no earlier row begins alike for longer, so that one look back finds whatever is known.
    """
    before: list[int] = []
    held: dict[int, Value] = {}
    for index in group.rows:
        start, tokens = rows[index].start, rows[index].tokens.tolist()
        shared = common(before, tokens)
        values = dict(known.rows.get(index, {}))
        for position in range(start, len(tokens)):
            if position not in values and position < shared and position in held:
                values[position] = held[position]
        if start not in values and tokens[start] in known.first:
            values[start] = known.first[tokens[start]]
        complete = all(position in values for position in range(start, len(tokens)))
        yield index, summed([values[position] for position in range(start, len(tokens))]) if complete else None
        before, held = tokens, values


def summed(values: Sequence[Value]) -> LoglikelihoodResult | Exception:
    """The log-likelihood of a continuation."""
    total = math.fsum(value.logprob for value in values)
    if not math.isfinite(total):
        return ArithmeticError("a log-probability is missing or not finite")
    return LoglikelihoodResult(total, all(value.highest for value in values))


def chosen(entry: Mapping[int, float], tokens: Sequence[int]) -> dict[int, Value]:
    """The values of ``tokens`` in a report of one position (token id -> log-probability) that has the likeliest too."""
    best = max(entry.values(), default=math.nan)
    return {token: Value(entry[token], entry[token] >= best) for token in tokens if token in entry}


def read_positions(
    report: Sequence[Mapping[int, float]], tokens: Sequence[int], start: int, cached: int
) -> dict[int, Value]:
    """Values of the positions from ``start`` on in a report of a prompt of which the first ``cached`` tokens came from
    the cache: the first token read anew, at ``cached``, tells of the one behind it, and what stands before that in the
    report is not to be used. A report that leaves those out is shorter than the prompt; it is aligned at its end.
    """
    lacking = len(tokens) - len(report)
    if lacking < 0:
        return {}
    found = {}
    for position in range(max(start, cached + 1), len(tokens)):
        entry = report[position - lacking] if position >= lacking else {}
        if tokens[position] in entry:
            found[position] = chosen(entry, [tokens[position]])[tokens[position]]
    return found
