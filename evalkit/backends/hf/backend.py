"""The backend object: scores and generates through the prefix tree where the model allows, else the plain path."""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from evalkit.backends.hf import attention, memory, replay, vocabulary
from evalkit.backends.hf.decoding import Decoder
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.onednn_linear import pack
from evalkit.backends.hf.plain import PlainRunner
from evalkit.backends.hf.prefix_forward import Pending, TreeRunner, head_rows
from evalkit.backends.hf.quiet import quiet
from evalkit.backends.hf.tokens import Tokens
from evalkit.contract.backend import GenerateRow, LoglikelihoodResult, LoglikelihoodRow, OnResult, no_op
from evalkit.contract.types import Message, ModelInfo
from evalkit.engine.plan import Pass, PrefixPlan
from evalkit.perf.clocks import now, synchronize
from evalkit.perf.counters import Meter
from evalkit.spec.models import EngineSpec, ModelSpec

log = logging.getLogger("evalkit.hf")

Row = TypeVar("Row", LoglikelihoodRow, GenerateRow)

MIN_SHARE_CPU, MIN_SHARE_CUDA = 4, 64
"""Tokens that a branch of the tree must save: what its extra attention calls cost, in tokens (docs/performance.md)."""

PROBE_TOLERANCE = {torch.float32: 2e-3, torch.float16: 0.1, torch.bfloat16: 0.5}
"""Largest difference of log-probabilities at which tree and plain path count as the same, by dtype."""

INT8_TOLERANCE = 0.5
"""The same for bitsandbytes' int8, which keeps a column in 16 bit if any row of the batch has an outlier in it: an
answer depends on its batch on either path, here and elsewhere."""


def passes_ahead(device: torch.device) -> int:
    """Passes that a device is given before the answers of those before them are waited for: a GPU computes while the
    host hands on answers and cuts the next pass.
    """
    return 1 if device.type == "cuda" else 0


class _Tally:
    """Sums what passes read, row by row, and answers the first ``wanted`` rows as they become complete."""

    def __init__(
        self, rows: Sequence[LoglikelihoodRow], wanted: int, done: OnResult, meter: Meter, device: torch.device
    ) -> None:
        self._totals = np.zeros(len(rows))
        self._greedy = np.ones(len(rows), dtype=bool)
        self._left = np.array([len(row.tokens) - row.start for row in rows])
        self._wanted = wanted
        self._done = done
        self._meter = meter
        self._ahead = passes_ahead(device)
        self._waiting: deque[tuple[Pass, Pending]] = deque()
        synchronize(device)
        self._last = now()

    def add(self, work: Pass, reading: Pending) -> None:
        """A pass that the device was given."""
        self._waiting.append((work, reading))
        self.settle(self._ahead)

    def settle(self, ahead: int = 0) -> None:
        """Wait for all passes but the last ``ahead``. A pass's time is that from the end of the one before it."""
        while len(self._waiting) > ahead:
            work, pending = self._waiting.popleft()
            reading = pending.wait()
            at = now()
            self._meter.prefill(len(work.tokens), at - self._last)
            self._last = at
            np.add.at(self._totals, work.read_row, reading.logprob)
            np.logical_and.at(self._greedy, work.read_row, reading.greedy)
            np.subtract.at(self._left, work.read_row, 1)
            for row in np.unique(work.read_row):
                if self._left[row] == 0 and row < self._wanted:
                    self._done(int(row), _answer(float(self._totals[row]), bool(self._greedy[row])))


class HfBackend:
    """A transformers model as a TokenBackend."""

    def __init__(self, parts: Parts, model: ModelSpec, engine: EngineSpec) -> None:
        self._model = parts.model
        self._device = parts.device
        self._speculation = parts.speculation
        self.ignore_end = False
        """Generate on past end-of-sequence, as benchmarks do."""
        self._engine = engine
        self._int8 = parts.details.get("quantization") == "int8"
        self._tokens = Tokens(parts.tokenizer, model.add_bos, model.chat_template)
        self.eot_id = self._tokens.eot_id
        self.prefix_id = int(model.args.get("prefix_token_id", self._tokens.prefix_id))
        self._embedded = vocabulary.rows(self._model)
        self._has_strangers = max(parts.tokenizer.get_vocab().values()) >= self._embedded
        self._sizes = memory.footprint(self._model.config, self._model.dtype, head_rows(self._device))
        implementation = self._model.config._attn_implementation
        self._plain_attention = "sdpa" if implementation == attention.NAME else implementation
        self.meter = Meter()
        self.after_pass: Callable[[], None] = no_op
        why_plain = self._why_plain() if engine.share_prefixes else "switched off"
        self.tree = why_plain is None
        self.meter = Meter()  # a fresh one: what the probe took is not the run's
        self.weight_bytes = sum(memory.stored_bytes(t) for t in (*self._model.parameters(), *self._model.buffers()))
        n_parameters = self._model.num_parameters()
        # A model that only fits because its file is mapped stays as it is: the new layout is memory of its own.
        roomy = self.weight_bytes < memory.SLACK * memory.available(self._device)
        self._held_twice = pack(self._model) if self.tree and roomy else 0
        if why_plain and engine.share_prefixes:
            log.warning("%s: prefixes are not shared (%s): the plain path runs", model.name, why_plain)
        self.info = ModelInfo(
            name=model.label or model.name,
            backend="hf",
            fingerprint=parts.fingerprint,
            max_length=model.max_length or self._window(parts.tokenizer) - self._virtual_tokens(),
            tokenizer=type(parts.tokenizer).__name__,
            n_parameters=n_parameters,
            dtype=str(self._model.dtype).removeprefix("torch."),
            device=str(self._device),
            details={**parts.details, "path": "tree" if self.tree else f"plain ({why_plain})"},
        )

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return self._tokens.encode(texts, special)

    @property
    def encoding_identity(self) -> str | None:
        """See `TokenBackend`."""
        return self._tokens.encoding_identity

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._tokens.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._tokens.chat(messages, add_generation_prompt)

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    reproduces_batches = True
    """`score` takes ``known`` rows, to repeat the passes of an interrupted run exactly."""

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult, known: Sequence[LoglikelihoodRow] = ()) -> None:
        """Answer every row; see `TokenBackend.score`. ``known``: rows of the same run that are answered already."""
        rows, done = self._within_embedding(rows, done)
        if not rows:
            return
        if not self.tree:
            self._set_attention(self._plain_attention)
            self._plain(rows).score(rows, done)
            return
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
        runner = TreeRunner(self._model, self._device)
        tally = _Tally(rows, wanted, done, self.meter, self._device)
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
                    budget //= 2
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
            self._set_attention(attention.NAME)
            part = [rows[i] for i in own]
            self._decoder(part).run(part, lambda i, result: done(own[i], result))

    def _decoder(self, rows: Sequence[GenerateRow]) -> Decoder:
        longest = max(len(row.tokens) for row in rows)
        slots = memory.decode_slots(
            self._sizes, self._device, longest + max(row.max_tokens for row in rows), self._engine.max_memory_gb
        )
        if isinstance(self._engine.batch_size, int):
            slots = min(slots, self._engine.batch_size)
        return Decoder(
            self._model,
            TreeRunner(self._model, self._device),
            self._device,
            self._tokens.decode,
            self._stop_ids(),
            self._tokens.eot_text,
            slots,
            self._budget(rows, longest),
            self._min_share(),
            self.meter,
            self.after_pass,
        )

    def _stop_ids(self) -> frozenset[int]:
        if self.ignore_end:
            return frozenset()
        stop = self._model.generation_config.eos_token_id
        stops = stop if isinstance(stop, list) else [stop]
        return frozenset(token for token in (*stops, self.eot_id) if token is not None)

    def _penalised(self) -> bool:
        """Whether the model's own generation settings change logits, which only its generate() applies."""
        config = self._model.generation_config
        return any(
            getattr(config, name, None) not in (None, neutral)
            for name, neutral in (("repetition_penalty", 1.0), ("no_repeat_ngram_size", 0), ("bad_words_ids", None))
        )

    def _needs_generate(self, row: GenerateRow) -> bool:
        """Whether only transformers' own generate can answer this row."""
        guessing = self._speculation is not None and row.sampling.temperature <= 0
        return not self.tree or bool(row.sampling.extra) or guessing or self._penalised()

    def _virtual_tokens(self) -> int:
        """Tokens that a learned prompt or prefix takes from the context window."""
        return int(getattr(getattr(self._model, "active_peft_config", None), "num_virtual_tokens", None) or 0)

    def _plain(self, rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow]) -> PlainRunner:
        asked = self._engine.batch_size
        if asked != "auto":
            batch = asked
        else:
            longest = max(len(row.tokens) for row in rows)
            per_row = longest * (self._sizes.activation + 2 * self._sizes.key_value + 8 * self._model.config.vocab_size)
            batch = max(1, min(64, int(memory.available(self._device) * 0.5 // per_row)))
        return PlainRunner(
            self._model,
            self._tokens.tokenizer,
            self._device,
            batch,
            self._tokens.eot_text,
            self.meter,
            self._speculation,
            self.after_pass,
        )

    def _budget(self, rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow], depth: int) -> int:
        budget = memory.token_budget(self._sizes, self._device, depth, self._engine.max_memory_gb)
        if isinstance(self._engine.batch_size, int):
            budget = min(budget, self._engine.batch_size * max(len(row.tokens) for row in rows))
        self.meter.predict(self._sizes.predict(budget, depth) + self._held_twice)
        return budget

    def _min_share(self) -> int:
        return MIN_SHARE_CUDA if self._device.type == "cuda" else MIN_SHARE_CPU

    def _set_attention(self, name: str) -> None:
        if self._model.config._attn_implementation != name:
            with quiet():
                self._model.set_attn_implementation(name)

    def _window(self, tokenizer: object) -> int:
        """The context window in tokens, from where lm-eval takes it; 2048 where nothing says."""
        config = self._model.config.get_text_config()
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            if value := getattr(config, name, None):
                return int(value)
        length = getattr(tokenizer, "model_max_length", None)
        return int(length) if length and length < 1e12 else 2048

    def _why_plain(self) -> str | None:
        """Why the prefix tree cannot serve this model; None where a probe shows that it does."""
        config = self._model.config
        if getattr(config, "is_encoder_decoder", False):
            return "encoder-decoder"
        if self._virtual_tokens():
            return "a learned prompt stands before every text"
        if not getattr(self._model, "_supports_attention_backend", False):
            return f"{type(self._model).__name__} has attention of its own"
        kinds = set(getattr(config.get_text_config(), "layer_types", None) or ["full_attention"])
        if kinds != {"full_attention"}:
            return f"layers with {', '.join(sorted(kinds - {'full_attention'}))}"
        attention.register()
        try:
            return self._probe()
        except Exception as error:
            if memory.is_out_of_memory(error):
                raise
            return " ".join(str(error).split())[:120] or type(error).__name__
        finally:
            self._set_attention(self._plain_attention)

    def _probe(self) -> str | None:
        """Score three short branching rows by both paths; the reason for doubt where they differ."""
        vocabulary = self._model.config.get_text_config().vocab_size
        draw = np.random.default_rng(0).integers(0, vocabulary, 24).astype(np.int32)
        rows = [LoglikelihoodRow(np.concatenate([draw[:12], draw[a:b]]), 4) for a, b in ((12, 16), (16, 20), (14, 24))]
        plain, tree = ([float("nan")] * len(rows) for _ in range(2))

        def keep(answers: list[float]) -> OnResult:
            def done(index: int, result: object) -> None:
                answers[index] = result.loglikelihood if isinstance(result, LoglikelihoodResult) else float("nan")

            return done

        PlainRunner(self._model, self._tokens.tokenizer, self._device, 1, "").score(rows, keep(plain))
        self._set_attention(attention.NAME)
        plan = PrefixPlan([r.tokens[:-1] for r in rows], [(r.start - 1, r.tokens[r.start :]) for r in rows])
        self._walk(plan, replay.whole(plan), rows, 10, keep(tree), len(rows))
        a_token = INT8_TOLERANCE if self._int8 else PROBE_TOLERANCE.get(self._model.dtype, 0.5)
        tolerance = a_token * (len(draw) - 4)
        apart = max(abs(a - b) for a, b in zip(plain, tree, strict=True))
        return None if apart <= tolerance else f"its results differ by {apart:.3g}"


def _answer(total: float, greedy: bool) -> LoglikelihoodResult | Exception:
    if not np.isfinite(total):
        return ArithmeticError("the model's logits are not finite")
    return LoglikelihoodResult(total, greedy)
