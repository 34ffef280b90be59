"""fct:TASK and nota:TASK: Med-HALT's tests of reasoning, made of any multiple-choice task (arXiv 2307.15343).

fct   False Confidence Test: an answer is proposed with confidence; in half of the documents it is right. Is it?
nota  None of the Above: the right option is taken out and "None of the above" stands in its place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DataSource, Document, Group, Shots
from evalkit.probes.choices import Options, options_of, stem, with_options
from evalkit.store import paths
from evalkit.task.definition import Defined, Definition, load_task
from evalkit.task.native import NativeTask

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

Row = dict[str, Any]
Derive = Callable[[NativeTask, Document, int], Sequence[Row]]
"""The rows that one document of the inner task becomes; the number is the run's seed."""
FORMS = {
    "fct:TASK": "an answer of a multiple-choice task is proposed with confidence; is it right? (Med-HALT's test)",
    "nota:TASK": 'the right option is taken out and "None of the above" put in its place (Med-HALT\'s test)',
}
NONE = "None of the above"
PICTURES = "pictures"
"""The field of derived rows that holds what the inner document shows."""
NO_SHOTS = Shots(0, "locked", "only the items are used")


class DerivedTask(NativeTask):
    """A task whose rows are made of another task's documents."""

    def __init__(self, inner: NativeTask, derive: Derive, *given: Any) -> None:
        self.inner = inner
        self._derive = derive
        super().__init__(*given)

    def _rows(self, data: DataSource, split: str) -> Sequence[Mapping[str, Any]]:
        found = [
            {**row, **pictures_of(self.inner, document)}
            for document in self.inner.documents(data)
            for row in self._derive(self.inner, document, self._seed)
        ]
        if not found:
            raise UserError(f"{self.info.name}: nothing can be made of the documents of {self.inner.info.name}")
        return found

    @property
    def _seed(self) -> int:
        return self.options.seed


def pictures_of(inner: NativeTask, document: Document) -> Row:
    """The pictures of a document, as a field of the rows that are made of it; nothing for a task without any."""
    return {} if inner.definition.images is None else {PICTURES: inner.held_pictures(document)}


def family(name: str, catalog: Catalog) -> Defined:
    """fct:TASK or nota:TASK; of a group, one for each of its multiple-choice tasks."""
    prefix = name.partition(":")[0]
    return define(name, catalog, f"{prefix}.yaml", DERIVE[prefix], DerivedTask)


def define(
    name: str, catalog: Catalog, file: str, derive: Derive, make: type[DerivedTask], inner_shots: Shots = NO_SHOTS
) -> Defined:
    """The tasks behind a parametrised name whose argument is a task or group; ``inner_shots``: the examples that the
    inner task has at hand. UserError where none of it has choices.
    """
    prefix, _, inner_name = name.partition(":")
    if not inner_name:
        raise UserError(f"{name!r}: write {prefix}:TASK, with a multiple-choice task or a group of them")
    catalog.require(inner_name)
    leaves = [leaf for leaf in catalog.leaves(inner_name) if catalog.tasks[leaf][0].kind == "multiple_choice"]
    if not leaves:
        raise UserError(f"{name}: {inner_name} has no multiple-choice task to make it of")
    template = load_task(paths.share("tasks") / "derived" / file)
    made = {f"{prefix}:{leaf}": _of(template.tasks[0], f"{prefix}:{leaf}", catalog.tasks[leaf][0]) for leaf in leaves}
    groups: tuple[Group, ...] = ()
    if inner_name in catalog.groups:
        groups = (Group(name, tuple(made), template.tasks[0].version, None, (template.tasks[0].primary_key,)),)

    def build(definition: Definition, source: Any, options: Any) -> NativeTask:
        inner = catalog.task(definition.name.partition(":")[2], replace(options, shots=inner_shots, metrics=()))
        return make(inner, derive, definition, source, options)

    # One that the run asks for by itself as well is there already.
    tasks = tuple(one for key, one in made.items() if key not in catalog.files)
    return Defined(template.source, tasks, groups, template.description, build=build)


def _of(template: Definition, name: str, inner: Definition) -> Definition:
    return template.model_copy(
        update={
            "name": name,
            "description": f"{template.description} Made of {inner.name}.",
            "dataset": inner.dataset,
            "sample": inner.sample,
            "citation": "\n".join(filter(None, (template.citation, inner.citation))),
            "target_delimiter": inner.target_delimiter,
            "images": None if inner.images is None else PICTURES,
        }
    )


def _fct(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    """Right in about half of the documents, by the seed and the document alone."""
    item = inner.item(document)
    if item.problem or not isinstance(item.target, int):
        return ()
    found = options_of(inner, document, item)
    draw = random.Random(f"fct/{seed}/{document.hash}")
    right = draw.random() < 0.5
    others = [index for index in range(len(found.texts)) if index != item.target]
    proposed = item.target if right else draw.choice(others)
    return (
        {
            "question": stem(item.question),
            # A question that names its options by letter lists them already.
            "listed": [] if found.labelled else list(found.texts),
            "proposed": found.texts[proposed].strip(),
            "proposed_is_right": right,
            "agrees": 0,
            "gold": 0 if right else 1,
            "of": document.id,
        },
    )


def _nota(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    item = inner.item(document)
    if item.problem or not isinstance(item.target, int):
        return ()
    found: Options = options_of(inner, document, item)
    changed = [NONE if index == item.target else text for index, text in enumerate(found.texts)]
    if found.labelled:
        question, choices = inner.item(with_options(document, found, changed)).question, item.choices
    else:
        question, choices = item.question, tuple(changed)
    return ({"prompt": question, "choices": list(choices), "gold": item.target, "of": document.id},)


DERIVE: Mapping[str, Derive] = {"fct": _fct, "nota": _nota}
