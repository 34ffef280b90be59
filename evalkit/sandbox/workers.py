"""Many programs at once: a worker for each core, and every program in sandboxes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from evalkit.sandbox.checking import Check, Verdict, check
from evalkit.sandbox.jail import Jail
from evalkit.sandbox.running import SandboxFailed


class Judged(Protocol):
    """A program that judges itself in a jail, as a script of another language does."""

    def judge(self, jail: Jail) -> Verdict: ...


def judge_all(
    jail: Jail, asked: Sequence[Check | Judged], workers: int | None = None
) -> Iterator[Verdict | SandboxFailed]:
    """The verdict on each program, in their order, ``workers`` (the cores that there are) at a time. A sandbox that
    fails is tried once more, for a busy machine may be the reason.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(workers or cores, thread_name_prefix="sandbox")
    try:
        yield from pool.map(lambda one: _twice(jail, one), asked)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _twice(jail: Jail, asked: Check | Judged) -> Verdict | SandboxFailed:
    try:
        return _judged(jail, asked)
    except (SandboxFailed, OSError):
        try:
            return _judged(jail, asked)
        except (SandboxFailed, OSError) as error:
            return SandboxFailed(str(error))


def _judged(jail: Jail, asked: Check | Judged) -> Verdict:
    return check(jail, asked) if isinstance(asked, Check) else asked.judge(jail)
