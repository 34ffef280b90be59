"""What the commands of `evalkit judge` have in common: the judge's options, and how a result is shown and written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli.options import Given, model_spec, takes
from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.cost import bill_of, expectation
from evalkit.render.terminal import rows_table
from evalkit.runner.progress import for_console
from evalkit.spec.models import ModelSpec
from evalkit.spec.option import MODEL
from evalkit.spec.table import of_panel
from evalkit.text.reading import read_text

if TYPE_CHECKING:
    from evalkit.judge import Judge
    from evalkit.runner.costs import Expected
    from evalkit.store.journal import Journal

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the verdicts go, as JSON.")]
judge_model = takes(*of_panel(MODEL), "chat_template", required=("model",), short={"model": "-M -m"})
"""Gives a command the options that choose and load the judge, as `evalkit run` has them."""
PROMPT = ("prompt", Path | None, typer.Option("--prompt", help="A prompt of your own: a text file with a template."))
MAX_TOKENS = (
    "max_tokens",
    int | None,
    typer.Option("--max-tokens", min=1, help=r"Tokens a reply; more where the judge thinks first. \[default: 64]"),
)
_OUTPUT = ("output", Path | None, typer.Option("--output", "-o", help="Where the verdicts go, as JSON."))


@dataclass(frozen=True, slots=True)
class Asked:
    """What every judging command is given: the judge and its prompt."""

    settings: Given
    prompt: Path | None
    max_tokens: int | None
    output: Path | None

    @contextmanager
    def judge(self, chat: bool = True) -> Iterator[Judge]:
        """The judge, loaded; asked by its chat template unless --chat-template says otherwise. What it may cost is said
        before it is asked, and what it has cost afterwards.
        """
        with paying(spec_of(self.settings, chat), self.output) as more, opened_judge(more, self.max_tokens) as judge:
            yield judge

    def template(self, default: str) -> str:
        """The prompt that was given, or ``default``."""
        return default if self.prompt is None else read_text(self.prompt, "prompt (--prompt)")


def judging(
    *shown: str, options: tuple[Any, ...] = (PROMPT, MAX_TOKENS)
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Makes a command of a function (asked, rows, options of its own) that gives a result, whose fields ``shown`` are
    printed: with the judge's options, ``options`` and --output.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])
            for name, kind, option in (*options, _OUTPUT)
        ]
        settings = inspect.Parameter("settings", inspect.Parameter.KEYWORD_ONLY, annotation=Given)

        @functools.wraps(function)
        def command(**given: Any) -> None:
            from evalkit.judge.reading import Unread

            output = given.pop("output")
            asked = Asked(given.pop("settings"), given.pop("prompt", None), given.pop("max_tokens", None), output)
            check_output(output)
            result = function(asked, **given)
            tell(result, shown, output)
            if cut := result.unread.get(Unread.CUT, 0) if hasattr(result, "unread") else 0:
                typer.echo(f"{cut} replies were cut off before their verdict: give more --max-tokens", err=True)

        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        command.__signature__ = inspect.Signature([settings, *keyword, *added])  # type: ignore[attr-defined]
        return judge_model(command)

    return decorate


REPLIES = ".replies"
"""Behind the name of --output: the replies of a judge at work, there until the verdicts are."""


@contextmanager
def paying(spec: ModelSpec, output: Path | None) -> Iterator[tuple[ModelSpec, Journal | None]]:
    """The judge's specification, and where its replies are kept while it works; they go once all is done. UserError for
    a limit of cost without a place where replies could be kept.
    """
    if spec.max_cost is not None and output is None:
        raise UserError("--max-cost: give --output too: replies are kept beside it, and can be paid once alone")
    if output is None:
        yield spec, None
        return
    from evalkit.store.journal import Journal

    path = output.with_name(output.name + REPLIES)
    book = Journal(path)
    try:
        yield spec, book
    finally:
        book.close()
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def opened_judge(
    given: tuple[ModelSpec, Journal | None],
    max_tokens: int | None,
    what: str = "the judge:",
    progress: bool = False,
) -> Iterator[Judge]:
    """A judge that is loaded, and says what it costs where it is paid (of ``what``)."""
    from evalkit.judge import opened

    spec, book = given
    more: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
    if progress:
        more["progress"] = for_console(console(stderr=True))
    with opened(spec, book=book, ahead=_ahead, **more) as judge:
        try:
            yield judge
        finally:
            if line := bill_of(judge.counters, judge.backend.info.details.get("price") or {}):
                typer.echo(f"{what} {line}", err=True)


def _ahead(name: str, expected: Expected) -> None:
    if any(expected.quote.price or (1,)):
        typer.echo(f"ahead ({name}), {expected.requests:,} prompts:", err=True)
        for line in expectation(expected):
            typer.echo(f"  {line}", err=True)


def spec_of(settings: Mapping[str, Any], chat: bool = True) -> ModelSpec:
    """The model; it is asked by its chat template unless --chat-template says otherwise."""
    return model_spec({"chat_template": chat, **settings})


def tell(result: Any, shown: tuple[str, ...], output: Path | None) -> None:
    """Print a result's fields ``shown``, and write all of it to ``output``."""
    console().print(rows_table(("what", "value"), [(name, _text(getattr(result, name))) for name in shown]))
    if output:
        save(result, output)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, tuple):
        return " – ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items()) or "–"
    if hasattr(value, "share"):
        kappa = "–" if value.kappa is None else f"{value.kappa:.4f}"
        return f"{value.share:.4f} of {value.n} agree, kappa {kappa}"
    if hasattr(value, "people_interval"):
        return f"{value.value:.4f} ({_text(value.interval)}), from {value.labelled} labels of people"
    return "–" if value is None else str(value)


def interval_text(interval: tuple[float, float] | None, digits: int) -> str:
    """An interval for a table; a dash where there is none."""
    return "–" if interval is None else f"{interval[0]:.{digits}f} – {interval[1]:.{digits}f}"


def plain(result: Any) -> dict[str, Any]:
    """A result as a mapping."""
    from dataclasses import asdict, is_dataclass

    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else dict(result)


def save(result: Any, output: Path) -> None:
    """Write a result as JSON. UserError where it cannot be written."""
    import json

    _write(output, json.dumps(plain(result), indent=2, ensure_ascii=False, default=str) + "\n")
    typer.echo(f"verdicts: {output}", err=True)


def write_rows(output: Path, rows: list[dict[str, Any]], what: str) -> None:
    """Write rows as JSON lines. UserError where they cannot be written."""
    import json

    _write(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    typer.echo(f"{len(rows)} {what}: {output}", err=True)


def check_output(output: Path | None) -> None:
    """Before a model is loaded: UserError where nothing could be written."""
    if output is not None:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.open("a").close()
        except OSError as error:
            raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None


def _write(output: Path, text: str) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None
