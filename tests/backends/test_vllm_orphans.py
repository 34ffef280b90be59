"""A process that vLLM would have started ends with the run, and one that evalkit has not started does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from evalkit.backends.vllm.orphans import DRIVER, driven

CHILD = """
import time
from evalkit.backends.vllm.orphans import end_with_driver
end_with_driver()
print("on", flush=True)
time.sleep(60)
"""
BETWEEN = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"
"""A child of its own, as vLLM's engine has workers."""
RUN = f"""
import subprocess, sys
from evalkit.backends.vllm.orphans import driven
with driven():
    child = subprocess.Popen([sys.executable, '-c', {BETWEEN!r}])
child.wait()
"""


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_and_their_children_end_with_a_killed_run() -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert run.stdout is not None
        assert run.stdout.readline() == "on\n"
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        deadline = time.monotonic() + 30
        while group_lives(run.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not group_lives(run.pid)
    finally:
        if group_lives(run.pid):
            os.killpg(run.pid, signal.SIGKILL)


def test_a_process_without_a_driver_is_let_alone() -> None:
    environment = {name: value for name, value in os.environ.items() if name != DRIVER}
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == "on\n"
    assert child.poll() is None
    child.kill()
    child.wait()


def test_the_driver_is_named_only_while_vllm_starts() -> None:
    assert DRIVER not in os.environ
    with driven():
        assert os.environ[DRIVER] == str(os.getpid())
    assert DRIVER not in os.environ
