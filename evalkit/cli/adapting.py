"""`evalkit study adaptation|lorahub`: a model tuned in several ways, and LoRAs composed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.session import INTERRUPTED
from evalkit.runner.interruption import as_interrupts
from evalkit.spec.option import DATA_DIR

Config = Annotated[Path, typer.Argument(metavar="FILE", help="The study's YAML file; docs/studies.md has its keys.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The study's folder; the same command again goes on there.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help=f"Mirror of data sets, made by `evalkit data pull`. [env: {DATA_DIR}]")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def adaptation(config: Config, output: Output, data_dir: DataDir = None, quiet: Quiet = False) -> None:
    """Tune a model in several ways (all of it, LoRA, IA3, prefixes, prompts, adapters, biases) on one or several tasks,
    and report what each gains there, costs elsewhere, and takes.

    A study that was stopped or killed goes on with the same command.

    evalkit study adaptation examples/adaptation.yaml --output studies/adaptation
    """
    from evalkit.api.adapting import study_adaptation

    with _stoppable():
        study_adaptation(config, output, data_dir=data_dir, note=_note(quiet))
    _say(output)


def lorahub(config: Config, output: Output, data_dir: DataDir = None, quiet: Quiet = False) -> None:
    """Compose LoRAs for tasks that they were not trained on (LoraHub, arXiv 2307.13269), beside zero-shot answers,
    in-context learning and each LoRA alone.

    evalkit study lorahub examples/lorahub.yaml --output studies/lorahub
    """
    from evalkit.api.adapting import study_lorahub

    with _stoppable():
        study_lorahub(config, output, data_dir=data_dir, note=_note(quiet))
    _say(output)


@contextmanager
def _stoppable() -> Iterator[None]:
    with as_interrupts():
        try:
            yield
        except KeyboardInterrupt:
            typer.echo("evalkit: stopped; what was done is kept: the same command goes on", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _note(quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if quiet else (lambda text: typer.echo(f"evalkit: {text}", err=True))


def _say(output: Path) -> None:
    typer.echo(f"report: {output / 'report.html'}")
