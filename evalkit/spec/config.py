"""From what a user wrote (flags, a YAML file, or a file with flags on top) to validated RunSpecs.

Both ways end in one flat mapping of *settings*, so that every key of the file is a flag and the reverse. A file
may hold a matrix, ``models`` x ``tasks``; everything else in it is shared by all models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.spec.models import DEFAULT_MODEL, RunSpec
from evalkit.spec.naming import default_root, model_label
from evalkit.spec.table import ALIASES, BY_PATH, OF_TASK, SETTINGS, Setting
from evalkit.spec.values import Several, key_values, words
from evalkit.text.reading import Keys, read_yaml


@dataclass(frozen=True)
class Origin:
    """Where settings came from, so that an error can name the flag, or the file, line and key."""

    file: Path | None = None
    lines: Mapping[Keys, int] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    written: Mapping[str, str] = field(default_factory=dict)
    """The file's own spelling of a setting, where it is another."""

    def name(self, path: Keys) -> str:
        """ "--limit", or "experiment.yaml:7: limit"."""
        key = str(path[0]) if path else ""
        if self.file is None or key in self.flags:
            return "--" + key.replace("_", "-")
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines), ())
        line = self.lines.get(known, 1)
        words = [self.written.get(key, key), *map(str, path[1:])]
        return f"{self.file}:{line}: {'.'.join(words) if path else 'file'}"


def load(path: Path) -> tuple[dict[str, Any], Origin]:
    """Settings of a YAML file and where each stands in it. Raises UserError that names file and line."""
    found = read_yaml(path, "configuration (--config)")
    if not isinstance(found.data, dict):
        raise UserError(f"{path}:1: a configuration is a mapping of settings: begin with model: and tasks:")
    return _beside(found.data, path.parent), Origin(file=path, lines=found.lines)


def _beside(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The settings with the paths of task definitions, data and own rows taken from the file's folder on, where they
    are there; otherwise they are relative to the current folder, as on the command line. One that means the same both
    ways stays as it is written, so that what a run has recorded of it stays too.
    """

    def found(value: Any) -> Any:
        if isinstance(value, list):
            return [found(one) for one in value]
        if not isinstance(value, str) or "\0" in value or Path(value).expanduser().is_absolute():
            return value
        here, there = Path(value), folder / value
        if not there.exists() or (here.exists() and here.samefile(there)):
            return value
        return str(there.absolute())

    changed: dict[str, Any] = {
        key: found(settings[key]) for key in ("include_path", "data_dir", "data") if key in settings
    }
    if isinstance(tasks := settings.get("tasks"), list):
        changed["tasks"] = [
            {**one, "data": found(one["data"])} if isinstance(one, dict) and "data" in one else one for one in tasks
        ]
    return {**settings, **changed}


def merge(settings: Mapping[str, Any], flags: Mapping[str, Any], origin: Origin) -> tuple[dict[str, Any], Origin]:
    """The file's settings with the flags on top; a --model replaces the file's ``models``."""
    merged = {**by_key(settings, origin), **(given := by_key(flags, Origin()))}
    if "model" in flags:
        merged.pop("models", None)
    lines = {(ALIASES.get(str(path[0]), path[0]), *path[1:]): line for path, line in origin.lines.items()}
    return merged, Origin(origin.file, lines, frozenset(given), spellings(settings))


def spellings(settings: Iterable[str]) -> dict[str, str]:
    """The name of each setting that was given by another than its key."""
    return {ALIASES[name]: name for name in settings if name in ALIASES}


def by_key(settings: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Settings by their keys. Raises UserError where one is given in two spellings."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        key = ALIASES.get(name, name)
        if key in found:
            other = next(one for one in settings if one != name and ALIASES.get(one, one) == key)
            raise UserError(f"{origin.name((name,))}: means the same as {other}: give one of the two")
        found[key] = value
    return found


def expand(settings: Mapping[str, Any], origin: Origin) -> list[RunSpec]:
    """One RunSpec a model. With several models each gets the folder <output>/<model label>.

    Raises UserError that names the flag or the file, line and key of what is wrong.
    """
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
    settings = _read(settings, origin)
    parts: dict[str, dict[str, Any]] = {
        "run": {},
        "model": {"args": dict(_mapping(settings.get("model_args", {}), ("model_args",), origin))},
        "engine": _fields(
            _mapping(settings.get("engine", {}), ("engine",), origin),
            [one for one in SETTINGS.values() if one.part == "engine"],
        ),
    }
    for key, value in settings.items():
        setting = SETTINGS.get(key)
        if setting is not None and key not in ("model", "model_args"):
            parts[setting.part][setting.field] = value
    spec = {
        **parts["run"],
        "engine": parts["engine"],
        "model": _model(model, parts["model"], place, origin),
        "tasks": _tasks(settings.get("tasks"), origin),
    }
    try:
        return RunSpec.model_validate(spec)
    except ValidationError as error:
        raise _explain(error, place, origin) from None


def _read(settings: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Settings with those read that were written as text in a small language of their own. UserError for unknown
    ones.
    """
    found: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for key, value in settings.items():
        setting = SETTINGS.get(key)
        if setting is None and key not in ("models", "engine"):
            raise _unknown(key, {*SETTINGS, *ALIASES, "models", "engine"}, origin)
        read = setting.option.read if setting is not None else None
        if read is not None and isinstance(value, str):
            value = read(origin.name((key,)), value)
        if isinstance(value, Path) and setting is not None and setting.option.repeated:  # a caller's, in Python
            value = [value]
        if isinstance(value, Several):
            more |= value
        else:
            found[key] = value
    return {**found, **more}


def _unknown(key: str, known: set[str], origin: Origin) -> UserError:
    return UserError(f"{origin.name((key,))}: unknown setting{did_you_mean(key, known, most=100)}")


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
    entry = _fields(entry, [one for one in SETTINGS.values() if one.part == "model"])
    args = {**shared["args"], **_mapping(entry.pop("args", {}), (*place, "args"), origin)}
    merged = {**{key: value for key, value in shared.items() if key != "args"}, **entry}
    if args.pop("trust_remote_code", False):
        raise UserError(
            f"{origin.name(('model_args',))}: trust_remote_code is refused: evalkit runs no code of a model"
        )
    name = str(merged.get("name"))
    if not merged.get("backend"):
        _refuse_elsewhere(name)
        if name == "openai-completions":
            args.setdefault("base_url", OPENAI)
    if "pretrained" in args:
        merged["backend"] = merged.get("backend") or BACKENDS.get(name, name)
        merged["name"] = str(args.pop("pretrained"))
    elif name in HOSTED and not merged.get("backend"):
        if not (named := args.pop("model", None)):
            raise UserError(f"{origin.name(('model_args',))}: {name} needs the model's name: model=NAME")
        merged["name"] = HOSTED[name].format(named)
    elif name in SERVERS and args.get("base_url") and not merged.get("backend"):
        merged["name"] = str(args.pop("base_url"))
    elif name in ("mock", "dummy") and not merged.get("backend"):
        merged |= {"name": "mock", "backend": "mock"}
    for setting in SETTINGS.values():
        if setting.option.model_arg in args:
            value = args.pop(setting.option.model_arg)
            merged.setdefault(setting.field, value)
    return {**merged, "args": args}


def _fields(entry: Mapping[Any, Any], settings: Iterable[Setting]) -> dict[str, Any]:
    """An entry of ``models`` or ``tasks`` by the names of its spec's fields, whatever their spelling."""
    fields = {name: one.field for one in settings for name in (one.key, *one.option.aliases)}
    return {fields.get(str(key), str(key)): value for key, value in entry.items()}


BACKENDS = {
    **dict.fromkeys(("huggingface", "hf-auto", "hf-multimodal", "hf-mistral3", "mamba_ssm"), "hf"),
    **dict.fromkeys(("local-completions", "local-chat-completions", "openai-completions"), "openai"),
}
"""lm_eval's names for a backend that has another name here."""
OPENAI = "https://api.openai.com/v1"
"""Where lm_eval's openai-completions asks."""
SERVERS = ("openai", "local-completions", "local-chat-completions", "openai-completions", "gguf", "ggml")
"""Names behind which a server answers, where ``base_url`` is given: lm_eval's gguf is llama.cpp's server."""
HOSTED = {
    "openai-chat-completions": "openai/{}",
    **dict.fromkeys(("anthropic-chat", "anthropic-chat-completions"), "anthropic/{}"),
    **dict.fromkeys(("litellm", "litellm-chat", "litellm-chat-completions"), "{}"),
}
"""lm_eval's names for a provider, whose model stands in the arguments: the name here (litellm's is the same)."""
ELSEWHERE = frozenset(
    (
        *("sglang", "sglang-generate", "vllm-vlm", "trtllm", "onnxruntime", "onnxruntime-genai", "openvino", "neuronx"),
        *("nemo_lm", "megatron_lm", "habana", "ipex", "winml", "textsynth", "watsonx_llm", "steered"),
        *("hf-audiolm-qwen", "anthropic-completions"),
    )
)
"""lm_eval's models that have no backend here."""


def _refuse_elsewhere(name: str) -> None:
    """UserError for a model of lm_eval's that has no backend here, with what to do."""
    if name in ELSEWHERE and not Path(name).exists():
        raise UserError(
            f"--model {name}: this model of lm_eval's has no backend here: serve it with the OpenAI API and give "
            "--model http://HOST:PORT/v1 --model-args model=NAME, or load its weights by --model hf --model-args "
            "pretrained=NAME"
        )


def _tasks(tasks: Any, origin: Origin) -> list[Any]:
    """Tasks as a comma-separated text or a list of names and mappings; ``mmlu@bundled`` asks for bundled items."""
    if tasks is None or tasks == "" or tasks == []:
        where = origin.name(("tasks",))
        raise UserError(f"{where}: which tasks? for example --tasks mmlu,hellaswag (see: evalkit tasks list)")
    entries = words(tasks) if isinstance(tasks, str) else tasks
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{origin.name(('tasks',))}: must be a list of task names, or of mappings with a name")
    return [
        {"name": entry}
        if isinstance(entry, str)
        else _fields(entry, OF_TASK.values())
        if isinstance(entry, dict)
        else entry
        for entry in entries
    ]


def _explain(error: ValidationError, place: Keys, origin: Origin) -> UserError:
    """The first mistake pydantic found, in one line that names flag or file, line and key."""
    first = error.errors()[0]
    loc = tuple(first["loc"])
    path, setting = _place(loc, place, origin)
    given = first["input"]
    shown = f" (got {given!r})" if given is None or isinstance(given, str | int | float) else ""
    if first["type"] == "extra_forbidden":
        return UserError(f"{origin.name(path)}: unknown setting")
    if first["type"] == "missing":
        return UserError(f"{origin.name(path)}: {loc[-1]} is missing")
    advice = setting.option.advice if setting is not None else ""
    return UserError(f"{origin.name(path)}: {'must be ' + advice if advice else first['msg']}{shown}")


def _place(loc: Keys, place: Keys, origin: Origin) -> tuple[Keys, Setting | None]:
    """Where the user wrote what pydantic calls ``loc`` (which ends in names of union members), and its setting."""
    part, *rest = loc or ("",)
    if part == "tasks":
        above: Keys = loc[:2]
        field = str(loc[2]) if len(loc) > 2 else ""
        setting = next((one for one in OF_TASK.values() if one.field == field), None)
        return _as_written(above, field, setting, origin) or loc[:3], setting
    nested = part in ("model", "engine") and bool(rest)
    field = str(rest[0] if nested else part)
    setting = BY_PATH.get(f"{part}.{field}" if nested else field)
    key = setting.key if setting is not None else field
    if not nested:
        return (key,), setting
    above = place if part == "model" else (part,)
    if found := _as_written(above, field, setting, origin):
        return found, setting
    return (place if key == "model" else (key,)), setting


def _as_written(above: Keys, field: str, setting: Setting | None, origin: Origin) -> Keys | None:
    """The place of a field below ``above`` in the file, in the file's spelling; None where it is not there."""
    names = (field,) if setting is None else (field, setting.key, *setting.option.aliases)
    return next(((*above, name) for name in names if (*above, name) in origin.lines), None)


def settings_of(spec: RunSpec) -> dict[str, Any]:
    """A RunSpec as the flat settings that :func:`expand` makes it of, so that flags can be laid on top.

    Raises UserError for a model that was given as an object, which no setting names.
    """
    if spec.model.given is not None:
        raise UserError(spec.model.given.missing(f"the model {spec.model.name}"))
    plain = spec.model_dump(mode="json")
    parts = {"run": plain, "model": plain["model"], "engine": plain["engine"]}
    return {key: parts[one.part][one.field] for key, one in SETTINGS.items() if one.part in parts}


MEASUREMENT = (
    "tasks",
    "num_fewshot",
    "gen_kwargs",
    "seed",
    "chat_template",
    "system",
    "fewshot_as_multiturn",
    "bundled",
)


def measurement_of(spec: RunSpec) -> dict[str, Any]:
    """Of a run's settings those that say what was asked, whatever the model and however many items: enough to ask
    another model the same. Without the tasks where one was given as an object, which no setting names.
    """
    plain = spec.model_dump(mode="json")
    parts = {"run": plain, "model": plain["model"]}
    fields = {key: parts[SETTINGS[key].part][SETTINGS[key].field] for key in MEASUREMENT}
    tasks = [{key: value for key, value in one.items() if key != "limit" and value} for one in fields["tasks"]]
    fields["tasks"] = [] if any("given" in one for one in tasks) else tasks
    return {key: value for key, value in fields.items() if value not in (None, {}, [])}
