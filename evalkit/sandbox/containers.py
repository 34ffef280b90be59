"""The sandbox by podman or docker, where bubblewrap cannot be: a container without a network for every program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from evalkit.sandbox.jail import BEGIN, ENVIRONMENT, INSIDE, told
from evalkit.sandbox.limits import MIB, Limits

IMAGE = "EVALKIT_SANDBOX_IMAGE"
"""The environment variable that names the image; it needs python3."""
DEFAULT_IMAGE = "docker.io/library/python:3.11-slim"
ENGINES = ("podman", "docker")
SECONDS = 20
"""How long an engine may take to say whether it works."""


@dataclass(frozen=True)
class Container:
    """The jail of an engine, ``name``, and an image that it has."""

    name: str
    program: str
    image: str

    def command(self, role: str, argv: Sequence[str], job: Path, limits: Limits) -> list[str]:
        """See `evalkit.sandbox.jail.Jail`."""
        box = f"evalkit-{uuid4().hex}"
        size = limits.disk // MIB
        told_apart = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        told_apart += ["--user", "65534:65534", "--ipc", "private", "--hostname", "sandbox", "--pull", "never"]
        bounds = ["--tmpfs", f"/tmp:rw,exec,nosuid,nodev,size={size}m,mode=1777", "--shm-size", f"{size}m"]
        bounds += ["--memory", f"{limits.memory // MIB}m", "--memory-swap", f"{limits.memory // MIB}m"]
        bounds += ["--pids-limit", str(limits.processes), "--cpus", "1"]
        shown = ["--volume", f"{job}:/job:ro", "--volume", f"{INSIDE}:/checks/inside:ro", "--workdir", "/tmp"]
        shown += [part for name, value in ENVIRONMENT.items() for part in ("--env", f"{name}={value}")]
        run = [self.image, "python3", "-I", "-S", "-B", "-c", BEGIN, told(role, argv, limits)]
        return [self.program, "run", "--rm", "--interactive", "--name", box, *told_apart, *bounds, *shown, *run]

    def bounded(self, command: Sequence[str], limits: Limits) -> AbstractContextManager[list[str]]:
        """See `evalkit.sandbox.jail.Jail`: the engine bounds its containers itself."""
        return nullcontext(list(command))

    def end(self, process: subprocess.Popen[bytes], command: Sequence[str]) -> None:
        """See `evalkit.sandbox.jail.Jail`: the container is removed; to end its client would leave it."""
        process.kill()
        box = command[command.index("--name") + 1]
        subprocess.run([self.program, "rm", "--force", box], capture_output=True, check=False, timeout=60)


def find(engine: str) -> Container | str:
    """The jail of ``engine``, or why there is none."""
    program = shutil.which(engine)
    if program is None:
        return f"{engine} is not installed"
    image = os.environ.get(IMAGE) or DEFAULT_IMAGE
    try:
        done = subprocess.run(
            [program, "image", "inspect", image], capture_output=True, check=False, timeout=SECONDS, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{engine} does not answer: {error}"
    if done.returncode:
        why = " ".join(done.stderr.split())[:120]
        return f"{engine} has no image {image} ({why}): {engine} pull {image}, or name another by {IMAGE}"
    return Container(engine, program, image)
