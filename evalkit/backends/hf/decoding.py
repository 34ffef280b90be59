"""Generation by continuous batching: a finished sequence leaves, a waiting one enters.

Prompts run through the prefix tree like everything else, so a shared few-shot prefix is computed once; where a prompt
ends its keys and values are copied into a slot of a preallocated pool. Each step then runs one token of every live
sequence as one packed row. While prompts are still being read, that row rides in their passes: a step on its own takes
as long as reading all weights, whatever its few rows are. Live slots stay contiguous (a finished one is filled by the
last), so attention reads the pool without gathering.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.backends.hf.attention import TreeState, activate
from evalkit.backends.hf.kv_pool import PAGE, Pool, Step
from evalkit.backends.hf.memory import is_out_of_memory, release
from evalkit.backends.hf.prefix_forward import TreeRunner
from evalkit.backends.hf.sampling import draw
from evalkit.backends.stops import StopScan
from evalkit.contract.backend import GenerateRow, OnResult, no_op
from evalkit.engine.plan import Pass, PrefixPlan
from evalkit.perf.clocks import Stopwatch, now
from evalkit.perf.counters import Meter


@dataclass
class _Live:
    """One sequence under way. ``length`` counts the tokens whose keys and values are in its slot."""

    index: int
    row: GenerateRow
    length: int
    scan: StopScan
    generator: torch.Generator | None = None


class Decoder:
    """Answers generation rows. ``scan`` makes what looks for a row's end, ``slots`` bounds the live sequences,
    ``budget`` the tokens of a prefill pass.
    """

    def __init__(
        self,
        model: Any,
        runner: TreeRunner,
        device: torch.device,
        scan: Callable[[GenerateRow], StopScan],
        slots: int,
        budget: int,
        min_share: int,
        meter: Meter | None = None,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        self._body = model.base_model
        self._runner = runner
        self._device = device
        self._scan = scan
        self._slots = slots
        self._budget = budget
        self._min_share = min_share
        self._meter = meter or Meter()
        self._after_pass = after_pass
        self._watch = Stopwatch(device)
        self._turn: float | None = None
        self._pool = Pool(slots)
        self._live: list[_Live] = []

    def run(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row through ``done``. Equal prompts (samples of one question) are computed once."""
        by_prompt: dict[bytes, list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            by_prompt[row.tokens.tobytes()].append(index)
        # Samples of one question enter together: never more at once than the slots that a prefill waits for.
        few = max(1, self._slots // 4)
        groups = [group[k : k + few] for group in by_prompt.values() for k in range(0, len(group), few)]
        widest = max(map(len, groups))
        plan = PrefixPlan([rows[group[0]].tokens for group in groups], min_share=self._min_share, ending=True)
        cursor = plan.start()
        self._meter.read(plan.tokens_given + sum((len(g) - 1) * len(rows[g[0]].tokens) for g in groups))
        self._watch.lap()
        with torch.inference_mode():
            while not plan.done(cursor) or self._live:
                free = self._slots - len(self._live)
                if not plan.done(cursor) and (not self._live or free >= few):
                    cursor = self._prefill(plan, cursor, max(1, free // widest), groups, rows, done)
                else:
                    self._step(done)
                self._after_pass()

    def _prefill(
        self,
        plan: PrefixPlan,
        cursor: Any,
        endings: int,
        groups: Sequence[Sequence[int]],
        rows: Sequence[GenerateRow],
        done: OnResult,
    ) -> Any:
        self._turn = self._turn or now()
        step = self._next() if self._live else None
        while True:
            work, behind = plan.cut(cursor, self._budget, endings)
            try:
                hidden, state = self._runner.hidden(work, step)
            except Exception as error:
                if not is_out_of_memory(error) or self._budget <= 16:
                    raise
            else:
                break
            self._budget = min(self._budget, max(len(work.tokens), 32)) // 2
            release(self._device)
        size, riders = len(work.tokens), len(self._live)
        last = [ending.pieces[-1][1] + ending.pieces[-1][2] - 1 for ending in work.endings]
        asked = torch.tensor([*last, *range(size, size + riders)], dtype=torch.int64, device=self._device)
        logits = self._runner.logits(hidden[asked]) if len(asked) else None
        if logits is not None and riders:
            self._advance(logits[len(last) :], done)
        if logits is not None and last:
            self._enter(work, state, groups, rows, logits, done)
        state.commit()  # after the slots are filled: they read the path that the pass began with
        seconds = self._watch.lap()
        self._meter.prefill(size, seconds * size / (size + riders))
        if riders:
            self._meter.step(riders, seconds * riders / (size + riders))
        if last:
            self._meter.first(now() - self._turn, sum(len(groups[ending.row]) for ending in work.endings))
            self._turn = None
        return behind

    def _enter(
        self,
        work: Pass,
        state: TreeState,
        groups: Sequence[Sequence[int]],
        rows: Sequence[GenerateRow],
        logits: torch.Tensor,
        done: OnResult,
    ) -> None:
        """Give the rows whose prompts ended in the pass a slot each; ``logits`` are those of their last tokens."""
        coming = sum(len(groups[ending.row]) for ending in work.endings)
        longest = max(len(rows[groups[ending.row][0]].tokens) for ending in work.endings)
        self._pool.reserve(len(self._live) + coming, longest + PAGE // 2, state.ended)
        for place, ending in enumerate(work.endings):
            for index in groups[ending.row]:
                live = self._admit(index, rows[index])
                if self._choose(live, logits[place], done):
                    self._pool.fill(len(self._live), ending, state.ended, self._runner.stack)
                    self._live.append(live)

    def _admit(self, index: int, row: GenerateRow) -> _Live:
        generator = None
        if row.sampling.temperature > 0:
            seed = hashlib.sha256(f"{row.sampling.seed}:{row.key}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "big") >> 1)
        return _Live(index, row, len(row.tokens), self._scan(row), generator)

    def _next(self) -> Step:
        """The last token of every live sequence, to be run; room is made for it."""
        lengths = [live.length for live in self._live]
        self._pool.reserve(len(lengths), max(lengths) + 1)
        return Step(self._pool, [live.scan.tokens[-1] for live in self._live], lengths, self._device)

    def _step(self, done: OnResult) -> None:
        count, step = len(self._live), self._next()
        with activate(step):
            output = self._body(input_ids=step.tokens[None], position_ids=step.positions[None], use_cache=False)
        self._advance(self._runner.logits(output.last_hidden_state[0]), done)
        self._meter.step(count, self._watch.lap())

    def _advance(self, logits: torch.Tensor, done: OnResult) -> None:
        """Choose the next token of every live sequence from its row of ``logits``; the finished ones leave."""
        greedy = logits.argmax(dim=-1).tolist()
        finite = torch.isfinite(logits.sum(dim=-1)).tolist()
        if any(live.generator is not None for live in self._live):
            logits = logits.cpu()
        for slot in range(len(self._live) - 1, -1, -1):
            live = self._live[slot]
            live.length += 1
            if not self._choose(live, logits[slot], done, greedy[slot], finite[slot]):
                last = len(self._live) - 1
                if slot != last:
                    self._pool.move(last, slot, self._live[last].length)
                    self._live[slot] = self._live[last]
                self._live.pop()

    def _choose(
        self, live: _Live, logits: torch.Tensor, done: OnResult, greedy: int | None = None, finite: bool | None = None
    ) -> bool:
        """Pick the next token; False where the sequence is finished and answered."""
        if not (bool(torch.isfinite(logits.sum())) if finite is None else finite):
            done(live.index, ArithmeticError("the model's logits are not finite"))
            return False
        sampling = live.row.sampling
        if sampling.temperature > 0:
            token = draw(logits.cpu(), sampling.temperature, sampling.top_k, sampling.top_p, live.generator)
        else:
            token = int(logits.argmax()) if greedy is None else greedy
        if not live.scan.add(token):
            return True
        done(live.index, live.scan.answer())
        return False
