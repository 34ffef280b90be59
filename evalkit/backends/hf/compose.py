"""The weights of several LoRAs that suit a few examples best, found without gradients (LoraHub, arXiv 2307.13269).

What is minimised is the mean negative log-likelihood of the completions in nats a token, plus ``penalty`` times the
mean absolute weight (the paper's section 3.3, 0.05). The search is Nelder and Mead's, from weights of zero, within
[-1.5, 1.5]: a handful of dimensions and a smooth loss need no larger machinery. The update that is tried is exactly
sum w_i B_i A_i; the paper adds up A and B apart. What is recommended is never worse on the examples than the base model
or an adapter alone: where the search ends worse than one of them, it is that one.
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
    paths = tuple(str(adapter.folder) for adapter in adapters)
    return compose_with(Mixture(spec, adapters), paths, examples, steps, penalty, note)


def compose_with(
    mixture: Mixture,
    paths: tuple[str, ...],
    examples: Sequence[Score],
    steps: int = STEPS,
    penalty: float = PENALTY,
    note: Callable[[str], None] = lambda _: None,
) -> Composition:
    """The same with a loaded model; ``paths`` name its adapters."""
    count = len(paths)

    def loss(weights: Sequence[float]) -> float:
        return mixture.loss(examples, weights)

    alone = [tuple(float(i == k) for i in range(count)) for k in range(count)]
    base = loss((0.0,) * count)
    singles = tuple(loss(one) for one in alone)
    note(f"base {base:.4f}, each alone {', '.join(f'{value:.4f}' for value in singles)} nats a token")
    weights, evaluations = search_weights(loss, count, steps, penalty, note)
    found, chosen = choose([(loss(weights), weights), *zip(singles, alone, strict=True), (base, (0.0,) * count)])
    return Composition(paths, chosen, found, base, singles, evaluations + 2 + count, len(examples))


def choose(candidates: Sequence[tuple[float, tuple[float, ...]]]) -> tuple[float, tuple[float, ...]]:
    """The loss and weights of least loss; of equals the first."""
    return min(candidates, key=lambda one: one[0])


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


class Mixture:
    """A model with several LoRAs, loaded once; their weights change from call to call."""

    def __init__(self, spec: ModelSpec, adapters: Sequence[peft_adapters.Adapter]) -> None:
        from evalkit.backends.hf.backend import HfBackend
        from evalkit.backends.hf.loading import load_parts

        bare = spec.model_copy(update={"peft": ()})
        parts = load_parts(bare)
        self._wrapped, self._names = peft_adapters.wrapped(parts.model, adapters)
        peft_adapters.combine(self._wrapped, self._names, [1.0] * len(self._names))
        parts = replace(parts, model=self._wrapped.get_base_model().eval())
        self.backend = HfBackend(parts, bare, EngineSpec())
        self.fingerprint = parts.fingerprint
        """Of the base model."""

    def use(self, weights: Sequence[float]) -> None:
        """Answer with the LoRAs added up by these weights from now on."""
        peft_adapters.reweigh(self._wrapped, self._names, weights)

    def loss(self, examples: Sequence[Score], weights: Sequence[float]) -> float:
        """The completions' mean negative log-likelihood in nats a token. UserError where one cannot be scored."""
        from evalkit.engine import answer

        self.use(weights)
        responses = answer(self.backend, list(examples), None, EngineSpec())
        if failed := next((response for response in responses if response.loglikelihood is None), None):
            raise UserError(f"peft compose: an example cannot be scored: {failed.error}")
        return -sum(r.loglikelihood or 0.0 for r in responses) / sum(r.output_tokens for r in responses)
