"""Ends a local Ray session whose driver is gone: a process of its own, started beside it by its file's name.

Ray's own processes look for their driver themselves, the agents once a minute; a worker that is stopped by a signal
looks for nothing, and would stay for ever. This file imports nothing of evalkit, for it is run by itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys

import psutil

LOOK_S = 1.0
"""Seconds between looks at what belongs to the session: its processes are their parents' children while these live."""


def main(driver: int, session: str) -> None:
    """Watch until the driver's end of standard input closes, which it does when the driver ends, however it does; then
    end what is left of the session. A driver that has ended its session in good order ends this process first.
    """
    known: set[psutil.Process] = set()
    while os.getppid() == driver:
        known |= members(driver, session)
        ready, _, _ = select.select([0], [], [], LOOK_S)
        if ready:
            break
    for process in known | {child for one in known for child in descendants(one)}:
        with contextlib.suppress(psutil.Error):
            process.kill()  # by its number and the moment of its start, so never another with that number


def members(driver: int, session: str) -> set[psutil.Process]:
    """The driver's children that were started for the session's folder, with all of theirs."""
    found: set[psutil.Process] = set()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(driver).children():
            with contextlib.suppress(psutil.Error):
                if session in " ".join(child.cmdline()):
                    found |= {child, *descendants(child)}
    return found


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """What a process and its children have started and is still theirs."""
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
