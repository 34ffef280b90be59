"""Bounds on a sandbox as a whole by control groups, where this process may make some (as root; versions 1 and 2).

Limits of processes (`evalkit.sandbox.inside.start`) hold everywhere; these bound memory and processes of all of a
sandbox together in the kernel, files in memory included.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from evalkit.sandbox.limits import Limits

ROOT = Path("/sys/fs/cgroup")
EXTRA = 8
"""Processes of the sandbox itself: bubblewrap's own, and those that become the program."""
ENTER = 'for file in $1; do echo $$ > "$file" || exit 126; done; shift; exec "$@"'
"""A shell that enters the groups and becomes the command."""


@cache
def parents() -> tuple[tuple[Path, int], ...]:
    """Folders in which groups can be made, and the version of each: memory and processes may have one each."""
    found: dict[str, tuple[Path, int]] = {}
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return ()
    for line in lines:
        number, controllers, own = line.split(":", 2)
        if number == "0" and not controllers:
            folder = ROOT / own.lstrip("/")
            with suppress(OSError):
                if {"memory", "pids"} <= set((folder / "cgroup.subtree_control").read_text("utf-8").split()):
                    found = {"both": (folder, 2)}
                    break
        for name in {"memory", "pids"} & set(controllers.split(",")):
            found[name] = ROOT / name / own.lstrip("/"), 1
    usable = tuple(one for one in found.values() if _can_make(one[0]))
    return usable if len(usable) == len(found) else ()


def _can_make(parent: Path) -> bool:
    made = parent / f"evalkit-{uuid4().hex}"
    try:
        made.mkdir()
        made.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def bounded(command: Sequence[str], limits: Limits) -> Iterator[list[str]]:
    """The command so that it runs in groups of its own, which are gone at the end; as it is where there are none."""
    name, made = f"evalkit-{os.getpid()}-{uuid4().hex}", list[Path]()
    try:
        for parent, version in parents():
            group = parent / name
            group.mkdir()
            made.append(group)
            _write(group / "pids.max", limits.processes + EXTRA)
            _write(group / ("memory.max" if version == 2 else "memory.limit_in_bytes"), limits.memory + limits.disk)
            _write(group / ("memory.swap.max" if version == 2 else "memory.swappiness"), 0)
        files = " ".join(str(group / "cgroup.procs") for group in made)
        yield ["/bin/sh", "-c", ENTER, "sh", files, *command] if made else list(command)
    finally:
        for group in made:
            _remove(group)


def _write(file: Path, value: int) -> None:
    with suppress(OSError):  # a controller that this group does not have
        if file.exists():
            file.write_text(str(value), "ascii")


def _remove(group: Path) -> None:
    """A group can be removed when its last process is gone, which was killed and takes a moment."""
    for _ in range(200):
        with suppress(OSError):
            group.rmdir()
        if not group.exists():
            return
        time.sleep(0.01)
