"""The first process in a sandbox: it limits itself for good, then becomes what is to run."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys


def limit(chosen: dict[str, int | None]) -> None:
    """Bound this process and all that it starts; nothing raises a hard limit again."""
    for kind, name in (
        (resource.RLIMIT_CPU, "cpu"),
        (resource.RLIMIT_AS, "memory"),
        (resource.RLIMIT_NPROC, "processes"),
        (resource.RLIMIT_FSIZE, "file_size"),
        (resource.RLIMIT_NOFILE, "open_files"),
    ):
        value = chosen.get(name)
        if value is not None:
            resource.setrlimit(kind, (value, value))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib takes time to import
            file.write("1000")  # if memory runs out, the kernel ends this first
    except OSError:
        pass


def main() -> None:
    """``argv[1]`` is JSON: {"limits", "role": "candidate", "checker" or "command", "argv"}."""
    told = json.loads(sys.argv[1])
    sys.argv[1:] = []
    limit(told["limits"])
    if told["role"] == "command":
        given = os.open("/job/stdin", os.O_RDONLY)
        os.dup2(given, 0)
        os.execvp(told["argv"][0], told["argv"])
    # Only what the role needs is imported: every program pays for it.
    importlib.import_module(f"{__package__}.{told['role']}").main()
