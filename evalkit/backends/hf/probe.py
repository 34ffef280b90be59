"""What a model is like when it is asked, tried out while loading: nothing here trusts an architecture's name.

* Does the prefix tree give the logits of the model's own forward, and up to how many tokens a row? Chunked attention,
  position encodings chosen by call (`rope`) and windows that the tree does not know are exact on it as long as no row
  reaches beyond.
* Does a row's answer depend on the positions of the rows beside it?
* Does a token's answer depend on what comes after it? Then the model is no decoder.
* May a padded batch mix rows of different lengths? State-space and recurrent models often read the padding.

Differences are measured against the spread of the logits, so that a scale of the logits shows however small they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf import attention, memory, windows
from evalkit.backends.hf.head import Head, candidates
from evalkit.backends.hf.prefix_forward import TreeRunner
from evalkit.backends.hf.rope import CallState
from evalkit.backends.hf.weights import check_answers
from evalkit.contract.errors import UserError
from evalkit.engine.plan import Pass, PrefixPlan

TOLERANCE = {torch.float32: 2e-3, torch.float64: 2e-3, torch.float16: 0.05}
"""Difference of logits (the mean over the vocabulary, at the worst token) by their standard deviation, at which two
ways count as the same, by dtype."""
COARSE = 0.3
"""The same for bfloat16."""
ROUNDED = 0.6
"""The same for models that round their activations to 8 bits, or (LLM.int8) keep a column in 16 bit if any row of the
batch has an outlier in it: rounding makes much of a last digit, so that an answer depends on its batch on either path,
here and elsewhere. The first half of a text by itself differs from the same in the whole text by 0.1 to 0.2 (SmolLM2
as W8A8 and FP8), two unrelated answers by 1.1."""

LENGTH = 24
NARROW = 5
"""The window that a model is tried out with if it has one."""
SHORTEST_TREE = 4
"""Tokens of the probe's rows, and those that must at least fit a window for the tree to be of use."""

Use = Callable[[str], None]
"""Switches the model to an attention implementation."""


@dataclass(frozen=True)
class Serving:
    """How rows of a model are answered rightly."""

    why_plain: str | None
    """Why no row can go through the prefix tree; None where rows of up to ``exact_to`` tokens can."""
    head: Head
    exact_to: int | None = None
    """Tokens read of a row on the tree; longer rows go the plain path. None: any number."""
    limit: str = ""
    """What it is that longer rows would feel."""
    alone: bool = False
    """Whether a row's answer depends on the lengths beside it: plain batches hold rows of one length."""


def probe(
    model: Any, device: torch.device, use: Use, plain: str, window: int, coarse: bool, adapted: bool = False,
    refused: str | None = None,
) -> Serving:  # fmt: skip
    """Try a model out. ``use`` switches its attention, ``plain`` names its own, ``adapted`` says that its layers know
    the tree without (`own_attention`); ``window`` is the longest row; ``refused``: why the tree is not wanted. Raises
    UserError for a model that is no decoder, or whose answers are no numbers.
    """
    return _Probe(model, device, use, plain, window, coarse, adapted).serving(refused)


class _Probe:
    def __init__(
        self, model: Any, device: torch.device, use: Use, plain: str, window: int, coarse: bool, adapted: bool
    ) -> None:
        self._model = model
        self._adapted = adapted
        self._device = device
        self._use = use
        self._plain_name = plain
        self._window = window
        self._calls = CallState(model)
        self._tolerance = ROUNDED if coarse else TOLERANCE.get(model.dtype, COARSE)
        self._embedding: Head = model.get_output_embeddings()

    def serving(self, refused: str | None) -> Serving:
        limits = self._limits()
        reason = refused or self._refusal()
        window = windows.size(self._model)
        if reason is None and window is not None and window < self._window and not self._slides(window):
            limits.append((window, f"its sliding window of {window} tokens"))
        exact_to, limit = min(limits, default=(None, ""))
        rows = self._rows(LENGTH if exact_to is None else min(LENGTH, exact_to))
        own = self._alone(rows)
        check_answers(type(self._model).__name__, self._model, own)
        self._causal(own)
        if reason is None and exact_to is not None and exact_to < SHORTEST_TREE:
            reason = limit
        if reason is not None:
            return Serving(reason, self._embedding, alone=self._calls.original_window is not None)
        head = self._embedding
        with self._tree() as failed:
            reason, head = self._same(rows, own)
            if reason is None:
                exact_to, limit = self._independent(rows[-1], exact_to, limit)
        reason = failed[0] if failed else reason
        if reason is None and exact_to is not None and exact_to < SHORTEST_TREE:
            reason = limit
        alone = self._calls.original_window is not None
        return Serving(reason, self._embedding if reason else head, None if reason else exact_to, limit, alone)

    def _slides(self, window: int) -> bool:
        """Whether the tree does what the model's sliding window does, tried with one that the rows cross."""
        rows = self._rows(LENGTH)
        whole = self._alone(rows) if window > LENGTH else None
        with windows.narrowed(self._model, min(window, NARROW)):
            own = self._alone(rows)
            if whole is not None and not self._apart(whole[-1], own[-1]) > 0:
                return False  # its window lies elsewhere
            reason: str | None = None
            with self._tree() as failed:
                reason, _ = self._same(rows, own)
        return reason is None and not failed

    def _limits(self) -> list[tuple[int, str]]:
        """Tokens up to which a row is served by the tree, and what it is that longer rows would feel."""
        config = self._model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        found: list[tuple[int, str]] = []
        chunk = getattr(config, "attention_chunk_size", None)
        if chunk and "chunked_attention" in kinds:
            found.append((int(chunk), f"its attention in chunks of {chunk} tokens"))
        if original := self._calls.original_window:
            found.append((original, f"position encodings that change beyond {original} tokens"))
        return [(size, what) for size, what in found if size < self._window]

    def _alone(self, rows: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """What the model says of each row by itself."""
        self._use(self._plain_name)
        return [self._own(row) for row in rows]

    def _refusal(self) -> str | None:
        """What is known to keep a model off the tree."""
        config = self._model.config
        if int(getattr(getattr(self._model, "active_peft_config", None), "num_virtual_tokens", None) or 0):
            return "a learned prompt stands before every text"
        text = config.get_text_config()
        known = {"full_attention", "sliding_attention", "chunked_attention"}
        if others := set(getattr(text, "layer_types", None) or ()) - known:
            return f"layers with {', '.join(sorted(others))}"
        if getattr(text, "attn_temperature_tuning", False):
            return "attention scaled by a token's place in the call"
        attention.register()
        self._use(attention.NAME)
        reached = config._attn_implementation == attention.NAME
        self._use(self._plain_name)
        return None if reached or self._adapted else f"{type(self._model).__name__} has attention of its own"

    def _rows(self, length: int) -> list[np.ndarray]:
        """Three branching rows of up to ``length`` tokens."""
        vocabulary = self._model.config.get_text_config().vocab_size
        draw = np.random.default_rng(0).integers(0, vocabulary, length).astype(np.int32)
        half, step = length // 2, max(1, length // 6)
        return [
            np.concatenate([draw[:half], draw[half : half + step]]),
            np.concatenate([draw[:half], draw[half + step : half + 2 * step]]),
            np.concatenate([draw[:half], draw[half + step // 2 :]]),
        ]

    def _own(self, row: np.ndarray) -> torch.Tensor:
        """Logits [tokens, vocabulary] of one row by the model's own forward."""
        self._calls.restore()
        tokens = torch.from_numpy(row[None].astype(np.int64)).to(self._device)
        with torch.inference_mode():
            return self._model(input_ids=tokens, use_cache=False).logits[0, -len(row) :].float()

    def _causal(self, own: Sequence[torch.Tensor]) -> None:
        """The rows begin alike: what follows must not change the beginning. Raises UserError where it does."""
        shared = (min(map(len, own)) + 1) // 2
        if self._apart(own[0][:shared], own[-1][:shared]) > max(self._tolerance, 0.05):
            raise UserError(
                f"{type(self._model).__name__}: what it says of a word depends on the words after it (an encoder, or a "
                "decoder whose config.json lacks is_decoder): it cannot score or continue texts: give a decoder"
            )

    def _apart(self, one: torch.Tensor, other: torch.Tensor) -> float:
        """Mean difference over the vocabulary at the worst token, by the spread of ``one``."""
        spread = float(one.std()) or 1.0
        apart = float((one - other).abs().mean(dim=-1).max())
        return apart / spread if np.isfinite(apart) else (0.0 if not np.isfinite(spread) else float("inf"))

    @contextmanager
    def _tree(self) -> Iterator[list[str]]:
        """Attention by the tree; what the model refuses becomes a reason, what memory refuses is raised."""
        failed: list[str] = []
        self._use(attention.NAME)
        self._calls.restore()
        try:
            yield failed
        except Exception as error:
            if memory.is_out_of_memory(error):
                raise
            failed.append(" ".join(str(error).split())[:120] or type(error).__name__)
        finally:
            self._use(self._plain_name)

    def _same(self, rows: Sequence[np.ndarray], own: Sequence[torch.Tensor]) -> tuple[str | None, Head]:
        """Whether some head on the tree's hidden states gives the model's own logits."""
        plan = PrefixPlan(rows, [(0, row) for row in rows])
        runner = TreeRunner(self._model, self._device, self._embedding)
        found: list[list[torch.Tensor]] = [[] for _ in rows]
        cursor = plan.start()
        with torch.inference_mode():
            while not plan.done(cursor):
                work, cursor = plan.cut(cursor, 10)
                hidden, state = runner.hidden(work)
                for place, row in zip(work.read_index.tolist(), work.read_row.tolist(), strict=True):
                    found[row].append(hidden[place])
                state.commit()
            apart, best = float("inf"), self._embedding
            for head in candidates(self._model):
                logits = [head(torch.stack(hidden)).float().to(self._device) for hidden in found]
                furthest = max(self._apart(mine, trees) for mine, trees in zip(own, logits, strict=True))
                if furthest < apart:  # a cap far above the logits of a few words hardly shows: the nearest head
                    apart, best = furthest, head
        if apart <= self._tolerance:
            return None, best
        return f"its results differ by {apart:.3g} of their spread", self._embedding

    def _independent(self, row: np.ndarray, exact_to: int | None, limit: str) -> tuple[int | None, str]:
        """The positions that may stand in one call without changing other rows."""
        furthest = exact_to or self._window
        alone = self._beside(row, None)
        reach = furthest
        while reach > len(row) and self._apart(alone, self._beside(row, reach)) > self._tolerance:
            reach //= 2
        if reach == furthest or furthest <= len(row):
            return exact_to, limit
        return reach, f"position encodings that depend on the longest row of a call beyond {reach} tokens"

    def _beside(self, row: np.ndarray, reach: int | None) -> torch.Tensor:
        """Hidden states of ``row``; with ``reach``, in a call with tokens up to that position."""
        size, many = len(row), 0 if reach is None else min(4, reach)
        positions = np.concatenate([np.arange(size), np.arange((reach or 0) - many, reach or 0)]).astype(np.int64)
        segments = ((0, size), (size, size + many)) if many else ((0, size),)
        none = np.empty(0, np.int64)
        work = Pass(np.concatenate([row, row[:many]]), positions, segments, (), (), (), (), none, none, none)
        hidden, _ = TreeRunner(self._model, self._device, self._embedding).hidden(work)
        return hidden[:size].float()
