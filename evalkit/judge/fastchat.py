"""MT-Bench's own judge prompts, in the file that FastChat keeps them in (judge_prompts.jsonl): one for each of grade or
pair, first or second turn, with or without a reference (arXiv 2306.05685, appendix A).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Response
from evalkit.judge.asking import Judge, Row

NAMES: Mapping[tuple[str, bool, bool], str] = {
    ("grade", False, False): "single-v1",
    ("grade", False, True): "single-v1-multi-turn",
    ("grade", True, False): "single-math-v1",
    ("grade", True, True): "single-math-v1-multi-turn",
    ("pair", False, False): "pair-v2",
    ("pair", False, True): "pair-v2-multi-turn",
    ("pair", True, False): "pair-math-v1",
    ("pair", True, True): "pair-math-v1-multi-turn",
}
"""By (what, with a reference, second turn): what the file calls the prompt."""
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class FastChat:
    """``prompts``: (system prompt, template) by name. ``references``: by question the reference of each turn."""

    prompts: Mapping[str, tuple[str, str]]
    references: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def grades(self, judge: Judge, rows: Sequence[Row]) -> list[Response]:
        """Replies to rows {"question_id", "turns", "answers"}."""
        return self._ask(judge, "grade", [(row, {"": row.get("answers") or [row["answer"]]}) for row in rows])

    def pairs(self, judge: Judge, rows: Sequence[tuple[Row, str, str]]) -> list[Response]:
        """Replies to (row, side shown first, side shown second), rows {"prompt", "turns", "answers_a", "answers_b"}."""
        return self._ask(
            judge,
            "pair",
            [(row, {"_a": row[f"answers_{one}"], "_b": row[f"answers_{two}"]}) for row, one, two in rows],
        )

    def _ask(self, judge: Judge, what: str, given: Sequence[tuple[Row, Mapping[str, Sequence[str]]]]) -> list[Response]:
        used: dict[str, str] = {}
        filled = []
        for row, said in given:
            references = self.references.get(str(row.get("question_id", row.get("prompt")))) or ()
            turns = row.get("turns") or [row["question"]]
            several = len(turns) > 1
            if len(turns) > 2:
                raise UserError("MT-Bench's prompts judge one or two turns; leave --judge-prompts out")
            name = NAMES[what, bool(references), several]
            system, template = self.prompts[name]
            values = {"question": turns[0]}
            for side, answers in said.items():
                values[f"answer{side}"] = answers[-1]
                values |= {f"answer{side}_{turn}": text for turn, text in enumerate(answers, 1)}
            values |= {f"question_{turn}": text for turn, text in enumerate(turns, 1)}
            values |= {f"ref_answer_{turn}": text for turn, text in enumerate(references, 1)}
            used[f"{what}: {name}"] = f"{system}\n\n{template}"
            filled.append((system, _fill(template, values, name)))
        return judge.ask_written(what, used, filled)


def _fill(template: str, values: Mapping[str, Any], name: str) -> str:
    """A template with its fields filled in, once: what stands in a value is only text."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise UserError(f"the judge's prompt {name}: nothing is known of {{{match[1]}}}")
        return str(values[match[1]])

    return _FIELD.sub(value, template)


def read_prompts(rows: Sequence[Row], where: str, questions: Sequence[Row] = ()) -> FastChat:
    """Rows {"name", "system_prompt", "prompt_template"}; ``questions`` bring the references. UserError where a prompt
    is missing.
    """
    found = {
        str(row.get("name")): (str(row.get("system_prompt") or ""), str(row.get("prompt_template") or ""))
        for row in rows
    }
    if missing := [name for name in NAMES.values() if not found.get(name, ("", ""))[1]]:
        raise UserError(f"{where}: no prompt {missing[0]!r}; give FastChat's judge_prompts.jsonl")
    references = {str(row["id"]): row["reference"] for row in questions if row.get("reference")}
    return FastChat(found, references)
