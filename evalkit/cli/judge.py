"""`evalkit judge pairwise|pointwise|faithfulness|truthful|rag|answer|ratings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.backends import opening
from evalkit.cli.options import Given, model_spec, takes
from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.data import rows as row_files
from evalkit.render.terminal import rows_table
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.option import MODEL
from evalkit.spec.table import of_panel
from evalkit.store import RunDir
from evalkit.text.reading import parse_json, read_text

app = typer.Typer(help="A model as judge of answers that are already there.", no_args_is_help=True)

Rows = Annotated[Path, typer.Argument(help="The rows: JSON lines, CSV or Parquet.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Where the verdicts go, as JSON.")]
_judge = takes(*of_panel(MODEL), "chat_template", required=("model",), short={"model": "-M -m"})
"""Gives a command the options that choose and load the judge, as `evalkit run` has them."""
Prompt = Annotated[Path | None, typer.Option("--prompt", help="A prompt of your own: a text file with a template.")]


@app.command("pairwise")
@_judge
def pairwise(
    settings: Given,
    rows: Rows,
    prompt: Prompt = None,
    output: Output = None,
) -> None:
    """Which of two answers is better, in both orders: rows {question, a, b, reference?, human?}."""
    from evalkit.judge import opened
    from evalkit.judge.pairwise import judge_pairs
    from evalkit.judge.prompts import PAIRWISE

    found = _read(rows)
    with opened(_spec(settings)) as judge:
        result = judge_pairs(judge, found, _template(prompt, PAIRWISE), str(rows))
    shown = ("win_rate", "win_rate_interval", "length_controlled", "first_place", "first_place_interval", "consistency")
    _tell(result, (*shown, "n_unparsed", "human"), output)


@app.command("pointwise")
@_judge
def pointwise(
    settings: Given,
    rows: Rows,
    prompt: Prompt = None,
    rubric: Annotated[str | None, typer.Option("--rubric", help="What a grade from 1 to 10 means.")] = None,
    output: Output = None,
) -> None:
    """A grade from 1 to 10: rows {question, answer, reference?, rubric?, human?}."""
    from evalkit.judge import opened
    from evalkit.judge.pointwise import grade
    from evalkit.judge.prompts import POINTWISE, RUBRIC

    found = _read(rows)
    with opened(_spec(settings)) as judge:
        result = grade(judge, found, rubric or RUBRIC, _template(prompt, POINTWISE), str(rows))
    _tell(result, ("mean", "interval", "n_unparsed", "correlation", "with_length"), output)


@app.command("faithfulness")
@_judge
def faithfulness(
    settings: Given,
    rows: Rows,
    prompt: Prompt = None,
    output: Output = None,
) -> None:
    """Summaries against their source: rows {source, summary, human?}; or a run directory that has
    summary_faithfulness.
    """
    from evalkit.judge import opened
    from evalkit.judge import pointwise as single
    from evalkit.judge.prompts import FAITHFULNESS

    found = _summaries_of(rows) if rows.is_dir() else _read(rows)
    with opened(_spec(settings)) as judge:
        result = single.faithfulness(judge, found, _template(prompt, FAITHFULNESS), str(rows))
    shown = ("consistency_rate", "interval", "hallucination_rate", "answer_rate", "mean_words", "n_unparsed", "human")
    _tell(result, shown, output)


@app.command("truthful")
@_judge
def truthful(
    settings: Given,
    rows: Rows,
    about: Annotated[str, typer.Option("--about", help="What the judge was trained for: truth or information.")] = (
        "truth"
    ),
    prompt: Prompt = None,
    output: Output = None,
) -> None:
    """Answers by a judge trained on TruthfulQA, from its probability of yes: rows {question, answer, human?}; or a run
    directory that has truthfulqa_gen.
    """
    from evalkit.judge import opened
    from evalkit.judge.truthful import judge_truth, trained

    template = _template(prompt, trained(about))
    found = _answers_of(rows) if rows.is_dir() else _read(rows)
    with opened(_spec(settings, chat=False)) as judge:
        result = judge_truth(judge, found, about, template, str(rows))
    _tell(result, ("about", "rate", "interval", "mean_probability", "n_judged", "n_empty", "n_failed", "human"), output)


@app.command("rag")
@_judge
def rag(
    settings: Given,
    rows: Rows,
    output: Output = None,
) -> None:
    """RAGAS's three ratios: rows {question, contexts, answer}."""
    from evalkit.judge import opened
    from evalkit.judge.rag import score_rag

    found = _read(rows)
    with opened(_spec(settings)) as judge:
        result = score_rag(judge, found, where=str(rows))
    _tell(result, ("means", "counts"), output)


@app.command("answer")
@_judge
def answer(
    settings: Given,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the answers go, as JSON lines.")],
    questions: Annotated[
        Path | None, typer.Option("--questions", help="Rows {id, category, turns, reference}.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1)] = 256,
) -> None:
    """A model's answers to questions in two turns, ready to be graded by `evalkit judge pointwise`."""
    import json

    from evalkit.judge import two_turn

    asked = _read(questions) if questions else two_turn.questions()
    spec = _spec(settings)
    loaded = opening.open_backend(spec, EngineSpec())
    try:
        rows = two_turn.answer_turns(loaded, asked, chat=bool(spec.chat_template), max_tokens=max_tokens)
    finally:
        loaded.close()
    _write(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    typer.echo(f"{len(rows)} answers: {output}", err=True)


@app.command("ratings")
def ratings(
    rows: Rows,
    by: Annotated[str, typer.Option("--by", help="bradley-terry or elo.")] = "bradley-terry",
    seed: Annotated[int, typer.Option("--seed")] = 1234,
    output: Output = None,
) -> None:
    """Ratings with intervals out of battles: rows {model_a, model_b, winner: a, b or tie}."""
    from evalkit.judge import ratings as rating

    methods = {"bradley-terry": rating.bradley_terry, "elo": rating.elo}
    if by not in methods:
        raise UserError(f"--by {by}: choose one of {', '.join(methods)}")
    battles = []
    for number, row in enumerate(_read(rows), 1):
        points = {"a": 1.0, "b": 0.0, "tie": 0.5}.get(str(row.get("winner")))
        if points is None or not row.get("model_a") or not row.get("model_b"):
            raise UserError(f"{rows}: row {number}: write model_a, model_b, and winner: a, b or tie")
        battles.append(rating.Battle(str(row["model_a"]), str(row["model_b"]), points))
    found = methods[by](battles, seed=seed)

    cells = [
        (
            one.model,
            f"{one.rating:.1f}",
            "–" if one.interval is None else "{:.1f} – {:.1f}".format(*one.interval),
            one.n,
        )
        for one in found
    ]
    console().print(rows_table(("model", "rating", "95 % interval", "battles"), cells))
    if output:
        _save({"by": by, "seed": seed, "ratings": found}, output)


def _spec(settings: Given, chat: bool = True) -> ModelSpec:
    """The judge; it is asked by its chat template unless --chat-template says otherwise."""
    return model_spec({"chat_template": chat, **settings})


def _read(path: Path) -> list[dict[str, Any]]:

    return row_files.read(path)


def _template(path: Path | None, default: str) -> str:
    return default if path is None else read_text(path, "prompt (--prompt)")


def _summaries_of(run: Path) -> list[dict[str, Any]]:
    """The summaries of a run's task summary_faithfulness, with their sources."""
    return [
        {"source": document["passage"], "summary": answer} for document, answer in _scored(run, "summary_faithfulness")
    ]


def _answers_of(run: Path) -> list[dict[str, Any]]:
    """The questions and answers of a run's task truthfulqa_gen."""
    return [{"question": document["question"], "answer": answer} for document, answer in _scored(run, "truthfulqa_gen")]


def _scored(run: Path, task: str) -> list[tuple[dict[str, Any], str]]:
    """The documents of a run's task that were answered, each with its filtered answer."""

    frame = RunDir.open(run).samples(task, ["document", "filtered", "status"])
    return [
        (parse_json(document), str(parse_json(filtered).get("answer", "")))
        for document, filtered, status in zip(frame["document"], frame["filtered"], frame["status"], strict=True)
        if status == "ok"
    ]


def _tell(result: Any, shown: tuple[str, ...], output: Path | None) -> None:

    console().print(rows_table(("what", "value"), [(name, _text(getattr(result, name))) for name in shown]))
    if output:
        _save(result, output)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, tuple):
        return " – ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if hasattr(value, "share"):
        kappa = "–" if value.kappa is None else f"{value.kappa:.4f}"
        return f"{value.share:.4f} of {value.n} agree, kappa {kappa}"
    return "–" if value is None else str(value)


def _save(result: Any, output: Path) -> None:
    import json
    from dataclasses import asdict, is_dataclass

    plain = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
    text = json.dumps(
        plain,
        indent=2,
        ensure_ascii=False,
        default=lambda one: asdict(one) if is_dataclass(one) and not isinstance(one, type) else str(one),
    )
    _write(output, text + "\n")
    typer.echo(f"verdicts: {output}", err=True)


def _write(output: Path, text: str) -> None:

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None
