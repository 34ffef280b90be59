"""Which sandbox this machine has: bubblewrap, else podman, else docker, each proved by a program before it is used."""

from __future__ import annotations

import compileall
import os
from functools import cache

from evalkit.contract.errors import UserError
from evalkit.sandbox import bubblewrap, containers
from evalkit.sandbox.checking import Check, check
from evalkit.sandbox.jail import INSIDE, Jail
from evalkit.sandbox.limits import Limits
from evalkit.sandbox.running import SandboxFailed

CHOSEN = "EVALKIT_SANDBOX"
"""The environment variable that names one: bubblewrap, podman, docker."""
KINDS = ("bubblewrap", *containers.ENGINES)
PROOF = Check("def f(x):\n    return x + 1\n", ("assert f(1) == 2",), limits=Limits(wall=60.0, cpu=30))


@cache
def find() -> Jail:
    """The first sandbox that works here. UserError says why none does, and what to install."""
    # Inside, nothing can be written: what is not compiled beforehand every program would compile anew.
    compileall.compile_dir(INSIDE, quiet=2)
    wanted = os.environ.get(CHOSEN, "")
    if wanted and wanted not in KINDS:
        raise UserError(f"{CHOSEN} is {wanted!r}: choose one of {', '.join(KINDS)}")
    reasons = []
    for kind in (wanted,) if wanted else KINDS:
        jail = bubblewrap.find() if kind == "bubblewrap" else containers.find(kind)
        if isinstance(jail, str):
            reasons.append(jail)
            continue
        try:
            verdict = check(jail, PROOF)
        except (SandboxFailed, OSError) as error:
            reasons.append(str(error))
            continue
        if verdict.passed:
            return jail
        reasons.append(f"{kind}: a plain program did not pass its test: {verdict.reason}")
    raise UserError(
        f"generated programs run in a sandbox only, and there is none here ({'; '.join(reasons)}): install bubblewrap "
        "0.8 or newer (Debian, Ubuntu: apt install bubblewrap; Fedora: dnf install bubblewrap), or podman or docker"
    )
