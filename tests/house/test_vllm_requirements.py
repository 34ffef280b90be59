"""constraints-vllm.txt names all that evalkit needs there: pip resolves nothing in that environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = ("hf", "openai", "lm-eval")
LEFT_OUT = {"torch"}
"""Installed before, from whichever index has the build for the machine."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    lines = (ROOT / "constraints-vllm.txt").read_text("utf-8").splitlines()
    pinned = {plain(line.split("==")[0]) for line in lines if "==" in line and not line.startswith("#")}
    missing = {plain(re.split(r"[\[<>=~! ]", one)[0]) for one in needed} - pinned - LEFT_OUT
    assert not missing, f"constraints-vllm.txt lacks {', '.join(sorted(missing))}"
    assert not pinned & {"torchvision", "torchaudio", "torchcodec"}
