"""One table of settings: flags, YAML keys, help and what may change on resume are the fields of the specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from typer.testing import CliRunner

from evalkit.api.settings import Settings
from evalkit.cli.app import app, load
from evalkit.contract.errors import UserError
from evalkit.spec import config
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec, TaskSpec
from evalkit.spec.table import ALIASES, BY_PATH, FREE, OF_TASK, SETTINGS
from evalkit.store import spec_changes

NO_SETTINGS = {"model", "engine", "model.given", "tasks.given", "tasks.name"}
"""Fields that hold other fields, or that only a program can set."""

OTHER: dict[str, Any] = {
    "model": "other", "model_args": {"a": 1}, "tasks": ["piqa"], "max_length": 77, "add_bos": True, "quant": "nf4",
    "price": {"in": 1.0, "out": 2.0}, "max_cost": 0.5,
    "peft": ["a:1"], "prompt_lookup": 3, "draft_tokens": 9, "gen_kwargs": {"top_p": 0.5}, "metrics": ["ece"], "seed": 9,
    "include_path": ["more"], "log_to": ["csv:all.csv"], "samples": {"boolq": [1, "0a1b2c3d"]}, "chat_template": True,
    "fewshot_as_multiturn": False,
    "num_fewshot": 2, "limit": 7,
    "batch_size": 3, "share_prefixes": False, "overlength": "skip", "executor": "ray", "replicas": 2,
    "gpus_per_replica": 0.5, "max_memory": 2.5, "max_error_rate": 0.5, "chat_template_args": {"date": "now"},
}  # fmt: skip
"""A value for each setting that is not its default, where "text" or True is none."""


def other(key: str) -> Any:
    return OTHER.get(key, True if SETTINGS[key].type is bool else "text")


def one(**settings: Any) -> RunSpec:
    (spec,) = config.expand(*config.merge({"model": "mock", "tasks": "boolq", **settings}, {}, config.Origin()))
    return spec


def test_every_field_is_a_setting() -> None:
    models = {"": RunSpec, "model.": ModelSpec, "engine.": EngineSpec}
    fields = {prefix + name for prefix, model in models.items() for name in model.model_fields} - NO_SETTINGS
    assert fields == set(BY_PATH)
    assert {f"tasks.{name}" for name in TaskSpec.model_fields} - NO_SETTINGS == {
        f"tasks.{s.field}" for s in OF_TASK.values()
    }
    assert all(setting.option.help for setting in SETTINGS.values())


@pytest.mark.parametrize("key", list(SETTINGS))
def test_every_setting_reaches_its_field_from_a_file(key: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"model": "mock", "tasks": "boolq", key: other(key)}), "utf-8")
    (spec,) = config.expand(*config.merge(*_split(config.load(file))))
    place: Any = spec.model_dump(mode="json")
    for part in SETTINGS[key].path.split("."):
        place = place[part]
    if key == "tasks":
        assert place[0]["name"] == "piqa"
    else:
        assert place == other(key)


def _split(loaded: tuple[dict[str, Any], config.Origin]) -> tuple[dict[str, Any], dict[str, Any], config.Origin]:
    return loaded[0], {}, loaded[1]


@pytest.mark.parametrize("key", [key for key in SETTINGS if key != "tasks"])
def test_a_resumed_run_may_differ_in_what_is_free_and_nothing_else(key: str) -> None:
    before, now = one().model_dump(mode="json"), one(**{key: other(key)}).model_dump(mode="json")
    assert before != now
    assert bool(spec_changes(before, now)) != (SETTINGS[key].path in FREE)


@pytest.mark.parametrize("key", list(SETTINGS))
def test_every_setting_survives_a_resumed_run(key: str) -> None:
    """A run that goes on with another flag takes its settings from spec.json; the others are as they were."""
    written = RunSpec.model_validate_json(one(**{key: other(key)}).model_dump_json())
    again = config.expand(*config.merge(config.settings_of(written), {}, config.Origin()))
    assert again == [written]
    flag = {"log_samples": True} if key != "log_samples" else {"max_error_rate": 0.25}
    (flagged,) = config.expand(*config.merge(config.settings_of(written), flag, config.Origin()))
    assert flagged == written.model_copy(update=flag)


@pytest.mark.parametrize("key", [key for key in SETTINGS if key != "log_samples"])
def test_every_setting_of_a_file_survives_other_flags(key: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"model": "mock", "tasks": "boolq", key: other(key)}), "utf-8")
    settings, origin = config.load(file)
    (flagged,) = config.expand(*config.merge(settings, {"log_samples": True}, origin))
    assert flagged == one(**{key: other(key)}).model_copy(update={"log_samples": True})


@pytest.mark.parametrize("key", list(OF_TASK))
def test_every_setting_of_a_task_survives_a_resumed_run(key: str) -> None:
    values = {"num_fewshot": 3, "limit": 5, "sample": True, "metrics": ["ece"], "choices": ["a", "b"]}
    asked = TaskSpec.model_validate({"name": "boolq", OF_TASK[key].field: values.get(OF_TASK[key].field, "text")})
    written = one().model_copy(update={"tasks": (asked,)})
    assert config.expand(*config.merge(config.settings_of(written), {}, config.Origin())) == [written]


def test_what_is_free_is_what_it_was() -> None:
    """A setting that becomes free, or stops to be, changes which runs can go on, and what their journals go by."""
    assert {
        "output", "allow_code_execution", "predict_only", "log_samples", "log_to", "max_error_rate", "metrics",
        "data_dir", "model.label", "model.price", "model.max_cost",
        "model.prompt_lookup", "model.draft", "model.draft_tokens", "engine.batch_size", "engine.share_prefixes",
        "engine.executor", "engine.replicas", "engine.gpus_per_replica",
        "engine.ray_address", "engine.cache", "engine.max_memory_gb", "comet_python",
    } == FREE  # fmt: skip


def test_every_setting_is_a_flag_of_run_with_its_help() -> None:
    flags = {name: param for param in load("run").params for name in param.opts}
    for setting in SETTINGS.values():
        assert flags[setting.flag].help.startswith(setting.option.help.replace("[", r"\["))
        assert not setting.option.short or flags[setting.option.short] is flags[setting.flag]


def test_the_keywords_of_evaluate_are_the_settings() -> None:
    own = {"model", "tasks", "limit", "num_fewshot", "data_dir", "output", "cache"}
    known = set(get_type_hints(Settings)) | own
    assert set(SETTINGS) <= known <= {*SETTINGS, *ALIASES}


@pytest.mark.parametrize(("alias", "key"), sorted(ALIASES.items()))
def test_other_spellings_mean_the_same(alias: str, key: str) -> None:
    value = other(key)
    assert one(**{alias: value}) == one(**{key: value})
    with pytest.raises(UserError, match="means the same as"):
        config.expand(*config.merge({"tasks": "boolq", alias: value, key: value}, {}, config.Origin()))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tasks: boolq\nsample: 7\n", ":2: sample: "),
        ("tasks: boolq\nbundled: 7\n", ":2: bundled: "),
        ("tasks: boolq\nengine: {max_memory: -1}\n", ":2: engine.max_memory: "),
        ("tasks: boolq\nmax_memory_gb: -1\n", ":2: max_memory_gb: "),
        ("tasks:\n  - name: boolq\n    bundled: 7\n", ":3: tasks.0.bundled: "),
        ("tasks: boolq\nmodels:\n  - name: a\n    add_bos_token: 7\n", ":4: models.0.add_bos_token: "),
        ("tasks: boolq\nsystem_instruction: 7\n", ":2: system_instruction: "),
    ],
)
def test_a_mistake_is_told_in_the_files_own_spelling(text: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(UserError) as caught:
        config.expand(*config.merge(*_split(config.load(file))))
    assert f"run.yaml{place}" in str(caught.value)


def test_bundled_and_sample_are_one_flag() -> None:
    for flag in ("--bundled", "--sample"):
        done = CliRunner().invoke(app, ["run", flag, "--max-memory", "-1", "--tasks", "boolq"])
        assert done.exit_code == 2
        assert "--max-memory: " in done.output
