"""`evalkit data check`: is a benchmark clean, and has it been seen?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.probes.contamination.check import TaskCheck, check
from evalkit.spec import config


def check_data(
    settings: Mapping[str, Any],
    corpus: Path | None = None,
    unseen: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> list[TaskCheck]:
    """Look for copies among the items of ``settings["tasks"]`` and those that few-shot examples are drawn from; in the
    text folder ``corpus``; and, where there is a ``model``, by its probabilities, beside the texts of ``unseen``. See
    docs/data_quality.md. Raises UserError for bad input.
    """
    asked = "model" in settings
    if not asked and (idle := next((name for name in ("dtype", "device") if name in settings), None)):
        raise UserError(f"--{idle}: is a model's: give --model too, whose probabilities say what it has seen")
    (spec,) = config.expand(*config.merge({}, settings if asked else {**settings, "model": "mock"}, config.Origin()))
    return check(spec, corpus, spec.model if asked else None, unseen, tell)
