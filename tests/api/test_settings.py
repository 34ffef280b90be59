"""The keywords of `evalkit.evaluate` are the settings of a configuration file, no more and no fewer."""

import inspect
from pathlib import Path

import pytest

import evalkit
from evalkit.api.settings import Settings
from evalkit.spec.table import ALIASES, SETTINGS

OWN = {"model", "tasks", "resume", "progress", "settings"}
"""Parameters that are no settings of a file, or are given by position."""


def test_every_setting_is_a_keyword():
    named = set(inspect.signature(evalkit.evaluate).parameters) - OWN | set(Settings.__annotations__)
    settings = set(SETTINGS) - OWN
    assert settings <= named
    assert {ALIASES.get(one, one) for one in named} == settings


@pytest.mark.parametrize(
    "given", [lambda path: path, lambda path: str(path), lambda path: [path]], ids=["path", "text", "list"]
)
def test_folders_are_paths_or_texts_one_or_several(tmp_path, given):
    (tmp_path / "rows.jsonl").write_text('{"q": "a", "a": "b"}\n', encoding="utf-8")
    (tmp_path / "task.yaml").write_text(
        "name: own\nversion: '1'\ndataset: {path: rows.jsonl}\nkind: generate\nprompt: '{{q}}'\ntarget: '{{a}}'\n"
        "metrics: [{metric: exact_match}]\n",
        encoding="utf-8",
    )
    run = evalkit.evaluate("mock", "own", include_path=given(Path(tmp_path)), output=tmp_path / "run", progress=False)
    assert run["own"]["exact_match"].n == 1
