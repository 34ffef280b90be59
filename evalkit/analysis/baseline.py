"""Baselines: one small JSON file that can be committed and still allows paired tests.

It keeps, per task, shortened document and prompt hashes and every metric's per-item values; no text of any document,
prompt or answer. Binary values are one character an item.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from evalkit import __version__
from evalkit.analysis import gold
from evalkit.analysis.scores import KEY_LENGTH, PROMPT_LENGTH, RunScores, Series, TaskScores, scores_of_run
from evalkit.contract.errors import UserError
from evalkit.spec.strict import Strict, mistake
from evalkit.store import earlier
from evalkit.store.files import replacing
from evalkit.text.reading import read_text

FORMAT: Literal["evalkit-baseline"] = "evalkit-baseline"
GONE = 0xFFFF
"""Stands for no value among packed probabilities."""


class _SeriesRecord(Strict):
    aggregate: str
    higher_is_better: bool
    bits: str | None = Field(default=None, pattern=r"^[01-]*$")
    """Values 0, 1 and "-" for none."""
    numbers: list[float | list[float] | None] | None = None
    p_gold: str | None = None
    """Values of `gold.p_gold` as `_pack_p_gold` writes them."""
    unit: str | None = None
    """None: the file is of evalkit 0.1.0, which did not write it."""
    bounds: tuple[float | None, float | None] | None = None


class _TaskRecord(Strict):
    version: str
    num_fewshot: int
    sample: bool
    primary: str
    n: int
    n_error: int
    n_unscored: int
    keys: str
    copies: dict[int, str]
    """Item number -> full join key, for further copies of the same document."""
    prompts: str
    n_total: int | None = None
    """None: the file is of a version that did not write it."""
    clusters: list[str] | None
    cluster_field: str
    published: dict[str, float | None]
    series: dict[str, _SeriesRecord]
    rising: dict[str, bool] = Field(default_factory=dict)
    """Empty in files of evalkit 0.1.0, where only the series tell it."""


class _BaselineRecord(Strict):
    format: Literal["evalkit-baseline"]
    schema_version: Literal[1]
    evalkit: str
    label: str
    hardware: Any
    counters: dict[str, Any]
    groups: dict[str, list[str]]
    asked: dict[str, Any] = Field(default_factory=dict)
    """What the run was asked, as settings; empty in files of versions that did not write it."""
    tasks: dict[str, _TaskRecord]


def save_baseline(run: Path, out: Path, cluster_by: str | None = None, *, performance: bool = True) -> Path:
    """Write the baseline of a run directory. Returns ``out``; raises UserError if it cannot be written.

    Without ``performance`` it leaves out the hardware and its counters, which only matter to performance budgets.
    """
    scores = load_scores(run, cluster_by, p_gold=True)
    demand_clusters(cluster_by, scores)
    if scores.partial:
        raise UserError(f"{run}: a partial run cannot be a baseline: finish it with: evalkit run --resume {run}")
    record = _BaselineRecord(
        format=FORMAT,
        schema_version=1,
        evalkit=__version__,
        label=scores.label,
        hardware=scores.hardware if performance else None,
        counters=dict(_scalars(scores.counters)) if performance else {},
        groups={name: list(leaves) for name, leaves in scores.groups.items()},
        asked=dict(scores.asked),
        tasks={name: _encode(task) for name, task in scores.tasks.items()},
    )
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    with replacing(out) as draft:
        draft.write_text(text, "utf-8", errors="replace")
    return out


def read_baseline(path: Path) -> RunScores:
    """The scores in a baseline file. Raises UserError naming the first thing that is wrong with it."""
    try:
        record = _BaselineRecord.model_validate_json(read_text(path, "run directory or baseline file"))
    except ValidationError as error:
        found = mistake(error)
        raise UserError(
            f"{path}: not a baseline file ({found.where or 'file'}: {found.message}): "
            "write one with: evalkit baseline save RUN"
        ) from None
    return RunScores(
        label=record.label,
        source=str(path),
        tasks={name: _decode(path, name, task) for name, task in record.tasks.items()},
        groups={name: tuple(leaves) for name, leaves in record.groups.items()},
        counters=record.counters,
        hardware=record.hardware,
        saved=True,
        asked=record.asked,
    )


def _scalars(counters: Mapping[str, Any]) -> Any:
    """Counters without the raw lists, which only a run directory keeps."""
    for name, value in counters.items():
        if isinstance(value, Mapping):
            yield name, dict(_scalars(value))
        elif isinstance(value, int | float | str | bool) or value is None:
            yield name, value


def _encode(task: TaskScores) -> _TaskRecord:
    return _TaskRecord(
        version=task.version,
        num_fewshot=task.num_fewshot,
        sample=task.sample,
        primary=task.primary,
        n=task.n,
        n_error=task.n_error,
        n_unscored=task.n_unscored,
        n_total=task.n_total,
        keys=_pack([key[:KEY_LENGTH] for key in task.keys]),
        copies={number: key for number, key in enumerate(task.keys) if "#" in key},
        prompts=_pack(list(task.prompts)),
        clusters=None if task.clusters is None else list(task.clusters),
        cluster_field=task.cluster_field,
        published=dict(task.published),
        series={key: _encode_series(key, series) for key, series in task.series.items()},
        rising=dict(task.rising),
    )


def _encode_series(key: str, series: Series) -> _SeriesRecord:
    if key == gold.KEY:
        return _record(series, p_gold=_pack_p_gold(series))
    bits = {None: "-", 0.0: "0", 1.0: "1"}
    if all(not isinstance(value, tuple) and value in bits for value in series.values):
        text = "".join(bits[value] for value in series.values)  # type: ignore[index]
        return _record(series, bits=text)
    numbers = [
        None if value is None else [float(part) for part in value] if isinstance(value, tuple) else round(value, 9)
        for value in series.values
    ]
    return _record(series, numbers=numbers)


def _record(series: Series, **values: Any) -> _SeriesRecord:
    return _SeriesRecord(
        aggregate=series.aggregate,
        higher_is_better=series.higher_is_better,
        unit=series.unit,
        bounds=series.bounds,
        **values,
    )


def _decode(path: Path, name: str, record: _TaskRecord) -> TaskScores:
    keys, prompts = _unpack(record.keys, KEY_LENGTH), _unpack(record.prompts, PROMPT_LENGTH)
    keys = [record.copies.get(number, key) for number, key in enumerate(keys)]
    series = {key: _decode_series(key, one, record.published.get(key)) for key, one in record.series.items()}
    lengths = {len(keys), len(prompts), *(len(one.values) for one in series.values())}
    if record.clusters is not None:
        lengths.add(len(record.clusters))
    if len(lengths) != 1 or len(set(keys)) != len(keys):
        raise UserError(f"{path}: task {name}: its items do not add up; save the baseline again")
    return TaskScores(
        name=name,
        version=record.version,
        num_fewshot=record.num_fewshot,
        sample=record.sample,
        primary=record.primary,
        keys=tuple(keys),
        prompts=tuple(prompts),
        series=series,
        published=record.published,
        n=record.n,
        n_error=record.n_error,
        n_unscored=record.n_unscored,
        n_total=record.n_total,
        clusters=None if record.clusters is None else tuple(record.clusters),
        cluster_field=record.cluster_field,
        rising=record.rising or {key: one.higher_is_better for key, one in series.items()},
    )


def _decode_series(key: str, record: _SeriesRecord, published: float | None) -> Series:
    values: list[float | tuple[float, ...] | None]
    if record.bits is not None:
        values = [{"-": None, "0": 0.0, "1": 1.0}[bit] for bit in record.bits]
    elif record.p_gold is not None:
        values = list(_unpack_p_gold(record.p_gold))
    else:
        values = [tuple(value) if isinstance(value, list) else value for value in record.numbers or []]
    aggregate, unit = record.aggregate, record.unit
    if unit is None:
        aggregate, unit, _ = earlier.described(key.rpartition(",")[0], f"|agg:{record.aggregate}", [published])
    return Series(tuple(values), aggregate, record.higher_is_better, unit, record.bounds)


def _pack(digits: list[str]) -> str:
    """Hexadecimal strings of one even length as one base64 text."""
    return base64.b64encode(bytes.fromhex("".join(digits))).decode()


def _unpack(text: str, length: int) -> list[str]:
    try:
        digits = base64.b64decode(text, validate=True).hex()
    except ValueError:
        return []
    return [digits[start : start + length] for start in range(0, len(digits), length)]


def _pack_p_gold(series: Series) -> str:
    """Two bytes an item: the probability in units of its last digit."""
    values = (GONE if not isinstance(value, float) else round(value * 10**gold.DIGITS) for value in series.values)
    return base64.b64encode(b"".join(value.to_bytes(2, "little") for value in values)).decode()


def _unpack_p_gold(text: str) -> Iterator[float | None]:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return
    for place in range(0, len(data), 2):
        value = int.from_bytes(data[place : place + 2], "little")
        yield None if value == GONE else round(value / 10**gold.DIGITS, gold.DIGITS)


def load_scores(path: Path, cluster_by: str | None = None, *, p_gold: bool = False) -> RunScores:
    """Scores of a run directory, or of a file written by `evalkit baseline save`.

    ``cluster_by`` names the document field that items share, "none" for independent items; by default one of
    `contract.clusters.CLUSTER_FIELDS` whose values repeat. A file has no documents: it keeps the one field that it was
    saved with. With ``p_gold`` tasks with choices also have the series of `gold.p_gold`. Raises UserError for a path
    that is neither.
    """
    if path.is_file():
        found = _clustered_by(read_baseline(path), cluster_by)
        return found if p_gold else gold.without(found)
    found = scores_of_run(path, cluster_by)
    return gold.added(found, path) if p_gold else found


def _clustered_by(found: RunScores, cluster_by: str | None) -> RunScores:
    """A file's scores without the clusters of another field than the one that is asked for."""
    if cluster_by is None:
        return found
    tasks = {
        name: task if task.cluster_field == cluster_by else replace(task, clusters=None, cluster_field="")
        for name, task in found.tasks.items()
    }
    return replace(found, tasks=tasks)


def demand_clusters(cluster_by: str | None, *runs: RunScores) -> None:
    """UserError where no task of any of ``runs`` knows the field ``cluster_by`` that was asked for: to take the items
    for independent in silence would be no answer.
    """
    if cluster_by in (None, "none") or any(task.clusters for run in runs for task in run.tasks.values()):
        return
    names = " and ".join(run.source for run in runs)
    if all(run.saved for run in runs):
        raise UserError(
            f"--cluster-by {cluster_by}: a baseline file keeps only the field that it was saved with, and {names} have "
            f"another: save one again with: evalkit baseline save RUN --cluster-by {cluster_by}"
        )
    raise UserError(
        f"--cluster-by {cluster_by}: {names}: no task has documents that all have a field of that name with "
        "values that repeat"
    )
