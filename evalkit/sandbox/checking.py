"""A Python program against its tests, in two jails: one holds the program, the other the tests.

The tests call the program's functions and get values back (`evalkit.sandbox.inside.wire`). So a program that ends
itself, prints a mark, patches the checker or returns objects that equal everything does not pass: it has neither the
tests nor the verdict within reach.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.sandbox.jail import Jail
from evalkit.sandbox.limits import Limits
from evalkit.sandbox.running import Outcome, SandboxFailed, engine_environment, job_folder, supervise

DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Check:
    """A program and how it is tested. ``helpers``: code whose names the tests take as their own, not the program's;
    ``names``: what the tests take from the program in any case; ``tests``: run in order, in one namespace.
    """

    program: str
    tests: tuple[str, ...]
    helpers: str = ""
    names: tuple[str, ...] = ()
    limits: Limits = DEFAULT


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a program passed, and in a line why not."""

    passed: bool
    reason: str = ""


def check(jail: Jail, asked: Check) -> Verdict:
    """Test one program. SandboxFailed where the sandbox did not work, which says nothing of the program."""
    tests = json.dumps({"helpers": asked.helpers, "names": list(asked.names), "tests": list(asked.tests)})
    with job_folder({"program.py": asked.program}) as program, job_folder({"tests.json": tests}) as testing:
        left = jail.command("candidate", (), program, asked.limits)
        # What a program returns costs the tests time as well, and must not end them first.
        right = jail.command("checker", (), testing, replace(asked.limits, cpu=asked.limits.cpu + 10))
        with jail.bounded(left, asked.limits) as one, jail.bounded(right, asked.limits) as other:
            outcome, complaint = _exchange(jail, ((left, one), (right, other)), asked.limits)
    if outcome.ending == "timeout":
        return Verdict(False, f"not done after {asked.limits.wall:g} s")
    if outcome.ending == "memory":
        return Verdict(False, f"more than {asked.limits.memory >> 20} MiB of memory")
    ready, _, text = outcome.stderr.partition("\n")
    try:
        found = json.loads(text)
        return Verdict(bool(found["passed"]), str(found["reason"]))
    except (ValueError, KeyError, TypeError):
        if ready == "ready":
            return Verdict(False, "the tests ended at a limit, by what the program returned")
        told = " ".join((complaint or outcome.stderr).split())[:300]
        raise SandboxFailed(f"{jail.name} did not run the program: {told or 'no reason given'}") from None


def _exchange(jail: Jail, both: Sequence[tuple[Sequence[str], Sequence[str]]], limits: Limits) -> tuple[Outcome, str]:
    """Start both (each a command, and that command within its bounds) with pipes between them; the verdict is what the
    second one writes to standard error.
    """
    (left, bounded_left), (right, bounded_right) = both
    to_left, from_right = os.pipe()
    to_right, from_left = os.pipe()
    started: dict[int, tuple[subprocess.Popen[bytes], Sequence[str]]] = {}
    env = engine_environment()
    complained, complaint = os.pipe()
    try:
        for command, whole, reading, writing, errors in (
            (left, bounded_left, to_left, from_left, complaint),
            (right, bounded_right, to_right, from_right, subprocess.PIPE),
        ):
            process = subprocess.Popen(
                whole, stdin=reading, stdout=writing, stderr=errors, start_new_session=True, env=env
            )
            started[process.pid] = process, command
    except BaseException:
        for process, command in started.values():
            jail.end(process, command)
            process.wait()
        raise
    finally:
        for end in (to_left, from_right, to_right, from_left, complaint):
            os.close(end)
    try:
        outcome = supervise(jail, started, process, limits)
        os.set_blocking(complained, False)
        try:
            told = os.read(complained, 4096).decode("utf-8", "replace")
        except BlockingIOError:
            told = ""
    finally:
        os.close(complained)
    return outcome, told
