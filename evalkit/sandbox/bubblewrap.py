"""The sandbox by bubblewrap: namespaces of one's own, made without privileges.

A program has its own network (none), processes, users, host name and shared memory. It sees /usr and the Python that
runs evalkit, read-only, its job, and a /tmp of limited size in memory; no /home, no /etc, no /sys, no socket. It cannot
make further user namespaces, gain privileges, or outlive its parent. Where evalkit runs as root, a first bubblewrap
lays out the files and becomes a user of a number that nobody has, and only then the second one starts: limits on
processes do not hold for root.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evalkit.sandbox import cgroups
from evalkit.sandbox.jail import BEGIN, ENVIRONMENT, INSIDE, told
from evalkit.sandbox.limits import Limits

NOBODY = 65534
FIRST_USER = 1_700_000_000
"""Above all that systems give out by themselves."""


@dataclass(frozen=True)
class Bubblewrap:
    """The jail of ``program``, the path of bwrap."""

    program: str
    name: str = "bubblewrap"

    def command(self, role: str, argv: Sequence[str], job: Path, limits: Limits) -> list[str]:
        """See `evalkit.sandbox.jail.Jail`."""
        run = [_python(), "-I", "-S", "-B", "-c", BEGIN, told(role, argv, limits)]
        size = str(limits.disk)
        own = ["--size", size, "--perms", "1777", "--tmpfs", "/tmp", "--proc", "/proc"]
        own += ["--dev", "/dev", "--size", size, "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        apart = ["--unshare-user", "--unshare-all", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY)]
        apart += ["--hostname", "sandbox", "--new-session", "--die-with-parent", "--chdir", "/tmp", "--clearenv"]
        apart += [part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value)]
        if os.geteuid():
            return [self.program, *_files(job), *own, "--remount-ro", "/", "--cap-drop", "ALL", *apart, "--", *run]
        user = str(FIRST_USER + int.from_bytes(os.urandom(4), "big") % 100_000_000)
        first = [self.program, *_files(job), "--dir", "/tmp", "--bind", "/proc", "/proc", "--dev", "/dev"]
        first += ["--cap-add", "ALL", "--clearenv", "--die-with-parent", "--remount-ro", "/", "--"]
        become = [_setpriv(), "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]
        become += ["--bounding-set", "-all", "--pdeathsig", "KILL", "--"]
        return [*first, *become, self.program, "--ro-bind", "/", "/", *own, *apart, "--", *run]

    def bounded(self, command: Sequence[str], limits: Limits) -> AbstractContextManager[list[str]]:
        """See `evalkit.sandbox.jail.Jail`."""
        return cgroups.bounded(command, limits)

    def end(self, process: subprocess.Popen[bytes], command: Sequence[str]) -> None:
        """See `evalkit.sandbox.jail.Jail`: with bubblewrap's own processes all inside end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()


def find() -> Bubblewrap | str:
    """The jail, or why there is none."""
    program = shutil.which("bwrap")
    if program is None or sys.platform != "linux":
        return "bubblewrap is not installed"
    if not os.geteuid() and shutil.which("setpriv") is None:
        return "bubblewrap for root needs setpriv (of util-linux), which is not installed"
    return Bubblewrap(program)


@cache
def _setpriv() -> str:
    return shutil.which("setpriv") or "setpriv"


@cache
def _python() -> str:
    """The Python without a virtual environment around it."""
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())


@cache
def _system() -> tuple[str, ...]:
    """The read-only part that all programs see: the system's /usr, Python, numpy, what runs inside."""
    found: list[str] = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        path = Path(name)
        if path.is_symlink():
            found += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            found += ["--ro-bind", name, name]
    # What links in /usr lead to, what the linker reads, and where Java keeps its settings.
    for path in (Path("/etc/alternatives"), Path("/etc/ld.so.cache"), *sorted(Path("/etc").glob("java*"))):
        if path.exists():
            found += [*_parents(path), "--ro-bind", str(path), str(path)]
    for prefix in {str(Path(sys.base_prefix).resolve()), str(Path(_python()).parent.parent)}:
        if not Path(prefix).is_relative_to("/usr"):
            found += [*_parents(Path(prefix)), "--ro-bind", prefix, prefix]
    found += [*_parents(Path("/checks/inside")), "--ro-bind", str(INSIDE), "/checks/inside"]
    spec = importlib.util.find_spec("numpy")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        for folder in (home, home.with_name("numpy.libs")):
            if folder.is_dir():
                found += [*_parents(Path("/packages/x")), "--ro-bind", str(folder), f"/packages/{folder.name}"]
    return tuple(found)


def _files(job: Path) -> tuple[str, ...]:
    return (*_system(), "--ro-bind", str(job), "/job")


def _parents(path: Path) -> list[str]:
    """The folders above, readable for everybody (by itself bubblewrap makes some that are not)."""
    above = [str(one) for one in reversed(path.parents) if str(one) != "/"]
    return [part for name in above for part in ("--perms", "0755", "--dir", name)]
