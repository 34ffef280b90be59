"""Names: ruler:TASK:lengths=4096+8192:n=500:text=FOLDER; TASK is one of the thirteen, "all", or "synthetic"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.probes import options, windows
from evalkit.probes.ruler.hidden import DEFINITIONS
from evalkit.probes.ruler.task import RulerTask, Settings
from evalkit.store import paths
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "ruler:TASK:lengths=4096+8192:n=500:text=FOLDER": "a task of RULER (niah_single_1 to 3, niah_multikey_1 to 3, "
    "niah_multivalue, niah_multiquery, vt, cwe, fwe, qa_1, qa_2), all, or synthetic (those that need no data set)",
}
SETS = {
    "all": tuple(DEFINITIONS),
    "synthetic": tuple(name for name, one in DEFINITIONS.items() if not one.needs & {"squad", "hotpot"}),
}
READERS: options.Readers = {
    "task": options.one_of((*SETS, *DEFINITIONS)),
    "lengths": options.wholes(256),
    "n": options.whole(1, 100_000),
    "seed": options.whole(0),
    "threshold": options.share,
    "text": Path,
}


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``, or a group of them. UserError for a parameter that is unknown or makes no sense."""
    asked = options.parse(name, READERS, "task")
    if "text" in asked:
        asked["text"] = asked["text"].expanduser()
        if not asked["text"].exists():
            raise UserError(f"{name}: there is no file or folder {asked['text']}")
    kind = asked.pop("task", "all")
    settings = Settings(**asked)
    template = load_task(paths.share("tasks") / "ruler" / "one.yaml")
    rest = name.partition(":")[2].partition(":")[2]
    kinds = {f"ruler:{one}{':' if rest else ''}{rest}": one for one in SETS[kind]} if kind in SETS else {name: kind}
    made = tuple(
        template.tasks[0].model_copy(
            update={"name": one, "description": f"RULER's {what}: {DEFINITIONS[what].description}."}
        )
        for one, what in kinds.items()
        if one not in catalog.files
    )
    lengths = settings.lengths or ()
    keys = ("score,none", *(f"{windows.at('score', length)},none" for length in lengths))
    groups = (Group(name, tuple(kinds), "1.0", None, keys),) if kind in SETS else ()

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        task = RulerTask(definition.name, kinds[definition.name], settings, definition.citation)
        if rest:
            task.info = replace(task.info, alias=_short(kinds[definition.name], settings))
        return task

    return Defined(template.source, made, groups, template.description, build=build)


def _short(kind: str, settings: Settings) -> str:
    """What reports call a task whose name says all of its parameters: "ruler vt 4,096 to 16,384, text essays"."""
    lengths = [f"{length:,}" for length in settings.lengths or ()]
    span = [" to ".join(dict.fromkeys((lengths[0], lengths[-1])))] if lengths else []
    text = [f"text {settings.text.name}"] if settings.text else []
    return f"ruler {kind} {', '.join([*span, *text])}".strip()
