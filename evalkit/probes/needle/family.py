"""Names: needle:KIND:lengths=512+1024:depths=0+50+100:repeats=2:prefix=yes:seed=1:text=FOLDER."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.probes import options
from evalkit.probes.needle.languages import LANGUAGES
from evalkit.probes.needle.task import Grid, NeedleTask
from evalkit.store import paths
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "needle:KIND:lengths=512+1024:depths=0+50+100": "needles in a haystack, exact in tokens, over a grid of "
    "lengths and depths; KIND: single, multi, distractors, two_fact, variables, words, passkey",
}
KINDS = ("single", "multi", "distractors", "two_fact", "variables", "words", "passkey")
READERS: options.Readers = {
    "kind": options.one_of(KINDS),
    "lengths": options.wholes(64),
    "depths": options.wholes(0, 100),
    "repeats": options.whole(1),
    "needles": options.whole(1, 40),
    "prefix": options.flag,
    "seed": options.whole(0),
    "threshold": options.share,
    "max_tokens": options.whole(1),
    "text": Path,
    "lang": options.one_of(("en", *LANGUAGES)),
}


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError for a parameter that is unknown or makes no sense."""
    asked = options.parse(name, READERS, "kind")
    if "text" in asked:
        asked["text"] = asked["text"].expanduser()
        if not asked["text"].exists():
            raise UserError(f"{name}: there is no file or folder {asked['text']}")
    if asked.get("lang", "en") != "en" and asked.get("kind", "single") != "single":
        raise UserError(f"{name}: lang={asked['lang']}: only the kind single is there in other languages than English")
    template = load_task(paths.share("tasks") / "needle" / "grid.yaml")
    kind = asked.get("kind", "single").replace("_", " ")
    one = template.tasks[0].model_copy(update={"name": name, "description": f"{template.description} Kind: {kind}."})

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        task = NeedleTask(name, Grid(**asked))
        task.info = replace(task.info, citation=one.citation, alias=_short(asked))
        return task

    return Defined(template.source, (one,), (), one.description, build=build)


def _short(asked: dict[str, Any]) -> str | None:
    """What reports call a grid whose name says all of its parameters: "needle single 512 to 2,048"; the name itself
    where that is short.
    """
    if not asked.keys() - {"kind"}:
        return None
    lengths = [f"{length:,}" for length in asked.get("lengths", ())]
    span = [" to ".join(dict.fromkeys((lengths[0], lengths[-1])))] if lengths else []
    others = [
        f"{key} {'yes' if value is True else 'no' if value is False else value}"
        for key, value in asked.items()
        if key not in ("kind", "lengths", "depths", "repeats", "text")
    ]
    text = [f"text {asked['text'].name}"] if "text" in asked else []
    return " ".join(["needle", asked.get("kind", "single"), ", ".join([*span, *others, *text])]).strip()
