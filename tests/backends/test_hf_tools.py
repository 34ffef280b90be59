"""Native tools of a model that runs here: its own template shows them, and the record has them."""

from __future__ import annotations

import json

import tiny_models as tiny
from test_tool_calls import QWEN, TOWNS, data  # noqa: F401 - a fixture
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app


def test_a_model_s_own_template_shows_the_tools(data, tmp_path):  # noqa: F811
    folder = tmp_path / "model"
    made = tiny.model("llama")
    made.save_pretrained(folder)
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = QWEN
    tokenizer.save_pretrained(folder)
    arguments = ["run", "--model", str(folder), "--tasks", "bfcl:simple_python:calls=native", "--data-dir", str(data)]
    more = ["--apply_chat_template", "--gen_kwargs", "max_gen_toks=4", "--output", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*arguments, *more])
    assert done.exit_code == 0, done.output
    samples = evalkit.load_run(tmp_path / "run").samples("bfcl:simple_python:calls=native")
    assert len(samples) == len(TOWNS)
    for prompt in samples["prompt"]:
        (shown,) = json.loads("[" + prompt.partition("<tools>")[2].partition("</tools>")[0] + "]")
        assert shown["function"]["name"] == "weather_get"
        assert prompt.endswith("for two days?<assistant>")
