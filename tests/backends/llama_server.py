"""A real llama.cpp server on the real model, by scripts/serve_llama.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "scripts" / "serve_llama.py"


def script() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("serve_llama", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def llama_server(window: int = 2048) -> Iterator[str]:
    """The URL of a server with two slots of ``window`` tokens."""
    server = script().start("smollm2-135m", window=window, threads=1)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server
