"""`evalkit judge chat|pairwise|pointwise|faithfulness|truthful|rag|rate|answer|ratings|validate|selfcheck`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from evalkit.cli.chat import chat
from evalkit.cli.judging import (
    MAX_TOKENS,
    PROMPT,
    Asked,
    Output,
    check_output,
    interval_text,
    judge_model,
    judging,
    opened_judge,
    paying,
    plain,
    save,
    spec_of,
    tell,
    write_rows,
)
from evalkit.cli.options import Given
from evalkit.cli.output import console
from evalkit.cli.validate import command as validate
from evalkit.cli.validate import selfcheck_command as selfcheck
from evalkit.contract.errors import UserError
from evalkit.data import rows as row_files
from evalkit.render.terminal import rows_table
from evalkit.spec.models import ModelSpec
from evalkit.store import RunDir
from evalkit.text.reading import Malformed, parse_json, read_text

app = typer.Typer(help="A model as judge of answers that are already there.", no_args_is_help=True)

app.command("validate")(validate)
app.command("selfcheck")(selfcheck)
app.command("chat")(chat)

Rows = Annotated[Path, typer.Argument(help="The rows: JSON lines, CSV or Parquet.")]


@app.command("pairwise")
@judging(
    "win_rate", "win_rate_interval", "length_controlled", "length_controlled_interval", "style_controlled",
    "style_controlled_interval", "first_place", "first_place_interval", "consistency", "n_unparsed", "unread", "human",
    "debiased",
)  # fmt: skip
def pairwise(
    asked: Asked,
    rows: Annotated[list[Path], typer.Argument(help="One file of pairs, or two of answers: a's and b's.")],
    battles: Annotated[Path | None, typer.Option("--battles", help="Where rows for `judge ratings` go.")] = None,
) -> Any:
    """Which of two answers is better, in both orders: rows {question, a, b, id?, reference?, human?}; or two files of
    answers to the same questions, such as `evalkit judge answer` writes.
    """
    from evalkit.judge import pairwise as pairs
    from evalkit.judge.prompts import PAIRWISE

    found, names = _pairs(rows)
    where = " and ".join(map(str, rows))
    with asked.judge() as judge:
        result = pairs.judge_pairs(judge, found, asked.template(PAIRWISE), where)
    if battles:
        write_rows(battles, pairs.battles(found, result.judged, names), "battles")
    return result


@app.command("pointwise")
@judging("mean", "interval", "n_unparsed", "unread", "correlation", "with_length", "debiased")
def pointwise(
    asked: Asked,
    rows: Rows,
    rubric: Annotated[str | None, typer.Option("--rubric", help="What a grade from 1 to 10 means.")] = None,
) -> Any:
    """A grade from 1 to 10: rows {question, answer, id?, reference?, rubric?, human?}."""
    from evalkit.judge.pointwise import grade
    from evalkit.judge.prompts import POINTWISE, RUBRIC

    found = _answered(_read(rows))
    with asked.judge() as judge:
        return grade(judge, found, rubric or RUBRIC, asked.template(POINTWISE), str(rows))


@app.command("faithfulness")
@judging(
    "consistency_rate", "interval", "hallucination_rate", "answer_rate", "mean_words", "n_unparsed", "unread", "human",
    "debiased",
)  # fmt: skip
def faithfulness(asked: Asked, rows: Rows) -> Any:
    """Summaries against their source: rows {source, summary, id?, human?}; or a run directory that has
    summary_faithfulness.
    """
    from evalkit.judge import pointwise as single
    from evalkit.judge.prompts import FAITHFULNESS

    found = _summaries_of(rows) if rows.is_dir() else _read(rows)
    with asked.judge() as judge:
        return single.faithfulness(judge, found, asked.template(FAITHFULNESS), str(rows))


@app.command("truthful")
@judging(
    "about", "rate", "interval", "mean_probability", "n_judged", "n_empty", "n_failed", "human", "debiased",
    options=(PROMPT,),
)  # fmt: skip
def truthful(
    asked: Asked,
    rows: Rows,
    about: Annotated[str, typer.Option("--about", help="What the judge was trained for: truth or information.")] = (
        "truth"
    ),
) -> Any:
    """Answers by a judge trained on TruthfulQA, from its probability of yes: rows {question, answer, id?, human?}; or a
    run directory that has truthfulqa_gen.
    """
    from evalkit.judge.truthful import judge_truth, trained

    template = asked.template(trained(about))
    found = _answers_of(rows) if rows.is_dir() else _read(rows)
    with asked.judge(chat=False) as judge:
        return judge_truth(judge, found, about, template, str(rows))


@app.command("rag")
@judging("means", "intervals", "counts", "unread", options=(MAX_TOKENS,))
def rag(
    asked: Asked,
    rows: Rows,
    embedder: Annotated[
        str | None,
        typer.Option("--embedder", metavar="MODEL", help="Compares questions for answer relevance; without it, words."),
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, max=10, help="Questions made of each answer.")] = 1,
) -> Any:
    """RAGAS's three ratios: rows {question, contexts, answer}."""
    from evalkit.judge.rag import embedded, score_rag

    found = _read(rows)
    with ExitStack() as stack:
        similarity = None if embedder is None else stack.enter_context(embedded(ModelSpec(name=embedder)))
        judge = stack.enter_context(asked.judge())
        return score_rag(judge, found, similarity, str(rows), questions)


@app.command("rate")
def rate(
    verdicts: Annotated[
        Path, typer.Argument(help="What a judging command wrote (--output), or rows {id, judge, human?}.")
    ],
    human: Annotated[Path | None, typer.Option("--human", help="People's labels: rows {id, human}.")] = None,
    span: Annotated[
        str, typer.Option("--span", metavar="LOW,HIGH", help="The least and the greatest value, for rows.")
    ] = "0,1",
    output: Output = None,
) -> None:
    """A judge's rate as people would see it, from their labels of some items (prediction-powered inference)."""
    from evalkit.judge import rates

    kind, saved = "", _saved(verdicts)
    if saved is None:
        items = rates.from_rows(_read(verdicts), _span(span), str(verdicts))
    else:
        items, kind = rates.saved(saved, str(verdicts))
    if human:
        labelled = rates.with_labels(items, kind, _read(human), str(human))
        items = labelled.items
        if labelled.unknown:
            typer.echo(f"{labelled.unknown} labels of {human} name no judged item", err=True)
    result = rates.debiased(items, str(human or verdicts))
    shown = ("value", "interval", "judge", "people", "people_interval", "weight", "labelled", "unlabelled", "unread")
    tell(result, shown, output)


@app.command("answer")
@judge_model
def answer(
    settings: Given,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the answers go, as JSON lines.")],
    questions: Annotated[
        Path | None, typer.Option("--questions", help="Rows {id, turns, category?, reference?}, as MT-Bench has them.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1)] = 256,
) -> None:
    """A model's answers to questions in two turns, ready for `evalkit judge pointwise`, or with another model's for
    `evalkit judge pairwise`.
    """
    from evalkit.judge import turns

    check_output(output)
    asked = turns.checked_questions(_read(questions), str(questions)) if questions else turns.questions()
    with paying(spec_of(settings), output) as given, opened_judge(given, max_tokens, "answers:") as model:
        ask = partial(model.respond, "answers")
        rows = turns.answer_turns(model.backend, asked, chat=model.chat, max_tokens=max_tokens, ask=ask)
    write_rows(output, rows, "answers")


@app.command("ratings")
def ratings(
    rows: Annotated[list[Path], typer.Argument(help="Files of battles: JSON lines, CSV or Parquet.")],
    by: Annotated[str, typer.Option("--by", help="bradley-terry or elo.")] = "bradley-terry",
    control: Annotated[
        str, typer.Option("--control", help="Looks held equal: length, markdown, or both with a comma (bradley-terry).")
    ] = "",
    seed: Annotated[int, typer.Option("--seed")] = 1234,
    output: Output = None,
) -> None:
    """Ratings with intervals out of battles: rows {model_a, model_b, winner: a, b or tie, prompt?, a?, b?}. Battles of
    one prompt are drawn together; answers a and b are for --control.
    """
    from evalkit.judge import ratings as rating
    from evalkit.judge.battles import read_battles, read_controls

    controls = read_controls(control)
    if by not in ("bradley-terry", "elo"):
        raise UserError(f"--by {by}: choose one of bradley-terry, elo")
    if by == "elo" and controls:
        raise UserError("--control: Elo knows no style; take --by bradley-terry")
    battles = [battle for path in rows for battle in read_battles(_read(path), str(path))]
    found = rating.elo(battles, seed) if by == "elo" else rating.bradley_terry(battles, seed, controls=controls)
    cells = [(one.model, f"{one.rating:.1f}", interval_text(one.interval, 1), one.n) for one in found.ratings]
    console().print(rows_table(("model", "rating", "95 % interval", "battles"), cells))
    if found.effects:
        effects = [(one.name, f"{one.value:+.3f}", interval_text(one.interval, 3)) for one in found.effects]
        console().print(rows_table(("style", "log-odds", "95 % interval"), effects))
    for note in found.notes:
        typer.echo(note, err=True)
    if output:
        save({"by": by, "seed": seed, "control": controls, **plain(found)}, output)


def _pairs(paths: list[Path]) -> tuple[list[dict[str, Any]], tuple[str, str]]:
    """Pairs and the names of a and b: of one file as they are, of two files of answers by their questions."""
    from evalkit.judge.turns import pair_answers

    tables = [_read(path) for path in paths]
    if len(tables) == 1:
        return tables[0], ("a", "b")
    if len(tables) > 2:
        raise UserError(f"{len(tables)} files: give one of pairs {{question, a, b}}, or two of answers")
    paired = pair_answers(tables[0], tables[1], (str(paths[0]), str(paths[1])))
    if paired.unmatched or paired.failed:
        lost = f"{paired.unmatched} answers without a partner, {paired.failed} pairs with a failed answer"
        typer.echo(f"left out: {lost}", err=True)
    names = [str(table[0].get("model") or path.stem) for table, path in zip(tables, paths, strict=True)]
    return paired.rows, (names[0], names[1] if names[1] != names[0] else f"{names[1]} ({paths[1].stem})")


def _answered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without answers that failed (of `judge answer`): these are nobody's words to be graded."""
    kept = [row for row in rows if row.get("status") != "error"]
    if len(kept) < len(rows):
        typer.echo(f"left out: {len(rows) - len(kept)} answers that failed", err=True)
    return kept


def _read(path: Path) -> list[dict[str, Any]]:
    return row_files.read(path)


def _saved(path: Path) -> dict[str, Any] | None:
    """What a judging command wrote; None for a file of rows."""
    if path.suffix != ".json":
        return None
    try:
        found = parse_json(read_text(path, "verdicts"))
    except Malformed as error:
        raise UserError(f"{path}: no JSON ({error.reason}); judge again") from None
    return found if isinstance(found, dict) else None


def _span(text: str) -> tuple[float, float]:
    try:
        low, high = (float(one) for one in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise UserError(f"--span {text}: write the least and the greatest value, such as 1,10")
    return low, high


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
