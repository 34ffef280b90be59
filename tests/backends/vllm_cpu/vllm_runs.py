"""What a model answers to bundled items, in a shape to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import evalkit

Answers = dict[str, list[Any]]
"""By task: (log-likelihood, is greedy), or a text, in the order of the documents."""


def responses(model: Any, tasks: list[str], folder: Path, **settings: Any) -> Answers:
    """What ``model`` answers to the bundled items of ``tasks``."""
    evalkit.evaluate(model, tasks, output=folder, bundled=True, progress=False, **settings)
    return samples(folder)


def samples(folder: Path) -> Answers:
    """What a run directory holds."""
    run = evalkit.load_run(folder)
    found: Answers = {}
    for name in run:
        table = run.samples(name).sort_values("doc_id")
        assert set(table["status"]) == {"ok"}
        found[name] = [
            (one["loglikelihood"], one["is_greedy"]) if one["text"] is None else one["text"]
            for row in table["responses"]
            for one in row
        ]
    return found
