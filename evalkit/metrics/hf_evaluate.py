"""Any metric of the package evaluate: ``evaluate:NAME``, by its name there, a Hub id, or a local path.

Such a metric is a script that the package evaluate runs: only name what you trust. It sees all answers at once
(``predictions`` and ``references``); ``args`` go to its ``compute``, but for ``config`` (its configuration) and ``key``
(which of the numbers that it returns; needed where there are several). ``evaluate:NAME:lower`` says that lower is
better, ``:higher`` the contrary; without a word the metrics of `LOWER` are errors, and of all others higher is better.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.metrics.base import Metric, MetricKind, ScoringInput
from evalkit.metrics.choice import best
from evalkit.metrics.qa import texts

LOWER = frozenset(
    ("wer", "cer", "ter", "mer", "mse", "mae", "mape", "smape", "mase", "rmse", "perplexity", "brier_score")
)
"""Metrics of the package evaluate that measure errors, by their names there."""
_WORDS = {"lower": False, "higher": True}
log = logging.getLogger(__name__)


class Refused(UserError):
    """The metric's script does not take these answers."""


def parts(name: str) -> tuple[str, bool]:
    """(name as the package evaluate knows it, whether higher is better) of what stands behind ``evaluate:``."""
    bare, _, word = name.rpartition(":")
    if bare and word in _WORDS:
        return bare, _WORDS[word]
    return name, label(name) not in LOWER


def label(name: str) -> str:
    """What results call it: the last part of its name, of a script's path the stem."""
    bare = name.rpartition(":")[0] if name.rpartition(":")[2] in _WORDS else name
    return bare.rstrip("/").replace("\\", "/").rpartition("/")[2].removesuffix(".py")


def metric(name: str, kind: str) -> Metric:
    """The metric ``name`` for generated texts, or for choices (by their indices). UserError for other kinds."""
    if kind not in ("text", "choice"):
        raise UserError(
            f"metric evaluate:{name}: needs a task that generates text or has choices, not one of kind {kind}"
        )
    chosen: MetricKind = "choice" if kind == "choice" else "text"
    script, higher = parts(name)

    def corpus(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> float:
        return compute(script, samples, args)

    return Metric(
        name=label(name),
        kind=chosen,
        all_items=corpus,
        higher_is_better=higher,
        source=f"the package evaluate, {label(name)}",
        prepare=lambda args: _check(script, chosen, args),
        describe=lambda args, values: f"evaluate:{_version()}",
    )


def compute(name: str, samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> float:
    """One number over all samples. UserError where it returns no single number; `Refused` where it takes them not."""
    wanted = {key: value for key, value in args.items() if key not in ("key", "config")}
    module = _load(name, args.get("config"))
    choices = any(sample.choices for sample in samples)
    try:
        found = module.compute(
            predictions=[best(one.loglikelihoods) if choices else one.text or "" for one in samples],
            references=_references(module, samples, choices),
            **wanted,
        )
    except Exception as error:  # any metric's script may fail in its own way
        reason = " ".join(str(error).split())[:300]
        raise Refused(f"metric evaluate:{name}: it refuses these answers: {type(error).__name__}: {reason}") from error
    value = _one_number(name, found, args.get("key"))
    if math.isnan(value):
        raise Refused(f"metric evaluate:{name}: it gives no number (nan) for these answers")
    return value


def _references(module: Any, samples: Sequence[ScoringInput], choices: bool) -> list[Any]:
    """A list of references a sample where the metric takes several, else the first."""
    if choices:
        return [one.target[0] if isinstance(one.target, list) else one.target for one in samples]
    features = module.features if isinstance(module.features, list) else [module.features]
    several = any(type(one.get("references")).__name__ in ("Sequence", "List", "list") for one in features)
    return [texts(one.target) if several else texts(one.target)[0] for one in samples]


def _number(value: Any) -> float | None:
    """A plain number, or one of numpy's; None for anything else."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    return float(value) if getattr(value, "shape", None) == () and not isinstance(value, bool) else None


def _one_number(name: str, found: Any, key: Any) -> float:
    if (bare := _number(found)) is not None:  # wer and cer return nothing but their number
        if key is not None:
            raise UserError(f"metric evaluate:{name}: gives one number, without a name: leave out args: {{key: {key}}}")
        return bare
    given = found if isinstance(found, Mapping) else {}
    numbers = {str(one): value for one, part in given.items() if (value := _number(part)) is not None}
    if key is not None and str(key) in numbers:
        return numbers[str(key)]
    short = label(name)
    if key is None and (len(numbers) == 1 or short in numbers):
        return numbers.get(short, next(iter(numbers.values())))
    if not numbers:
        raise UserError(f"metric evaluate:{name}: gives no number over all answers, but {type(found).__name__}")
    raise UserError(f"metric evaluate:{name}: choose one of its numbers with args: {{key: ...}}: {', '.join(numbers)}")


TRIAL = {
    "text": (ScoringInput(text="one two three", target=["one two four"]), ScoringInput(text="five", target=["five"])),
    "choice": (
        ScoringInput(choices=("a", "b"), loglikelihoods=(-1.0, -2.0), target=0),
        ScoringInput(choices=("a", "b"), loglikelihoods=(-2.0, -1.0), target=1),
    ),
}
"""Answers on which a metric is tried before a model is loaded."""


def _check(name: str, kind: MetricKind, args: Mapping[str, Any]) -> None:
    """UserError where the script cannot be loaded, or returns no single number. That it refuses two made-up answers
    need not mean that it refuses the model's: it is only said.
    """
    try:
        compute(name, TRIAL[kind], args)
    except Refused as error:
        log.warning("%s (a trial of two made-up ones); its number will be missing if it refuses the model's too", error)


@lru_cache(maxsize=16)
def _load(name: str, config: str | None) -> Any:
    try:
        import evaluate
    except ImportError as error:
        raise MissingExtra(f"metric evaluate:{name}", "evaluate", "evaluate") from error
    try:
        return evaluate.load(name, config)
    except ImportError as error:
        raise UserError(f"metric evaluate:{name}: {' '.join(str(error).split())}") from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"metric evaluate:{name}: cannot be loaded ({reason}); give the path of its script, or a name on the Hub "
            "and a network"
        ) from error


def _version() -> str:
    from importlib.metadata import version

    return version("evaluate")
