"""What answers were like is counted and told: on the mock model, a transformers model, and a server."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.contract.types import UNFINISHED, Generate, Outcomes, Request, Response
from evalkit.render.cautions import cautions
from evalkit.render.outcomes import is_constant, lines, sentences
from evalkit.store import results

TASK = """
name: {name}
version: "1.0"
description: Made for a test.
dataset: {{id: own/{name}, splits: {{eval: test}}}}
kind: {kind}
prompt: "{{{{ q }}}}"
{choices}
target: gold
{generation}
metrics: [{{metric: {metric}}}]
sample: sample.jsonl
"""


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], kind: str = "generate") -> Path:
    made = folder / name
    made.mkdir(parents=True)
    choice = kind == "multiple_choice"
    (made / "task.yaml").write_text(
        TASK.format(
            name=name,
            kind=kind,
            choices="choices: opts" if choice else "",
            generation="" if choice else 'generation: {until: ["\\n"], max_tokens: 6}',
            metric="acc" if choice else "exact_match",
        )
    )
    lines = [json.dumps({**row, "_split": "test"}) for row in rows]
    (made / "sample.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def questions(count: int) -> list[dict[str, Any]]:
    return [{"q": f"q{number}", "gold": str(number)} for number in range(count)]


def run(model: Any, task: str, folder: Path, **more: Any) -> Any:
    more.setdefault("output", folder / "run" / task)
    return evalkit.evaluate(model, [f"{task}@bundled"], include_path=[folder], **more)


def by_number(request: Request) -> str | Response:
    assert isinstance(request, Generate)
    number = int(request.context[1:])
    if number < 20:
        return ""
    if number < 22:
        return "<think> and so on"
    return Response(text="cut", finish="length") if number == 22 else f"{number}\nQ"


def test_a_run_counts_and_tells_them_in_record_table_and_report(tmp_path: Path) -> None:
    done = run(evalkit.mock(by_number), "says", write_task(tmp_path, "says", questions(24)))
    expected = Outcomes(
        replies=24, empty=20, cut=1, unfinished_thoughts=2, answers=24, most_frequent="", most_frequent_count=22,
        distinct_targets=24,
    )  # fmt: skip
    assert done.result.tasks[0].outcomes == expected
    assert results.read(done.path / "results.json").tasks[0].outcomes == expected
    told = [
        "says: 20 of 24 replies are empty",
        "says: 2 of 24 replies are unfinished thoughts",
        "says: 1 of 24 replies are cut by the limit of their length",
    ]
    assert [line for line in done.warnings if line.startswith("says")] == told
    page = done.report(tmp_path / "report.md").read_text()
    assert all(f"{line}." in page for line in told)
    assert "20 of 24 replies are empty; 2 of 24" in page, "beside the task's documents"
    kept = done.samples("says")
    assert [one["finish"] for row in kept["responses"][20:23] for one in row] == [UNFINISHED, UNFINISHED, "length"]
    assert kept["responses"][20][0]["thought"] == "<think> and so on"


def test_many_runs_are_told_together_by_how_often(tmp_path: Path) -> None:
    folder = write_task(tmp_path, "says", questions(6))
    done = {
        empty: run(evalkit.mock(lambda request, empty=empty: "" if int(request.context[1:]) < empty else "1\n"), "says",
                   folder, output=tmp_path / f"run{empty}")
        for empty in (0, 2, 6)
    }  # fmt: skip
    runs = [(f"m{number}", done[(0, 2, 2, 2, 6, 6, 2)[number]].result) for number in range(7)]
    found = [sentence for kind, sentence in cautions(runs) if kind == "answers"]
    assert "replies are empty: 2 of 6 in m1, m2, m3, m6; 6 of 6 in m4, m5." in found
    assert "all answers are the same: 1 task in m0." in found
    apart = [sentence for kind, sentence in cautions(runs[:3]) if kind == "answers"]
    assert "says: 2 of 6 replies are empty. In: m1, m2." in apart


@pytest.mark.parametrize(
    ("opts", "shown"),
    [
        (lambda number: ["yes", "no"], "yes"),
        (lambda number: ["A", "B", "C"], "A"),
        (lambda number: [f"a{number}", f"b{number}"], "A"),
        (lambda number: [["x", "y"][number % 2], ["y", "x"][number % 2]], None),
    ],
)
def test_one_answer_to_every_question_is_told(
    opts: Callable[[int], list[str]], shown: str | None, tmp_path: Path
) -> None:
    rows = [{"q": f"q{number}", "opts": opts(number), "gold": number % 2} for number in range(8)]
    folder = write_task(tmp_path, "picks", rows, "multiple_choice")
    first = {row["opts"][0] for row in rows} if shown else {"x"}

    def likes(request: Any) -> float:
        return -1.0 if request.continuation.strip() in first else -2.0

    done = run(evalkit.mock(likes), "picks", folder)
    told = [line for line in done.warnings if "answers are" in line]
    assert told == ([f"picks: 8 of 8 answers are {shown}"] if shown else ["picks: 8 of 8 answers are x"])


def test_a_constant_answer_is_no_news_where_all_right_answers_are_one(tmp_path: Path) -> None:
    rows = [{"q": f"q{number}", "gold": "yes"} for number in range(8)]
    done = run(evalkit.mock(lambda request: "yes"), "same", write_task(tmp_path, "same", rows))
    assert not [line for line in done.warnings if "answers are" in line]
    few = run(evalkit.mock(lambda request: "yes"), "few", write_task(tmp_path, "few", questions(3)))
    assert not [line for line in few.warnings if "answers are" in line]


def test_an_errored_or_withheld_reply_is_no_reply(tmp_path: Path) -> None:
    def answer(request: Any) -> Response:
        return Response(status="error", error="gone") if "1" in request.context else Response(text="2", finish="stop")

    done = run(evalkit.mock(answer), "some", write_task(tmp_path, "some", questions(8)))
    assert (done.result.tasks[0].outcomes.replies, done.result.tasks[0].outcomes.answers) == (7, 7)


def test_a_choice_by_generation_is_judged_by_the_letter_that_was_read(tmp_path: Path) -> None:
    rows = [{"q": f"q{number}", "opts": ["so", "not so"], "gold": number % 2} for number in range(8)]
    folder = write_task(tmp_path, "picks", rows, "multiple_choice")
    script = [{"match": f"q{number}", "text": f"A, because of {number}"} for number in range(8)]
    done = run("mock", "picks", folder, model_args={"mc": "generate", "script": script})
    assert "picks: 8 of 8 answers are A" in done.warnings


def test_a_transformers_model_says_the_same_on_both_paths(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra hf is not installed")
    sys.path.insert(0, str(Path(__file__).parent / "backends"))
    import tiny_models as tiny
    from test_stops import going_on

    folder = write_task(tmp_path, "goes", [{"q": f"{one}g", "gold": one} for one in "abcdef"])
    for engine in ({}, {"share_prefixes": False}):
        backend = tiny.backend(going_on("abcdefg"), max_length=64, **engine)
        done = evalkit.evaluate(
            backend, ["goes@bundled"], include_path=[folder], output=tmp_path / f"run{len(engine)}"
        )  # fmt: skip
        found = done.result.tasks[0].outcomes
        assert (found.replies, found.cut, found.empty, found.most_frequent_count) == (6, 6, 0, 6)
        assert next(iter(sentences(found))) == "6 of 6 answers are abcdef"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_server_s_replies_are_counted_alike(streamed: bool, tmp_path: Path) -> None:
    pytest.importorskip("httpx2", reason="the extra openai is not installed")
    sys.path.insert(0, str(Path(__file__).parent / "backends"))
    from naughty_server import Script, serving
    from test_server_thinking import thinker

    def reply(body: dict[str, Any]) -> Any:
        number = int(body["prompt"][1:])
        kinds = [("", "", "stop"), ("<think>so", "", "length"), ("", "cut here", "length"), ("", f"{number}", "stop")]
        thought, said, finish = kinds[min(number, 3)]
        return thinker(thought, said, streamed, finish)(body)

    folder = write_task(tmp_path, "says", questions(8))
    with serving(Script([reply])) as url:
        done = run(url, "says", folder, model_args={"stream": streamed, "retry_wait": 0})
    assert list(sentences(done.result.tasks[0].outcomes)) == [
        "1 of 8 replies are empty",
        "1 of 8 replies are unfinished thoughts",
        "1 of 8 replies are cut by the limit of their length",
    ]


def test_a_record_of_before_has_nothing_to_tell(tmp_path: Path) -> None:
    done = run(evalkit.mock(lambda request: ""), "says", write_task(tmp_path, "says", questions(8)))
    path = done.path / "results.json"
    content = json.loads(path.read_text())
    del content["evalkit"]["tasks"][0]["outcomes"]
    path.write_text(json.dumps(content))
    read = results.read(path)
    tasks = read.tasks
    assert tasks[0].outcomes == Outcomes()
    assert not is_constant(tasks[0].outcomes)
    assert lines(read) == []


def test_an_answer_is_text_and_no_markup_wherever_it_is_told(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)> [a](b) `c`"
    done = run(evalkit.mock(lambda request: evil), "says", write_task(tmp_path, "says", questions(8)))
    assert f"says: 8 of 8 answers are {evil}" in done.warnings
    page = done.report(tmp_path / "report.html").read_text()
    assert "answers are" in page
    assert "<img src=x" not in page
    text = done.report(tmp_path / "report.md").read_text()
    assert "<img src=x" not in text
    assert "[a](b)" not in text


def test_what_many_tasks_have_of_one_kind_is_one_sentence() -> None:
    from types import SimpleNamespace

    def task(number: int, **held: Any) -> SimpleNamespace:
        found = {"replies": 10, "empty": number, "answers": 10, "most_frequent": "A", "most_frequent_count": 10}
        outcomes = Outcomes(**{**found, "distinct_targets": 2, **held})
        return SimpleNamespace(info=SimpleNamespace(name=f"task{number}"), outcomes=outcomes, n=10)

    tasks = [task(1), task(3), task(2, most_frequent="B")]
    told = lines(SimpleNamespace(model={}, tasks=tasks))  # type: ignore[arg-type]
    assert told == [
        "all answers are the same in 3 tasks: task1 A (10), task3 A (10), task2 B (10)",
        "replies are empty in 3 tasks: task3 3 of 10, task2 2 of 10, task1 1 of 10",
    ]
    many = [task(number, failure="out of reach", failure_count=1) for number in range(1, 9)]
    told = lines(SimpleNamespace(model={}, tasks=many))  # type: ignore[arg-type]
    assert told[1].endswith("task4 4 of 10, task3 3 of 10 and 2 more")
    assert told[2] == "task1, task2, task3, task4, task5, task6 and 2 more: 1 item failed: out of reach"
