"""The keywords of `evalkit.evaluate` are the settings of a configuration file, no more and no fewer."""

import inspect

import evalkit
from evalkit.api.settings import Settings
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec

RECORDS = {"given", "name", "args", "model", "tasks", "engine"}


def test_every_setting_is_a_keyword():
    fields = {*ModelSpec.model_fields, *EngineSpec.model_fields, *RunSpec.model_fields} - RECORDS | {"model_args"}
    named = set(inspect.signature(evalkit.evaluate).parameters) - {"model", "tasks", "resume", "progress", "settings"}
    assert named | set(Settings.__annotations__) == fields
