"""The same task behind other few-shot examples: how many, and how they are chosen.

examples:TASK:num=5:by=quality+similar   TASK with so many examples, drawn at random, out of the best pairs of a
                                         translation set (quality), or most like the question (similar)
shot_curve:TASK:num=0+1+5+10             TASK with each of these numbers

TASK may be a group. The three arms of Hendy et al. 2023 (arXiv 2302.09210) are by=random (RR), by=quality (QR) and
by=quality+similar (QS). Results stand side by side: each name is a task of its own. The number belongs to the name, so
--num-fewshot does not change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.probes import options
from evalkit.task.definition import Defined, Definition

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "examples:TASK:num=5:by=quality+similar": "a task behind so many examples; by: random, similar (most like the "
    "question), quality (the best pairs of a translation set), quality+similar",
    "shot_curve:TASK:num=0+1+5+10": "a task behind each of these numbers of examples",
}
CURVE = (0, 1, 5, 10)
NUM = 5
SHARE = 0.5
"""Of the pool, where examples are chosen by quality."""
BY = ("random", "similar", "quality", "quality+similar")
COMMON: options.Readers = {
    "by": options.one_of(BY),
    "share": options.share,
    "measure": options.one_of(("length", "comet_kiwi")),
}
READERS = {
    "examples": {"num": options.whole(0, 1000), **COMMON},
    "shot_curve": {"num": options.wholes(0, 1000), **COMMON},
}


def family(name: str, catalog: Catalog) -> Defined:
    """The tasks and groups of a name. UserError for parameters that are none and tasks that take no examples."""
    prefix, _, rest = name.partition(":")
    inner, given = _split(rest, READERS[prefix])
    if not inner:
        raise UserError(f"{name!r}: write {prefix}:TASK, with a task or a group of them")
    catalog.require(inner)
    asked = options.parse(f"{prefix}:{given}" if given else prefix, READERS[prefix])
    if set(asked) & {"share", "measure"} and "quality" not in asked.get("by", ""):
        raise UserError(f"{name}: share and measure go with by=quality or by=quality+similar")
    numbers = (asked.get("num", NUM),) if prefix == "examples" else asked.get("num", CURVE)
    behind = "".join(f":{part}" for part in given.split(":") if part and not part.startswith("num="))
    made: dict[str, tuple[Definition, Any]] = {}
    for leaf in catalog.leaves(inner):
        definition, defined = catalog.tasks[leaf]
        _check(name, definition, defined)
        for number in numbers:
            # One name a set of examples, whether it was asked for by itself or in a curve.
            own = name if prefix == "examples" and leaf == inner else f"examples:{leaf}:num={number}{behind}"
            made[own] = (_of(definition, own, number, asked), defined)
    groups = (
        () if list(made) == [name] else (Group(name, tuple(made), "1.0"),)
    )  # the same items in several ways: no average
    source = next(iter(made.values()))[1].source
    kept = tuple(one for own, (one, _) in made.items() if own not in catalog.files)
    return Defined(source, kept, groups, f"{inner} behind chosen few-shot examples.")


def _split(text: str, readers: options.Readers) -> tuple[str, str]:
    """The task (whose own name may have colons) and the parameters behind it."""
    parts = text.split(":")
    at = len(parts)
    while at > 1 and parts[at - 1].partition("=")[0] in readers and "=" in parts[at - 1]:
        at -= 1
    return ":".join(parts[:at]), ":".join(parts[at:])


def _check(name: str, one: Definition, defined: Defined) -> None:
    if defined.build is not None or one.kind == "rolling":
        raise UserError(f"{name}: {one.name} takes no few-shot examples")
    if one.fewshot.locked:
        raise UserError(f"{name}: the examples of {one.name} stand in its prompt")
    if one.dataset.splits.fewshot is None and one.fewshot.file is None:
        raise UserError(f"{name}: {one.name} has no split to take few-shot examples from")


def _of(one: Definition, name: str, number: int, asked: dict[str, Any]) -> Definition:
    by = asked.get("by", "random")
    change: dict[str, Any] = {"num": number, "locked": True}
    if by != "random":
        change["sampler"] = "similar" if "similar" in by else "random"
    if "quality" in by:
        change |= {"quality": asked.get("share", SHARE), "measure": asked.get("measure", "length")}
    return one.model_copy(
        update={
            "name": name,
            "alias": None,
            "tags": (),
            "description": f"{one.description} Behind {number} examples, chosen by {by}.",
            "fewshot": one.fewshot.model_copy(update=change),
        }
    )
