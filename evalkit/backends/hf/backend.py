"""The backend object: scores and generates through the prefix tree where the model allows, else the plain path."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from evalkit.backends.hf import CAPABILITIES, attention, memory, own_attention, quantization, replay, vocabulary
from evalkit.backends.hf.batches import SHARED, Batches
from evalkit.backends.hf.decoding import Decoder
from evalkit.backends.hf.loaded import Generating
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.onednn_linear import pack
from evalkit.backends.hf.plain import PlainRunner
from evalkit.backends.hf.prefix_forward import TreeRunner, head_rows
from evalkit.backends.hf.probe import Serving, probe
from evalkit.backends.hf.quiet import quiet
from evalkit.backends.hf.tally import Tally
from evalkit.backends.hf.token_statistics import token_statistics
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult, Tokens
from evalkit.contract.optional import TokenStatistics
from evalkit.engine.plan import PrefixPlan
from evalkit.spec.models import EngineSpec, ModelSpec

log = logging.getLogger("evalkit.hf")

Row = TypeVar("Row", LoglikelihoodRow, GenerateRow)

MIN_SHARE_CPU, MIN_SHARE_CUDA = 4, 64
"""Tokens that a branch of the tree must save: what its extra attention calls cost, in tokens (docs/performance.md)."""


class HfBackend(Generating):
    """A transformers model as a TokenBackend."""

    def __init__(self, parts: Parts, model: ModelSpec, engine: EngineSpec) -> None:
        super().__init__(parts, model, engine)
        self._speculation = parts.speculation
        self._embedded = vocabulary.rows(self._model)
        self._has_strangers = max(parts.tokenizer.get_vocab().values()) >= self._embedded
        self._sizes = memory.footprint(self._model.config, self._model.dtype, head_rows(self._device))
        implementation = self._model.config._attn_implementation
        self._plain_attention = "sdpa" if implementation == attention.NAME else implementation
        window = model.max_length or vocabulary.window(self._model.config, parts.tokenizer) - self._virtual_tokens()
        coarse = quantization.rounds_activations(self._model.config, model.quant)
        self._adapted = own_attention.adapt(self._model)
        self._set_attention(self._plain_attention)
        self._serving = probe(
            self._model,
            self._device,
            self._set_attention,
            self._plain_attention,
            window,
            coarse,
            self._adapted,
            None if engine.share_prefixes else "switched off",
        )
        self.tree = self._serving.why_plain is None
        self._batches = Batches(self._model, self._device, self._serving.alone, engine.share_prefixes)
        self.capabilities = replace(CAPABILITIES, shares_prefixes=self.tree)
        # A model that only fits because its file is mapped stays as it is: the new layout is memory of its own.
        roomy = self.weight_bytes < memory.SLACK * memory.available(self._device)
        one_device = "weights_by_device" not in parts.details
        self._held_twice = pack(self._model) if self.tree and roomy and one_device else 0
        if engine.share_prefixes and not self.tree:
            shared = SHARED[self._batches.sharing]
            log.warning("%s: not on the prefix tree (%s): %s", model.name, self._serving.why_plain, shared)
        batches = {} if self.tree and self._serving.exact_to is None else self._batches.details()
        self.info = self._info(parts, model, window, {"path": _path(self._serving), **batches})

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult, known: Sequence[LoglikelihoodRow] = ()) -> None:
        """Answer every row; see `TokenBackend.score`. ``known``: rows of the same run that are answered already."""
        rows, done = self._within_embedding(rows, done)
        if not rows:
            return
        far = [index for index, row in enumerate(rows) if not self._on_tree(len(row.tokens) - 1)]
        if far:
            self._set_attention(self._plain_attention)
            part = [rows[index] for index in far]
            self._plain(part).score(part, lambda place, result: done(far[place], result))
        near = sorted(set(range(len(rows))) - set(far)) if far else range(len(rows))
        if near:
            known = [row for row in known if self._on_tree(len(row.tokens) - 1)]
            self._score_tree([rows[i] for i in near], lambda place, result: done(near[place], result), known)

    def _on_tree(self, tokens: int) -> bool:
        """Whether a row that reads so many tokens may go through the tree."""
        return self.tree and (self._serving.exact_to is None or tokens <= self._serving.exact_to)

    def _score_tree(self, rows: Sequence[LoglikelihoodRow], done: OnResult, known: Sequence[LoglikelihoodRow]) -> None:
        plan = self.plan(rows)
        budget = self._budget(rows, plan.depth)
        spans, wanted, given = replay.whole(plan), len(rows), plan.tokens_given
        if known:
            every = [*rows, *known]
            common = self.plan(every)
            common_budget = self._budget(every, common.depth)
            passes, tokens = replay.needed(common, common_budget, np.arange(len(every)) < wanted)
            if tokens <= plan.tokens_computed + replay.SPARE_PASSES * common_budget:
                plan, budget, spans, rows = common, common_budget, passes, every
        self._batches.restore()
        self._set_attention(attention.NAME)
        self.meter.read(given)
        self._walk(plan, spans, rows, budget, done, wanted)

    def _within_embedding(self, rows: Sequence[Row], done: OnResult) -> tuple[Sequence[Row], OnResult]:
        """The rows whose ids all have a row in the embedding, and how to answer them; the others are answered."""
        if not self._has_strangers:
            return rows, done
        fine = [index for index, row in enumerate(rows) if int(row.tokens.max()) < self._embedded]
        for index in sorted(set(range(len(rows))) - set(fine)):
            token = int(rows[index].tokens.max())
            shown = self._tokens.tokenizer.convert_ids_to_tokens(token)
            done(index, ValueError(f"the text has the token {shown!r} ({token}), which the model has no embedding for"))
        return [rows[index] for index in fine], lambda place, result: done(fine[place], result)

    def token_statistics(self, rows: Sequence[Tokens]) -> list[TokenStatistics]:
        """See `TellsTokens`."""
        self._set_attention(self._plain_attention)
        return token_statistics(self._model, self._device, rows)

    @property
    def model(self) -> Any:
        """The transformers model that computes."""
        return self._model

    def plan(self, rows: Sequence[LoglikelihoodRow]) -> PrefixPlan:
        """The prefix tree of rows to be scored."""
        return PrefixPlan(
            [row.tokens[:-1] for row in rows],
            [(row.start - 1, row.tokens[row.start :]) for row in rows],
            min_share=self._min_share(),
        )

    def _walk(
        self,
        plan: PrefixPlan,
        spans: Sequence[replay.Span],
        rows: Sequence[LoglikelihoodRow],
        budget: int,
        done: OnResult,
        wanted: int,
    ) -> None:
        """Run the spans of the plan pass by pass and answer the first ``wanted`` rows; a pass that does not fit is
        cut again at half the size.
        """
        runner = TreeRunner(self._model, self._device, self._serving.head)
        tally = Tally(rows, wanted, done, self.meter, self._device)
        for cursor, end in spans:
            while cursor.trunk < end.trunk:
                work, behind = plan.cut(cursor, min(budget, end.trunk - cursor.trunk))
                try:
                    reading = runner.run(work)
                except Exception as error:
                    if not memory.is_out_of_memory(error) or budget <= 16:
                        raise
                    reading = None
                if reading is None:
                    budget = min(budget, len(work.tokens)) // 2
                    tally.settle()
                    memory.release(self._device)
                    continue
                cursor = behind
                if len(spans) > 1:
                    runner.stack.reserve(plan.depth)
                tally.add(work, reading)
                try:
                    self.after_pass()
                except BaseException:
                    tally.settle()  # what the device was given already is answered too
                    raise
        tally.settle()

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.generate`."""
        rows, done = self._within_embedding(rows, done)
        if not rows:
            return
        exotic = [i for i, row in enumerate(rows) if self._needs_generate(row)]
        own = sorted(set(range(len(rows))) - set(exotic))
        if exotic:
            self._set_attention(self._plain_attention)
            part = [rows[i] for i in exotic]
            self._plain(part).generate(part, lambda i, result: done(exotic[i], result))
        if own:
            self._batches.restore()
            self._set_attention(attention.NAME)
            for places in self._by_length(rows, own):
                part = [rows[i] for i in places]
                self._decoder(part).run(part, lambda i, result, places=places: done(places[i], result))  # type: ignore[misc]

    def _by_length(self, rows: Sequence[GenerateRow], places: Sequence[int]) -> list[list[int]]:
        """``places`` of rows to be written together: a slot is as long as the longest of them, so that rows which would
        leave room for fewer slots are asked apart, by powers of two.
        """
        classes: dict[int, list[int]] = defaultdict(list)
        for place in places:
            classes[(len(rows[place].tokens) + rows[place].max_tokens - 1).bit_length()].append(place)
        found: list[tuple[int, list[int]]] = []
        for _, members in sorted(classes.items()):
            slots = self._slots([rows[i] for i in members])
            if found and slots >= found[-1][0]:
                found[-1] = slots, sorted((*found[-1][1], *members))
            else:
                found.append((slots, members))
        return [members for _, members in found]

    def _slots(self, rows: Sequence[GenerateRow]) -> int:
        length = max(len(row.tokens) + row.max_tokens for row in rows)
        slots = memory.decode_slots(self._sizes, self._device, length, self._engine.max_memory_gb, self._others)
        asked = self._engine.batch_size
        return min(slots, asked) if isinstance(asked, int) else slots

    def _decoder(self, rows: Sequence[GenerateRow]) -> Decoder:
        longest = max(len(row.tokens) for row in rows)
        return Decoder(
            self._model,
            TreeRunner(self._model, self._device, self._serving.head),
            self._device,
            self._generation.scan,
            self._slots(rows),
            self._budget(rows, longest),
            self._min_share(),
            self.meter,
            self.after_pass,
        )

    def _needs_generate(self, row: GenerateRow) -> bool:
        """Whether only transformers' own generate can answer this row."""
        guessing = self._speculation is not None and row.sampling.temperature <= 0
        if guessing or self._generation.only_by_generate(row):
            return True
        return not self._on_tree(len(row.tokens) + row.max_tokens - 1)

    def _virtual_tokens(self) -> int:
        """Tokens that a learned prompt or prefix takes from the context window."""
        return int(getattr(getattr(self._model, "active_peft_config", None), "num_virtual_tokens", None) or 0)

    def _plain(self, rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow]) -> PlainRunner:
        asked = self._engine.batch_size
        if asked != "auto":
            batch = asked
        else:
            longest = max(len(row.tokens) for row in rows)
            logits = 8 * self._model.config.vocab_size if self._batches.calling.head is None else 0
            per_row = longest * (self._sizes.activation + 2 * self._sizes.key_value + logits)
            batch = max(1, min(64, int(memory.available(self._device, self._others) * 0.5 // per_row)))
        return PlainRunner(
            self._model,
            self._device,
            batch,
            memory.pass_tokens(self._device, self._offloaded) if asked == "auto" else None,
            self._generation,
            self._batches,
            self.meter,
            self._speculation,
            self.after_pass,
        )

    def _budget(self, rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow], depth: int) -> int:
        budget = memory.token_budget(
            self._sizes, self._device, depth, self._engine.max_memory_gb, self._others, self._offloaded
        )
        if isinstance(self._engine.batch_size, int):
            budget = min(budget, self._engine.batch_size * max(len(row.tokens) for row in rows))
        self.meter.predict(self._sizes.predict(budget, depth) + self._held_twice)
        return budget

    def _min_share(self) -> int:
        return MIN_SHARE_CUDA if self._device.type == "cuda" else MIN_SHARE_CPU

    def _set_attention(self, name: str) -> None:
        if self._model.config._attn_implementation != name and not self._adapted:
            with quiet():
                self._model.set_attn_implementation(name)


def _path(serving: Serving) -> str:
    """The record's word on which rows go which way."""
    if serving.why_plain is not None:
        return f"plain ({serving.why_plain})"
    return "tree" if serving.exact_to is None else f"tree (plain beyond {serving.exact_to} tokens: {serving.limit})"
