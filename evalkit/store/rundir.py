"""A run's directory, the only thing that a run leaves behind and all that is read of it later:

spec.json          what was asked
environment.json   versions, hardware, git commit, command; each resume adds its own
journal.sqlite     every response, as it came
samples/           <task>.parquet (and .jsonl on request): one row a document
looks.json         of `evalkit check`: what was asked for and seen at every look (`store.looks`)
performance.parquet  every duration behind the performance counters
results.json       the numbers, in lm-eval's layout, and our full records
.lock              held by the process that writes here
"""

from __future__ import annotations

import json
import re
import shutil
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from evalkit.contract.errors import UserError
from evalkit.contract.types import RunResult, SampleResult, TaskInfo
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.spec.strict import mistake
from evalkit.spec.table import FREE
from evalkit.store import performance, results, samples
from evalkit.store.files import plain, read_json, safe_name, write_json
from evalkit.store.identity import digest
from evalkit.store.journal import Journal
from evalkit.store.locks import FileLock, take
from evalkit.text.secrets import mask

if TYPE_CHECKING:
    from pandas import DataFrame

SPEC, ENVIRONMENT, RESULTS, JOURNAL, SAMPLES, LOCK = (
    "spec.json",
    "environment.json",
    "results.json",
    "journal.sqlite",
    "samples",
    ".lock",
)

PERFORMANCE = "performance.parquet"

FIRST = {
    "model.dtype",
    "model.device",
    "model.chat_template",
    "model.fewshot_as_multiturn",
    "model.peft_merge",
    "tasks.*.sample",
    "limit_random",
    "sample",
    "seed",
    "engine.overlength",
}
"""Settings of evalkit 0.1.0 that are part of a run's identity at their default, too. The list is closed."""


class RunDir:
    """One run's directory. Reading needs no lock; the first write takes it, and `close` lets it go.

    Use as a context manager where it writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: FileLock | None = None
        self._journal: Journal | None = None

    # -- opening ----------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, spec: RunSpec, environment: Mapping[str, Any]) -> RunDir:
        """A new run directory, or the one that is there, to go on with it.

        Raises UserError if the folder holds something else, another spec (naming what changed), cannot be written,
        or is in use by another process.
        """
        try:
            if path.exists() and not path.is_dir():
                raise UserError(f"{path}: is a file, not a folder: give another --output")
            path.mkdir(parents=True, exist_ok=True)
            strangers = sorted(p.name for p in path.iterdir() if not p.name.startswith("."))
        except (OSError, ValueError) as error:  # a ValueError: NUL in the path
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{_shortened(path)}: cannot be written ({reason}): give another --output") from None
        if strangers and SPEC not in strangers and not _stillborn(path, strangers):
            raise UserError(
                f"{path}: is not empty and not a run directory (it holds {strangers[0]}): give a new or empty --output"
            )
        run = cls(path)
        run._take_lock()
        try:
            # A run that answered nothing, for its model could not be loaded, holds nothing that another would lose.
            if set(strangers) - {SPEC, ENVIRONMENT} and SPEC in strangers:
                run._continue_with(spec, environment)
            else:
                write_json(path / ENVIRONMENT, {**plain(mask(plain(environment))), "resumes": []})
                write_json(path / SPEC, _plain_spec(spec))  # last: its presence makes the folder a run
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """The run directory at ``path``. Raises UserError if it is none."""
        try:
            there = path.is_dir()
        except (OSError, ValueError):
            there = False
        if not there:
            raise UserError(f"{_shortened(path)}: no such folder: give the folder of a run (evalkit run --output)")
        if not (path / SPEC).is_file() and not (path / RESULTS).is_file():
            raise UserError(f"{path}: not a run directory (no {SPEC}): give the folder of a run (evalkit run --output)")
        return cls(path)

    def close(self) -> None:
        """Commit the journal and let the lock go; again is no harm. Raises UserError if the journal cannot be kept."""
        try:
            if self._journal is not None:
                self._journal.close()
        finally:
            self._journal = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except UserError:
            if kind is None:
                raise

    # -- what was asked and where -------------------------------------------------------------------------------------

    def spec(self) -> RunSpec:
        """What was asked; secrets in it are masked. Raises UserError if spec.json is missing or broken."""
        from pydantic import ValidationError

        file = self.path / SPEC
        content = read_json(file, "spec")
        try:
            return RunSpec.model_validate(content)
        except ValidationError as error:
            wrong = mistake(error)
            raise UserError(f"{file}: {wrong.where}: {wrong.message}: restore the file or start a new run") from None

    def environment(self) -> dict[str, Any]:
        """The first run's environment, and under "resumes" those of the runs that went on with it."""
        return dict(read_json(self.path / ENVIRONMENT, "environment"))

    def journal(self) -> Journal:
        """The run's answers; takes the lock. The same object until `close`."""
        if self._journal is None:
            self._take_lock()
            self._journal = Journal(self.path / JOURNAL, spec_digest=digest(_fixed(_plain_spec(self.spec()))))
        return self._journal

    def take_answers(self, other: RunDir) -> None:
        """Copy another run's journal and durations, which stay as they are, so that this run can be gone on with. Only
        of a run of the same spec; of another the answers would be those of other questions.
        """
        if spec_changes(_plain_spec(other.spec()), _plain_spec(self.spec())):
            return
        self._take_lock()
        for name in (JOURNAL, f"{JOURNAL}-wal", PERFORMANCE):
            if (other.path / name).is_file():
                shutil.copyfile(other.path / name, self.path / name)

    # -- samples ------------------------------------------------------------------------------------------------------

    def samples_path(self, task: str) -> Path:
        """Where a task's samples lie; the name never leaves the folder."""
        return self.path / SAMPLES / f"{safe_name(task)}.parquet"

    def write_samples(
        self, task_name: str, results_of: Sequence[SampleResult], info: TaskInfo, jsonl: bool | None = None
    ) -> Path:
        """Keep a task's samples as Parquet, and as JSONL beside it if asked (None: as the spec's log_samples says).

        Raises UserError if they cannot be saved.
        """
        self._take_lock()
        path = self.samples_path(task_name)
        samples.write_parquet(path, results_of, info)
        if self.spec().log_samples if jsonl is None else jsonl:
            samples.write_jsonl(path.with_suffix(".jsonl"), results_of)
        return path

    def samples(self, task: str, columns: Sequence[str] | None = None, limit: int | None = None) -> DataFrame:
        """One row a document, of the first ``limit``. ``document``, ``target``, ``filtered``, ``statistics`` and
        ``extra`` are JSON texts; ``metrics`` is a dict of "name,filter" to a number or None. Raises UserError if there
        are none.
        """
        frame = samples.read_table(self.samples_path(task), columns, limit).to_pandas()
        if "metrics" not in frame and (columns is None or "metrics" in columns):
            frame["metrics"] = [{} for _ in range(len(frame))]
        return frame

    def sample_rows(self, task: str, places: Sequence[int]) -> list[dict[str, Any]]:
        """The rows at ``places``, as plain values. Raises UserError if there are none."""
        return samples.read_rows(self.samples_path(task), places)

    def samples_holding(self, task: str, text: str) -> list[int]:
        """Places of the documents whose prompt, target, choices or replies hold ``text``. Raises UserError as above."""
        return samples.holding(self.samples_path(task), text)

    def sample_count(self, task: str) -> int:
        """Documents of a task whose samples were kept. Raises UserError if there are none."""
        return samples.count(self.samples_path(task))

    def tasks(self) -> list[str]:
        """Names of the tasks with samples, in the order of results.json where there is one."""
        infos = {info.name for info in self._infos()}
        file = self.path / RESULTS
        ordered = [task.info.name for task in results.read(file).tasks] if file.is_file() else []
        return [name for name in ordered if name in infos] + sorted(infos - set(ordered))

    def task_hashes(self) -> dict[str, str]:
        """lm-eval's hash of each task's samples, by name."""
        hashes = {}
        for info in self._infos():
            rows = samples.read_columns(self.samples_path(info.name), ("doc_hash", "prompt_hash", "target_hash"))
            hashes[info.name] = results.hash_samples(rows)
        return dict(sorted(hashes.items()))

    def _infos(self) -> Iterator[TaskInfo]:
        for file in sorted((self.path / SAMPLES).glob("*.parquet")):
            if not file.name.startswith("."):
                yield samples.read_info(file)

    # -- results ------------------------------------------------------------------------------------------------------

    def write_results(self, result: RunResult) -> Path:
        """Keep the numbers, atomically. Raises UserError if they cannot be saved."""
        self._take_lock()
        path = self.path / RESULTS
        write_json(path, results.document(result, self.task_hashes()))
        return path

    def write_performance(self, durations: Mapping[str, tuple[array[float], array[int]]]) -> None:
        """Keep the raw durations behind the counters, with their tokens, by kind. Raises UserError if it cannot."""
        self._take_lock()
        performance.write(self.path / PERFORMANCE, durations)

    def performance(self) -> dict[str, list[Any]]:
        """The raw durations: kind, seconds, tokens; empty where nothing was measured."""
        return performance.read(self.path / PERFORMANCE)

    def has_results(self) -> bool:
        """Whether the run came to an end (perhaps a partial one)."""
        return (self.path / RESULTS).is_file()

    def result(self) -> RunResult:
        """The numbers as they were written. Raises UserError if there are none."""
        if not self.has_results() and (self.path / SPEC).is_file():
            raise UserError(
                f"{self.path}: the run has no results yet: finish it with: evalkit run --resume {self.path}"
            )
        return results.read(self.path / RESULTS)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        if self._lock is None:
            self._lock = take(
                self.path / LOCK,
                lambda who: f"{self.path}: in use by {who}: wait for it or stop it, or give another --output",
            )

    def _continue_with(self, spec: RunSpec, environment: Mapping[str, Any]) -> None:
        before, now = _plain_spec(self.spec()), _plain_spec(spec)
        changes = spec_changes(before, now)
        if changes:
            raise UserError(
                f"{self.path}: holds a run of another spec: {'; '.join(changes)}: "
                "ask for the same again, or give another --output"
            )
        try:
            seen = self.environment()
        except UserError:  # lost in a crash between the two files
            seen = {"resumes": []}
        resumes = [*seen.get("resumes", []), mask(plain(environment))]
        write_json(self.path / ENVIRONMENT, {**seen, "resumes": resumes})
        if before != now:
            write_json(self.path / SPEC, now)


def _shortened(path: Path) -> str:
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 200 else f"{text[:199]}…"


def _stillborn(path: Path, names: Sequence[str]) -> bool:
    """Whether a run was killed here between its first two files, so that nothing is lost by beginning again."""
    if list(names) != [ENVIRONMENT]:
        return False
    try:
        return "resumes" in read_json(path / ENVIRONMENT, "environment")
    except (UserError, TypeError):
        return False


def _plain_spec(spec: RunSpec) -> dict[str, Any]:
    return dict(mask(spec.model_dump(mode="json")))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{"engine.batch_size": 8, ...}; lists of objects by index, other lists as they are."""
    if isinstance(value, dict) and value:
        items = value.items()
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        items = {str(index): item for index, item in enumerate(value)}.items()
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What of a spec decides its answers. A setting that came after 0.1.0 counts only where it is not at its default:
    a journal is known by these, and one of an earlier version knows nothing of later settings.
    """
    defaults = _defaults()
    return {
        key: value
        for key, value in _flat(dict(spec)).items()
        if key not in FREE
        and not any(key.startswith(f"{free}.") for free in FREE)  # what stands in a mapping is free with it
        and value not in (None, {}, [])
        and ((name := re.sub(r"^tasks\.\d+", "tasks.*", key)) in FIRST or value != defaults.get(name))
    }


@cache
def _defaults() -> dict[str, Any]:
    """The value of every setting that was not given; those of an entry of tasks as "tasks.*.limit"."""
    least = RunSpec(model=ModelSpec(name=""), tasks=(TaskSpec(name=""),))
    flat = _flat(least.model_dump(mode="json"))
    return {key.replace("tasks.0.", "tasks.*."): value for key, value in flat.items()}


def spec_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two specs and could change an answer, as "key: old -> new"."""
    old, new = _fixed(before), _fixed(now)
    return [
        f"{key}: {_show(old.get(key))} -> {_show(new.get(key))}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]


def _show(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
