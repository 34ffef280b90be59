"""What can be run: all task definitions of evalkit, of installed packages and of --include-path folders, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract import registry
from evalkit.contract.capabilities import traits
from evalkit.contract.errors import UserError
from evalkit.contract.types import Group, Shots, Task
from evalkit.data.generated import is_own
from evalkit.spec.models import RunSpec, TaskSpec
from evalkit.store import paths
from evalkit.task import declared, families, lm_eval, objects, own, shots
from evalkit.task import sample as samples_of
from evalkit.task.definition import Defined, Definition, load_group, load_task
from evalkit.task.groups import leaves
from evalkit.task.shots import parse_suffixes

if TYPE_CHECKING:
    from evalkit.task.live import Maker
    from evalkit.task.native import Options

LM_EVAL = "lm_eval:"


@dataclass(frozen=True)
class Selection:
    """What a run's names stand for: tasks (each once, in order), and their groups (children before parents).

    ``roots`` are the names as asked; ``asked`` is the entry of the spec that brought each task.
    """

    tasks: tuple[Task, ...]
    groups: tuple[Group, ...]
    roots: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    asked: Mapping[str, TaskSpec] = field(default_factory=dict)


def builtin_tasks() -> Path:
    """The folder of evalkit's own tasks (the entry point "builtin" of the group evalkit.tasks)."""
    return paths.share("tasks")


def resolve(spec: RunSpec, given: Sequence[Task | Maker] = ()) -> Selection:
    """The tasks that a run asks for, configured; ``given`` are the objects of the entries that say so. UserError for
    unknown names and for contradictory entries.
    """
    catalog = Catalog.of(spec.include_path)
    tasks: dict[str, Task] = {}
    asked: dict[str, TaskSpec] = {}
    groups: dict[str, Group] = {}
    warnings = broken_files(catalog)
    entries = [entry if entry.given else parse_suffixes(entry) for entry in spec.tasks]
    for entry in entries:
        if entry.data is not None:
            catalog.add(own.defined(entry))
        elif told := [key for key in ("prompt", "target", "choices") if getattr(entry, key) is not None]:
            raise UserError(f"task {entry.name}: {told[0]} is for a file of one's own: give data as well (--data FILE)")
    native = {name for entry in entries for name in _native_names(catalog, entry)}
    for written, wanted in zip(spec.tasks, entries, strict=True):
        number = None if written.given else shots.asked(written, spec)
        found: list[Task]
        found_groups: list[Group]
        if wanted.given or objects.is_registered(wanted.name):
            task, notes = objects.resolve(wanted, spec, given, number)
            found, found_groups = [task], []
        elif wanted.name.startswith(LM_EVAL):
            found, found_groups, notes = _from_lm_eval(wanted, spec, number, native)
        else:
            found, found_groups, notes = _from_catalog(catalog, wanted, spec, number)
        for task in found:
            name = task.info.name
            before = asked.get(name)
            if before is not None and before.given != wanted.given:
                raise UserError(f"task {name} is asked for twice, by its name and as an object: rename one of them")
            if before is not None and _settings(before, tasks[name], spec) != _settings(wanted, task, spec):
                raise UserError(
                    f"task {name} is asked for twice with different settings, by {before.name} and {wanted.name}; "
                    "give each its own run"
                )
            if before is None:
                tasks[name], asked[name] = task, wanted
        for group in found_groups:
            known = groups.get(group.name)
            children = group.children if known is None else tuple(dict.fromkeys((*known.children, *group.children)))
            groups[group.name] = Group(group.name, children, group.version, group.alias, group.aggregate)
        warnings += notes
    roots = tuple(entry.name for entry in spec.tasks)
    return Selection(tuple(tasks.values()), tuple(groups.values()), roots, tuple(dict.fromkeys(warnings)), asked)


def broken_files(catalog: Catalog, pattern: str = "*") -> list[str]:
    """What is wrong with the files that the catalog leaves out, of those in folders of such names, a line each."""
    return [
        f"left out: {error}" for file, error in sorted(catalog.broken.items()) if fnmatchcase(file.parent.name, pattern)
    ]


class Catalog:
    """Every definition by name. Built by reading each file once; nothing heavy is imported."""

    def __init__(self, folders: Sequence[Path], own: Sequence[Path] = ()) -> None:
        """``own``: folders of the user's. A file there that cannot be read takes nothing away from the others."""
        self.tasks: dict[str, tuple[Definition, Defined]] = {}
        self.groups: dict[str, Group] = {}
        self.files: dict[str, Path] = {}
        self.notes: dict[str, str] = {}
        self.shots: dict[str, Mapping[str, int]] = {}
        self.renamed: dict[str, str] = {}
        """Old names of tasks, and those that they have now."""
        self.broken: dict[Path, UserError] = {}
        """What is wrong with a file of the user's, which is in nobody's way until its folder's name is asked for."""
        self._own = frozenset(folder.resolve() for folder in own)
        for file in _files([*folders, *own]):
            self._add_file(file)
        self._check_children()

    @classmethod
    def of(cls, include_path: Iterable[Path] = ()) -> Catalog:
        """The catalog of all installed packages and the given folders."""
        own = list(include_path)
        for path in own:
            if not path.is_dir():
                raise UserError(f"--include-path {path}: there is no such folder")
        return cls([_folder(name) for name in registry.names(registry.TASKS)], own)

    def _add_file(self, file: Path) -> None:
        load = {declared.FILE: declared.load_benchmark, "task.yaml": load_task}.get(file.name, load_group)
        try:
            defined = load(file)
        except UserError as error:
            if file.name != declared.FILE and not self._is_own(file):
                raise
            self.broken[file] = error
        else:
            self.add(defined)

    def _is_own(self, file: Path) -> bool:
        return any(file.is_relative_to(folder) for folder in self._own)

    def add(self, defined: Defined) -> None:
        """Take in what one file defines. UserError for a name that is there already."""
        for name in (*(one.name for one in defined.tasks), *(one.name for one in defined.groups)):
            if name in self.files:
                raise UserError(
                    f"{name} is defined twice, in {self.files[name]} and in {defined.source.file}; rename one"
                )
            self.files[name] = defined.source.file
        self.tasks |= {one.name: (one, defined) for one in defined.tasks}
        self.renamed |= {old: one.name for one in defined.tasks for old in one.formerly}
        self.groups |= {one.name: one for one in defined.groups}
        if defined.groups:
            self.notes[defined.groups[-1].name] = defined.description
            self.shots[defined.groups[-1].name] = defined.shots

    def _check_children(self) -> None:
        for group in list(self.groups.values()):
            file = self.files[group.name]
            problem = self._problem_of(group)
            if problem is not None and not self._is_own(file):
                raise UserError(f"{file}: group {group.name}{problem}")
            if problem is not None:
                self.broken[file] = UserError(f"{file}: group {group.name}{problem}")
                del self.groups[group.name], self.files[group.name]
                self._check_children()  # groups that contain it
                return

    def _problem_of(self, group: Group) -> str | None:
        for child in group.children:
            if not self.has(child):
                return f": unknown child {child!r}{registry.did_you_mean(child, self.files)}"
        return " contains itself" if group.name in self._below(group.name, ()) else None

    def _below(self, name: str, above: tuple[str, ...]) -> set[str]:
        if name in above or name not in self.groups:
            return set()
        children = self.groups[name].children
        return set(children).union(*(self._below(child, (*above, name)) for child in children))

    @cached_property
    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """The tasks of every tag."""
        found: dict[str, tuple[str, ...]] = {}
        for name, (definition, _) in self.tasks.items():
            for tag in definition.tags:
                found[tag] = (*found.get(tag, ()), name)
        return found

    def expand(self, name: str) -> tuple[str, ...]:
        """The task and group names that a name, tag or pattern stands for."""
        if name in self.files or name in self.renamed or families.of(name) is not None:
            self.require(name)
            return (name,)
        if name in self.tags:
            return self.tags[name]
        if any(sign in name for sign in "*?["):
            if matches := tuple(one for one in self.files if fnmatchcase(one, name)):
                return matches
            self._tell_broken(name)
            raise UserError(f"no task or group matches the pattern {name!r}; see `evalkit tasks list`")
        self.require(name)
        return ()

    def has(self, name: str) -> bool:
        """Whether this is a task or group. A parametrised name ("wmt22:de-en") is made into one by its family, which
        may raise UserError.
        """
        if name in self.files:
            return True
        if name in self.renamed:
            definition, defined = self.tasks[self.renamed[name]]
            kept = definition.model_copy(update={"name": name, "formerly": ()})
            self.add(replace(defined, tasks=(kept,), groups=()))
            return True
        family = families.of(name)
        if family is None:
            return False
        self.add(family(name, self))
        return name in self.files

    def require(self, name: str) -> None:
        """UserError with near names unless this is a task or group."""
        if not self.has(name):
            self._tell_broken(name)
            near = registry.did_you_mean(name, (*self.files, *self.tags, *registry.names(registry.TASK_OBJECTS)))
            left = f"; left out: {next(iter(self.broken.values()))}" if self.broken else ""
            raise UserError(f"unknown task {name!r}{near}; see `evalkit tasks list`{left}")

    def _tell_broken(self, pattern: str) -> None:
        """UserError if a file that could not be read lies in a folder of this name."""
        for file, error in self.broken.items():
            if fnmatchcase(file.parent.name, pattern):
                raise error

    def leaves(self, name: str) -> tuple[str, ...]:
        """The tasks of a group and of its nested groups, in order; of a task, itself."""

        return leaves(self.groups[name], self.groups) if name in self.groups else (name,)

    def nested(self, name: str, kept: set[str]) -> list[Group]:
        """A group and its nested groups, children first, without tasks that are not ``kept``."""
        found: dict[str, Group] = {}

        def walk(group: Group) -> None:
            for child in group.children:
                if child in self.groups:
                    walk(self.groups[child])
            children = tuple(child for child in group.children if child in kept or child in found)
            if children:
                found[group.name] = Group(group.name, children, group.version, group.alias, group.aggregate)

        if name in self.groups:
            walk(self.groups[name])
        return list(found.values())

    def task(self, name: str, options: Options) -> Any:
        """One task, ready to run."""
        from evalkit.task.native import NativeTask

        definition, defined = self.tasks[name]
        return (defined.build or NativeTask)(definition, defined.source, options)

    def n_sample(self, definition: Definition) -> int:
        """How many bundled items are evaluated."""
        return len(samples_of.rows(definition.sample, definition.dataset.splits.eval)) if definition.sample else 0


def _native_names(catalog: Catalog, entry: TaskSpec) -> set[str]:
    """The names of evalkit's own tasks and groups that an entry brings."""
    if entry.given or objects.is_registered(entry.name):
        return {entry.name}
    if entry.name.startswith(LM_EVAL):
        return set()
    tops = catalog.expand(entry.name)
    groups = {group.name for top in tops for group in catalog.nested(top, set(catalog.tasks))}
    return groups.union(*(catalog.leaves(top) for top in tops))


def _from_lm_eval(
    entry: TaskSpec, spec: RunSpec, number: Shots | None, taken: set[str]
) -> tuple[list[Task], list[Group], list[str]]:
    """lm-eval's tasks keep their names, but for those that this run also gives to tasks of evalkit's own."""
    found = lm_eval.resolve(entry.name.removeprefix(LM_EVAL), entry, spec, number)
    found = lm_eval.apart(found, taken)
    return list(found.tasks), list(found.groups), []


def _from_catalog(
    catalog: Catalog, entry: TaskSpec, spec: RunSpec, number: Shots | None
) -> tuple[list[Task], list[Group], list[str]]:
    options = _options(
        seed=spec.seed,
        gen_kwargs=spec.gen_kwargs,
        sample=spec.sample or entry.sample,
        metrics=spec.metrics,
    )
    tops = catalog.expand(entry.name)
    names = list(dict.fromkeys(leaf for top in tops for leaf in catalog.leaves(top)))
    if options.sample:
        names = _with_sample(catalog, entry.name, names)
    groups = [group for top in tops for group in catalog.nested(top, set(names))]
    fixed = {task: one for top in tops for task, one in shots.fixed(catalog.groups, catalog.shots, top).items()}
    tasks: list[Task] = []
    notes = broken_files(catalog, entry.name) if any(sign in entry.name for sign in "*?[") else []
    for name in names:
        definition = catalog.tasks[name][0]
        decided = shots.decide(definition, number, fixed.get(name), options.sample)
        task = catalog.task(name, replace(options, shots=decided))
        tasks.append(task)
        notes += [*shots.notes(definition, decided, number, fixed.get(name)), *traits(task).warnings]
    notes += [f"{name}: is called {catalog.renamed[name]} now" for name in tops if name in catalog.renamed]
    if entry.num_fewshot is not None and any(one.number != entry.num_fewshot for one in fixed.values()):
        notes.append(f"{entry.name}: this group fixes its few-shot examples; {entry.num_fewshot} is ignored")
    return tasks, groups, notes


def _with_sample(catalog: Catalog, asked: str, names: Sequence[str]) -> list[str]:
    # What is generated needs no sample: it is there offline as it is.
    kept = [
        name for name in names if catalog.n_sample(catalog.tasks[name][0]) or is_own(catalog.tasks[name][0].dataset.id)
    ]
    if not kept:
        have = [name for name, (one, _) in catalog.tasks.items() if catalog.n_sample(one)]
        raise UserError(f"{asked}: has no bundled items; these have some: {', '.join(have)}")
    return kept


def _options(**chosen: Any) -> Options:
    from evalkit.task.native import Options

    return Options(**chosen)


def _settings(entry: TaskSpec, task: Task, spec: RunSpec) -> tuple[Any, ...]:
    """What must be the same where two entries bring one task."""
    return task.info.num_fewshot, spec.sample or entry.sample, spec.limit if entry.limit is None else entry.limit


def _folder(name: str) -> Path:
    found = registry.load(registry.TASKS, name)
    folder = Path(found() if callable(found) else found)
    if not folder.is_dir():
        raise UserError(
            f"the tasks of {registry.provider(registry.TASKS, name)} (entry point {name} in {registry.TASKS}) should "
            f"be in {folder}, but there is no such folder; reinstall that package"
        )
    return folder


def _files(folders: Sequence[Path]) -> list[Path]:
    """Every task.yaml, benchmark.py and group.yaml below the folders; the same file is taken once."""
    found: dict[Path, None] = {}
    for folder in folders:
        for pattern in ("task.yaml", declared.FILE, "group.yaml"):
            for file in sorted(folder.rglob(pattern)):
                found[file.resolve()] = None
    return list(found)
