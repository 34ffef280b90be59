"""The page of judged conversations: models in a table, the judge's habits, categories, pairs, and what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.judge.agreement import Agreement
from evalkit.judge.chat import Chat, Mean, Standing
from evalkit.judge.habits import Habits, Share
from evalkit.judge.ratings import Effect, Ratings
from evalkit.judge.reading import Unread
from evalkit.render import page
from evalkit.render.cost import bill_of
from evalkit.render.templates import environment, markup
from evalkit.store.files import replacing
from evalkit.store.paths import share
from evalkit.text.numbers import MISSING

MOST_QUESTIONS, MOST_CHARACTERS = 100, 6000
"""What the page shows of questions, and of each text; chat.json has all."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with its interval below it, as texts."""

    value: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One habit of the judge: what, how much, and what it means."""

    what: str
    cell: Cell
    meaning: str


EMPTY = Cell(MISSING)


def write_chat(chat: Chat, out: Path, *, title: str, facts: Mapping[str, str]) -> Path:
    """One HTML page that loads nothing. ``facts``: what is told of questions, models and judge. UserError where the
    file cannot be written.
    """
    early, script = page.assets(("theme.js",)), page.assets(("page.js",))
    context = {
        "policy": page.policy([page.script_hash(early), page.script_hash(script)]),
        "style": markup(page.assets(("base.css", "report.css", "chat.css"))),
        "early": markup(early),
        "script": markup(script),
        "title": title,
        "facts": facts,
        "columns": columns(chat),
        "rows": [(one.model, cells(chat, one)) for one in ranked(chat)],
        "habits": habit_lines(chat),
        "categories": _categories(chat),
        "meetings": _meetings(chat),
        "items": _items(chat),
        "shown": MOST_QUESTIONS,
        "cut": MOST_CHARACTERS,
        "notes": notes(chat),
    }
    text = environment(share("reports")).get_template("chat.html.j2").render(**context)
    with replacing(out) as draft:
        draft.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    return out


def columns(chat: Chat) -> list[str]:
    """The table's columns behind the model: those that something was measured for."""
    turns = sorted({turn for one in chat.standings if one.graded for turn in one.graded.turns})
    made = [
        ("rating", chat.ratings),
        ("at equal lengths", chat.controlled),
        ("grade", any(one.graded for one in chat.standings)),
        *((f"turn {turn}", len(turns) > 1) for turn in turns),
        ("win rate", any(one.win_rate for one in chat.standings)),
        ("length-controlled", any(one.controlled for one in chat.standings)),
        ("relative score", any(one.relative for one in chat.standings)),
        ("characters", True),
    ]
    return [name for name, there in made if there]


def ranked(chat: Chat) -> list[Standing]:
    """Best first: by rating, else by grade; else in their order."""
    order = {one.model: -one.rating for one in chat.ratings.ratings} if chat.ratings else {}

    def key(one: Standing) -> tuple[float, float]:
        mean = one.graded.mean if one.graded else None
        return order.get(one.model, 0.0), -(mean.value if mean else 0.0)

    return sorted(chat.standings, key=key)


def cells(chat: Chat, one: Standing) -> list[Cell]:
    """A model's cells, one for each of `columns`."""
    found = {
        "rating": _rating(chat.ratings, one.model),
        "at equal lengths": _rating(chat.controlled, one.model),
        "grade": _mean(one.graded.mean if one.graded else None, 2),
        "win rate": _mean(one.win_rate, 1, 100, " %"),
        "length-controlled": EMPTY
        if one.controlled is None
        else _cell(one.controlled.rate, one.controlled.interval, 1, 100, " %"),
        "relative score": _mean(one.relative, 1, 100, " %"),
        "characters": Cell(f"{one.length:,.0f}"),
    }
    for turn, mean in (one.graded.turns if one.graded else {}).items():
        found[f"turn {turn}"] = _mean(mean, 2)
    return [found.get(name, EMPTY) for name in columns(chat)]


def habit_lines(chat: Chat) -> list[Line]:
    """What the judge did beside judging."""
    lines = _of_pairs(chat.habits) if chat.habits else []
    if chat.first_gain is not None:
        meaning = "points more for an answer in the first place, of grades side by side; 0 without a taste for a place"
        lines.append(Line("First place, grades", Cell(f"{chat.first_gain:+.2f}"), meaning))
    if chat.with_length is not None:
        meaning = "Spearman's correlation of a grade and the answer's length"
        lines.append(Line("Grade and length", Cell(f"{chat.with_length:+.2f}"), meaning))
    if chat.people:
        lines += [
            _agreement("Agrees with people", chat.people.every, "verdict and vote are the same"),
            _agreement(
                "Agrees, without ties", chat.people.decided, "the same, of votes and verdicts that name a winner"
            ),
            _agreement("People with people", chat.people.among, "two votes on the same pair are the same"),
        ]
    return lines


def _of_pairs(habits: Habits) -> list[Line]:
    return [
        Line(
            "First place",
            _share(habits.first_place),
            "of verdicts that name a winner, those for the answer shown first; 50 % without a taste for a place",
        ),
        Line("First place, log-odds", _effect(habits.place), "the same with models and lengths held equal; 0 without"),
        Line("Contradictions", _share(habits.contradictions), "pairs whose two orders give different verdicts"),
        Line("Ties said", _share(habits.ties), "verdicts that name no winner"),
        Line("Drawn", _share(habits.drawn), "pairs without a winner: ties, and contradictions, which count as ties"),
        Line("Longer wins", _share(habits.longer), "pairs with a winner that the longer answer wins"),
        Line(
            "Length, log-odds",
            _effect(habits.length),
            "what a typical difference of lengths adds, models and places held equal; 0 without a taste for length",
        ),
    ]


def notes(chat: Chat) -> list[str]:
    """What a reader must know: what is missing, and why."""
    found = [f"{count:,} {reason}: left out" for reason, count in chat.left_out.items()]
    for reason, count in chat.unread.items():
        more = "; give more --max-tokens" if reason == Unread.CUT else ""
        found.append(f"{count:,} replies of the judge gave no verdict ({reason}){more}")
    found += [f"{one.model}: {one.failed:,} answers failed" for one in chat.standings if one.failed]
    if chat.people and chat.people.unmatched:
        found.append(f"{chat.people.unmatched:,} votes of people are on pairs that were not judged")
    cost = chat.record.get("cost")
    if cost and (line := bill_of(cost, (chat.record["model"].get("details") or {}).get("price") or {})):
        found.append(f"the judge: {line}")
    return [*found, *chat.notes]


def _categories(chat: Chat) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    names = list(dict.fromkeys(kind for one in chat.standings if one.graded for kind in one.graded.categories))
    rows = [
        (one.model, [_mean(one.graded.categories.get(name), 2) for name in names])
        for one in ranked(chat)
        if one.graded and names
    ]
    return names, rows


def _meetings(chat: Chat) -> list[tuple[str, str, Cell, Cell, str]]:
    return [
        (
            one.a,
            one.b,
            _mean(one.win_rate, 1, 100, " %"),
            _mean(one.relative, 1, 100, " %"),
            f"{one.win_rate.n if one.win_rate else one.relative.n if one.relative else 0:,}",
        )
        for one in chat.meetings
    ]


def _items(chat: Chat) -> list[dict[str, Any]]:
    """Questions with what was said and judged, the first ones."""
    items: dict[str, dict[str, Any]] = {}
    for row in chat.grades:
        key = f"{row['question_id']}:{row['turn']}"
        item = items.setdefault(key, _item(key, row))
        grade = MISSING if row["grade"] is None else f"{row['grade']:g}"
        item["answers"].setdefault(row["model"], [_cut(str(row["answer"])), ""])[1] = f"grade {grade}"
    for row in chat.verdicts:
        item = items.setdefault(str(row["key"]), _item(str(row["key"]), row))
        for side in ("a", "b"):
            item["answers"].setdefault(row[f"model_{side}"], [_cut(str(row[side])), ""])
        item["verdicts"].append(
            {
                "pair": f"{row['model_a']} against {row['model_b']}",
                "winner": _won(row, row["winner"]),
                "orders": [_won(row, row["forward"]), _won(row, row["backward"])],
            }
        )
    return list(items.values())[:MOST_QUESTIONS]


def _item(key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": key,
        "category": str(row.get("category") or ""),
        "question": _cut(str(row["question"])),
        "answers": {},
        "verdicts": [],
    }


def _won(row: Mapping[str, Any], verdict: str | None) -> str:
    if verdict is None:
        return "no verdict"
    return "tie" if verdict == "tie" else str(row[f"model_{verdict}"])


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} … ({len(text):,} characters)"


def _rating(ratings: Ratings | None, model: str) -> Cell:
    found = next((one for one in ratings.ratings if one.model == model), None) if ratings else None
    return EMPTY if found is None else _cell(found.rating, found.interval, 0)


def _mean(mean: Mean | None, digits: int, scale: float = 1, unit: str = "") -> Cell:
    return EMPTY if mean is None else _cell(mean.value, mean.interval, digits, scale, unit)


def _share(one: Share | None) -> Cell:
    return EMPTY if one is None else _cell(one.value, one.interval, 1, 100, " %")


def _effect(one: Effect | None) -> Cell:
    if one is None:
        return EMPTY
    ends = "" if one.interval is None else f"{one.interval[0]:+.2f} to {one.interval[1]:+.2f}"
    return Cell(f"{one.value:+.2f}", ends)


def _agreement(what: str, one: Agreement | None, meaning: str) -> Line:
    if one is None:
        return Line(what, EMPTY, meaning)
    kappa = "" if one.kappa is None else f", kappa {one.kappa:.2f}"
    return Line(what, _cell(one.share, one.interval, 1, 100, " %"), f"{meaning}, of {one.n:,}{kappa}")


def _cell(value: float, interval: Sequence[float] | None, digits: int, scale: float = 1, unit: str = "") -> Cell:
    ends = "" if interval is None else " to ".join(f"{end * scale:.{digits}f}" for end in interval)
    return Cell(f"{value * scale:.{digits}f}{unit}", ends)
