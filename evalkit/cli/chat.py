"""`evalkit judge chat`: questions, models' answers, verdicts in both orders, ratings, one page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.backends import opening
from evalkit.cli.judging import judge_model, opened_judge, plain, save, spec_of, write_rows
from evalkit.cli.options import Given
from evalkit.cli.output import console
from evalkit.contract.errors import LimitReached, UserError
from evalkit.data import rows as row_files
from evalkit.data.sources import mirror_folder
from evalkit.leaderboard.entry import write_entry
from evalkit.render.terminal import rows_table
from evalkit.spec import config
from evalkit.spec.models import ModelSpec
from evalkit.store.files import safe_name
from evalkit.store.journal import Journal

if TYPE_CHECKING:
    from evalkit.judge import Judge
    from evalkit.judge.chat import Asked, Chat
    from evalkit.judge.chat_sets import ChatSet
    from evalkit.judge.fastchat import FastChat

Answers = dict[str, list[dict[str, Any]]]


@judge_model
def chat(
    settings: Given,
    questions: Annotated[
        str, typer.Argument(help="mt_bench, alpaca_eval, two_turn (our own), or a file of rows with turns.")
    ],
    of: Annotated[
        list[str],
        typer.Option(
            "--of",
            metavar="MODEL|FILE",
            help="A model that answers, a .yaml of its settings, or its answers; repeatable.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for page, verdicts and answers.")],
    by: Annotated[
        str | None,
        typer.Option("--by", help=r"grades, pairs, scores (both graded side by side). \[default: grades,pairs]"),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", help=r"The model that all others meet. \[default: the set's own answers, or none]"),
    ] = None,
    battles: Annotated[
        int | None, typer.Option("--battles", min=1, help="Judge so many pairs, where they inform most.")
    ] = None,
    human: Annotated[
        Path | None,
        typer.Option("--human", help="People's votes: rows {question_id, turn, model_a, model_b, winner}."),
    ] = None,
    judge_prompts: Annotated[
        str | None,
        typer.Option("--judge-prompts", help="MT-Bench's own: FastChat's judge_prompts.jsonl, or mt_bench (mirror)."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=1, help="So many questions, of all kinds.")] = None,
    answer_tokens: Annotated[int, typer.Option("--answer-tokens", min=1, help="Tokens an answer.")] = 1024,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help=r"Tokens a reply of the judge. \[default: 64; 2048 of MT-Bench's]"),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="A mirror of data sets.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 1234,
) -> None:
    """Models answer the same questions; a judge grades the answers and compares them in both orders; ratings, position
    bias, ties, length and agreement with people on one page. The same command again goes on where it stopped.
    """
    from evalkit.judge.chat import Asked, By, run
    from evalkit.judge.chat_sets import chat_set
    from evalkit.judge.votes import read_votes

    found = chat_set(questions, data_dir)
    asked = found.first(limit)
    votes = read_votes(row_files.read(human), str(human)) if human else []
    ways: Any = tuple(one.strip() for one in (by or "").split(",") if one.strip())
    with _folder(output) as book:
        purse = _Purse(settings.get("max_cost"))
        answers = _answers(asked, of, answer_tokens, book, purse)
        if asked.outputs and (name := str(asked.outputs[0]["model"])) not in answers:
            answers[name] = list(asked.outputs)
            against = against or name
        usual: tuple[By, ...] = (
            ("pairs",) if asked.outputs else ("grades", "pairs") if len(answers) > 1 else ("grades",)
        )
        prompts = None if judge_prompts is None else _prompts(judge_prompts, found, data_dir)
        how = Asked(ways or usual, against, battles, seed, prompts)
        for name, rows in answers.items():
            write_rows(output / "answers" / f"{safe_name(name)}.jsonl", rows, f"answers of {name}")
        with opened_judge(
            (purse.limited(spec_of(settings)), book), max_tokens or (2048 if prompts else 64), progress=True
        ) as judge:
            result = run(judge, answers, how, votes)
    _tell(result, found, asked, how, output)


@contextmanager
def _folder(output: Path) -> Iterator[Journal]:
    """The folder's book of replies, of models and judge. UserError for a folder that cannot be used."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be made a folder: {error.strerror}") from None
    book = Journal(output / "replies.sqlite")
    try:
        yield book
    finally:
        book.close()


def _prompts(given: str, whole: ChatSet, data_dir: Path | None) -> FastChat:
    """MT-Bench's own prompts with the questions' references."""
    from evalkit.judge.fastchat import read_prompts

    path = Path(given)
    if given == "mt_bench":
        folder = mirror_folder(data_dir)
        if folder is None:
            raise UserError("--judge-prompts mt_bench: they lie in a mirror: give --data-dir, or the file itself")
        path = folder / "lmsys" / "mt_bench" / "judge_prompts.jsonl"
    return read_prompts(row_files.read(path), str(path), whole.questions)


def _model(given: str, path: Path) -> ModelSpec:
    """A model by its name, or by a file of settings as --config has them; asked by its chat template."""
    if path.suffix not in (".yaml", ".yml"):
        return ModelSpec(name=given, chat_template=True)
    settings, origin = config.load(path)
    usual = {} if "chat_template" in settings else {"chat_template": True}
    specs = config.expand(*config.merge(settings, {"tasks": "none", **usual}, origin))
    if len(specs) != 1:
        raise UserError(f"--of {given}: names {len(specs)} models; write a file for each")
    return specs[0].model


class _Purse:
    """What --max-cost leaves, of models and judge together."""

    def __init__(self, limit: float | None) -> None:
        self._left = limit

    def limited(self, spec: ModelSpec) -> ModelSpec:
        """The model with what is left as its own limit, where it is paid. UserError where nothing is left."""
        if self._left is None or opening.quote_of(opening.resolve(spec)) is None:
            return spec
        if self._left <= 0:
            raise LimitReached("stopped at --max-cost: what was answered is kept: go on with a higher --max-cost")
        return spec.model_copy(update={"max_cost": self._left})

    def spend(self, asked: Judge) -> None:
        """Take off what a model's answers have cost."""
        if self._left is not None:
            self._left -= asked.counters.get("cost", {}).get("usd") or 0.0


def _answers(asked: ChatSet, of: list[str], max_tokens: int, book: Journal, purse: _Purse) -> Answers:
    """By model its rows. UserError for a name twice, and for a file without answers to these questions."""
    from evalkit.judge.turns import answer_turns

    found: Answers = {}
    for given in of:
        path = Path(given)
        if path.suffix not in (".yaml", ".yml") and (path.suffix in (".jsonl", ".csv", ".parquet") or path.is_file()):
            rows = row_files.read(path)
            wanted = {str(row["id"]) for row in asked.questions}
            rows = [row for row in rows if str(row.get("id")) in wanted]
            if not rows:
                raise UserError(f"--of {given}: answers none of these questions (by id); see: evalkit judge answer")
            name = str(rows[0].get("model") or path.stem)
        else:
            spec = purse.limited(_model(given, path))
            name = spec.label or spec.name
            with opened_judge((spec, book), max_tokens, f"{name}:", progress=True) as model:
                ask = partial(model.respond, f"answers of {name}")
                try:
                    rows = answer_turns(model.backend, asked.questions, chat=model.chat, max_tokens=max_tokens, ask=ask)
                finally:
                    purse.spend(model)
        if name in found:
            raise UserError(f"--of {given}: {name} is there already; give each model once")
        found[name] = [{**row, "model": name} for row in rows]
    return found


def _tell(result: Chat, whole: ChatSet, asked: ChatSet, how: Asked, output: Path) -> None:
    from evalkit.judge.pairwise import battle_rows
    from evalkit.leaderboard.chat import entries
    from evalkit.render import chat as page

    names = page.columns(result)
    table = [
        (one.model if place == 0 else "", name, cell.value, cell.interval)
        for one in page.ranked(result)
        for place, (name, cell) in enumerate(zip(names, page.cells(result, one), strict=True))
    ]
    console().print(rows_table(("model", "what", "value", "95 % interval"), table))
    if lines := page.habit_lines(result):
        habits = [(line.what, line.cell.value, line.cell.interval) for line in lines]
        console().print(rows_table(("the judge", "value", "95 % interval"), habits))
    for note in page.notes(result):
        typer.echo(note, err=True)
    judge = str(result.record["model"]["name"])
    facts = {
        "Questions": f"{asked.name}, {len(asked.questions):,} of {len(whole.questions):,} ({asked.source})",
        "Judge": judge,
        "Judged": _words(how),
        "Answers": "greedy",
    }
    settings = {name: value for name, value in plain(how).items() if name != "prompts"}
    record = {"questions": asked.name, "source": asked.source, "n": len(asked.questions), "asked": settings}
    save({**record, **plain(result)}, output / "chat.json")
    if battles := battle_rows(result.verdicts):
        write_rows(output / "battles.jsonl", battles, "battles")
    report = page.write_chat(result, output / "report.html", title=f"{asked.name}, judged by {judge}", facts=facts)
    for entry in entries(result, asked, len(whole.questions), bool(how.prompts)):
        write_entry(entry, output / "entries")
    typer.echo(f"report: {report}", err=True)


def _words(how: Asked) -> str:
    said = {
        "grades": "grades from 1 to 10",
        "pairs": "pairs in both orders",
        "scores": "both answers graded side by side",
    }
    words = ", ".join(said[one] for one in how.by)
    if how.against:
        words += f"; all against {how.against}"
    if how.prompts:
        words += "; by MT-Bench's own prompts"
    return words if how.battles is None else f"{words}; {how.battles:,} pairs chosen where they inform most"
