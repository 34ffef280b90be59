"""Tasks whose answers are programs: the right ones pass, the broken ones fail, and nothing runs without permission."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sandbox.jails import jail_or_skip
from typer.testing import CliRunner

import evalkit
from evalkit import Generate, ModelInfo, Request, Response, UserError
from evalkit.cli.app import app
from evalkit.metrics.filters import build
from evalkit.metrics.repeats import pass_at_k

TASKS = Path(__file__).parents[2] / "tasks"


def items(task: str) -> list[dict[str, str]]:
    lines = (TASKS / task / "sample.jsonl").read_text("utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["_split"] == "test"]


class Solver:
    """Answers the n-th of a problem's repeats rightly where ``right(problem, n)`` says so; it knows the problem by the
    name of its function.
    """

    def __init__(self, programs: dict[str, str], right: object) -> None:
        self.programs, self.right = programs, right
        self.info = ModelInfo(name="solver", backend="solver", fingerprint=str(id(self)), max_length=1 << 20)

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            assert isinstance(request, Generate)
            # The few-shot examples come first.
            name = max(self.programs, key=lambda one: request.context.rfind(f"{one}("))
            right = self.right(list(self.programs).index(name), request.repeat)  # type: ignore[operator]
            text = self.programs[name] if right else "    return 'wrong'\n"
            yield index, Response(text=text, finish="stop")

    def close(self) -> None:
        pass


def solutions(task: str) -> dict[str, str]:
    if task.startswith("humaneval"):
        found = {row["entry_point"]: row["canonical_solution"] for row in items("humaneval")}
        if "instruct" in task:
            heads = {row["entry_point"]: row["prompt"] for row in items("humaneval")}
            found = {name: f"Here it is:\n\n```python\n{heads[name]}{body}```\nDone." for name, body in found.items()}
        return found
    found = {row["code"].split("(")[0].removeprefix("def "): row["code"] for row in items("mbpp")}
    return {name: f"```python\n{code}\n```" for name, code in found.items()} if "instruct" in task else found


@pytest.mark.parametrize("task", ["humaneval", "humaneval_instruct", "mbpp", "mbpp_instruct", "mbpp_plus"])
def test_right_programs_pass_and_broken_ones_fail(task: str, tmp_path: Path) -> None:
    jail_or_skip()
    solver = Solver(solutions(task), lambda problem, repeat: problem % 4 != 0)
    run = evalkit.evaluate(solver, [f"{task}@bundled"], allow_code_execution=True, limit=8, output=tmp_path / "run")
    metric = run[task].primary
    assert metric is not None
    assert (metric.name, metric.value, metric.n, metric.unit) == ("pass@1", 0.75, 8, "share")
    told = [extra["verdicts"] for extra in run.samples(task)["extra"]]
    assert [one == ["passed"] for one in told] == [place % 4 != 0 for place in range(8)]


def test_pass_at_k_is_unbiased_over_problems(tmp_path: Path) -> None:
    jail_or_skip()
    solver = Solver(solutions("humaneval"), lambda problem, repeat: repeat < problem % 3)
    run = evalkit.evaluate(
        solver, ["humaneval_64@bundled"], allow_code_execution=True, limit=6, gen_kwargs={"repeats": 10},
        output=tmp_path / "run",
    )  # fmt: skip
    scores = run["humaneval_64"]
    found = {scores[key].name: scores[key] for key in scores}
    correct = [place % 3 for place in range(6)]
    assert found["pass@1"].value == pytest.approx(sum(correct) / 60)
    assert found["pass@10"].value == pytest.approx(sum(pass_at_k(10, one, 10) for one in correct) / 6)
    assert found["pass@1"].n == 6  # an interval over problems, not over answers
    assert found["pass@64"].value is None


@pytest.mark.parametrize("settings", [{}, {"allow_code_execution": False}])
def test_without_permission_nothing_is_asked_or_run(settings: dict[str, bool], tmp_path: Path) -> None:
    solver = Solver(solutions("humaneval"), lambda problem, repeat: pytest.fail("asked"))
    with pytest.raises(UserError, match="--allow-code-execution"):
        evalkit.evaluate(solver, ["humaneval@bundled"], output=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_answers_are_kept_without_permission_and_scored_with_it(tmp_path: Path) -> None:
    jail_or_skip()
    run = evalkit.evaluate(
        Solver(solutions("humaneval"), lambda problem, repeat: True),
        ["humaneval@bundled"], predict_only=True, limit=3, output=tmp_path / "run",
    )  # fmt: skip
    with pytest.raises(UserError, match="--allow-code-execution"):
        evalkit.rescore(run.path, output=tmp_path / "no")
    again = evalkit.rescore(run.path, allow_code_execution=True, output=tmp_path / "again")
    assert again["humaneval"]["pass@1"].value == 1.0


def test_a_run_directory_gives_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jail_or_skip()
    monkeypatch.chdir(tmp_path)
    command = ["run", "--model", "mock", "--tasks", "humaneval@bundled", "--limit", "1", "--output", "run"]
    assert CliRunner().invoke(app, [*command, "--allow-code-execution"]).exit_code == 0
    for again in (["run", "--resume", "run"], ["retry", "run"], command):
        refused = CliRunner().invoke(app, again)
        assert refused.exit_code == 2
        assert "--allow-code-execution" in refused.output
        assert CliRunner().invoke(app, [*again, "--allow-code-execution"]).exit_code == 0


def test_without_a_sandbox_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from evalkit.sandbox import finding

    monkeypatch.setenv("PATH", str(tmp_path))
    finding.find.cache_clear()
    try:
        with pytest.raises(UserError, match=r"install bubblewrap .*or podman or docker"):
            evalkit.evaluate("mock", ["humaneval@bundled"], allow_code_execution=True, output=tmp_path / "run")
    finally:
        finding.find.cache_clear()


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("x = 1\n", "x = 1\n"),
        ("Sure:\n```python\nx = 1\n```\nDone.\n```\nmore\n```", "x = 1\n"),
        ("```\nfirst\n```\n\n~~~py\nx = 1\n~~~", "x = 1\n"),
        ("```js\nlet x\n```", "let x\n"),
        ("```python\nx = '```'\n```\n", "x = '```'\n"),
        ("````python\n```\n````", "```\n"),
        ("```python\nx = 1", "x = 1"),
        ("", ""),
    ],
)
def test_code_is_taken_out_of_a_reply(reply: str, code: str) -> None:
    assert build("code_block")(reply) == code
