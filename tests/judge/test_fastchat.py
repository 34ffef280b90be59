"""MT-Bench's own judge prompts: filled in as FastChat fills them, by turn and reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, ModelInfo, Response
from evalkit.data.rows import read
from evalkit.judge import Judge
from evalkit.judge.chat import Asked, run
from evalkit.judge.chat_sets import chat_set
from evalkit.judge.fastchat import NAMES, read_prompts

OWN = [
    {
        "name": name,
        "system_prompt": f"system of {name}",
        "prompt_template": "{question_1}" if "multi" in name else "{question}",
    }
    for name in NAMES.values()
]


class Heard:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.info = ModelInfo(name="heard", backend="heard", fingerprint="heard", max_length=1 << 20)
        self.prompts: list[str] = []

    def respond(self, requests: Sequence[Generate]) -> Iterator[tuple[int, Response]]:
        for place, request in enumerate(requests):
            self.prompts.append(request.context)
            text = "I compare. [[B]]" if "Assistant B" in request.context else "It is fine. Rating: [[7]]"
            yield place, Response(text=text, finish="stop")

    def close(self) -> None: ...


def conversation(question: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = []
    for turn in (1, 2):
        said = [f"{name} says {{question}} {number}" for number in range(1, turn + 1)]
        rows.append(
            {
                "id": question["id"], "category": question["category"], "turn": turn, "answer": said[-1],
                "question": question["turns"][turn - 1], "status": "ok", "model": name,
                "turns": question["turns"][:turn], "answers": said,
            }
        )  # fmt: skip
    return rows


@pytest.mark.mirror
def test_prompts_are_filled_in_as_fastchat_does(mirror: Path) -> None:
    whole = chat_set("mt_bench", mirror)
    file = mirror / "lmsys" / "mt_bench" / "judge_prompts.jsonl"
    templates = {row["name"]: row for row in read(file)}
    plain = next(one for one in whole.questions if not one["reference"])
    math = next(one for one in whole.questions if one["reference"])
    asked = Asked(("grades", "pairs"), prompts=read_prompts(read(file), "prompts", whole.questions))
    heard = Heard()
    both = {name: [*conversation(plain, name), *conversation(math, name)] for name in ("one", "two")}
    found = run(Judge(heard), both, asked)
    assert found.habits is not None
    assert found.habits.turned is not None
    assert found.habits.turned.value == 1.0
    assert found.standings[0].graded is not None
    assert found.standings[0].graded.mean is not None
    assert found.standings[0].graded.mean.value == 7.0
    assert len(heard.prompts) == 8 + 8
    first, second = "one says {question} 1", "one says {question} 2"
    theirs, after = "two says {question} 1", "two says {question} 2"

    def prompt(name: str, **values: str) -> str:
        return f"{templates[name]['system_prompt']}\n\n{templates[name]['prompt_template'].format(**values)}"

    one, two = plain["turns"]
    assert prompt("single-v1", question=one, answer=first) in heard.prompts
    assert (
        prompt("single-v1-multi-turn", question_1=one, question_2=two, answer_1=first, answer_2=second) in heard.prompts
    )
    assert prompt("pair-v2", question=one, answer_a=theirs, answer_b=first) in heard.prompts
    one, two = math["turns"]
    right, then = math["reference"]
    assert prompt("single-math-v1", question=one, answer=first, ref_answer_1=right) in heard.prompts
    for a, b in (((first, second), (theirs, after)), ((theirs, after), (first, second))):
        assert (
            prompt(
                "pair-math-v1-multi-turn", question_1=one, question_2=two, ref_answer_1=right, ref_answer_2=then,
                answer_a_1=a[0], answer_a_2=a[1], answer_b_1=b[0], answer_b_2=b[1],
            )
            in heard.prompts
        )  # fmt: skip
    assert set(found.record["prompts"]) == {
        f"{what}: {name}" for (what, _, _), name in NAMES.items()
    }  # each of the eight was used


def test_files_that_lack_a_prompt_are_told() -> None:
    with pytest.raises(UserError, match=r"p\.jsonl: no prompt 'pair-v2'"):
        read_prompts([row for row in OWN if row["name"] != "pair-v2"], "p.jsonl")
    prompts = read_prompts([{**row, "prompt_template": "{strange}"} for row in OWN], "p.jsonl")
    with pytest.raises(UserError, match=r"the judge's prompt single-v1: nothing is known of \{strange\}"):
        prompts.grades(Judge(Heard()), [{"question": "q", "answer": "a"}])


def test_the_command_takes_the_file(tmp_path: Path) -> None:
    prompts, questions, answers = (tmp_path / name for name in ("p.jsonl", "q.jsonl", "a.jsonl"))
    prompts.write_text("".join(json.dumps(row) + "\n" for row in OWN))
    asked = {"id": 1, "category": "own", "turns": ["Why?", "And why not?"]}
    questions.write_text(json.dumps(asked) + "\n")
    answers.write_text("".join(json.dumps(row) + "\n" for row in conversation(asked, "mine")))
    words = ["judge", "chat", str(questions), "--of", str(answers), "--judge-prompts", str(prompts), "--model", "mock"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "chat.json").read_text())
    assert set(found["record"]["prompts"]) == {"grade: single-v1", "grade: single-v1-multi-turn"}
    assert found["record"]["max_tokens"] == 2048
    assert "by MT-Bench" in (tmp_path / "out" / "report.html").read_text()
