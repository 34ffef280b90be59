"""Four scripted models on every task of hallucination, bundled items: one abstains, one lies, one says yes, one is
perfect. Writes the table of docs/probes.md: `python scripts/scripted_models.py`; `--check` only compares.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import evalkit
from evalkit import Generate, Request
from evalkit.leaderboard.board import load_board
from evalkit.leaderboard.collect import collect
from evalkit.leaderboard.table import build_table
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import Catalog, resolve

PAGE = Path(__file__).parents[1] / "docs" / "probes.md"
BEGIN, END = "<!-- scripted models: written by scripts/scripted_models.py -->", "<!-- end of scripted models -->"
GROUPS = ("hallucination", "hallucination_hub")
LIMIT = 12
LIES = (
    "Zorn built nine submarines for 1431 owls.",
    "A quiet queen sold her copper ships.",
    "Seven goats guard an Otto made of glass.",
    "Milk was invented by purple zebras.",
)
ABSTENTIONS = ("I do not know", "not enough information")


class Number(NamedTuple):
    """A metric's value and unit."""

    value: float | None
    unit: str


Reply = Callable[[Any, Any], str]
"""A model: (task, document's item) -> what it says; of choices, the one it takes."""


def abstaining(task: Any, item: Any) -> str:
    """An option that says so, where there is one (else the last); words."""
    if not item.choices:
        return "I do not know."
    return _abstention(item) or item.choices[-1]


def _abstention(item: Any) -> str | None:
    listed = item.row.get("listed") or item.choices
    texts = list(listed.values()) if isinstance(listed, Mapping) else listed
    shown = zip(item.choices, texts, strict=False)
    return next((choice for choice, text in shown if text in ABSTENTIONS), None)


def lying(task: Any, item: Any) -> str:
    """A wrong option; the false answer that the document names; else an invention."""
    if item.choices:
        gold = item.target if isinstance(item.target, list) else [item.target]
        return next(choice for place, choice in enumerate(item.choices) if place not in gold)
    row = item.row
    if "gold_index" in row:
        wrong = next(key for key in row["listed"] if key != row["gold_index"])
        return str({"cop": row["listed"][wrong], "cop_index": wrong})
    if "asked" in row:
        return str({"is_answer_correct": "no" if row["answers"] == ["yes"] else "yes"})
    for field in ("original", "incorrect_answers"):
        if row.get(field):
            return str(row[field][0])
    return LIES[0]


def agreeing(task: Any, item: Any) -> str:
    """ "yes" and "true" where these are options, else the first one, or words."""
    return next((choice for choice in item.choices if choice in ("yes", "true")), (*item.choices, "Yes, of course.")[0])


def perfect(task: Any, item: Any) -> str:
    """The right option; the right answer, and where nothing can be known, that."""
    if item.choices:
        return item.choices[item.target[0] if isinstance(item.target, list) else item.target]
    row = item.row
    if "gold_index" in row:
        return str({"cop": row["listed"][row["gold_index"]], "cop_index": row["gold_index"]})
    if "asked" in row:
        return str({"is_answer_correct": row["answers"][0]})
    if row.get("real") is False:
        return "There is no such thing."
    if row.get("sound") is False:
        return f"That is false: it is {row['truth'][-1]}."
    if "subject" in row or "beginning" in row:
        return "It is known to many people. It is much liked."
    source = row.get("passage") or row.get("document") or row.get("article")
    if source and task.info.name.partition("_")[0] in ("summary", "xsum", "cnndm"):
        return str(source).split(". ")[0].rstrip(".") + "."
    answer = item.target[0] if isinstance(item.target, list) and item.target else item.target
    return str(answer or "unanswerable")


MODELS: Mapping[str, Reply] = {"abstaining": abstaining, "lying": lying, "agreeing": agreeing, "perfect": perfect}


def _model(name: str, tasks: tuple[Any, ...]) -> Any:
    """The model as a backend: its replies by the contexts that the tasks make."""
    said: dict[str, str] = {}
    for task in tasks:
        documents = task.documents(None)[:LIMIT]
        for document, asked in zip(documents, task.requests(documents, evalkit.PromptStyle()), strict=True):
            said |= {request.context: MODELS[name](task, task.item(document)) for request in asked}

    def answer(request: Request) -> Any:
        reply = said[request.context]
        if isinstance(request, Generate):
            # What a liar invents differs from one sample to the next.
            return LIES[request.repeat % len(LIES)] if reply == LIES[0] else reply
        return -0.5 if request.continuation.strip() == reply.strip() else -10.0

    return evalkit.mock(answer, name=name, fingerprint=f"scripted-{name}")


def figures() -> tuple[dict[str, dict[str, Number | None]], dict[str, float | None]]:
    """For each task the primary metric of each model (None: it has no option that abstains), and the board's index."""
    spec = {"model": {"name": "mock"}, "tasks": [{"name": name} for name in GROUPS], "sample": True}
    tasks = resolve(RunSpec.model_validate(spec)).tasks
    found: dict[str, dict[str, Number | None]] = {task.info.name: {} for task in tasks}
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            out = Path(folder) / name
            run = evalkit.evaluate(
                _model(name, tasks), list(GROUPS), bundled=True, limit=LIMIT, output=out, progress=False
            )
            for task in tasks:
                item = task.item(task.documents(None)[0])
                forced = name == "abstaining" and item.choices and _abstention(item) is None
                one = run[task.info.name][task.info.primary]
                found[task.info.name][name] = None if forced else Number(one.value, one.unit)
        rows = build_table(load_board("hallucination"), collect([Path(folder)])).rows
        index = {row.entry.model.name: row.score for row in rows}
    return found, {name: index.get(name) for name in MODELS}


def table(found: Mapping[str, Mapping[str, Number | None]], index: Mapping[str, float | None]) -> str:
    """A row for each task by its primary metric, and the index; nobody abstains among options that do not say so."""
    lines = [BEGIN, "", f"| task | measure | {' | '.join(MODELS)} |", f"|:--|:--|{'--:|' * len(MODELS)}"]
    catalog = Catalog.of()
    for name, values in found.items():
        if name.startswith("begin_") and name != "begin_gold-wow":
            continue  # the same bundled items
        primary = catalog.tasks[name][0].primary_key.partition(",")[0]
        lines.append(f"| `{name}` | `{primary}` | {' | '.join(map(_cell, values.values()))} |")
    cells = ["–" if value is None else f"{value:.0f}" for value in index.values()]
    lines.append(f"| the board | index | {' | '.join(cells)} |")
    return "\n".join([*lines, "", END])


def _cell(one: Number | None) -> str:
    if one is None or one.value is None:
        return "–"
    return f"{100 * one.value:.0f}" if one.unit == "share" else f"{one.value:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    page = head + table(*figures()) + rest.partition(END)[2]
    if check:
        return int(page != text)
    PAGE.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
