"""Sets of questions for judged conversations: MT-Bench, AlpacaEval, our own two-turn questions, and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef
from evalkit.data import open_source
from evalkit.data import rows as row_files
from evalkit.data.sources import mirror_folder
from evalkit.judge.asking import Row
from evalkit.judge.turns import checked_questions, questions

NAMES = ("mt_bench", "alpaca_eval", "two_turn")
REFERENCED = frozenset(("math", "reasoning", "coding"))
"""Categories of MT-Bench that are judged beside a reference (FastChat's llm_judge, NEED_REF_CATS)."""
ALPACA, ALPACA_SPLIT = (
    DatasetRef("tatsu-lab/alpaca_eval", "alpaca_eval", "2edc6fad8be6b14ea7230aabfd08188da6b8b814"),
    "eval",
)
MT_BENCH, MT_BENCH_SPLIT = DatasetRef("HuggingFaceH4/mt_bench_prompts", "default", "main"), "train"


@dataclass(frozen=True, slots=True)
class ChatSet:
    """``questions``: {"id", "category", "turns", "reference"}. ``outputs``: answers that come with the set, as
    `turns.answer_turns` writes them, by a model to compare with; none where there are none. ``source``: where the
    questions came from.
    """

    name: str
    questions: tuple[dict[str, Any], ...]
    outputs: tuple[dict[str, Any], ...]
    source: str
    benchmark: str = ""
    """The name that published figures go by; "" for questions of one's own."""

    def first(self, limit: int | None) -> ChatSet:
        """The first ``limit`` questions of each category in turn, so that a short run has of all; the set's order."""
        if limit is None or limit >= len(self.questions):
            return self
        places: dict[str, int] = {}
        order = []
        for place, row in enumerate(self.questions):
            kind = str(row.get("category"))
            places[kind] = places.get(kind, 0) + 1
            order.append((places[kind], place))
        kept = {place for _, place in sorted(order)[:limit]}
        chosen = tuple(row for place, row in enumerate(self.questions) if place in kept)
        ids = {str(row["id"]) for row in chosen}
        return ChatSet(
            self.name, chosen, tuple(row for row in self.outputs if str(row["id"]) in ids), self.source, self.benchmark
        )


def chat_set(name: str, data_dir: Path | None = None) -> ChatSet:
    """The set of that name, or the questions of a file. UserError for a name that is neither, and for rows that are no
    questions.

    A file's rows have "turns" (MT-Bench's own layout), or "text" (Vicuna's), or "instruction" with "output" and
    "generator" where answers come with them (AlpacaEval's).
    """
    if name == "two_turn":
        return _made(name, questions(), "bundled")
    if name == "mt_bench":
        return _mt_bench(data_dir)
    if name == "alpaca_eval":
        found = open_source(data_dir)
        rows = [dict(row) for row in found.load(ALPACA, ALPACA_SPLIT)]
        return _made(name, rows, f"{found.name}: {ALPACA.id}", "AlpacaEval")
    path = Path(name)
    if not path.is_file():
        hint = did_you_mean(name, NAMES)
        raise UserError(f"{name}: no set of questions and no file{hint}: give {', '.join(NAMES)}, or a file of rows")
    return _made(path.name.partition(".")[0], row_files.read(path), str(path.name))


def _mt_bench(data_dir: Path | None) -> ChatSet:
    """In FastChat's layout, with gpt-4's references, where the mirror has it; else the Hub's copy of the questions."""
    folder = mirror_folder(data_dir)
    home = None if folder is None else folder / "lmsys" / "mt_bench"
    if home is not None and (home / "question.jsonl").is_file():
        asked = row_files.read(home / "question.jsonl")
        answers = home / "reference_answer" / "gpt-4.jsonl"
        given = (
            {row["question_id"]: row["choices"][0]["turns"] for row in row_files.read(answers)}
            if answers.is_file()
            else {}
        )
        rows = [{**row, "reference": given.get(row["question_id"])} for row in asked]
        return _made("mt_bench", rows, "mirror: lmsys/mt_bench, references by gpt-4", "MT-Bench")
    source = open_source(data_dir)
    loaded = source.load(MT_BENCH, MT_BENCH_SPLIT)
    rows = [
        {"id": row["prompt_id"], "category": row["category"], "turns": row["prompt"], "reference": row["reference"]}
        for row in loaded
    ]
    return _made("mt_bench", rows, f"{source.name}: {MT_BENCH.id}", "MT-Bench")


def _made(name: str, rows: Sequence[Row], source: str, benchmark: str = "") -> ChatSet:
    asked = checked_questions([_question(row, number) for number, row in enumerate(rows, 1)], name)
    for row in asked:
        if str(row.get("category")).lower() not in REFERENCED and benchmark == "MT-Bench":
            row["reference"] = None
    outputs = tuple(
        {
            "id": question["id"],
            "category": question.get("category"),
            "turn": 1,
            "question": question["turns"][0],
            "answer": str(row["output"]),
            "reference": "",
            "status": "ok",
            "model": str(row.get("generator") or "reference"),
            "turns": list(question["turns"]),
            "answers": [str(row["output"])],
        }
        for question, row in zip(asked, rows, strict=True)
        if row.get("output") is not None
    )
    return ChatSet(name, tuple(asked), outputs, source, benchmark)


def _question(row: Row, number: int) -> dict[str, Any]:
    """A row of any of the layouts as {"id", "category", "turns", "reference"}."""
    turns = row.get("turns")
    for name in ("instruction", "text"):
        if turns is None and isinstance(row.get(name), str):
            turns = [row[name]]
    own = next((row[key] for key in ("id", "question_id") if row.get(key) is not None), number)
    return {
        "id": own,
        "category": row.get("category") or row.get("dataset"),
        "turns": turns,
        "reference": row.get("reference") or None,
    }
