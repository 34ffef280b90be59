"""Prompt-lookup and draft decoding: cheap guesses that the model checks many at a time. The text stays greedy's.

Both go through transformers' assisted generation (Leviathan et al., arXiv 2211.17192; Saxena 2023 for the look-up):
guesses are accepted only as far as they are what the model itself would choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter

TAIL = 96
"""Tokens before the newest ones that are searched for a stop string."""


class StepClock:
    """A stopping criterion of transformers' generate that stops nothing: it reads the clock after every step.

    ``prompt_tokens`` are those of all ``sequences`` together, ``width`` the length of the padded input.
    """

    def __init__(self, meter: Meter, prompt_tokens: int, sequences: int, width: int, device: torch.device) -> None:
        self._meter = meter
        self._prompt_tokens = prompt_tokens
        self._sequences = sequences
        self._watch = Stopwatch(device)
        self._width = self._length = width
        self.asked = 0
        """Tokens of the forward under way, where guesses are checked: the guesses and what stands before them."""
        meter.read(prompt_tokens)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **rest: Any) -> torch.Tensor:
        length = input_ids.shape[1]
        seconds = self._watch.lap()
        new = length - self._length
        guesses = self.asked - 1
        if self._length == self._width:
            guesses = self.asked - self._width
            self._meter.prefill(self._prompt_tokens, seconds)
            self._meter.first(seconds, self._sequences)
            for _ in range(new - 1):  # came with the first token
                self._meter.step(1, 0.0)
        else:
            for _ in range(new):  # those of one step share its time
                self._meter.step(self._sequences, seconds / new)
        if guesses > 0:
            self._meter.speculated(guesses, min(new - 1, guesses))
        self._length = length
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class StopText:
    """Stops when a stop string stands anywhere in the newest tokens, of which a step may bring several."""

    def __init__(self, stops: Sequence[str], decode: Callable[[Sequence[int]], str], prompt: int) -> None:
        self._stops = [stop for stop in stops if stop]
        self._decode = decode
        self._seen = self._prompt = prompt

    def __call__(self, input_ids: torch.Tensor, scores: Any, **rest: Any) -> torch.Tensor:
        begin = max(self._prompt, self._seen - TAIL)
        tail = self._decode(input_ids[0, begin:].tolist())
        self._seen = input_ids.shape[1]
        found = any(stop in tail for stop in self._stops)
        return torch.full((len(input_ids),), found, dtype=torch.bool, device=input_ids.device)


@dataclass(frozen=True)
class Speculation:
    """Where guesses come from: the prompt itself, or a smaller model with the same tokenizer."""

    model: Any
    tokens: int
    draft: Any = None

    def settings(self) -> dict[str, Any]:
        """What transformers' generate is told."""
        if self.draft is None:
            return {"prompt_lookup_num_tokens": self.tokens}
        config = self.draft.generation_config
        config.num_assistant_tokens = self.tokens
        config.num_assistant_tokens_schedule = "constant"
        config.assistant_confidence_threshold = 0.0
        return {"assistant_model": self.draft}

    def watch(self, clock: StepClock) -> Any:
        """A hook that tells the clock how many tokens each forward checks; call its ``remove`` in the end."""

        def note(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            tokens = kwargs.get("input_ids", args[0] if args else None)
            clock.asked = tokens.shape[1] if tokens is not None else 0

        return self.model.register_forward_pre_hook(note, with_kwargs=True)


def through_first_stop(tokens: list[int], stops: Sequence[str], decode: Callable[[Sequence[int]], str]) -> list[int]:
    """The tokens up to the one that completes the first stop string: what one-at-a-time decoding would have made."""
    wanted = [stop for stop in stops if stop]
    if not any(stop in decode(tokens) for stop in wanted):
        return tokens
    low, high = 1, len(tokens)
    while low < high:
        middle = (low + high) // 2
        if any(stop in decode(tokens[:middle]) for stop in wanted):
            high = middle
        else:
            low = middle + 1
    return tokens[:low]
