"""vLLM's own processes end with the run that started them.

Its engine and workers do not notice that their parent was killed (SIGKILL, out of memory) and keep the model's memory
for ever, so that the run could not be resumed. vLLM calls what the entry point group ``vllm.general_plugins`` names in
each of its processes; `end_with_driver` is there. It does nothing in a vLLM that evalkit has not started.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

DRIVER = "EVALKIT_VLLM_DRIVER"
"""Environment variable: the process that started vLLM."""
LOOK_S = 1.0
"""Seconds between two looks."""


@contextmanager
def driven() -> Iterator[None]:
    """What vLLM starts within the block ends with this process."""
    before = os.environ.get(DRIVER)
    os.environ[DRIVER] = str(os.getpid())
    try:
        yield
    finally:
        if before is None:
            del os.environ[DRIVER]
        else:
            os.environ[DRIVER] = before


def end_with_driver() -> None:
    """In a process that vLLM started for evalkit: end it when the driver, or the process in between, has ended."""
    driver = os.environ.get(DRIVER, "")
    if not driver.isdigit() or int(driver) == os.getpid():
        return
    threading.Thread(target=_watch, args=(int(driver), os.getppid()), name="evalkit-orphans", daemon=True).start()


def _watch(driver: int, parent: int) -> None:
    while _lives(driver) and os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
