"""One command in a jail, from its beginning to its certain end."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from evalkit.sandbox.jail import Jail
from evalkit.sandbox.limits import Limits

Ending = Literal["exit", "timeout", "memory", "output"]
FLOOD = 64
"""A program that writes so many times as much as is kept of it is ended."""
LOOK = 0.1
"""Seconds between two looks at memory."""
START = 10.0
"""Seconds beside the program's own that a sandbox may take to start on a busy machine."""


class SandboxFailed(Exception):
    """The sandbox itself did not work, so that nothing is known of the program."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: by itself with ``code`` (128 and the number of a signal), or at a limit. ``stdout`` and
    ``stderr`` are cut at ``Limits.output`` bytes each.
    """

    ending: Ending
    code: int | None
    stdout: str = ""
    stderr: str = ""


@contextmanager
def job_folder(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these files (names are ours, never a model's), which the jail shows read-only as /job."""
    with tempfile.TemporaryDirectory(prefix="evalkit-job-") as made:
        # Nobody else comes past the outer folder; inside, the program is another user.
        folder = Path(made) / "job"
        folder.mkdir()
        folder.chmod(0o755)
        for name, text in files.items():
            path = folder / name
            path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
            path.chmod(0o644)
        yield folder


def run(
    jail: Jail, argv: Sequence[str], files: Mapping[str, str] = {}, stdin: str = "", limits: Limits = Limits()
) -> Outcome:
    """Run ``argv`` in a jail of its own, with ``files`` in /job and ``stdin`` as its input.

    Example::

        run(finding.find(), ["python3", "/job/a.py"], {"a.py": "print(1)"}).stdout
    """
    with job_folder({**files, "stdin": stdin}) as job:
        command = jail.command("command", argv, job, limits)
        with jail.bounded(command, limits) as whole:
            process = subprocess.Popen(
                whole,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=engine_environment(),
            )
            return supervise(jail, {process.pid: (process, command)}, process, limits)


def engine_environment() -> dict[str, str]:
    """What a sandbox's own programs are given of the environment; the jail takes it away from what runs inside."""
    kept = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST")
    return {name: os.environ[name] for name in kept if name in os.environ}


Started = dict[int, tuple[subprocess.Popen[bytes], Sequence[str]]]


def supervise(jail: Jail, started: Started, watched: subprocess.Popen[bytes], limits: Limits) -> Outcome:
    """Read what ``watched`` writes until it ends or a limit is reached, then end all that was ``started``."""
    kept = {"stdout": bytearray(), "stderr": bytearray()}
    ending: Ending = "exit"
    try:
        ending = _read(started, watched, limits, kept)
        if ending == "exit":
            with suppress(subprocess.TimeoutExpired):
                watched.wait(START)
    finally:
        for process, command in started.values():
            jail.end(process, command)
        for process, _ in started.values():
            process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
    code = watched.returncode if ending == "exit" else None
    return Outcome(ending, code, *(bytes(kept[name]).decode("utf-8", "replace") for name in ("stdout", "stderr")))


def _read(started: Started, watched: subprocess.Popen[bytes], limits: Limits, kept: dict[str, bytearray]) -> Ending:
    begun = time.monotonic()
    deadline, looked = begun + limits.wall, begun
    seen = 0
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", watched.stdout), ("stderr", watched.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept[name])
        while selector.get_map():
            now = time.monotonic()
            if now > deadline:
                return "timeout"
            if now - looked > LOOK:
                looked = now
                if resident(started) > limits.memory:
                    return "memory"
            for key, _ in selector.select(min(LOOK, deadline - now)):
                part = os.read(key.fd, 1 << 16)
                seen += len(part)
                if not part:
                    selector.unregister(key.fileobj)
                elif seen > FLOOD * limits.output:
                    return "output"
                key.data.extend(part[: max(0, limits.output - len(key.data))])
    return "exit"


def resident(started: Started) -> int:
    """Bytes of memory that the processes and all below them hold."""
    total = 0
    for pid in started:
        with suppress(psutil.Error):
            above = psutil.Process(pid)
            for process in (above, *above.children(recursive=True)):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
    return total
