"""Safety tasks with parameters: another grader of refusals, guards that see the text alone, replies that a classifier
grades.

xstest:grader=lm:model=JUDGE
guard:toxic_chat:written=yes
toxic_chat_replies:model=CLASSIFIER
toxigen_continued:model=CLASSIFIER:harmful=1:group=women
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.probes import options
from evalkit.store import paths
from evalkit.task.definition import Defined, Definition, MetricEntry, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "xstest:grader=NAME": "XSTest by another grader of refusals: classifier (model=) or lm (model=, backend=)",
    "guard:TASK": "a task of guards with the text alone, where a model's own template asks; written=yes reads replies",
    "toxic_chat_replies:model=CLASSIFIER": "ToxicChat's inputs answered, the replies graded by a classifier of harm",
    "toxigen_continued:model=CLASSIFIER": "ToxiGen's prompts continued (group=, kind=hate or neutral), graded so",
}
_MODEL: options.Readers = {
    "model": options.given,
    "revision": options.given,
    "device": options.given,
    "batch_size": options.whole(1),
    "shown": options.given,
}
_REFUSALS: options.Readers = {
    **_MODEL,
    "grader": options.given,
    "backend": options.given,
    "written": options.flag,
    "refused": options.whole(0),
    "complied": options.whole(0),
    "partly": options.whole(0),
}
_HARM: options.Readers = {**_MODEL, "harmful": options.whole(0), "grader": options.given}
_PROMPTS: options.Readers = {**_HARM, "group": options.given, "kind": options.given}
VERDICTS = ("safe", "unsafe")
_WRITTEN = ("f1", "precision", "recall", "acc", "read")


def family(name: str, catalog: Catalog) -> Defined:
    """The task of a parametrised name. UserError for an unknown parameter, and where the grader is not named."""
    return _MADE[name.partition(":")[0]](name, catalog)


def _xstest(name: str, catalog: Catalog) -> Defined:
    asked = options.parse(name, _REFUSALS)
    if "grader" not in asked:
        raise UserError(
            f"task {name!r}: which grader of refusals? Write xstest:grader=NAME with classifier, lm or opening"
        )
    return _renamed(name, load_task(paths.share("tasks") / "xstest" / "task.yaml"), asked)


def _toxic_chat(name: str, catalog: Catalog) -> Defined:
    return _renamed(name, _template("toxic_chat_replies"), _harm(options.parse(name, _HARM), name))


def _toxigen(name: str, catalog: Catalog) -> Defined:
    asked = options.parse(name, _PROMPTS)
    group, kind = asked.pop("group", "asian"), asked.pop("kind", "hate")
    if kind not in ("hate", "neutral"):
        raise UserError(f"task {name!r}: kind={kind}: choose hate or neutral")
    made = _renamed(name, _template("toxigen_continued"), _harm(asked, name))
    one = made.tasks[0]
    splits = one.dataset.splits.model_copy(update={"eval": f"{kind}_{group}_1k"})
    dataset = one.dataset.model_copy(update={"splits": splits})
    return Defined(made.source, (one.model_copy(update={"dataset": dataset}),), (), made.description)


def _harm(asked: dict[str, Any], name: str) -> dict[str, Any]:
    if "model" not in asked:
        raise UserError(
            f"task {name!r}: which classifier grades the replies? Write {name.partition(':')[0]}:model=CLASSIFIER"
        )
    return {"grader": "classifier", **asked}


def _guard(name: str, catalog: Catalog) -> Defined:
    parts = name.split(":")
    inner = parts[1] if len(parts) > 1 else ""
    asked = options.parse(":".join([parts[0], *parts[2:]]), {"written": options.flag})
    if inner not in catalog.tasks:
        raise UserError(f"task {name!r}: there is no task {inner!r}; guard: takes xstest_guard, toxic_chat or toxigen")
    one, defined = catalog.tasks[inner]
    if one.classify is None or one.kind != "multiple_choice" or len(one.classify.labels) != len(VERDICTS):
        raise UserError(
            f"task {name!r}: {inner} is no task of guards: it must say what a classifier is shown, and name two classes"
        )
    alone = {"name": name, "prompt": one.classify.text, "fewshot": type(one.fewshot)(locked=True)}
    made = one.model_copy(update={**alone, **(_read(one) if asked.get("written") else {"choices": VERDICTS})})
    return Defined(defined.source, (made,), (), defined.description)


def _read(one: Definition) -> dict[str, Any]:
    """What turns a choice into a verdict that the guard writes: its first word counts."""
    return {
        "kind": "generate",
        "choices": None,
        "classify": None,
        "target": f"{{{{ {list(VERDICTS)!r}[{one.target}] }}}}",
        "generation": type(one.generation)(until=(), max_tokens=20),
        "metrics": tuple(MetricEntry(metric=f"guard.{metric}") for metric in _WRITTEN),
        "primary": "f1,none",
    }


def _template(name: str) -> Defined:
    return load_task(paths.share("tasks") / "replies" / f"{name}.yaml")


def _renamed(name: str, template: Defined, asked: Mapping[str, Any]) -> Defined:
    """The template under this name, every metric with these arguments."""
    one = template.tasks[0]
    metrics = tuple(entry.model_copy(update={"args": {**entry.args, **asked}}) for entry in one.metrics)
    return Defined(
        template.source, (one.model_copy(update={"name": name, "metrics": metrics}),), (), template.description
    )


_MADE: Mapping[str, Callable[[str, Catalog], Defined]] = {
    "xstest": _xstest,
    "guard": _guard,
    "toxic_chat_replies": _toxic_chat,
    "toxigen_continued": _toxigen,
}
