"""What a task.yaml may say: the model, its checks, and the tasks that one file defines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import Group, Kind
from evalkit.metrics import hf_evaluate
from evalkit.spec.strict import Strict, quoted
from evalkit.task.drawing import Fewshot, Generation
from evalkit.task.source import Keys, Source, read

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
"""A task's name is also a file's name and may be written in a list, so its characters are few."""
Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/=+-]*$", max_length=200)]
"""A task's or group's name, or a parametrised one ("wmt20:de-en")."""


Version = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int | float) else value)]


class Splits(Strict):
    """Which splits are evaluated, and which give few-shot examples."""

    eval: str
    fewshot: str | None = None


class Dataset(Strict):
    """A data set of the Hub; ``revision`` pins it to a commit. Or a file of rows beside the definition, ``path``: then
    ``id`` is "file/NAME", there is no revision, and every split is the whole file. ``gather``: rows alike in this field
    become one, whose other fields are lists (of references of one input).
    """

    id: str
    config: str | None = None
    revision: str | None = "main"
    splits: Splits
    path: Path | None = Field(default=None, exclude=True)
    gather: str | None = None


class MetricEntry(Strict):
    """A metric by its registered name (or ``task.py:OBJECT``), on the text that a filter gives.

    ``name`` is what the results call it, where that is not the metric's own name.
    """

    metric: str
    name: str | None = None
    filter: str = "none"
    args: dict[str, Any] = Field(default_factory=dict)
    higher_is_better: bool | None = None

    @property
    def key(self) -> str:
        """The key in results, "acc,none"."""
        return f"{self.name or _short(self.metric)},{self.filter}"


def _short(metric: str) -> str:
    """What results call a metric: the last part of its name, of a script's path its stem."""
    if metric.startswith("evaluate:"):
        return hf_evaluate.label(metric.removeprefix("evaluate:"))
    return metric.rpartition(":")[2].rpartition(".")[2]


class Baseline(Strict):
    """What guessing scores. ``random``: a number, "1/choices", or an expression over a document, averaged.

    ``majority``: compute the share of the most frequent gold index (not where the gold is always first by layout).
    """

    random: float | str | None = None
    majority: bool = True


class GroupOptions(Strict):
    """Of the groups that ``configs`` makes: which metrics are averaged, and their version."""

    version: Version = "1"
    aggregate: tuple[str, ...] = ()


class Sample(Strict):
    """The bundled items: JSON lines with "_split"; ``where`` picks the rows of one config ("{{config}}")."""

    file: Path
    where: dict[str, str] = Field(default_factory=dict)


class Classification(Strict):
    """What a classifier is shown of a row in place of the prompt: a text, or a pair. ``labels``: each class's name (or
    the names that models have for it), in the order of ``choices``; without choices the classifier gives a number.
    """

    text: str
    pair: str | None = None
    labels: tuple[str | tuple[str, ...], ...] = ()


class Definition(Strict):
    """One task.yaml. See docs and CONTRIBUTING for what each key means."""

    name: Name
    version: Version
    description: str = ""
    citation: str = ""
    tags: tuple[Name, ...] = ()
    alias: str | None = None
    formerly: tuple[Name, ...] = Field(default=(), exclude=True)
    """Old names: each still stands for it, and results keep the name that was asked for."""
    dataset: Dataset
    kind: Kind
    prompt: str = ""
    choices: Annotated[str | tuple[str, ...] | None, BeforeValidator(quoted)] = None
    contexts: str | tuple[str, ...] | None = None
    """Prompts that differ from choice to choice, each followed by the same ``continuation`` (winogrande)."""
    continuation: str | None = None
    images: str | tuple[str, ...] | None = None
    """Fields (or templates) that hold pictures; ``<image>`` or ``<image N>`` in a prompt is where they stand."""
    target: Annotated[int | str | tuple[str, ...], BeforeValidator(quoted)]
    instruction: str = ""
    system: str | None = None
    target_delimiter: str = " "
    fewshot_delimiter: str = "\n\n"
    fewshot: Fewshot = Fewshot()
    generation: Generation = Generation()
    filters: dict[str, str | list[str | dict[str, Any]]] = Field(default_factory=dict)
    classify: Classification | None = None
    metrics: tuple[MetricEntry, ...] = Field(min_length=1)
    primary: str | None = None
    baseline: Baseline = Baseline()
    configs: dict[str, tuple[str, ...]] | tuple[str, ...] | None = None
    group: GroupOptions = GroupOptions()
    sample: Sample | None = None
    process: str | None = Field(default=None, pattern=r"\.py:[A-Za-z_]\w*$")
    config: str | None = Field(default=None, exclude=True)
    """The entry of ``configs`` that this task was made for; set when the file is expanded, never in it."""

    @property
    def primary_key(self) -> str:
        """The primary metric's key; the first metric's unless the file says otherwise."""
        return self.primary or self.metrics[0].key


class Child(Strict):
    """A member of a group with its few-shot examples fixed."""

    task: Reference
    num_fewshot: int = Field(ge=0)


class GroupDefinition(Strict):
    """One group.yaml: a name for several tasks, with averages over them. A child is a name, or
    {task: NAME, num_fewshot: N} where the group fixes its shots.
    """

    name: Name
    version: Version = "1"
    description: str = ""
    alias: str | None = None
    children: tuple[Reference | Child, ...] = Field(min_length=1)
    num_fewshot: int | None = Field(default=None, ge=0)
    """Fixes the shots of all children that do not say otherwise."""
    aggregate: tuple[str, ...] = ()

    @property
    def shots(self) -> dict[str, int]:
        """The fixed number of examples, by child."""
        found = {}
        for child in self.children:
            name, number = (child, self.num_fewshot) if isinstance(child, str) else (child.task, child.num_fewshot)
            if number is not None:
                found[name] = number
        return found


Build = Callable[[Definition, Source, Any], Any]
"""Makes a task of a definition, its source and the user's options (evalkit.task.native.Options)."""


@dataclass(frozen=True, slots=True)
class Defined:
    """All that one file defines: its tasks (several with ``configs``) and groups (children first). ``shots`` fixes the
    examples of a group's children; ``build`` makes the tasks where NativeTask does not.
    """

    source: Source
    tasks: tuple[Definition, ...] = ()
    groups: tuple[Group, ...] = ()
    description: str = ""
    shots: Mapping[str, int] = field(default_factory=dict)
    build: Build | None = None


_NESTED: dict[str, type[BaseModel]] = {
    "dataset": Dataset,
    "splits": Splits,
    "classify": Classification,
    "fewshot": Fewshot,
    "generation": Generation,
    "metrics": MetricEntry,
    "baseline": Baseline,
    "group": GroupOptions,
    "sample": Sample,
}


def load_task(file: Path) -> Defined:
    """The tasks and groups of a task.yaml. UserError names file, line and key of the first mistake."""
    source = read(file)
    data = dict(source.data)
    if isinstance(data.get("sample"), str):
        data["sample"] = {"file": data["sample"]}
    if "config" in data:
        raise UserError(f"{source.locate('config')}: is no key of a definition; write dataset.config or configs")
    definition = _validated(Definition, data, source)
    return _made(definition, source)


def define(source: Source) -> Defined:
    """The same of values that another reader has put together, with the line of each."""
    return _made(_validated(Definition, source.data, source), source)


def _made(definition: Definition, source: Source) -> Defined:
    for keys, problem in _contradictions(definition):
        raise UserError(f"{source.locate(*keys)}: {problem}")
    return Defined(source, *_expand(definition), definition.description)


def load_group(file: Path) -> Defined:
    """The group of a group.yaml."""
    source = read(file)
    one = _validated(GroupDefinition, source.data, source)
    children = tuple(child if isinstance(child, str) else child.task for child in one.children)
    group = Group(one.name, children, one.version, one.alias, one.aggregate)
    return Defined(source, (), (group,), one.description, one.shots)


def _validated(model: type[Any], data: Any, source: Source) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        # A key that is not known often explains one that is missing.
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        keys = _plain(first["loc"], source)
        raise UserError(f"{source.locate(*keys)}: {_explain(first, keys, model)}{more}") from error


def _plain(loc: tuple[str | int, ...], source: Source) -> Keys:
    """An error's place without the names that pydantic adds for the branches of a union."""
    keys: list[str | int] = []
    data: Any = source.data
    for part in loc:
        inside = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if inside:
            data = data[part]
            keys.append(part)
        elif part == loc[-1] and isinstance(part, str) and isinstance(data, dict):
            keys.append(part)
    return tuple(keys)


def _explain(problem: Any, keys: Keys, model: type[BaseModel]) -> str:
    if problem["type"] == "missing":
        return "this key is missing"
    if problem["type"] == "extra_forbidden":
        parents = [key for key in keys[:-1] if isinstance(key, str)]
        known = (_NESTED.get(parents[-1], model) if parents else model).model_fields
        near = did_you_mean(str(keys[-1]), [name for name in known if name != "config" or parents])
        return f"unknown key{near}"
    if problem["type"] == "string_type" and isinstance(problem["input"], bool | int | float):
        given = str(problem["input"]).lower() if isinstance(problem["input"], bool) else problem["input"]
        return f"{given} is no text in YAML: write it in quotes to mean the text"
    return str(problem["msg"]).removeprefix("Value error, ")


def _contradictions(one: Definition) -> Iterator[tuple[Keys, str]]:
    """What no single key can tell: (keys, problem) pairs."""
    if one.kind == "multiple_choice" and one.choices is None:
        yield ("kind",), "multiple_choice needs the key choices"
    if one.kind != "multiple_choice" and one.choices is not None:
        yield ("choices",), f"a task of kind {one.kind} has no choices"
    if (one.contexts is None) != (one.continuation is None):
        yield ("contexts",), "contexts and continuation go together"
    if one.contexts is not None and one.kind != "multiple_choice":
        yield ("contexts",), f"a task of kind {one.kind} has one prompt; write prompt"
    if one.kind != "rolling" and not one.prompt and one.contexts is None:
        yield ("prompt",), f"a task of kind {one.kind} needs a prompt"
    if one.images is not None and one.kind in ("rolling", "embed"):
        yield ("images",), f"a task of kind {one.kind} shows no pictures"
    if isinstance(one.target, int) and one.kind != "multiple_choice":
        yield ("target",), "a number is an index into choices, which this kind does not have; quote it to mean text"
    if isinstance(one.choices, tuple) and len(one.choices) < 2:
        yield ("choices",), "give at least two choices"
    if one.classify is not None:
        count = len(one.choices) if isinstance(one.choices, tuple) else 0
        if one.kind not in ("multiple_choice", "generate"):
            yield ("classify",), f"a task of kind {one.kind} has no classes"
        elif len(one.classify.labels) != count:
            yield ("classify", "labels"), f"give a name for each of the {count} choices, in their order"
    seen: set[str] = set()
    for index, entry in enumerate(one.metrics):
        if entry.filter != "none" and entry.filter not in one.filters:
            yield ("metrics", index, "filter"), f"there is no filter {entry.filter!r} in filters"
        if entry.filter != "none" and one.kind != "generate":
            yield ("metrics", index, "filter"), f"a task of kind {one.kind} has no text to filter"
        if entry.key in seen:
            yield ("metrics", index), f"{entry.key} is there twice; tell them apart with name: or filter:"
        seen.add(entry.key)
    if one.primary is not None and one.primary not in seen:
        yield ("primary",), f"{one.primary!r} is none of this task's metrics: {', '.join(sorted(seen))}"
    if one.fewshot.num and one.dataset.splits.fewshot is None and one.fewshot.file is None:
        yield ("fewshot", "num"), "examples are asked for, but dataset.splits.fewshot names no split"
    if one.configs is not None and not one.configs:
        yield ("configs",), "the list is empty"


def _expand(one: Definition) -> tuple[tuple[Definition, ...], tuple[Group, ...]]:
    """A file with ``configs`` is one task for each config, a group for each heading, and one over all."""
    if one.configs is None:
        return (one,), ()
    headings = one.configs if isinstance(one.configs, dict) else {"": one.configs}
    aggregate = one.group.aggregate or (one.primary_key,)
    tasks: list[Definition] = []
    groups: list[Group] = []
    for heading, configs in headings.items():
        members = tuple(_for_config(one, config) for config in configs)
        tasks.extend(members)
        if heading:
            names = tuple(member.name for member in members)
            alias = heading.replace("_", " ")
            groups.append(Group(f"{one.name}_{heading}", names, one.group.version, alias, aggregate))
    children = tuple(group.name for group in groups) or tuple(task.name for task in tasks)
    groups.append(Group(one.name, children, one.group.version, one.alias, aggregate))
    return tuple(tasks), tuple(groups)


def _for_config(one: Definition, config: str) -> Definition:
    sample = one.sample
    if sample is not None:
        where = {key: config if value == "{{config}}" else value for key, value in sample.where.items()}
        sample = sample.model_copy(update={"where": where})
    return one.model_copy(
        update={
            "name": f"{one.name}_{config}",
            "alias": config,
            "config": config,
            "configs": None,
            "sample": sample,
            "dataset": one.dataset.model_copy(update={"config": config}),
        }
    )
