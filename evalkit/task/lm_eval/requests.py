"""lm-eval's instances as evalkit's requests, and evalkit's responses as what lm-eval's code expects of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, Request, Response, Rolling, Sampling, Score

DEFAULT_MAX_TOKENS = 256
"""lm-eval's default for max_gen_toks."""

_MAX_TOKENS_KEYS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Spellings of one setting; the first one that is given counts, as in lm-eval."""

Conversations = Mapping[str, tuple[Message, ...]]
"""The turns behind a prompt that a chat template wrote, by the prompt."""


def from_instances(
    task: str, instances: Sequence[Any], repeats: int, seed: int, turns: Conversations
) -> tuple[Request, ...]:
    """The requests of one document: ``repeats`` of each instance, side by side, instances in lm-eval's order."""
    ordered = sorted(instances, key=lambda instance: instance.idx)
    return tuple(request for instance in ordered for request in _requests(task, instance, repeats, seed, turns))


def _requests(task: str, instance: Any, repeats: int, seed: int, turns: Conversations) -> Iterator[Request]:
    arguments, kind = instance.args, instance.request_type
    if any(isinstance(argument, Mapping) and "audio" in argument for argument in arguments):
        raise UserError(f"lm_eval:{task} asks about sound, which evalkit's models do not take")
    if kind == "loglikelihood":
        context, continuation = arguments[0], arguments[1]
        yield from [Score(context, continuation, turns.get(context))] * repeats
    elif kind == "loglikelihood_rolling":
        yield from [Rolling(arguments[0])] * repeats
    elif kind == "generate_until":
        for repeat in range(repeats):
            yield generation(arguments[0], arguments[1], seed, repeat, turns.get(arguments[0]))
    else:
        raise UserError(f"lm_eval:{task} makes requests of the kind {kind!r}, which evalkit does not know")


def generation(
    context: str,
    settings: Mapping[str, Any],
    seed: int,
    repeat: int = 0,
    messages: tuple[Message, ...] | None = None,
) -> Generate:
    """A generation with lm-eval's generation_kwargs, read by lm-eval's rules (models/utils.py, normalize_gen_kwargs).

    Without do_sample a temperature above 0 samples; do_sample false is greedy whatever the temperature; do_sample
    true without a temperature samples at 1.
    """
    left = dict(settings)
    until = left.pop("until", None) or []
    stops = [until] if isinstance(until, str) else list(until)
    given = [value for key in _MAX_TOKENS_KEYS if (value := left.pop(key, None)) is not None]
    do_sample = left.pop("do_sample", None)
    temperature = left.pop("temperature", None)
    degree = float(temperature) if temperature is not None else float(do_sample is True)
    top_p, top_k = left.pop("top_p", None), left.pop("top_k", None)
    extra = tuple(sorted((key, _frozen(value)) for key, value in left.items()))
    greedy = do_sample is False or degree == 0.0
    if greedy:
        # Nothing is drawn, so the settings of drawing are no part of the request and repeats are the same.
        sampling, repeat = Sampling(seed=seed, extra=extra), 0
    else:
        sampling = Sampling(degree, float(top_p or 1.0), int(top_k or 0), seed, extra)
    return Generate(
        context=context,
        until=tuple(stop for stop in stops if stop),
        max_tokens=int(given[0]) if given else DEFAULT_MAX_TOKENS,
        sampling=sampling,
        messages=messages,
        repeat=repeat,
    )


def _frozen(value: Any) -> Any:
    """Lists and mappings as tuples, so that a request can be hashed."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), _frozen(item)) for key, item in value.items()))
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def to_instances(task: str, id: int, doc: Any, asked: Sequence[Request], got: Sequence[Response], repeats: int) -> list:
    """lm-eval's instances of one document, answered: ``repeats`` neighbouring answers belong to one instance."""
    from lm_eval.api.instance import Instance

    instances = []
    for index, start in enumerate(range(0, len(asked), repeats)):
        kind, arguments = _arguments(asked[start])
        instances.append(
            Instance(
                request_type=kind,
                doc=doc,
                arguments=arguments,
                idx=index,
                metadata=(task, id, repeats),
                resps=[
                    _answer(request, response)
                    for request, response in zip(
                        asked[start : start + repeats], got[start : start + repeats], strict=True
                    )
                ],
            )
        )
    return instances


def _arguments(request: Request) -> tuple[Any, tuple[Any, ...]]:
    if isinstance(request, Score):
        return "loglikelihood", (request.context, request.continuation)
    if isinstance(request, Rolling):
        return "loglikelihood_rolling", (request.text,)
    if not isinstance(request, Generate):
        raise TypeError("lm-eval has no requests to a classifier")
    return "generate_until", (request.context, {"until": list(request.until), "max_gen_toks": request.max_tokens})


def _answer(request: Request, response: Response) -> Any:
    if isinstance(request, Score):
        return response.loglikelihood, response.is_greedy
    return response.loglikelihood if isinstance(request, Rolling) else response.text
