"""What the benchmarks measure: named sets of tasks with shots and a number of documents, and their requests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from evalkit.runner.workload import Workload as TaskWorkload

HISTORY = "mmlu_high_school_us_history"


@dataclass(frozen=True)
class Workload:
    """Tasks at one number of shots, each on its first ``limit`` documents."""

    name: str
    tasks: tuple[str, ...]
    shots: int
    limit: int


WORKLOADS = (
    Workload("mmlu", ("mmlu_abstract_algebra", "mmlu_anatomy", HISTORY), 5, 30),
    Workload("mmlu_abstract_algebra", ("mmlu_abstract_algebra",), 5, 100),
    Workload("mmlu_anatomy", ("mmlu_anatomy",), 5, 100),
    Workload(HISTORY, (HISTORY,), 5, 20),
    Workload("hellaswag_0", ("hellaswag",), 0, 60),
    Workload("hellaswag_10", ("hellaswag",), 10, 20),
    Workload("arc_easy", ("arc_easy",), 0, 100),
    Workload("boolq", ("boolq",), 0, 60),
    Workload("piqa", ("piqa",), 0, 100),
    Workload("triviaqa", ("triviaqa",), 5, 32),
    Workload("lambada", ("lambada_openai",), 0, 60),
)


def chosen(names: str | None, limit: int | None) -> list[Workload]:
    """The workloads of a comma-separated list (None: all), with ``limit`` documents a task where one is given."""
    by_name = {one.name: one for one in WORKLOADS}
    wanted = names.split(",") if names else list(by_name)
    if unknown := [name for name in wanted if name not in by_name]:
        raise SystemExit(f"unknown workloads: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [Workload(one.name, one.tasks, one.shots, limit or one.limit) for one in (by_name[name] for name in wanted)]


def data_folder(given: Path | None) -> Path:
    """The mirror: --data-dir, else EVALKIT_DATA_DIR."""
    folder = given or (Path(os.environ["EVALKIT_DATA_DIR"]) if os.environ.get("EVALKIT_DATA_DIR") else None)
    if folder is None or not folder.is_dir():
        raise SystemExit("name the mirror of data sets with --data-dir or EVALKIT_DATA_DIR")
    return folder


def gathered(workload: Workload, data_dir: Path) -> list[TaskWorkload]:
    """The workload's tasks with their documents loaded; `evalkit.runner.workload.build_requests` makes the requests."""
    from evalkit.data import open_source
    from evalkit.runner.workload import load_documents
    from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
    from evalkit.task import catalog

    tasks = tuple(TaskSpec(name=name, num_fewshot=workload.shots) for name in workload.tasks)
    selection = catalog.resolve(RunSpec(model=ModelSpec(name="any"), tasks=tasks, data_dir=data_dir))
    return [load_documents(task, open_source(data_dir), workload.limit, None) for task in selection.tasks]


def public(words: Sequence[str]) -> str:
    """A command line without this machine's folders, fit to be published."""
    return " ".join(Path(word).name if Path(word).is_absolute() else word for word in words)


def surroundings() -> dict[str, object]:
    """Machine and versions, as a run records them."""
    import platform
    from datetime import UTC, datetime

    import psutil

    from evalkit.store.environment import cpu_model, package_versions

    names = ("evalkit-harness", "lm-eval", "torch", "transformers", "tokenizers", "numpy")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        },
        "versions": {"python": platform.python_version(), **package_versions(names)},
    }


def wide_console() -> Console:
    """Standard output; a file or a pipe gets lines that hold a whole table."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=170)
