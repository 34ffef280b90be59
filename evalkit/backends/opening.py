"""Names of models: which backend serves them, by what the backends say of themselves."""

from __future__ import annotations

import importlib.util
import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.contract import registry
from evalkit.contract.capabilities import BackendType, Capabilities, KnownModel, Quote, backend_type
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.spec.models import EngineSpec, ModelSpec

if TYPE_CHECKING:
    from evalkit.contract.backend import Backend

log = logging.getLogger("evalkit.backends")

MODE = "mc"
"""The argument that asks for multiple choice by generation; every backend has it, and none sees it."""
PROMPTING = frozenset(("name", "backend", "args", "given", "label", "chat_template", "system", "fewshot_as_multiturn"))
"""Settings of a model that are not about loading it: evalkit itself heeds them, whatever the backend."""


HARMLESS = frozenset(("device",))
"""Settings that change no answer: lm_eval's command lines give them by habit, so that a backend which does not take
them has it said and goes on."""


def listing() -> list[dict[str, str]]:
    """Rows for `evalkit models list`: name, backend, whether it is ready, description."""
    return [
        {
            "name": model.name,
            "backend": kind.name,
            "ready": "yes" if _installed(model) else f"pip install 'evalkit-harness[{model.extra}]'",
            "description": model.description,
        }
        for kind in _types()
        for model in kind.models
    ]


def providers() -> list[dict[str, str]]:
    """Rows for `evalkit models list`: whose models go by name, and whether the key for them is there."""
    return [row for kind in _types() if kind.providers is not None for row in kind.providers()]


def type_of(name: str) -> BackendType:
    """The backend called ``name``. UserError for an unknown name or a package that cannot be imported."""
    return backend_type(name, registry.load(registry.BACKENDS, name))


def resolve(model: ModelSpec) -> ModelSpec:
    """The model with its backend chosen. Raises UserError for a name that cannot be anything, and for settings or
    arguments that its backend does not take.
    """
    if model.given is not None:
        raise UserError(model.given.missing(f"the model {model.name}"))
    kind = type_of(model.backend or _backend_of(model.name))
    if kind.translate is not None:
        model = kind.translate(model)
    if kind.check is not None:
        kind.check(without_mode(model))  # before anything is recorded: a key in an argument must not reach a file
    _check_settings(model, kind)
    if not model.chat_template and (model.chat_template_args or model.enable_thinking is not None):
        given = "chat-template-args" if model.chat_template_args else "enable-thinking"
        log.warning("--%s: no conversations are asked for (--apply_chat_template): it changes no prompt", given)
    return model.model_copy(update={"backend": kind.name})


def find(model: ModelSpec) -> None:
    """UserError for a resolved model that is nowhere."""
    kind = type_of(model.backend or "")
    if kind.find is not None:
        kind.find(without_mode(model))


PACKAGES = {"llama_cpp": "llama-cpp-python", "sentence_transformers": "sentence-transformers"}
"""Packages that pip knows by another name than Python."""


def require(model: ModelSpec, engine: EngineSpec) -> None:
    """MissingExtra where a resolved model, or how it is run, needs a package that is not installed; nothing is imported
    to find that out.
    """
    kind = type_of(model.backend or "")
    missing = next((module for module in kind.needs if importlib.util.find_spec(module) is None), None)
    if missing is not None and kind.extra:
        raise MissingExtra(f"the backend {kind.name}", PACKAGES.get(missing, missing), kind.extra)
    if engine.executor == "ray" and importlib.util.find_spec("ray") is None:
        raise MissingExtra("--executor ray", "ray", "ray")
    if kind.require is not None:
        kind.require(without_mode(model))


def _check_settings(model: ModelSpec, kind: BackendType) -> None:
    """A setting that the backend does not heed would be recorded as if it held."""
    taken = PROMPTING | kind.settings
    fields = type(model).model_fields
    for field in fields:
        if field not in taken and getattr(model, field) != fields[field].get_default(call_default_factory=True):
            if field in HARMLESS:
                log.warning("--%s: ignored: the backend %s does not choose it", field, kind.name)
                continue
            others = [one.name for one in _types() if field in one.settings]
            raise UserError(
                f"--{field.replace('_', '-')}: {model.name} runs on the backend {kind.name}, which does not take it: "
                f"leave it out, or use another backend ({', '.join(others) or 'none takes it'})"
            )


def without_mode(model: ModelSpec) -> ModelSpec:
    """The model without the argument MODE. Raises UserError for a value that it does not have."""
    if MODE not in model.args:
        return model
    if model.args[MODE] not in ("score", "generate"):
        raise UserError(f"--model_args {MODE}={model.args[MODE]}: unknown; one of score, generate")
    return model.model_copy(update={"args": {key: value for key, value in model.args.items() if key != MODE}})


def by_generation(model: ModelSpec) -> bool:
    """Whether multiple-choice tasks are to be asked as generations (`evalkit.task.generative_choice`)."""
    return model.args.get(MODE) == "generate"


def capabilities_of(model: ModelSpec) -> Capabilities:
    """What a resolved model can, as far as it is known before its weights are loaded."""
    kind = type_of(model.backend or "")
    return kind.describe(without_mode(model)) if kind.describe is not None else kind.capabilities


def quote_of(model: ModelSpec) -> Quote | None:
    """The price of a resolved model; None for one that nobody pays for."""
    kind = type_of(model.backend or "")
    return None if kind.quote is None else kind.quote(without_mode(model))


def open_backend(model: ModelSpec, engine: EngineSpec) -> Backend:
    """Load the model, or its replicas. Raises UserError where that fails."""
    resolved = without_mode(resolve(model))
    kind = type_of(resolved.backend or "")
    if kind.arrange is not None:
        resolved, engine = kind.arrange(resolved, engine)
    if engine.replicas > 1 or engine.executor != "local":
        if origin := registry.origin_of(registry.BACKENDS, resolved.backend or ""):
            raise UserError(
                f"--replicas, --executor: the backend {resolved.backend} was registered in this process ({origin}), "
                "where workers do not find it: offer it by an entry point of a package, or run one replica"
            )
        from evalkit.engine.executors import open_replicas

        return open_replicas(resolved, engine, kind)
    return kind.load(resolved, engine)


# -- which backend a name means -----------------------------------------------------------------------------------


def _backend_of(name: str) -> str:
    """The backend that claims a name: by a prefix, as one of its models or its own name, by a file's suffix; what
    nobody claims is left to the one that takes the rest.
    """
    types = _types()
    for claims in (
        [one for one in types if name.startswith(one.prefixes) or (one.claims is not None and one.claims(name))],
        [one for one in types if any(name == model.name for model in one.models)],
        [one for one in types if name == one.name],
    ):
        if claims:
            return _only(name, claims)
    if readers := [one for one in types if one.suffixes and name.endswith(one.suffixes)]:
        if not Path(name).expanduser().is_file():
            raise UserError(f"{name}: no such file")
        # The first that takes nothing else and is installed; one that also takes the rest reads it if it must.
        readers.sort(key=lambda one: one.claims_rest)
        return next((one.name for one in readers if _can_run(one)), readers[-1].name)
    known = [*(model.name for one in types for model in one.models), *registry.names(registry.BACKENDS)]
    rest = [one for one in types if one.claims_rest]
    if not rest:
        raise UserError(f"unknown model {name!r}{registry.did_you_mean(name, known)}; see `evalkit models list`")
    near = registry.nearest(name, known)
    if near and "/" not in name and not Path(name).is_dir():
        raise UserError(f"unknown model {name!r}: did you mean {near!r}? See `evalkit models list`")
    return _only(name, rest)  # the Hub has ids without a slash, such as gpt2; loading says so where there is none


def _only(name: str, claims: list[BackendType]) -> str:
    if len(claims) > 1:
        raise UserError(
            f"--model {name}: the backends {' and '.join(one.name for one in claims)} both claim it: "
            "say which with --backend"
        )
    return claims[0].name


def _can_run(kind: BackendType) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in kind.needs)


def _installed(model: KnownModel) -> bool:
    if not model.package:
        return True
    found = importlib.util.find_spec(model.package)
    folders = (found.submodule_search_locations or ()) if found is not None else ()
    if model.assembled:  # its file is put together from other packages' parts when it is first asked for
        return bool(folders)
    return any((Path(folder) / model.file).is_file() for folder in folders)


def _types() -> tuple[BackendType, ...]:
    """All backends that can be imported; one that cannot is told, and stops only those who ask for it."""
    found = []
    for name in registry.names(registry.BACKENDS):
        try:
            found.append(type_of(name))
        except UserError as error:
            _tell_once(str(error))
    return tuple(found)


@lru_cache(maxsize=64)
def _tell_once(problem: str) -> None:
    log.warning("left out: %s", problem)
