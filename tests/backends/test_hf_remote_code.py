"""No code of a model runs, whatever is answered to transformers' question on a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models as tiny

CODE = """
from pathlib import Path
Path({marker!r}).write_text("ran")
from transformers import LlamaConfig as Config, LlamaForCausalLM as Model, PreTrainedTokenizerFast as Words
"""

DOORS = {
    "run": "from evalkit.backends.hf import load; load(spec, EngineSpec())",
    "tokenizer": "from evalkit.backends.hf import load_tokens; load_tokens(spec)",
    "estimate": "from evalkit.bench.estimate import estimate; estimate(spec, 10, 1)",
    "entailment": "from evalkit.probes import entailment as e; s = e.Settings(spec.name); e.check(s); e.load(s)",
}

SCRIPT = """
import sys
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec
assert sys.stdin.isatty() and sys.stdout.isatty()
for folder in {folders!r}:
    spec = ModelSpec(name=folder)
    for door, code in {doors!r}.items():
        try:
            exec(code)
        except UserError as error:
            print("REFUSED", folder, door, str(error).replace(chr(10), " "))
        else:
            print("LOADED", folder, door)
print("END")
"""


def strange(folder: Path, marker: Path, *, model: bool, tokenizer: bool) -> Path:
    """A tiny model whose architecture or tokenizer is code that lies in its folder."""
    tiny.model("llama").save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    (folder / "own.py").write_text(CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    if model:
        config |= {"model_type": "stranger", "architectures": ["Model"]}
        config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
        config["auto_map"]["AutoModelForSequenceClassification"] = "own.Model"
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer_config.json").read_text())
    if tokenizer:
        words |= {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": [None, "own.Words"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(CODE.format(marker=str(marker)) + "\ndef generate(): ...\n")
    return folder


def on_a_terminal(script: str, answer: bytes, timeout: float = 240) -> str:
    """What a Python script prints on a pseudo-terminal on which ``answer`` was typed many times."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    os.write(ours, answer * 50)
    shown = b""
    try:
        while b"END" not in shown:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side has ended
                break
            if not piece:
                break
            shown += piece
        process.wait(timeout)
    finally:
        process.kill()
        os.close(ours)
    return shown.decode(errors="replace")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_a_yes_on_the_terminal_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    folders = [
        str(strange(tmp_path / "model", marker, model=True, tokenizer=False)),
        str(strange(tmp_path / "words", marker, model=False, tokenizer=True)),
        str(strange(tmp_path / "plain", marker, model=False, tokenizer=False)),
    ]
    shown = on_a_terminal(SCRIPT.format(folders=folders, doors=DOORS), b"y\n")
    assert "END" in shown, shown
    assert not marker.exists(), shown
    assert "[y/N]" not in shown
    told = [line.split(" ", 3) for line in shown.splitlines() if line.startswith(("REFUSED ", "LOADED "))]
    verdicts = {(Path(line[1]).name, line[2]): line[0] for line in told}
    reasons = {(Path(line[1]).name, line[2]): line[3] for line in told if line[0] == "REFUSED"}
    assert len(told) == len(verdicts) == len(folders) * len(DOORS), shown
    assert {door: verdicts["model", door] for door in DOORS} == dict.fromkeys(DOORS, "REFUSED"), "each reads its config"
    # An estimate needs no tokenizer; a Llama is no model of entailment, whatever its tokenizer is.
    for_words = {"run": "REFUSED", "tokenizer": "REFUSED", "estimate": "LOADED", "entailment": "REFUSED"}
    assert {door: verdicts["words", door] for door in DOORS} == for_words
    for_plain = {"run": "LOADED", "tokenizer": "LOADED", "estimate": "LOADED", "entailment": "REFUSED"}
    assert {door: verdicts["plain", door] for door in DOORS} == for_plain, "what has no code of its own loads"
    for folder in ("model", "words"):
        assert "no code of a model" in reasons[folder, "run"]
        assert "no code of a model" in reasons[folder, "tokenizer"]
    assert "custom code" in reasons["model", "estimate"]
    assert "custom code" in reasons["model", "entailment"]
