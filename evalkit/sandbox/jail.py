"""What kinds of sandbox have in common."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from evalkit.sandbox.limits import Limits

INSIDE = Path(__file__).parent / "inside"
"""The folder of what runs inside; a jail shows it read-only as /checks/inside."""
BEGIN = "import sys; sys.path[:0] = ['/checks', '/packages']; from inside import start; start.main()"
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
"""All that a program finds in its environment."""


class Jail(Protocol):
    """A way to run one command apart from the machine: no network, no file of the user's, nothing of the environment,
    no process but its own; /job (read-only) holds what it is given, /tmp is its own and gone at the end.
    """

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def command(self, role: str, argv: Sequence[str], job: Path, limits: Limits) -> list[str]:
        """The command line that starts it: ``role`` and ``argv`` as `evalkit.sandbox.inside.start` reads them."""
        ...

    def bounded(self, command: Sequence[str], limits: Limits) -> AbstractContextManager[list[str]]:
        """The command with bounds around all of it, which are taken away at the end."""
        ...

    def end(self, process: subprocess.Popen[bytes], command: Sequence[str]) -> None:
        """End everything that the command has started, now."""
        ...


def told(role: str, argv: Sequence[str], limits: Limits) -> str:
    """What the first process inside is told."""
    return json.dumps({"role": role, "argv": list(argv), "limits": limits.inside()})
