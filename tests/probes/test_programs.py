"""Fill in the middle, and programs of other languages: the right ones pass, broken ones fail."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sandbox.jails import jail_or_skip

import evalkit
from evalkit import Generate, ModelInfo, Request, Response, UserError
from evalkit.metrics.languages import Script, available, limits, marked
from evalkit.probes.infilling import FORMATS, holes, published

DERIVED = Path(__file__).parents[2] / "tasks" / "derived"
LANGUAGES = ("js", "sh", "pl", "cpp", "java")


class Oracle:
    """Gives the answer that ``answers`` has to a prompt, in its order."""

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers, self.asked = answers, list[str]()
        self.info = ModelInfo(name="oracle", backend="oracle", fingerprint=str(id(self)), max_length=1 << 20)

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        for index, request in enumerate(requests):
            assert isinstance(request, Generate)
            self.asked.append(request.context)
            yield index, Response(text=self.answers[request.context], finish="stop")

    def close(self) -> None:
        pass


ROW = {
    "task_id": "Own/1",
    "prompt": "def twice(n):\n",
    "canonical_solution": "    m = 2 * n\n\n    return m\n",
    "test": "def check(candidate):\n    assert candidate(4) == 8\n",
    "entry_point": "twice",
}


@pytest.mark.parametrize(
    ("form", "prompt"),
    [
        ("santacoder", "<fim-prefix>def twice(n):\n<fim-suffix>\n\n    return m\n<fim-middle>"),
        ("starcoder", "<fim_prefix>def twice(n):\n<fim_suffix>\n\n    return m\n<fim_middle>"),
        ("codellama", "<PRE> def twice(n):\n <SUF>\n\n    return m\n <MID>"),
        ("deepseek", "<｜fim▁begin｜>def twice(n):\n<｜fim▁hole｜>\n\n    return m\n<｜fim▁end｜>"),
    ],
)
def test_formats_are_those_of_the_models(form: str, prompt: str) -> None:
    first, second = holes(form, ROW)
    assert (first["fim"], first["middle"], first["of"]) == (prompt, "    m = 2 * n", "Own/1")
    assert second["middle"] == "    return m"
    item = {**ROW, "task_id": "SingleLineInfilling/HumanEval/3/L0", "suffix": "\n    return m\n"}
    (same,) = published(form, {**item, "canonical_solution": "    m = 2 * n\n"})
    assert (same["fim"], same["of"]) == (prompt, "HumanEval/3")


def test_lines_are_scored_by_likeness_and_by_tests(tmp_path: Path) -> None:
    jail_or_skip()
    rows = [
        json.loads(line) for line in (DERIVED.parent / "humaneval" / "sample.jsonl").read_text("utf-8").splitlines()
    ]
    items = [item for row in rows for item in holes("starcoder", row)][:12]
    kinds = (lambda line: line, lambda line: line + "  # the same", lambda line: "    return 'no'")
    answers = {item["fim"]: kinds[place % 3](item["middle"]) for place, item in enumerate(items)}
    run = evalkit.evaluate(
        Oracle(answers), ["humaneval_fim:starcoder@bundled"], limit=12, allow_code_execution=True,
        output=tmp_path / "run",
    )  # fmt: skip
    scores = run["humaneval_fim:starcoder"]
    assert scores["exact_match"].value == pytest.approx(4 / 12)
    assert scores["pass@1"].value == pytest.approx(8 / 12)
    assert scores["pass@1"].clusters == len({item["of"] for item in items})


@pytest.mark.parametrize("language", LANGUAGES)
def test_programs_of_other_languages(language: str, tmp_path: Path) -> None:
    jail = jail_or_skip()
    if not available(jail, language):
        pytest.skip(f"the sandbox finds no tools for {language}")
    rows = [json.loads(line) for line in (DERIVED / "multipl_e.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if row["language"] == language][:2]
    answers = {row["prompt"]: row["solution"] for row in rows}
    broken = {"js": "  process.exit(0);\n}", "sh": "    exit 0", "pl": "    exit 0;\n}"}.get(language, "    exit(0);")
    if language == "java":
        broken = "        System.exit(0); return 0;"
    answers[rows[1]["prompt"]] = broken
    run = evalkit.evaluate(
        Oracle(answers), [f"multipl_e:{language}@bundled"], limit=2, allow_code_execution=True, output=tmp_path / "run"
    )
    samples = run.samples(f"multipl_e:{language}")
    assert [extra["verdicts"][0] == "passed" for extra in samples["extra"]] == [True, False]


def test_a_wrong_program_of_another_language_fails() -> None:
    jail = jail_or_skip()
    wrong = Script("sh", "exit 3\n", limits("sh", 3)).judge(jail)
    assert (wrong.passed, wrong.reason[:8]) == (False, "status 3")
    slow = Script("sh", "sleep 99\n", limits("sh", 3).__class__(wall=1.0)).judge(jail)
    assert (slow.passed, slow.reason) == (False, "not done after 1 s")


def test_marks_go_behind_the_tests() -> None:
    assert marked("cpp", "int main() {\n    f();\n}\n", "M").endswith('f();\n\nputs("M");\n}\n')
    assert 'println("M");\n}\n\n}' in marked("java", "class Problem {\n    void main() {\n    }\n\n}\n", "M")


@pytest.mark.parametrize("name", ["humaneval_fim:", "humaneval_fim:gpt", "multipl_e:", "multipl_e:cobol"])
def test_unknown_formats_and_languages_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="|".join((*FORMATS, "choose one of", "which language"))):
        evalkit.evaluate("mock", [name], bundled=True, allow_code_execution=True, output=tmp_path / "run")
