"""Settings that a run and an entry of its tasks have in common."""

from __future__ import annotations

from evalkit.spec import values
from evalkit.spec.option import DOCUMENTS, TASKS, Option

SHOTS = Option(
    "Examples before each question.",
    TASKS,
    short="-f",
    default="the task's",
    advice="0 or more",
)
BUNDLED = Option(
    "Use each task's small bundled items (not comparable with the full set).",
    DOCUMENTS,
    name="bundled",
    aliases=("sample",),
)
LIMIT = Option(
    "First N documents a task, or that share; with :random a seeded draw.",
    DOCUMENTS,
    short="-L",
    metavar="N|0.x[:random]",
    advice="a count (20) or a share below 1 (0.1), never 0; leave it out for all documents",
    read=values.limit_settings,
)
