"""Log-likelihoods from a vLLM engine, each context read once.

vLLM reads nothing from its prefix cache for a request that asks for ``prompt_logprobs``, unless it is told to; then the
positions that came from the cache have no values. So every context is asked once, for one token and the
log-probabilities of the first tokens of its continuations (``logprob_token_ids``): that answers continuations of one
token, and leaves the context in the cache. Longer continuations are asked after it, reading the cache
(``skip_reading_prefix_cache=False``), and their values are taken behind what was cached (``num_cached_tokens``). A row
that lacks a value all the same is asked again without the cache.

What the installed version can do is tried on a short prompt when it is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.backends.vllm import contexts
from evalkit.backends.vllm.contexts import Group, Known
from evalkit.contract.backend import LoglikelihoodRow, OnResult
from evalkit.perf.meter import Exchange, Meter

Run = Callable[[Sequence[Sequence[int]], Sequence[Any]], Sequence[Any]]
"""``run(prompts, sampling parameters)``: vLLM's outputs, in order."""

CHUNK = 2048
"""Rows handed to vLLM at a time: many for its scheduler, few enough that what was answered is soon in the journal."""
SHARE_OF_CACHE = 0.5
"""Of the cache's tokens, what the contexts and rows of one portion may take, so that none is thrown out too early."""
APART = 0.5
"""Nats: a value that differs by more between two ways of asking stands for another position. Low-precision types differ
by a few hundredths."""
BEHIND = 3
"""Tokens of the trial's context behind its last full block."""


@dataclass(frozen=True, slots=True)
class Powers:
    """How the installed vLLM can be asked."""

    names_tokens: bool = False
    """Log-probabilities of named tokens behind a context (``logprob_token_ids``)."""
    reads_cache: bool = False
    """``prompt_logprobs`` of what is not in the prefix cache."""
    flat: bool = False
    """Reports as flat lists (``flat_logprobs``), which cost less to make than an object a position."""
    lacking: tuple[str, ...] = ()
    """What it cannot do, and why."""

    @property
    def way(self) -> str:
        """In words, for the record."""
        if self.names_tokens:
            return "a request a context" + (", the rest behind the prefix cache" if self.reads_cache else "")
        return "behind the prefix cache" if self.reads_cache else "a request a row, without the prefix cache"


@dataclass(slots=True)
class Scorer:
    """Scores rows on one engine; ``run`` is its generate."""

    run: Run
    sampling_type: Any
    powers: Powers
    block: int
    """Tokens of a block of the cache: only full ones are kept."""
    capacity: int
    """Tokens that the cache holds; 0: not known."""
    meter: Meter
    asked_again: int = field(default=0)
    """Rows of which the cache held too much, so that they were asked a second time without it."""

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.score`."""
        if not self.powers.names_tokens and not self.powers.reads_cache:
            order = sorted(range(len(rows)), key=lambda index: rows[index].tokens.tolist())
            for begin in range(0, len(order), CHUNK):
                self._plain(rows, order[begin : begin + CHUNK], done)
            return
        tokens = int(self.capacity * SHARE_OF_CACHE) if self.capacity else 1 << 60
        for part in contexts.portions(contexts.grouped(rows), tokens, CHUNK):
            self._portion(rows, part, done)

    def _portion(self, rows: Sequence[LoglikelihoodRow], groups: Sequence[Group], done: OnResult) -> None:
        known = [Known() for _ in groups]
        alone: list[int] = []  # whole texts, and rows whose context fills no block: nothing to read from the cache
        behind: list[list[int]] = []
        for group in groups:
            longer = [index for index in group.rows if len(rows[index].tokens) > rows[index].start + 1]
            cached = self.powers.reads_cache and len(group.context) >= self.block
            if not self.powers.names_tokens and cached:
                longer = list(group.rows)  # those of one token, too
            behind.append(longer if cached else [])
            if not cached:
                alone += longer if self.powers.names_tokens else group.rows
        left = set(alone)
        asked = [place for place, group in enumerate(groups) if behind[place] or not left.issuperset(group.rows)]
        self._ask_contexts(rows, groups, asked, behind, left, known)
        self._ask_behind(rows, groups, behind, known)
        again = []
        for group, found in zip(groups, known, strict=True):
            for index, answer in contexts.results(group, rows, found):
                if index in left:
                    continue
                if answer is None:
                    again.append(index)
                else:
                    done(index, answer)
        self.asked_again += len(again)
        self._plain(rows, [*alone, *again], done)

    def _ask_contexts(
        self,
        rows: Sequence[LoglikelihoodRow],
        groups: Sequence[Group],
        asked: Sequence[int],
        behind: Sequence[Sequence[int]],
        left: set[int],
        known: Sequence[Known],
    ) -> None:
        """Every context once, for its first tokens; where tokens cannot be named, only to fill the cache."""
        requests: list[tuple[int, list[int], bool]] = []
        for place in asked:
            lists = contexts.first_tokens(groups[place], rows) if self.powers.names_tokens else [[]]
            requests += [(place, tokens, not number) for number, tokens in enumerate(lists)]
        sampling = [after_context(self.sampling_type, tokens) for _, tokens, _ in requests]
        outputs = self._run([groups[place].context for place, _, _ in requests], sampling)
        for (place, tokens, is_first), output in zip(requests, outputs, strict=True):
            group = groups[place]
            if tokens:
                known[place].first |= contexts.chosen(first_entry(output), tokens)
            answered = [index for index in group.rows if index not in left and index not in behind[place]]
            given = sum(len(rows[index].tokens) for index in answered) if is_first else 0
            self._measure(output, len(group.context), given)

    def _ask_behind(
        self,
        rows: Sequence[LoglikelihoodRow],
        groups: Sequence[Group],
        behind: Sequence[Sequence[int]],
        known: Sequence[Known],
    ) -> None:
        requests = [(place, index) for place in range(len(groups)) for index in behind[place]]
        sampling = self._of_prompt(reads_cache=True)
        outputs = self._run([rows[index].tokens.tolist() for _, index in requests], [sampling] * len(requests))
        for (place, index), output in zip(requests, outputs, strict=True):
            tokens, cached = rows[index].tokens.tolist(), cached_tokens(output)
            self._measure(output, len(tokens), len(tokens))
            if cached is not None:
                report = prompt_entries(output, len(tokens) - rows[index].start)
                known[place].rows[index] = contexts.read_positions(report, tokens, rows[index].start, cached)

    def _plain(self, rows: Sequence[LoglikelihoodRow], order: Sequence[int], done: OnResult) -> None:
        """Every row by itself, its context read anew."""
        outputs = self._run([rows[index].tokens.tolist() for index in order], [self._of_prompt()] * len(order))
        for index, output in zip(order, outputs, strict=True):
            row = rows[index]
            tokens = row.tokens.tolist()
            self._measure(output, len(tokens), len(tokens))
            found = contexts.read_positions(prompt_entries(output, len(tokens) - row.start), tokens, row.start, 0)
            if len(found) < len(tokens) - row.start:
                done(index, RuntimeError("vLLM left out log-probabilities of the prompt"))
                continue
            done(index, contexts.summed([found[position] for position in range(row.start, len(tokens))]))

    def _run(self, prompts: Sequence[Sequence[int]], sampling: Sequence[Any]) -> Sequence[Any]:
        return self.run(prompts, sampling) if prompts else []

    def _of_prompt(self, reads_cache: bool = False) -> Any:
        return of_prompt(self.sampling_type, reads_cache, self.powers.flat)

    def _measure(self, output: Any, asked: int, given: int) -> None:
        """Count a request of ``asked`` tokens that answers rows of ``given``; 0: it only fills the cache."""
        one = exchange_of(output, asked, None)
        if one.cached is not None and given != asked:
            cached = max(0, given - (asked - one.cached)) if given else one.cached
            one = Exchange(given or asked, cached=cached, scored=True, seconds=one.seconds)
        self.meter.exchange(one)


def find(run: Run, sampling_type: Any, trial: Sequence[int], block: int, window: int) -> Powers:
    """What this vLLM can do, tried on ``trial``, tokens of any text: each way of asking must give the values of the
    plain one, and say how much came from the cache.
    """
    length = 2 * block + BEHIND
    if length + 2 > window:
        return Powers(lacking=(f"the window ({window}) holds too few of the cache's blocks, {block} tokens each",))
    tokens = [trial[place % len(trial)] for place in range(length + 2)]
    context = tokens[:length]
    flat = _takes(sampling_type, flat_logprobs=True)
    (output,) = run([tokens], [of_prompt(sampling_type, flat=flat)])
    plain = contexts.read_positions(prompt_entries(output, 2), tokens, length, 0)
    if len(plain) < 2:
        return Powers(lacking=("it gave no log-probabilities of a prompt",))
    lacking = []
    names = reads = False
    try:
        (output,) = run([context], [after_context(sampling_type, [tokens[length]])])
        value = first_entry(output).get(tokens[length], math.nan)
        names = abs(value - plain[length].logprob) <= APART
        lacking += [] if names else ["logprob_token_ids give other values than prompt_logprobs"]
    except (TypeError, ValueError) as error:
        lacking.append(f"logprob_token_ids: {error}")
        run([context], [after_context(sampling_type, [])])
    try:
        (output,) = run([tokens], [of_prompt(sampling_type, True, flat)])
        cached = cached_tokens(output) or 0
        found = contexts.read_positions(prompt_entries(output, 2), tokens, length, cached)
        if not cached:
            lacking.append("nothing was read from the prefix cache")
        else:
            reads = len(found) == 2 and all(abs(found[at].logprob - plain[at].logprob) <= APART for at in found)
            lacking += [] if reads else ["behind the prefix cache it gives other values"]
    except (TypeError, ValueError) as error:
        lacking.append(f"skip_reading_prefix_cache: {error}")
    return Powers(names, reads, flat, tuple(lacking))


def _takes(sampling_type: Any, **settings: Any) -> bool:
    try:
        sampling_type(**settings)
    except TypeError:
        return False
    return True


def of_prompt(sampling_type: Any, reads_cache: bool = False, flat: bool = False) -> Any:
    """Sampling parameters that ask for a prompt's values. One token must be generated, for vLLM knows no request
    without; ``prompt_logprobs=1`` is the likeliest token beside the prompt's own.
    """
    extra: dict[str, Any] = {"skip_reading_prefix_cache": False} if reads_cache else {}
    if flat:
        extra["flat_logprobs"] = True
    return sampling_type(temperature=0.0, max_tokens=1, prompt_logprobs=1, detokenize=False, **extra)


def after_context(sampling_type: Any, tokens: Sequence[int]) -> Any:
    """Sampling parameters that ask for the values of ``tokens`` behind a prompt; the likeliest token is generated, and
    comes with its value.
    """
    extra = {"logprob_token_ids": list(tokens)} if tokens else {}
    return sampling_type(temperature=0.0, max_tokens=1, detokenize=False, **extra)


def first_entry(output: Any) -> dict[int, float]:
    """Log-probabilities at the first generated token."""
    reports = output.outputs[0].logprobs
    return _plainly(reports[0]) if reports else {}


def prompt_entries(output: Any, last: int) -> list[dict[int, float]]:
    """The report of a prompt's ``last`` positions, as many of them as there are."""
    report = output.prompt_logprobs
    if report is None:
        return []
    return [_plainly(report[at] or {}) for at in range(max(0, len(report) - last), len(report))]


def _plainly(entry: Mapping[int, Any]) -> dict[int, float]:
    return {token: float(one.logprob) for token, one in entry.items()}


def cached_tokens(output: Any) -> int | None:
    """Tokens of the prompt that came from the cache; None where this version does not say."""
    held = _number(output, "num_cached_tokens")
    return None if held is None else int(held)


def exchange_of(output: Any, given: int, made: int | None) -> Exchange:
    """A finished request as vLLM timed it; ``made`` is None for a scored row. What this version does not tell (the
    fields of ``metrics`` are no promise of its API) is left out.

    Times begin when the request is scheduled, for all rows of a chunk wait in vLLM's queue from its beginning.
    """
    times = getattr(output, "metrics", None)
    begun, first, last = (_number(times, name) for name in ("scheduled_ts", "first_token_ts", "last_token_ts"))
    known = bool(begun) and bool(first) and bool(last) and begun <= first <= last  # type: ignore[operator]
    scored = made is None
    return Exchange(
        given=given,
        generated=made or 0,
        cached=cached_tokens(output),
        scored=scored,
        seconds=last - begun if known else None,  # type: ignore[operator]
        ttft=first - begun if known and not scored else None,  # type: ignore[operator]
        decode_seconds=last - first if known and not scored else None,  # type: ignore[operator]
    )


def _number(thing: Any, name: str) -> float | None:
    value = getattr(thing, name, None)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
