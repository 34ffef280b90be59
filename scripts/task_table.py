"""Writes docs/tasks.md and the README's table of tasks from the definitions: `python scripts/task_table.py`; `--check`
only compares.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evalkit.task.catalog import Catalog, builtin_tasks
from evalkit.task.families import forms
from evalkit.task.listing import Row, parts, row_of
from evalkit.text.markdown import inline

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs" / "tasks.md", ROOT / "README.md"
BEGIN, END = "<!-- tasks: written by scripts/task_table.py -->", "<!-- end of tasks -->"
KINDS = {
    "group": "groups",
    "multiple_choice": "multiple choice by log-likelihood",
    "generate": "generation",
    "score": "log-likelihood of a text",
    "rolling": "perplexity of a text",
}
HEAD = """\
# Tasks

Every task that comes with evalkit, written by `scripts/task_table.py` from the definitions in `tasks/`; what a name
brings in full, with one of its prompts, says `evalkit tasks show NAME`. Shots are those of the definition (`NAME@5shot`
sets others); the first metric is the one that stands for the task ([metrics.md](metrics.md)). Every task of
lm-evaluation-harness is there besides, as `lm_eval:NAME`.
"""


def rows() -> tuple[Catalog, list[Row]]:
    """evalkit's own tasks and groups, without the parts of a benchmark that is one name."""
    catalog = Catalog([builtin_tasks()])
    found = [row_of(catalog, name) for name in sorted((*catalog.tasks, *catalog.groups))]
    members = parts(found)
    return catalog, [row for row in found if row.name not in members]


def page(catalog: Catalog, found: list[Row]) -> str:
    """docs/tasks.md."""
    lines = [HEAD]
    for kind, words in KINDS.items():
        chosen = [row for row in found if row.kind == kind]
        if not chosen:
            continue
        lines += [f"## {words[0].upper()}{words[1:]}", ""]
        if kind == "group":
            lines += ["| group | tasks | what |", "|:--|--:|:--|"]
            lines += [
                f"| `{row.name}` | {len(catalog.leaves(row.name))} | {inline(row.description)} |" for row in chosen
            ]
        else:
            lines += ["| task | what | data set | shots | metrics |", "|:--|:--|:--|--:|:--|"]
            lines += [
                f"| `{row.name}` | {inline(row.description)} | {inline(row.dataset)} "
                f"| {catalog.tasks[row.name][0].fewshot.num} | {_metrics(row.metrics)} |"
                for row in chosen
            ]
        lines.append("")
    lines += ["## Families: any name of this form", "", "| name | what |", "|:--|:--|"]
    lines += [f"| `{form}` | {inline(what)} |" for form, what in sorted(forms().items())]
    return "\n".join(lines) + "\n"


def _metrics(keys: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(f"`{key.partition(',')[0]}`" for key in keys))


def summary(found: list[Row]) -> str:
    """The README's part: all names, a row for each kind."""
    lines = [BEGIN, "", "| kind | names |", "|:--|:--|"]
    for kind, words in KINDS.items():
        names = [row.name for row in found if row.kind == kind]
        lines += [f"| {words} | {', '.join(names)} |"] if names else []
    lines += [f"| families | {', '.join(f'`{form}`' for form in sorted(forms()))} |"]
    return "\n".join([*lines, "", END])


def main() -> int:
    """Write, or say whether what stands there is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is stale")
    check = parser.parse_args().check
    catalog, found = rows()
    readme = README.read_text("utf-8")
    before, _, rest = readme.partition(BEGIN)
    texts = {
        PAGE: page(catalog, found),
        README: before + summary(found) + rest.partition(END)[2],
    }
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.name}: stale: run python scripts/task_table.py")
        else:
            path.write_text(texts[path], "utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
