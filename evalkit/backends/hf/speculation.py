"""Prompt-lookup and draft decoding: cheap guesses that the model checks many at a time. The text stays greedy's.

Both go through transformers' assisted generation (Leviathan et al., arXiv 2211.17192; Saxena 2023 for the look-up):
guesses are accepted only as far as they are what the model itself would choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from evalkit.backends.stops import StopScan
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter


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


class ScanRows:
    """A stopping criterion that takes each row's new tokens, of which a step may bring several, to its scan."""

    def __init__(self, scans: Sequence[StopScan], width: int) -> None:
        self._scans = scans
        self._seen = width

    def __call__(self, input_ids: torch.Tensor, scores: Any, **rest: Any) -> torch.Tensor:
        new = input_ids[:, self._seen :].tolist()
        self._seen = input_ids.shape[1]
        ended = [scan.extend(row) for scan, row in zip(self._scans, new, strict=True)]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)


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
