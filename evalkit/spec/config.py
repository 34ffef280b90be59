"""From what a user wrote (flags, a YAML file, or a file with flags on top) to validated RunSpecs.

Both ways end in one flat mapping of *settings*, so that every key of the file is a flag and the reverse. A file
may hold a matrix, ``models`` x ``tasks``; everything else in it is shared by all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.spec import values
from evalkit.spec.values import key_values, words

if TYPE_CHECKING:
    from pydantic import ValidationError

    from evalkit.spec.models import RunSpec

RENAMED = {
    "args": "model_args",
    "apply_chat_template": "chat_template",
    "system_instruction": "system",
    "use_cache": "cache",
    "output_path": "output",
    "max_memory": "max_memory_gb",
}
"""Other spellings of a setting, most of them lm_eval's."""

ADVICE = {
    "limit": "a count (20) or a share below 1 (0.1), never 0; leave it out for all documents",
    "num_fewshot": "0 or more",
    "batch_size": "a positive number or auto",
    "max_error_rate": "a share between 0 and 1",
}

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Origin:
    """Where settings came from, so that an error can name the flag, or the file, line and key."""

    file: Path | None = None
    lines: Mapping[Keys, int] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    def name(self, path: Keys) -> str:
        """ "--limit", or "experiment.yaml:7: limit"."""
        key = str(path[0]) if path else ""
        if self.file is None or key in self.flags:
            return "--" + {"max_memory_gb": "max_memory"}.get(key, key).replace("_", "-")
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines), ())
        line = self.lines.get(known, 1)
        return f"{self.file}:{line}: {'.'.join(map(str, path)) or 'file'}"


def load(path: Path) -> tuple[dict[str, Any], Origin]:
    """Settings of a YAML file and where each stands in it. Raises UserError that names file and line."""
    from evalkit.text.reading import read_yaml

    found = read_yaml(path, "configuration (--config)")
    if not isinstance(found.data, dict):
        raise UserError(f"{path}:1: a configuration is a mapping of settings: begin with model: and tasks:")
    return found.data, Origin(file=path, lines=found.lines)


def merge(settings: Mapping[str, Any], flags: Mapping[str, Any], origin: Origin) -> tuple[dict[str, Any], Origin]:
    """The file's settings with the flags on top; a --model replaces the file's ``models``."""
    merged = {RENAMED.get(key, key): value for key, value in [*settings.items(), *flags.items()]}
    if "model" in flags:
        merged.pop("models", None)
    lines = {(RENAMED.get(str(path[0]), path[0]), *path[1:]): line for path, line in origin.lines.items()}
    return merged, Origin(origin.file, lines, frozenset(RENAMED.get(key, key) for key in flags))


def expand(settings: Mapping[str, Any], origin: Origin) -> list[RunSpec]:
    """One RunSpec a model. With several models each gets the folder <output>/<model label>.

    Raises UserError that names the flag or the file, line and key of what is wrong.
    """
    from evalkit.spec.models import DEFAULT_MODEL

    if "models" in settings and "model" in settings:
        raise UserError(f"{origin.name(('models',))}: give model or models, not both")
    if "models" not in settings:
        return [_spec(settings, settings.get("model", DEFAULT_MODEL), ("model",), origin)]
    models = settings["models"]
    if not isinstance(models, list) or not models:
        raise UserError(f"{origin.name(('models',))}: must be a list of at least one model")
    specs = [_spec(settings, model, ("models", index), origin) for index, model in enumerate(models)]
    return _own_folders(specs, origin)


def _own_folders(specs: list[RunSpec], origin: Origin) -> list[RunSpec]:
    """Give each model of a matrix a folder of its own under the shared output."""
    from evalkit.spec.naming import default_root, model_label

    labels = [model_label(spec.model) for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"{origin.name(('models',))}: two models are called {label!r}: give each its own label")
    return [
        spec.model_copy(update={"output": (spec.output or default_root(specs)) / label})
        for spec, label in zip(specs, labels, strict=True)
    ]


def _spec(settings: Mapping[str, Any], model: Any, place: Keys, origin: Origin) -> RunSpec:
    """Sort flat settings into the parts of a RunSpec and validate the whole."""
    from pydantic import ValidationError

    from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec

    model_keys = set(ModelSpec.model_fields) - {"name", "args", "given"}
    engine_keys = set(EngineSpec.model_fields)
    if isinstance(settings.get("limit"), str):
        limit, random = values.limit(origin.name(("limit",)), settings["limit"])
        settings = {**settings, "limit": limit, "limit_random": random or settings.get("limit_random", False)}
    parts: dict[str, Any] = {"engine": dict(_mapping(settings.get("engine", {}), ("engine",), origin))}
    shared: dict[str, Any] = {"args": dict(_mapping(settings.get("model_args", {}), ("model_args",), origin))}
    for key, value in settings.items():
        if key in model_keys:
            shared[key] = values.boolean_or_text(value) if key == "chat_template" else value
        elif key in engine_keys:
            parts["engine"][key] = _read(key, value, origin)
        elif key in RunSpec.model_fields and key not in ("model", "engine"):
            parts[key] = _read(key, value, origin)
        elif key not in ("model", "models", "engine", "model_args"):
            _unknown(str(key), model_keys | engine_keys | set(RunSpec.model_fields) | set(RENAMED), origin)
    parts["model"] = _model(model, shared, place, origin)
    parts["tasks"] = _tasks(settings.get("tasks"), origin)
    try:
        return RunSpec.model_validate(parts)
    except ValidationError as error:
        raise _explain(error, place, origin) from None


def _read(key: str, value: Any, origin: Origin) -> Any:
    """A setting that was written as text in its own small language, read."""

    if not isinstance(value, str):
        return value
    readers: dict[str, Callable[[str, str], Any]] = {
        "seed": values.seed,
        "batch_size": values.batch_size,
        "gen_kwargs": values.key_values,
    }
    if key == "include_path":
        return [value]
    if key == "metrics":
        return values.words(value)
    return readers[key](origin.name((key,)), value) if key in readers else value


def _unknown(key: str, known: set[str], origin: Origin) -> None:
    raise UserError(f"{origin.name((key,))}: unknown setting{did_you_mean(key, known | {'models'}, most=100)}")


def _mapping(value: Any, place: Keys, origin: Origin) -> Mapping[str, Any]:

    if isinstance(value, str):
        return key_values(origin.name(place), value)
    if not isinstance(value, Mapping):
        raise UserError(f"{origin.name(place)}: must be a mapping of names to values")
    return value


def _model(model: Any, shared: Mapping[str, Any], place: Keys, origin: Origin) -> dict[str, Any]:
    """A model as ModelSpec keys; the shared settings apply where the entry says nothing.

    lm_eval's way is understood: ``model`` names a backend and ``pretrained`` in its arguments the model.
    """
    entry = {"name": model} if isinstance(model, str) else {**_mapping(model, place, origin)}
    spelling = {**RENAMED, "args": "args", "model_args": "args"}
    entry = {spelling.get(str(key), str(key)): value for key, value in entry.items()}
    args = {**shared["args"], **_mapping(entry.pop("args", {}), (*place, "args"), origin)}
    merged = {**{key: value for key, value in shared.items() if key != "args"}, **entry}
    if args.pop("trust_remote_code", False):
        raise UserError(
            f"{origin.name(('model_args',))}: trust_remote_code is refused: evalkit runs no code of a model"
        )
    if "pretrained" in args:
        merged["backend"] = merged.get("backend") or BACKENDS.get(str(merged.get("name")), merged.get("name"))
        merged["name"] = str(args.pop("pretrained"))
    elif merged.get("name") == "mock" and not merged.get("backend"):
        merged["backend"] = "mock"
    for key, ours in MODEL_ARGS.items():
        if key in args:
            value = args.pop(key)
            merged.setdefault(ours, value)
    return {**merged, "args": args}


MODEL_ARGS = {
    "dtype": "dtype",
    "device": "device",
    "revision": "revision",
    "max_length": "max_length",
    "add_bos_token": "add_bos",
}
"""Backend arguments of lm_eval that are settings of their own here."""

BACKENDS = {"huggingface": "hf", "hf-auto": "hf", "local-completions": "openai", "local-chat-completions": "openai"}
"""lm_eval's names for a backend that has another name here."""


def _tasks(tasks: Any, origin: Origin) -> list[Any]:
    """Tasks as a comma-separated text or a list of names and mappings; ``mmlu@sample`` asks for the sample."""

    if tasks is None or tasks == "" or tasks == []:
        where = origin.name(("tasks",))
        raise UserError(f"{where}: which tasks? for example --tasks mmlu,hellaswag (see: evalkit tasks list)")
    entries = words(tasks) if isinstance(tasks, str) else tasks
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{origin.name(('tasks',))}: must be a list of task names, or of mappings with a name")
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]


def _explain(error: ValidationError, place: Keys, origin: Origin) -> UserError:
    """The first mistake pydantic found, in one line that names flag or file, line and key."""
    first = error.errors()[0]
    path, key = _place(tuple(first["loc"]), place, origin)
    given = first["input"]
    shown = f" (got {given!r})" if given is None or isinstance(given, str | int | float) else ""
    if first["type"] == "extra_forbidden":
        return UserError(f"{origin.name(path)}: unknown setting")
    if first["type"] == "missing":
        return UserError(f"{origin.name(path)}: {key} is missing")
    return UserError(f"{origin.name(path)}: {'must be ' + ADVICE[key] if key in ADVICE else first['msg']}{shown}")


def _place(loc: Keys, place: Keys, origin: Origin) -> tuple[Keys, str]:
    """Where the user wrote what pydantic calls ``loc`` (which ends in names of union members), and its key."""
    depth = {"tasks": 3, "model": 2, "engine": 2}.get(str(loc[0]) if loc else "", 1)
    loc = loc[:depth]
    key = str(loc[-1]) if loc else ""
    if loc[:1] == ("model",):
        shared = (key,) if key != "name" else place
        return ((*place, key) if (*place, key) in origin.lines else shared), key
    if loc[:1] == ("engine",):
        return (loc if loc in origin.lines else (key,)), key
    return loc, key


def settings_of(spec: RunSpec) -> dict[str, Any]:
    """A RunSpec as the flat settings that :func:`expand` makes it of, so that flags can be laid on top.

    Raises UserError for a model that was given as an object, which no setting names.
    """
    if spec.model.given is not None:
        raise UserError(spec.model.given.missing(f"the model {spec.model.name}"))
    plain = spec.model_dump(mode="json", exclude={"model": {"given"}})
    model, engine = plain.pop("model"), plain.pop("engine")
    name, args = model.pop("name"), model.pop("args")
    return {**plain, **engine, **model, "model": name, "model_args": args}
