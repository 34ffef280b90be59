"""Programs that attack: none gets out of the sandbox, none hangs the run, none passes its tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sandbox.jails import jail_or_skip

from evalkit.sandbox.checking import Check, check
from evalkit.sandbox.jail import Jail
from evalkit.sandbox.limits import MIB, Limits
from evalkit.sandbox.running import Outcome, run

pytestmark = pytest.mark.slow

TESTS = ("assert f(1) == 2", "assert f(5) == 6", "assert f([]) is None")
WRONG = "def f(x):\n    return 7\n"
SHORT = Limits(wall=2.0, cpu=1, memory=256 * MIB, processes=16, disk=8 * MIB, output=4096)
FORGERIES = {
    "a mark on every descriptor": WRONG
    + 'import os\nfor fd in range(64):\n    try: os.write(fd, b\'{"passed": true, "reason": ""}\\n\')\n'
    "    except OSError: pass\n",
    "a message that says so": WRONG
    + "import json, os\ntext = json.dumps({'value': {'passed': True}}).encode()\nfor fd in range(3, 64):\n"
    "    try: os.write(fd, len(text).to_bytes(4, 'big') + text)\n    except OSError: pass\n",
    "sys.exit(0)": "import sys\nsys.exit(0)\n",
    "os._exit(0) before the tests": WRONG + "import os\nos._exit(0)\n",
    "os._exit(0) within a test": "import os\ndef f(x):\n    os._exit(0)\n",
    "SystemExit within a test": "def f(x):\n    raise SystemExit(0)\n",
    "killing itself": WRONG + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "equal to everything": "class E:\n    __eq__ = lambda self, other: True\n    __hash__ = None\n"
    "def f(x):\n    return E()\n",
    "a number that is equal to everything": "class E(int):\n    __eq__ = lambda self, other: True\n"
    "    __hash__ = int.__hash__\ndef f(x):\n    return E(7)\n",
    "patched builtins": WRONG + "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.compile = "
    "builtins.exec = builtins.__import__ = lambda *args, **named: None\n",
    "a patched checker": WRONG + "from inside import checker, wire\nchecker._judged = lambda *a: {'passed': True}\n"
    "wire.Channel.send = lambda *a: None\n",
    "a patched frame above": WRONG + "import sys\nframe = sys._getframe()\nwhile frame:\n"
    "    frame.f_globals['passed'] = True\n    frame = frame.f_back\n",
    "the tests read": "import glob\ntext = [open(p).read() for p in glob.glob('/job/*')]\n"
    "assert any('assert' in t for t in text), 'no tests here'\ndef f(x):\n    return x + 1\n",
    "a generator of nonsense": "def f(x):\n    return iter(lambda: 0, 1)\n",
    "a value of a gigabyte": "def f(x):\n    return 'a' * (1 << 30)\n",
    "a flood of large messages": WRONG
    + "import os\ntext = b'[' + b'[0],' * 10_000_000 + b'0]'\ntext = len(text).to_bytes(4, 'big') + text\n"
    "while True:\n    for fd in range(3, 9):\n        try: os.write(fd, text)\n        except OSError: pass\n",
    "nested without end": "a = []\na.append(a)\ndef f(x):\n    return a\n",
}
ENDLESS = {
    "a fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
    "threads without end": "import threading, time\n"
    "while True:\n    threading.Thread(target=time.sleep, args=(99,)).start()\n",
    "memory": "a = []\nwhile True:\n    a.append(bytearray(1 << 22))\n",
    "memory of many processes": "import os, time\nfor _ in range(12): os.fork()\n"
    "a = bytearray(100 << 20)\ntime.sleep(99)\n",
    "endless output": "import sys\nwhile True:\n    sys.stdout.write('x' * 65536)\n",
    "a full disk": "i = 0\nwhile True:\n    i += 1\n    open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))\n",
    "sleep": "import time\nwhile True:\n    time.sleep(1)\n",
    "computing": "while True: pass\n",
    "deaf to signals": "import signal, time\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\nwhile True: pass\n",
}
REACHES = {
    "the network": "import socket\nsocket.create_connection(('127.0.0.1', PORT), 2)\n",
    "another host": "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)\n",
    "a name": "import socket\nsocket.getaddrinfo('example.com', 80)\n",
    "a secret by its path": "print(open(SECRET).read())\n",
    "a secret by a link": "import os\nos.symlink(SECRET, '/tmp/link')\nprint(open('/tmp/link').read())\n",
    "a secret by the first process": "print(open('/proc/1/root' + SECRET).read())\n",
    "a secret by up and up": "print(open('../' * 20 + SECRET).read())\n",
    "users": "print(open('/etc/passwd').read(), open('/etc/shadow').read())\n",
    "a place outside": "open(SECRET + '.new', 'w').write('x')\n",
    "its job": "open('/job/new', 'w').write('x')\n",
    "the system": "open('/usr/bin/new', 'w').write('x')\n",
    "what runs inside": "open('/checks/inside/start.py', 'a').write('x')\n",
    "the root": "import os\nos.mkdir('/new')\n",
    "devices": "open('/dev/new', 'w').write('x')\n",
    "the kernel's settings": "open('/proc/sys/kernel/hostname', 'w').write('x')\n",
    "another user": "import os\nos.setuid(0)\n",
    "a mount": "import ctypes, os\nassert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0\n",
    "a user namespace": "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0\n",
    "a higher limit": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (4096, 4096))\n",
    "its parent by a signal": "import os, signal\nos.kill(PARENT, signal.SIGTERM)\n",
    "its parent by ptrace": "import ctypes\nassert ctypes.CDLL(None).ptrace(16, PARENT, None, None) == 0\n",
    "its parent's memory": "open('/proc/PARENT/mem', 'rb').read(1)\n",
    "its parent's environment": "print(open('/proc/PARENT/environ').read())\n",
}


@pytest.fixture(scope="module")
def jail() -> Jail:
    return jail_or_skip()


def _here(marker: str) -> list[psutil.Process]:
    """Processes of this machine with ``marker`` in their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(marker in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _gone(marker: str) -> None:
    """Wait until the kernel has taken all such processes away; a test that waits for ever is ended by its time-out."""
    while _here(marker):
        time.sleep(0.05)


def _python(jail: Jail, program: str, limits: Limits = SHORT) -> Outcome:
    return run(jail, ["python3", "-I", "-S", "/job/attack.py"], {"attack.py": program}, limits=limits)


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forged_verdict_passes(jail: Jail, name: str) -> None:
    verdict = check(jail, Check(FORGERIES[name], TESTS, limits=Limits(wall=3.0, memory=512 * MIB)))
    assert not verdict.passed
    assert verdict.reason


@pytest.fixture(scope="module")
def endings(jail: Jail) -> dict[str, Outcome]:
    """All of ENDLESS, some at a time: most of them wait for their end."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(ENDLESS, pool.map(lambda program: _python(jail, program), ENDLESS.values()), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_nothing_hangs_and_nothing_is_left(endings: dict[str, Outcome], name: str) -> None:
    outcome = endings[name]
    assert outcome.ending != "exit" or outcome.code != 0
    assert len(outcome.stdout) <= SHORT.output
    _gone("/job/attack.py")


def test_a_program_that_hangs_within_a_test_fails(jail: Jail) -> None:
    verdict = check(jail, Check("import time\ndef f(x):\n    time.sleep(99)\n", TESTS, limits=SHORT))
    assert (verdict.passed, verdict.reason) == (False, "not done after 2 s")


@pytest.mark.parametrize("name", REACHES)
def test_nothing_outside_is_reached(jail: Jail, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret of this test")
    monkeypatch.setenv("SECRET_OF_THE_ENVIRONMENT", "the secret of this test")
    before = sorted(tmp_path.iterdir())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        program = REACHES[name].replace("PORT", str(server.getsockname()[1])).replace("SECRET", repr(str(secret)))
        program = program.replace("'/proc/PARENT", f"'/proc/{os.getpid()}").replace("PARENT", str(os.getpid()))
        outcome = _python(jail, program + "print('REACHED')\n", Limits())
        with pytest.raises(BlockingIOError):
            server.accept()
    assert outcome.ending == "exit"
    assert outcome.code
    assert "REACHED" not in outcome.stdout
    assert "secret of this test" not in outcome.stdout + outcome.stderr
    assert "Traceback" in outcome.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_the_environment_is_empty_and_other_processes_are_not_seen(jail: Jail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the secret of this test")
    program = "import os\nprint(sorted(os.environ))\nprint([p for p in os.listdir('/proc') if p.isdigit()])\n"
    outcome = _python(jail, program, Limits())
    names, processes = (eval(line, {"__builtins__": {}}) for line in outcome.stdout.splitlines())
    assert not set(names) - {
        "HOME", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PATH", "PWD", "PYTHONHASHSEED",
        "TMPDIR", "HOSTNAME",
    }  # fmt: skip
    assert len(processes) <= 3
    assert "secret" not in outcome.stdout


def test_children_end_with_their_program(jail: Jail) -> None:
    program = (
        "import os, sys\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.close(1); os.close(2)\n"
        "        os.execvp('sleep', ['sleep', '7654321'])\n    os._exit(0)\nos.wait()\nprint('left one')\n"
    )
    outcome = _python(jail, program, Limits())
    assert outcome.stdout == "left one\n"
    _gone("7654321")


def test_programs_end_when_evalkit_is_killed(jail: Jail) -> None:
    code = (
        "from evalkit.sandbox import finding, running\nfrom evalkit.sandbox.limits import Limits\n"
        "running.run(finding.find(), ['sleep', '8765432'], limits=Limits(wall=300))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not _here("8765432"):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _gone("8765432")
