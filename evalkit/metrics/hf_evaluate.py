"""Any metric of the package evaluate: ``evaluate:NAME``, by its name there, a Hub id, or a local path.

Such a metric is a script that the package evaluate runs: only name what you trust. It sees all answers at once
(``predictions`` and ``references``); ``args`` go to its ``compute``, but for ``config`` (its configuration) and ``key``
(which of the numbers that it returns; needed where there are several).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.metrics.base import Metric, MetricKind, ScoringInput
from evalkit.metrics.choice import best
from evalkit.metrics.qa import texts


def metric(name: str, kind: str) -> Metric:
    """The metric ``name`` for generated texts, or for choices (by their indices). UserError for other kinds."""
    if kind not in ("text", "choice"):
        raise UserError(
            f"metric evaluate:{name}: needs a task that generates text or has choices, not one of kind {kind}"
        )
    chosen: MetricKind = "choice" if kind == "choice" else "text"
    label = name.rstrip("/").replace("\\", "/").rpartition("/")[2].removesuffix(".py")

    def corpus(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> float:
        return compute(name, samples, args)

    return Metric(
        name=label,
        kind=chosen,
        all_items=corpus,
        higher_is_better=True,
        source=f"the package evaluate, {label}",
        prepare=lambda args: _check(name, args),
        describe=lambda args, values: f"evaluate:{_version()}",
    )


def compute(name: str, samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> float:
    """One number over all samples. UserError where the metric refuses them or returns no single number."""
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
        raise UserError(
            f"metric evaluate:{name}: it refuses these answers: {type(error).__name__}: {reason}"
        ) from error
    return _one_number(name, found, args.get("key"))


def _references(module: Any, samples: Sequence[ScoringInput], choices: bool) -> list[Any]:
    """A list of references a sample where the metric takes several, else the first."""
    if choices:
        return [one.target[0] if isinstance(one.target, list) else one.target for one in samples]
    features = module.features if isinstance(module.features, list) else [module.features]
    several = any(type(one.get("references")).__name__ in ("Sequence", "List", "list") for one in features)
    return [texts(one.target) if several else texts(one.target)[0] for one in samples]


def _one_number(name: str, found: Any, key: Any) -> float:
    numbers = {
        str(one): float(value)
        for one, value in (found or {}).items()
        if isinstance(value, Real) and not isinstance(value, bool)
    }
    if key is not None and str(key) in numbers:
        return numbers[str(key)]
    short = name.rstrip("/").rpartition("/")[2].removesuffix(".py")
    if key is None and (len(numbers) == 1 or short in numbers):
        return numbers.get(short, next(iter(numbers.values())))
    raise UserError(f"metric evaluate:{name}: choose one of its numbers with args: {{key: ...}}: {', '.join(numbers)}")


def _check(name: str, args: Mapping[str, Any]) -> None:
    _load(name, args.get("config"))


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
