"""Sandboxes other than bubblewrap, and bounds around a whole sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandbox.jails import jail_or_skip

from evalkit.sandbox import cgroups, containers
from evalkit.sandbox.checking import check
from evalkit.sandbox.containers import Container
from evalkit.sandbox.finding import PROOF
from evalkit.sandbox.limits import MIB, Limits
from evalkit.sandbox.running import job_folder, run


def test_a_container_is_shut_off(tmp_path: Path) -> None:
    limits = Limits(memory=512 * MIB, processes=24, disk=32 * MIB)
    command = Container("podman", "/usr/bin/podman", "image").command("candidate", (), tmp_path, limits)
    line = " ".join(command)
    for part in (
        "--network none", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--user 65534:65534",
        "--memory 512m", "--memory-swap 512m", "--pids-limit 24", "size=32m", f"--volume {tmp_path}:/job:ro", "--rm",
        "--pull never", ":/checks/inside:ro",
    ):  # fmt: skip
        assert part in line
    assert command.index("image") > command.index("--network")


def test_a_job_is_nobody_elses() -> None:
    with job_folder({"a": "text"}) as folder:
        assert folder.parent.stat().st_mode & 0o077 == 0
        assert (folder / "a").stat().st_mode & 0o777 == 0o644
    assert not folder.parent.exists()


@pytest.mark.parametrize("engine", containers.ENGINES)
def test_a_container_tests_programs(engine: str) -> None:
    jail = containers.find(engine)
    if isinstance(jail, str):
        pytest.skip(jail)
    assert check(jail, PROOF).passed


def test_groups_bound_a_whole_sandbox_and_are_taken_away() -> None:
    jail = jail_or_skip()
    if not (parents := cgroups.parents()):
        pytest.skip("this process can make no control groups")
    told = run(jail, ["cat", "/proc/self/cgroup"]).stdout
    assert "evalkit-" in told or "0::/" in told  # a namespace of groups hides their names
    hungry = "import os, time\nfor _ in range(10): os.fork()\na = bytearray(60 << 20)\ntime.sleep(60)\n"
    limits = Limits(memory=128 * MIB, wall=20.0)
    outcome = run(jail, ["python3", "-I", "/job/a.py"], {"a.py": hungry}, limits=limits)
    assert outcome.ending == "memory" or outcome.code
    assert not [group for parent, _ in parents for group in parent.glob(f"evalkit-{os.getpid()}-*")]
