"""A task of many yes-or-no items, and models that are right on those that a test says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection
from pathlib import Path

KINDS = 100

TASK = """
name: {name}
version: "1.0"
description: Items whose answer stands in the question; a scripted model gets some kinds of them right.
dataset: {{id: test/{name}, config: default, splits: {{eval: test}}}}
kind: multiple_choice
prompt: "Say {{{{ gold }}}} for item {{{{ number }}}} of kind {{{{ kind }}}}:"
choices: ["no", "yes"]
target: label
fewshot: {{num: 0}}
metrics:
  - metric: acc
"""


def write_task(folder: Path, name: str, items: int) -> None:
    """``folder``/tasks/NAME/task.yaml and its data in ``folder``/data."""
    generator = random.Random(f"{name}:{items}")
    home = folder / "tasks" / name
    home.mkdir(parents=True)
    (home / "task.yaml").write_text(TASK.format(name=name), "utf-8")
    data = folder / "data" / "test" / name / "default"
    data.mkdir(parents=True)
    rows = []
    for number in range(items):
        label = generator.randrange(2)
        rows.append(
            {"number": number, "kind": f"k{generator.randrange(KINDS)}k", "label": label, "gold": ("no", "yes")[label]}
        )
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_script(path: Path, wrong: Collection[int] | Callable[[int], bool]) -> Path:
    """A script of the mock backend that is wrong on these kinds of items and right on all others."""
    kinds = [kind for kind in range(KINDS) if (wrong(kind) if callable(wrong) else kind in wrong)]
    missed = "|".join(map(str, kinds)) or "none"
    rules = [
        {"match": f"^Say yes .*kind k({missed})k", "prefer": " no"},
        {"match": f"^Say no .*kind k({missed})k", "prefer": " yes"},
        {"match": "^Say yes", "prefer": " yes"},
        {"match": "^Say no", "prefer": " no"},
    ]
    path.write_text(json.dumps(rules), "utf-8")
    return path
