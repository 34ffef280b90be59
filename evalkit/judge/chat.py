"""Models' answers to the same questions, judged: graded one by one, in pairs in both orders, or both; rated; and what
the judge's own habits did to it: the first place, ties, length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalkit.contract.errors import UserError
from evalkit.judge import arena, pairwise
from evalkit.judge.asking import Judge, Row
from evalkit.judge.battles import read_battles
from evalkit.judge.fastchat import FastChat
from evalkit.judge.habits import Habits, habits_of
from evalkit.judge.items import ids_of
from evalkit.judge.length_control import LengthControlled, Preferred, length_controlled
from evalkit.judge.pair_scores import PairScores, relative_score, score_pairs
from evalkit.judge.pointwise import Grades, grade
from evalkit.judge.ratings import Ratings, bradley_terry
from evalkit.judge.turns import pair_answers
from evalkit.judge.votes import Key, People, with_people
from evalkit.statistics.choice import interval_for
from evalkit.statistics.inference import Range

By = Literal["grades", "pairs", "scores"]
WAYS: tuple[By, ...] = ("grades", "pairs", "scores")
SPAN: Range = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """How to judge. ``by``: grades of single answers, pairs, or both answers' grades side by side. ``against``: the
    model that all others meet; None: all meet all. ``battles``: at most so many pairs, chosen by `judge.arena`; None:
    all.
    """

    by: tuple[By, ...] = ("grades", "pairs")
    against: str | None = None
    battles: int | None = None
    seed: int = 1234
    prompts: FastChat | None = None
    """MT-Bench's own prompts in place of evalkit's, for grades and pairs."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval over questions; ``n`` values."""

    value: float
    interval: Range | None
    n: int


@dataclass(frozen=True, slots=True)
class Graded:
    """A model's grades from 1 to 10: of all turns, by turn and by category."""

    mean: Mean | None
    turns: Mapping[int, Mean]
    categories: Mapping[str, Mean]
    unread: int


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two models: a's win rate, ties as halves; ``relative``: the sum of a's grades over that of b's, side by side."""

    a: str
    b: str
    win_rate: Mean | None
    relative: Mean | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """One model. ``win_rate``: over all its pairs, or against the one that all meet; ``controlled``: the same at equal
    lengths (`judge.length_control`), against that one alone. ``length``: mean characters of an answer.
    """

    model: str
    answers: int
    failed: int
    length: float
    graded: Graded | None
    win_rate: Mean | None
    controlled: LengthControlled | None
    relative: Mean | None


@dataclass(frozen=True, slots=True)
class Chat:
    """What came of it. ``verdicts``: a row a judged pair, {"id", "model_a", "model_b", "winner", "forward",
    "backward", "a", "b", "question", ...}; ``grades``: a row a graded answer. ``left_out`` counts what could not be
    judged, by the reason.
    """

    standings: tuple[Standing, ...]
    meetings: tuple[Meeting, ...]
    ratings: Ratings | None
    controlled: Ratings | None
    """Ratings at equal lengths, with what length does to a verdict."""
    habits: Habits | None
    with_length: float | None
    """Spearman's correlation of grade and length."""
    first_gain: float | None
    """Points more in the first place, of grades side by side."""
    people: People | None
    unread: dict[str, int]
    left_out: dict[str, int]
    notes: tuple[str, ...]
    grades: tuple[dict[str, Any], ...]
    verdicts: tuple[dict[str, Any], ...]
    record: dict[str, Any] = field(default_factory=dict)


def run(
    judge: Judge,
    answers: Mapping[str, Sequence[Row]],
    asked: Asked = Asked(),
    votes: Sequence[tuple[Key, float]] = (),
) -> Chat:
    """Judge ``answers``, by model rows as `turns.answer_turns` writes them. UserError for models that share no
    question, and for settings that do not fit.
    """
    models = list(answers)
    _check(models, asked)
    graded = _graded(judge, answers, asked.prompts) if "grades" in asked.by else None
    pairs = _Pairs.of(answers, asked)
    judged = pairs.judge(judge, asked) if "pairs" in asked.by else None
    scored = pairs.score(judge) if "scores" in asked.by else None
    battles = [] if judged is None else read_battles([row for row in judged if row["winner"]], "battles")
    ratings, controlled, notes = _ratings(battles, asked.seed)
    lengths = _controlled(judged or (), asked)
    unread: dict[str, int] = {}
    for found in (graded and graded[0].unread, pairs.unread, scored and scored.unread):
        for reason, count in (found or {}).items():
            unread[reason] = unread.get(reason, 0) + count
    return Chat(
        standings=tuple(
            _standing(model, answers[model], graded, judged, pairs, scored, lengths.get(model), asked)
            for model in models
        ),
        meetings=tuple(_meeting(one, other, judged, pairs, scored) for one, other in pairs.met),
        ratings=ratings,
        controlled=controlled,
        habits=habits_of(judged) if judged else None,
        with_length=graded[0].with_length if graded else None,
        first_gain=scored.first_gain if scored else None,
        people=_people(judged, votes) if judged and votes else None,
        unread=unread,
        left_out=pairs.left_out,
        notes=notes,
        grades=tuple(graded[1]) if graded else (),
        verdicts=tuple(judged or ()),
        record=judge.record(),
    )


def _check(models: Sequence[str], asked: Asked) -> None:
    if unknown := [one for one in asked.by if one not in WAYS]:
        raise UserError(f"--by {unknown[0]}: choose among {', '.join(WAYS)}")
    if asked.against is not None and asked.against not in models:
        raise UserError(f"--against {asked.against}: none of the models ({', '.join(models)})")
    if len(models) < 2 and set(asked.by) - {"grades"}:
        raise UserError("pairs take two models: give another --of, or --by grades")
    if asked.battles is not None and ("pairs" not in asked.by or asked.against is not None):
        raise UserError("--battles chooses among all pairs of models: it goes with --by pairs, and without --against")


# -- grades ------------------------------------------------------------------------------------------------------------


def _graded(
    judge: Judge, answers: Mapping[str, Sequence[Row]], prompts: FastChat | None
) -> tuple[Grades, list[dict[str, Any]]]:
    rows = [
        {**row, "id": f"{row['id']}@{model}", "question_id": str(row["id"]), "model": model, "human": None}
        for model, own in answers.items()
        for row in own
        if row.get("status") != "error"
    ]
    found = grade(judge, rows, ask=prompts.grades if prompts else None)
    kept = ("question_id", "model", "turn", "category", "question", "answer")
    return found, [
        {**{name: row.get(name) for name in kept}, "grade": one, "reply": reply}
        for row, one, reply in zip(rows, found.grades, found.replies, strict=True)
    ]


def _mean(values: Sequence[float], questions: Sequence[str], bounds: Range) -> Mean | None:
    if not values:
        return None
    several = len(set(questions)) < len(questions)
    found = interval_for(values, bounds=bounds, clusters=list(questions) if several else None).interval()
    return Mean(sum(values) / len(values), found, len(values))


def _grades_of(model: str, rows: Sequence[Row]) -> Graded:
    own = [row for row in rows if row["model"] == model]
    known = [row for row in own if row["grade"] is not None]

    def mean(chosen: Sequence[Row]) -> Mean | None:
        return _mean([row["grade"] for row in chosen], [row["question_id"] for row in chosen], SPAN)

    turns = {
        turn: mean([row for row in known if row["turn"] == turn]) for turn in sorted({row["turn"] for row in known})
    }
    kinds = list(dict.fromkeys(str(row["category"]) for row in known if row["category"]))
    categories = {kind: mean([row for row in known if str(row["category"]) == kind]) for kind in kinds}
    return Graded(
        mean(known),
        {turn: one for turn, one in turns.items() if one},
        {kind: one for kind, one in categories.items() if one},
        len(own) - len(known),
    )


# -- pairs -------------------------------------------------------------------------------------------------------------


class _Pairs:
    """All pairs of answers that may be judged, by pair of models."""

    def __init__(self, rows: dict[tuple[str, str], list[dict[str, Any]]], left_out: dict[str, int]) -> None:
        self.rows = rows
        self.left_out = left_out
        self.prompts: FastChat | None = None
        self.unread: dict[str, int] = {}

    @classmethod
    def of(cls, answers: Mapping[str, Sequence[Row]], asked: Asked) -> _Pairs:
        rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        left_out = {"answers without a partner": 0, "pairs with a failed answer": 0}
        models = list(answers)
        wanted = [
            (models[one], models[other])
            for one, other in arena.all_pairs(len(models))
            if asked.against is None or asked.against in (models[one], models[other])
        ]
        if set(asked.by) - {"grades"}:
            for one, other in wanted:
                first, second = (other, one) if one == asked.against else (one, other)
                paired = pair_answers(answers[first], answers[second], (first, second))
                kinds = {str(row["id"]): row.get("category") for row in answers[first]}
                said = [dict(zip(ids_of(answers[one], one), answers[one], strict=True)) for one in (first, second)]
                rows[first, second] = [
                    {
                        **row,
                        "key": row["id"],
                        "id": f"{row['id']}@{first}@{second}",
                        "prompt": str(row["prompt"]),
                        "category": kinds.get(str(row["prompt"])),
                        "model_a": first,
                        "model_b": second,
                        "turns": said[0][row["id"]].get("turns") or [row["question"]],
                        "answers_a": said[0][row["id"]].get("answers") or [row["a"]],
                        "answers_b": said[1][row["id"]].get("answers") or [row["b"]],
                    }
                    for row in paired.rows
                ]
                left_out["answers without a partner"] += paired.unmatched
                left_out["pairs with a failed answer"] += paired.failed
        made = cls(rows, {reason: count for reason, count in left_out.items() if count})
        made.prompts = asked.prompts
        return made

    @property
    def met(self) -> list[tuple[str, str]]:
        return list(self.rows)

    def judge(self, judge: Judge, asked: Asked) -> list[dict[str, Any]]:
        """The rows with their verdicts."""
        if asked.battles is None:
            return self._verdicts(judge, [row for rows in self.rows.values() for row in rows])
        places = {name: place for place, name in enumerate(dict.fromkeys(one for pair in self.rows for one in pair))}
        by_match = {
            (places[one], places[other], row["key"]): row for (one, other), rows in self.rows.items() for row in rows
        }
        done: list[dict[str, Any]] = []

        def ask(matches: Sequence[arena.Match]) -> list[float | None]:
            found = self._verdicts(judge, [by_match[one.a, one.b, one.question] for one in matches])
            done.extend(found)
            return [row["points"] for row in found]

        questions = {
            (places[one], places[other]): [row["key"] for row in rows] for (one, other), rows in self.rows.items()
        }
        arena.choose(questions, len(places), asked.battles, ask, asked.seed)
        return done

    def _verdicts(self, judge: Judge, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found = pairwise.judge_pairs(judge, rows, ask=self.prompts.pairs if self.prompts else None)
        for reason, count in found.unread.items():
            self.unread[reason] = self.unread.get(reason, 0) + count
        return [
            {
                **{name: value for name, value in row.items() if name not in ("turns", "answers_a", "answers_b")},
                "winner": one.winner,
                "forward": one.forward,
                "backward": one.backward,
                "points": one.points,
                "replies": list(found.replies[2 * place : 2 * place + 2]),
            }
            for place, (row, one) in enumerate(zip(rows, found.judged, strict=True))
        ]

    def score(self, judge: Judge) -> PairScores:
        """Both answers' grades of every pair."""
        return score_pairs(judge, [row for rows in self.rows.values() for row in rows])

    def scores_of(self, pair: tuple[str, str], scored: PairScores) -> Mean | None:
        """The relative score of a pair of models."""
        every = [(names, row) for names, rows in self.rows.items() for row in rows]
        kept = [
            (grades, row["prompt"])
            for (names, row), grades in zip(every, scored.grades, strict=True)
            if names == pair and grades
        ]
        value, interval = relative_score([one for one, _ in kept], [prompt for _, prompt in kept])
        return None if value is None else Mean(value, interval, len(kept))


def _won(model: str, judged: Sequence[Row]) -> Mean | None:
    own = [row for row in judged if row["points"] is not None and model in (row["model_a"], row["model_b"])]
    points = [row["points"] if row["model_a"] == model else 1 - row["points"] for row in own]
    return _mean(points, [row["prompt"] for row in own], (0.0, 1.0))


def _meeting(one: str, other: str, judged: Sequence[Row] | None, pairs: _Pairs, scored: PairScores | None) -> Meeting:
    own = [row for row in judged or () if (row["model_a"], row["model_b"]) == (one, other)]
    return Meeting(one, other, _won(one, own), pairs.scores_of((one, other), scored) if scored else None)


def _standing(
    model: str,
    rows: Sequence[Row],
    graded: tuple[Grades, list[dict[str, Any]]] | None,
    judged: Sequence[Row] | None,
    pairs: _Pairs,
    scored: PairScores | None,
    controlled: LengthControlled | None,
    asked: Asked,
) -> Standing:
    said = [row for row in rows if row.get("status") != "error"]
    relative = None
    if scored and asked.against not in (None, model):
        relative = pairs.scores_of((model, str(asked.against)), scored)
    return Standing(
        model=model,
        answers=len(said),
        failed=len(rows) - len(said),
        length=sum(len(row["answer"]) for row in said) / len(said) if said else 0.0,
        graded=_grades_of(model, graded[1]) if graded else None,
        win_rate=_won(model, judged or ()),
        controlled=controlled,
        relative=relative,
    )


def _ratings(battles: Sequence[Any], seed: int) -> tuple[Ratings | None, Ratings | None, tuple[str, ...]]:
    if not battles:
        return None, None, ()
    try:
        plain = bradley_terry(battles, seed)
    except UserError as error:  # models that never met, for want of verdicts
        return None, None, (str(error),)
    held = bradley_terry(battles, seed, controls=("length",))
    return plain, held if held.effects else None, tuple(dict.fromkeys([*plain.notes, *held.notes]))


def _controlled(judged: Sequence[Row], asked: Asked) -> dict[str, LengthControlled | None]:
    if asked.against is None:
        return {}
    by_model: dict[str, list[Preferred]] = {}
    for row in judged:
        if row["points"] is not None:
            longer = len(row["a"]) - len(row["b"])
            by_model.setdefault(row["model_a"], []).append(Preferred(row["key"], row["points"], longer))
    return length_controlled(by_model, asked.seed)


def _people(judged: Sequence[Row], votes: Sequence[tuple[Key, float]]) -> People:
    known = {
        (str(row["key"]), row["model_a"], row["model_b"]): row["points"] for row in judged if row["points"] is not None
    }
    return with_people(known, votes)
