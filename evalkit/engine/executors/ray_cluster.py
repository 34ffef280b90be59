"""Workers as actors on Ray: a cluster by its address, or a local one that lives as long as the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.engine.executors.cluster import Lost
from evalkit.engine.executors.service import Service


class RayCluster:
    """A `evalkit.engine.executors.cluster.Cluster` of Ray actors, spread over the nodes.

    ``address``: None takes $RAY_ADDRESS, else starts a local cluster. On GPUs each actor has ``gpus_per_replica`` of
    them, else an equal share of the cluster's cores. Raises UserError where that cannot be, MissingExtra without Ray.
    """

    def __init__(self, size: int, gpus_per_replica: float = 0, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("--executor ray", "ray", "ray") from error
        self.size = size
        self._ray = ray
        self._own = not ray.is_initialized()
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        self._watch: subprocess.Popen[bytes] | None = None
        if self._own:
            self._connect(address)
        try:
            self._threads, self._settings = self._share(gpus_per_replica)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: str | None) -> None:
        import logging

        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leave the devices of CPU actors alone
        asked = address or os.environ.get("RAY_ADDRESS")
        settings: dict[str, Any] = {} if asked else {"include_dashboard": False}
        try:
            started: Any = self._ray.init(
                address=asked or "local", log_to_driver=False, logging_level=logging.ERROR, **settings
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"--executor ray: no cluster at {asked or 'this machine'} ({reason}): "
                "start one with `ray start --head`, or leave --ray-address out"
            ) from None
        if not asked:
            self._watch = _watched(started.address_info["session_dir"])

    def _share(self, gpus_per_replica: float) -> tuple[int, dict[str, Any]]:
        """Threads of a worker and the resources that Ray reserves for it."""
        resources = self._ray.cluster_resources()
        cores, gpus = resources.get("CPU", 1.0), resources.get("GPU", 0.0)
        if gpus_per_replica > gpus:
            raise UserError(
                f"--gpus-per-replica {gpus_per_replica:g}: the Ray cluster has {gpus:g} GPUs: "
                "ask for fewer, or give the --ray-address of another"
            )
        share = cores / self.size
        if gpus_per_replica:
            return max(1, int(share)), {"num_cpus": min(1.0, share), "num_gpus": gpus_per_replica}
        return max(1, int(share)), {"num_cpus": max(1, int(share)) if share >= 1 else int(share * 1000) / 1000}

    def start(self, worker: int) -> None:
        """See `Cluster.start`."""
        self._end(worker)
        # One thread for calls: the service answers each within a second. Ray must not restart an actor by itself: it
        # would come back without a model, and the driver would not know.
        actor = self._ray.remote(max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD", **self._settings)(
            Service
        )
        self._actors[worker] = actor.remote()

    def environment(self, worker: int) -> dict[str, str]:
        """See `Cluster.environment`."""
        return {"OMP_NUM_THREADS": str(self._threads), "TOKENIZERS_PARALLELISM": "false"}

    def ask(self, worker: int, method: str, *args: Any) -> None:
        """See `Cluster.ask`."""
        self._calls[getattr(self._actors[worker], method).remote(*args)] = worker

    def call(self, worker: int, method: str, *args: Any) -> Any:
        """See `Cluster.call`."""
        return self._fetch(getattr(self._actors[worker], method).remote(*args))

    def replies(self, timeout: float) -> list[tuple[int, Any]]:
        """See `Cluster.replies`."""
        if not self._calls:
            return []
        pending = list(self._calls)
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=timeout)
        if ready and len(pending) > 1:
            ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        return [(self._calls.pop(call), self._fetch(call)) for call in ready]

    def close(self) -> None:
        """See `Cluster.close`."""
        for worker in list(self._actors):
            self._end(worker)
        self._calls.clear()
        if self._own and self._ray.is_initialized():
            self._ray.shutdown()
        if self._watch is not None:
            self._watch.kill()
            self._watch.communicate()
            self._watch = None

    def pid(self, worker: int) -> int:
        """The worker's process (on its own machine), for tests."""
        return int(self._fetch(self._actors[worker].pid.remote()))

    # -- inside -------------------------------------------------------------------------------------------------

    def _fetch(self, call: Any) -> Any:
        try:
            return self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return Lost(" ".join(str(error).split())[:200] or type(error).__name__)

    def _end(self, worker: int) -> None:
        actor = self._actors.pop(worker, None)
        for call in [call for call, owner in self._calls.items() if owner == worker]:
            del self._calls[call]
        if actor is not None:
            self._ray.kill(actor)


def _watched(session: str) -> subprocess.Popen[bytes] | None:
    """A process that ends the session in this folder should this one be killed; None on systems without POSIX."""
    if os.name != "posix":
        return None
    watch = Path(__file__).with_name("session_watch.py")
    command = [sys.executable, "-P", str(watch), str(os.getpid()), session]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
