"""The weights of several LoRAs that suit a few examples best, found without gradients (LoraHub, arXiv 2307.13269).

What is minimised is the mean negative log-likelihood of the completions in nats a token, plus ``penalty`` times the
mean absolute weight (the paper's section 3.3, 0.05). The search is Nelder and Mead's, from weights of zero, within
[-1.5, 1.5]: a handful of dimensions and a smooth loss need no larger machinery. The update that is tried is exactly
sum w_i B_i A_i; the paper adds up A and B apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.backends.hf import peft_adapters
from evalkit.contract.errors import UserError
from evalkit.contract.types import Score
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.text.reading import json_lines, read_text

BOUND = 1.5
PENALTY = 0.05
STEPS = 40


@dataclass(frozen=True)
class Composition:
    """What was found. Losses are in nats a token of the completions, without the penalty."""

    paths: tuple[str, ...]
    weights: tuple[float, ...]
    loss: float
    base_loss: float
    """Of the base model: all weights zero."""
    single_losses: tuple[float, ...]
    """Of each adapter by itself at weight one."""
    evaluations: int
    examples: int

    @property
    def flag(self) -> str:
        """The value for --peft."""
        return ",".join(f"{path}:{weight:g}" for path, weight in zip(self.paths, self.weights, strict=True))


def read_examples(path: Path) -> list[Score]:
    """Examples of a JSONL file with "prompt" and "completion". Raises UserError that names file and line."""
    found = []
    for number, item in json_lines(path, read_text(path, "file of examples (--examples)").split("\n")):
        try:
            prompt, completion = str(item["prompt"]), str(item["completion"])
        except (TypeError, KeyError):
            raise UserError(f'{path}:{number}: write {{"prompt": "...", "completion": "..."}}') from None
        if not completion.strip():
            raise UserError(f"{path}:{number}: the completion is empty: write what the model should say")
        found.append(Score(prompt, completion if completion[0].isspace() else f" {completion}"))
    if not found:
        raise UserError(f"--examples {path}: is empty: give at least one example")
    return found


def compose(
    spec: ModelSpec,
    examples: Sequence[Score],
    steps: int = STEPS,
    penalty: float = PENALTY,
    note: Callable[[str], None] = lambda _: None,
) -> Composition:
    """Weights for ``spec.peft`` (given weights are ignored). Raises UserError for fewer than two LoRAs."""

    adapters = peft_adapters.find_adapters(spec)
    if len(adapters) < 2 or adapters[0].kind != "LORA":
        raise UserError("peft compose: needs two or more LoRA adapters: --peft PATH,PATH")
    loss = _loss(spec, adapters, examples)
    count = len(adapters)
    base = loss((0.0,) * count)
    singles = tuple(loss(tuple(float(i == k) for i in range(count))) for k in range(count))
    note(f"base {base:.4f}, each alone {', '.join(f'{value:.4f}' for value in singles)} nats a token")
    weights, evaluations = search_weights(loss, count, steps, penalty, note)
    return Composition(
        tuple(str(adapter.folder) for adapter in adapters),
        weights,
        loss(weights),
        base,
        singles,
        evaluations + 2 + count,
        len(examples),
    )


def search_weights(
    loss: Callable[[Sequence[float]], float], count: int, steps: int, penalty: float, note: Callable[[str], None]
) -> tuple[tuple[float, ...], int]:
    """The ``count`` weights of least ``loss`` that at most ``steps`` evaluations find (Nelder-Mead, without gradients),
    and how many it took. ``penalty`` is charged for the sum of their sizes; ``note`` is told of progress.
    """
    import numpy as np
    from scipy.optimize import minimize

    tried: list[tuple[float, tuple[float, ...]]] = []

    def penalised(weights: Any) -> float:
        value = loss(tuple(weights)) + penalty * float(np.abs(weights).mean())
        tried.append((value, tuple(round(float(weight), 4) for weight in weights)))
        note(f"{', '.join(f'{weight:+.3f}' for weight in weights)}: {value:.4f}")
        return value

    start = np.zeros(count)
    simplex = np.vstack([start, 0.5 * np.eye(count)])
    options = {"maxfev": steps, "initial_simplex": simplex, "xatol": 0.01, "fatol": 1e-4}
    minimize(penalised, start, method="Nelder-Mead", bounds=[(-BOUND, BOUND)] * count, options=options)
    # The best of all that was tried: a search that runs out of steps returns the simplex before its last move.
    return min(tried)[1], len(tried)


def _loss(spec: ModelSpec, adapters: Sequence[Any], examples: Sequence[Score]) -> Callable[[Sequence[float]], float]:
    """The loss of the examples by weights; the model is loaded once and its combined adapter rewritten."""
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts
    from evalkit.engine import answer

    bare = spec.model_copy(update={"peft": ()})
    parts = load_parts(bare)
    wrapped, names = peft_adapters.wrapped(parts.model, adapters)
    peft_adapters.combine(wrapped, names, [1.0] * len(names))
    backend = HfBackend(replace(parts, model=wrapped.get_base_model().eval()), bare, EngineSpec())

    def loss(weights: Sequence[float]) -> float:
        peft_adapters.reweigh(wrapped, names, weights)
        responses = answer(backend, list(examples), None, EngineSpec())
        if failed := next((response for response in responses if response.loglikelihood is None), None):
            raise UserError(f"peft compose: an example cannot be scored: {failed.error}")
        return -sum(r.loglikelihood or 0.0 for r in responses) / sum(r.output_tokens for r in responses)

    return loss
