"""Generation settings of a task with what the user overrides (``--gen_kwargs``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Sampling
from evalkit.task.definition import Generation

_LENGTH = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")


@dataclass(frozen=True, slots=True)
class Settings:
    """How every answer of a task is generated; ``max_tokens`` counts new tokens, ``repeats`` answers a prompt."""

    until: tuple[str, ...]
    max_tokens: int
    sampling: Sampling
    repeats: int = 1

    def as_lm_eval(self) -> dict[str, Any]:
        """The same under lm-evaluation-harness's names."""
        sampling = self.sampling
        return {
            "until": list(self.until),
            "max_gen_toks": self.max_tokens,
            "do_sample": sampling.temperature > 0,
            "temperature": sampling.temperature,
            **({"top_p": sampling.top_p} if sampling.top_p != 1 else {}),
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
            **dict(sampling.extra),
        }


def settings(defined: Generation, asked: Mapping[str, Any], fewshot_delimiter: str, seed: int) -> Settings:
    """A task's generation with overrides by lm-eval's names; unknown names go to the backend as they are.

    Stops at the few-shot delimiter where neither says when. UserError names a setting that makes no sense.
    """
    rest = dict(asked)
    until = rest.pop("until", rest.pop("stop", defined.until))
    if until is None:
        until = (fewshot_delimiter,)
    until = (until,) if isinstance(until, str) else tuple(str(one) for one in until)
    lengths = [rest.pop(name) for name in _LENGTH if name in rest]
    max_tokens = _number("max_gen_toks", lengths[0] if lengths else defined.max_tokens, int)
    if max_tokens < 1:
        raise UserError(f"gen_kwargs: max_gen_toks is {max_tokens}; give 1 or more")
    repeats = _number("repeats", rest.pop("repeats", defined.repeats), int)
    if repeats < 1:
        raise UserError(f"gen_kwargs: repeats is {repeats}; give 1 or more answers a prompt")
    temperature = _temperature(rest, defined.temperature)
    top_p = _number("top_p", rest.pop("top_p", defined.top_p), float)
    top_k = _number("top_k", rest.pop("top_k", defined.top_k), int)
    seed = _number("seed", rest.pop("seed", seed), int)
    if not 0 < top_p <= 1 or top_k < 0:
        raise UserError(f"gen_kwargs: top_p is {top_p:g} and top_k {top_k}; give 0 < top_p <= 1 and top_k >= 0")
    extra = tuple(sorted({**defined.extra, **rest}.items()))
    return Settings(until, max_tokens, Sampling(temperature, top_p, top_k, seed, extra), repeats)


def _temperature(rest: dict[str, Any], default: float) -> float:
    """``do_sample`` decides; without it, any temperature above 0 samples (as lm-eval 0.4.13 has it)."""
    given = "temperature" in rest
    temperature = _number("temperature", rest.pop("temperature", default), float)
    do_sample = rest.pop("do_sample", None)
    if isinstance(do_sample, str):
        do_sample = do_sample.lower() in ("true", "1", "yes")
    if temperature < 0:
        raise UserError(f"gen_kwargs: temperature is {temperature:g}; give 0 or more")
    if do_sample is None:
        return temperature
    if not do_sample:
        return 0.0
    if temperature == 0:
        if given:
            raise UserError("gen_kwargs: do_sample is true at temperature 0; give a temperature above 0")
        return 1.0
    return temperature


def _number(name: str, value: Any, kind: type[Any]) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise UserError(f"gen_kwargs: {name} is {value!r}; give a number") from error
