"""`evalkit study adaptation|lorahub`: one configuration, many trainings and runs, one report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from evalkit.study import adaptation, adaptation_report, config, lorahub, lorahub_report

REPORTS = ("report.html", "report.md")
S = TypeVar("S", bound=config.Study)
Note = Callable[[str], None]


def study_adaptation(
    study: str | Path | config.Adaptation,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    note: Note = lambda _: None,
) -> adaptation.Outcome:
    """Tune a model in every way of ``study`` (a YAML file, or its values) and score what came of it.

    What ``output`` holds of the same study is not done again; its reports are written anew. ``data_dir`` is a mirror of
    data sets; ``note`` is told of progress. Raises UserError for bad input.
    """
    found = adaptation.run(_given(config.Adaptation, study, data_dir), Path(output), note)
    for name in REPORTS:
        adaptation_report.report(found, Path(output) / name)
    return found


def study_lorahub(
    study: str | Path | config.LoraHub,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    note: Note = lambda _: None,
) -> lorahub.Outcome:
    """Compose LoRAs for tasks that they were not trained on, as LoraHub (arXiv 2307.13269), beside zero-shot and
    in-context answers. Folder, mirror and ``note`` as in `study_adaptation`.
    """
    found = lorahub.run(_given(config.LoraHub, study, data_dir), Path(output), note)
    for name in REPORTS:
        lorahub_report.report(found, Path(output) / name)
    return found


def _given(kind: type[S], study: Any, data_dir: str | Path | None) -> S:
    found: S = study if isinstance(study, kind) else config.load(kind, Path(study))
    return found if data_dir is None else found.model_copy(update={"data_dir": Path(data_dir)})
