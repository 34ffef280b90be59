"""An entry: what a leaderboard keeps of one run, one JSON file that a git repository can hold and a schema checks.

It holds numbers and what they were measured on; no prompt, no answer, no path and no command.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from evalkit import __version__
from evalkit.contract.errors import UserError
from evalkit.contract.groups import leaves
from evalkit.contract.types import MetricResult, RunResult, TaskResult
from evalkit.spec.strict import Strict, mistake
from evalkit.text.numbers import flatten

FORMAT: Literal["evalkit-entry"] = "evalkit-entry"
SCHEMA_VERSION: Literal[1] = 1
TYPES = ("pretrained", "fine-tuned", "instruction-tuned")
MAX_BYTES = 8 << 20

Text = Annotated[str, Field(max_length=400)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Link = Annotated[str, Field(max_length=1000, pattern=r"^https://[^\s<>\"'\\]+$")]


class Score(Strict):
    """One metric of one task, in the metric's own unit (a share is 0 to 1)."""

    value: Finite | None
    stderr: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    interval: tuple[Finite, Finite] | None = None
    n: int = Field(default=0, ge=0)
    higher_is_better: bool = True
    proportion: bool = False
    """A share of one, shown in percent."""
    unit: Annotated[str, Field(max_length=40)] = ""
    """Of what is no share: "nats", "words", ..."""
    signature: Annotated[str, Field(max_length=1000)] = ""

    @model_validator(mode="after")
    def _ordered(self) -> Score:
        if self.interval is not None and self.interval[0] > self.interval[1]:
            raise ValueError("an interval's lower bound is above its upper one")
        return self


class Result(Strict):
    """One task or group. ``n`` of ``n_total`` documents were evaluated (0 of 0: not known)."""

    version: Text = ""
    num_fewshot: int | None = Field(default=None, ge=0)
    n: int = Field(default=0, ge=0)
    n_total: int = Field(default=0, ge=0)
    errors: int = Field(default=0, ge=0)
    sample: bool = False
    primary: Text = ""
    metrics: dict[Text, Score]
    protocol: Text = ""
    """How published numbers were measured, as far as the source says."""
    differs: Text = ""
    """In which way that is known to be another one than evalkit's; such a number stands beside no measured one."""
    note: Text = ""


class Model(Strict):
    """What answered. ``parameters`` counts weights; ``adapters`` are names without their folders."""

    name: Annotated[str, Field(min_length=1, max_length=400)]
    type: Text = "pretrained"
    parameters: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    precision: Text = ""
    quantization: Text = ""
    adapters: tuple[Text, ...] = ()
    backend: Text = ""
    revision: Text = ""
    fingerprint: Text = ""


class Entry(Strict):
    """One run, or one model's published numbers."""

    format: Literal["evalkit-entry"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["measured", "published"] = "measured"
    evalkit: Text = ""
    date: Annotated[str, Field(pattern=r"^(\d{4}(-\d\d(-\d\d(T[0-9:.+Z-]{5,24})?)?)?)?$")] = ""
    """ISO 8601, as exactly as it is known; empty: not known."""
    model: Model
    hardware: Text = ""
    partial: bool = False
    results: dict[Text, Result]
    counters: dict[Text, Finite] = Field(default_factory=dict)
    """Performance, by dotted name ("throughput.decode_tokens_per_s")."""
    source: Text = ""
    """Where published numbers stand."""
    report: Link | None = None

    @cached_property
    def id(self) -> str:
        """The model's name made safe, and a hash of everything that was measured: also the file's name."""
        measured = self.model_dump(mode="json", exclude={"report"})
        # Entries from before there were such fields keep their names.
        for result in measured["results"].values():
            for name in [name for name in ("protocol", "differs", "note") if not result[name]]:
                del result[name]
            for score in result["metrics"].values():
                if not score["unit"]:
                    del score["unit"]
        content = json.dumps(measured, sort_keys=True, ensure_ascii=True)
        return f"{slug(self.model.name)}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def slug(name: str) -> str:
    """A name as part of a path or an address: ASCII letters, digits and dashes. Different names may meet."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "model"


def write_entry(entry: Entry, folder: Path) -> Path:
    """Write ``folder``/ID.json; the same entry again is the same file. Raises UserError if it cannot be written."""
    from evalkit.store.files import write_json

    path = folder / f"{entry.id}.json"
    write_json(path, entry.model_dump(mode="json", exclude_defaults=False))
    return path


def parse(text: str | bytes, where: str) -> Entry:
    """An entry from JSON. Raises UserError naming the first thing that is wrong."""
    if len(text) > MAX_BYTES:
        raise UserError(f"{where}: larger than {MAX_BYTES >> 20} MiB: an entry holds numbers only, not samples")
    try:
        return Entry.model_validate_json(text)
    except ValidationError as error:
        found = mistake(error)
        raise UserError(
            f"{where}: not a leaderboard entry ({found.where or 'file'}: {found.message}): "
            "write one with: evalkit leaderboard add RUN"
        ) from None


def is_entry(text: str) -> bool:
    """Whether a JSON file says that it is an entry (so that other JSON beside it is left alone)."""
    return f'"{FORMAT}"' in text[:400]


def from_run(result: RunResult, *, label: str = "", kind_of_model: str = "") -> Entry:
    """The entry of a run. ``label`` and ``kind_of_model`` take the place of what the run says."""

    counters = {
        ".".join(path): float(value)
        for path, value in flatten(result.counters)
        if isinstance(value, int | float) and not isinstance(value, bool) and path[0] != "tasks" and abs(value) < 1e300
    }
    return Entry(
        evalkit=__version__,
        date=str(result.environment.get("start_time") or "")[:19],
        model=model_of(
            result.spec.get("model") or {}, result.model, label=label, kind_of_model=kind_of_model, called=result.label
        ),
        hardware=_short(hardware(result.environment, str(result.model.get("device") or ""))),
        partial=result.partial,
        results=dict(_results(result)),
        counters=counters,
    )


def model_of(
    asked: Mapping[str, Any], info: Mapping[str, Any], *, label: str = "", kind_of_model: str = "", called: str = ""
) -> Model:
    """What a row says of its model: ``asked`` as the user named it (ModelSpec's fields), ``info`` as it was loaded
    (ModelInfo's). ``label`` and ``kind_of_model`` take the place of what they say; ``called``: a name for want of one.
    """
    details = info.get("details") or {}
    quant = asked.get("quant") or ""
    return Model(
        name=_short(label or str(asked.get("label") or _base(called or "model"))),
        type=kind_of_model or _type(asked),
        parameters=info.get("n_parameters") or None,
        precision=_short(str(info.get("dtype") or "")),
        quantization=_short(str(quant or details.get("quantization") or "")),
        adapters=tuple(_short(_base(str(path).partition(":")[0])) for path in asked.get("peft") or ()),
        backend=_short(str(info.get("backend") or "")),
        revision=_short(str(asked.get("revision") or "")),
        fingerprint=_fingerprint(str(info.get("fingerprint") or "")),
    )


def _base(name: str) -> str:
    """A Hub id as it is; a path without its folders, which are nobody's business."""
    folded = name.replace("\\", "/").rstrip("/")
    local = folded.startswith(("/", ".", "~")) or folded.count("/") != 1 or Path(name).exists()
    return (folded.rsplit("/", 1)[-1] if local else folded) or "model"


def _fingerprint(text: str) -> str:
    """A hash as it is; anything else, which might say more than it should, hashed."""
    if not text or re.fullmatch(r"[0-9a-f]{16,64}", text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"


def _type(asked: Mapping[str, Any]) -> str:
    """Adapters make a model fine-tuned; a chat template, or a name that says so, instruction-tuned."""
    if asked.get("peft"):
        return "fine-tuned"
    told = bool(re.search(r"(?i)(^|[-_./])(instruct|chat|it|sft|rlhf|dpo)([-_./]|$)", str(asked.get("name") or "")))
    return "instruction-tuned" if asked.get("chat_template") or told else "pretrained"


def hardware(environment: Mapping[str, Any], device: str) -> str:
    """What the model ran on, in a few words: GPUs where it was on one, else the processor and its cores."""
    gpus = [str(gpu.get("name")) for gpu in environment.get("gpus") or [] if isinstance(gpu, Mapping)]
    if gpus and not device.startswith("cpu"):
        return f"{len(gpus)} × {gpus[0]}" if len(gpus) > 1 else gpus[0]
    cpu = environment.get("cpu") or {}
    words = str(cpu.get("model") or "").strip()
    return f"{words}, {cpu['cores']} cores" if words and cpu.get("cores") else words


def _results(result: RunResult) -> Iterator[tuple[str, Result]]:
    tasks = {task.info.name: task for task in result.tasks}
    groups = {group.group.name: group for group in result.groups}
    for name, task in tasks.items():
        info = task.info
        yield (
            name,
            Result(
                version=info.version,
                num_fewshot=info.num_fewshot,
                n=task.n,
                n_total=task.n_total,
                errors=task.n_error,
                sample=info.sample,
                primary=info.primary,
                metrics=_metrics(task.metrics),
            ),
        )
    children = {name: group.group.children for name, group in groups.items()}
    for name, group in groups.items():
        # lm-eval's groups weigh by size, as our micro averages do.
        metrics = group.micro or group.macro
        members = [tasks[leaf] for leaf in leaves(name, children) if leaf in tasks]
        if metrics and members and name not in tasks:
            yield name, _group(group.group.version, metrics, members)


def _group(version: str, metrics: Sequence[MetricResult], members: Sequence[TaskResult]) -> Result:
    shots = {task.info.num_fewshot for task in members}
    return Result(
        version=version,
        num_fewshot=shots.pop() if len(shots) == 1 else None,
        n=sum(task.n for task in members),
        n_total=sum(task.n_total for task in members),
        errors=sum(task.n_error for task in members),
        sample=any(task.info.sample for task in members),
        primary=metrics[0].key,
        metrics=_metrics(metrics),
    )


def _metrics(metrics: Sequence[MetricResult]) -> dict[str, Score]:
    from evalkit.store.files import plain

    return {
        metric.key: Score(
            value=plain(metric.value),
            stderr=plain(metric.stderr),
            interval=metric.interval if metric.interval and None not in plain(metric.interval) else None,
            n=metric.n,
            higher_is_better=metric.higher_is_better,
            proportion=metric.is_share,
            unit="" if metric.is_share else metric.unit,
            signature=metric.signature[:1000],
        )
        for metric in metrics
    }
