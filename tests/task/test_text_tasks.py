"""Repeated answers, prompts that differ by choice, groups with fixed shots, families, metrics on demand."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, PromptStyle, Response, Rolling, SampleResult, Score, Task
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import Selection, resolve


def select(*names: str, **spec: object) -> Selection:
    tasks = tuple(TaskSpec(name=name) for name in names)
    return resolve(RunSpec(model=ModelSpec(name="m"), tasks=tasks, **spec))  # type: ignore[arg-type]


def answered(task: Task, texts: list[str]) -> SampleResult:
    documents = task.documents(mock.Mock())[:1]
    document = documents[0]
    requests = next(iter(task.requests(documents, PromptStyle())))
    return task.score(document, requests, [Response(text=text) for text in texts])


def test_gsm8k_reports_extraction_rules_side_by_side() -> None:
    (task,) = select("gsm8k@sample").tasks
    assert task.info.num_fewshot == 5
    keys = ["exact_match,strict-match", "exact_match,flexible-extract", "exact_match,no-thinking"]

    def scores(text: str) -> list[float | None]:
        sample = answered(task, [text])
        return [sample.metrics[key] for key in keys]

    assert scores(" 90 - 20 = 70\n#### 70") == [1.0, 1.0, 1.0]
    assert scores(" It is $70.") == [0.0, 1.0, 1.0]
    assert scores("<think>70?</think> none") == [0.0, 1.0, 0.0]
    assert scores("") == [0.0, 0.0, 0.0]


def test_self_consistency_asks_eight_times_and_votes() -> None:
    (task,) = select("gsm8k_cot_self_consistency@sample").tasks
    documents = task.documents(mock.Mock())[:1]
    requests = next(iter(task.requests(documents, PromptStyle())))
    assert [one.repeat for one in requests if isinstance(one, Generate)] == list(range(8))
    assert requests[0].sampling.temperature == 0.7  # type: ignore[union-attr]
    assert requests[0].context.count("The answer is") == 8  # type: ignore[union-attr]
    said = ["The answer is 71.", "no number", "The answer is 71.", "x", "The answer is 70"]
    sample = answered(task, [*said, "The answer is 70.", "The answer is 70", "y"])
    assert sample.status == "ok"
    assert sample.filtered["majority"] == "70"
    assert sample.filtered["maj@4"] == "71"
    assert len(sample.filtered["all"]) == 8
    assert sample.metrics["exact_match,majority"] == 1.0
    assert sample.metrics["exact_match,score-first"] == 0.0
    assert sample.metrics["pass@1,all"] == pytest.approx(3 / 8)
    assert sample.metrics["pass@8,all"] == 1.0
    assert answered(task, ["The answer is 70."]).status == "error"


def test_repeats_can_be_asked_for() -> None:
    selection = select("gsm8k_cot@sample", gen_kwargs={"repeats": 3})
    (task,) = selection.tasks
    documents = task.documents(mock.Mock())[:1]
    assert len(next(iter(task.requests(documents, PromptStyle())))) == 3
    assert any("all the same at temperature 0" in note for note in selection.warnings)
    with pytest.raises(UserError, match="repeats is 0"):
        select("gsm8k_cot", gen_kwargs={"repeats": 0})


def test_winogrande_scores_the_same_rest_after_each_name() -> None:
    (task,) = select("winogrande@sample").tasks
    documents = task.documents(mock.Mock())[:1]
    document = documents[0]
    first, second = next(iter(task.requests(documents, PromptStyle())))
    assert isinstance(first, Score)
    assert isinstance(second, Score)
    assert first.context.endswith("because the trophy")
    assert second.context.endswith("because the suitcase")
    assert first.continuation == second.continuation == " was too large."
    responses = [Response(loglikelihood=-3.0, is_greedy=False), Response(loglikelihood=-5.0, is_greedy=False)]
    sample = task.score(document, (first, second), responses)
    assert sample.metrics["acc,none"] == 1.0
    assert sample.extra["choices"] == ["trophy", "suitcase"]


def test_crows_pairs_has_no_prompt() -> None:
    (task,) = select("crows_pairs@sample").tasks
    documents = task.documents(mock.Mock())[:1]
    first, second = next(iter(task.requests(documents, PromptStyle())))
    assert (first.context, second.context) == ("", "")  # type: ignore[union-attr]
    assert "she would" in first.continuation  # type: ignore[union-attr]
    assert task.info.baseline == 0.5


def test_experiment1_fixes_its_shots() -> None:
    selection = select("experiment1", num_fewshot=3)
    shots = {task.info.name: task.info.num_fewshot for task in selection.tasks}
    assert shots["hellaswag"] == 10
    assert {number for name, number in shots.items() if name.startswith("mmlu_")} == {5}
    rest = {name: number for name, number in shots.items() if name != "hellaswag" and not name.startswith("mmlu_")}
    assert set(rest.values()) == {0}
    assert set(rest) == {
        "boolq",
        "truthfulqa_mc1",
        "truthfulqa_mc2",
        "triviaqa",
        "piqa",
        "openbookqa",
        "siqa",
        "squad_v2",
        "wmt20:de-en",
        "wmt20:en-de",
        "wmt20:de-fr",
    }


def test_open_llm_v1_and_others() -> None:
    shots = {task.info.name: task.info.num_fewshot for task in select("open-llm-v1").tasks}
    assert (shots["arc_challenge"], shots["winogrande"], shots["gsm8k"], shots["truthfulqa_mc2"]) == (25, 5, 5, 0)
    assert {task.info.name for task in select("translation").tasks} == {"wmt20:de-en", "wmt20:en-de", "wmt20:de-fr"}
    assert all(task.info.num_fewshot == 0 for task in select("quick").tasks)
    for group in ("quick", "hallucination", "long-context"):
        assert {task.info.num_fewshot for task in select(group, num_fewshot=3).tasks} == {0}, group


def test_a_task_with_other_shots_than_its_group_is_refused() -> None:
    with pytest.raises(UserError, match="asked for twice with different settings"):
        select("hellaswag", "experiment1")
    assert select("hellaswag@10shot", "experiment1").tasks
    notes = select("experiment1@4shot").warnings
    assert any("fixes its few-shot examples; 4 is ignored" in note for note in notes)


def test_a_sample_with_fewer_examples_than_the_group_asks_for() -> None:
    selection = select("open-llm-v1@sample")
    shots = {task.info.name: task.info.num_fewshot for task in selection.tasks}
    assert (shots["arc_challenge"], shots["hellaswag"], shots["gsm8k"]) == (10, 10, 5)
    assert "arc_challenge: 10 few-shot examples are bundled, of the 25 that open-llm-v1 fixes" in selection.warnings


def test_metrics_on_demand_go_where_they_fit() -> None:
    selection = select("siqa@sample", "gsm8k@sample", metrics=("distinct_2", "exact_match", "ece"))
    siqa, gsm8k = selection.tasks
    assert list(gsm8k.info.higher_is_better)[-2:] == ["distinct_2,none", "exact_match,none"]
    assert list(siqa.info.higher_is_better) == ["acc,none", "brier_score,none", "ece,none", "exact_match,none"]
    assert any("siqa: left out" in note and "distinct_2" in note for note in selection.warnings)
    with pytest.raises(UserError, match="unknown metric"):
        select("siqa", metrics=("nothing_like_it",))


def test_perplexity_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("First text.\n", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    lines = '{"text": "Second"}\n{"text": " "}\n{"text": "Third"}\n'
    (tmp_path / "deep" / "b.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "c.bin").write_bytes(b"\xff")
    (task,) = select(f"perplexity:{tmp_path}").tasks
    documents = task.documents(mock.Mock())
    assert [one.data for one in documents] == [
        {"text": "First text.\n", "file": "a.txt"},
        {"text": "Second", "file": "deep/b.jsonl:1"},
        {"text": "Third", "file": "deep/b.jsonl:3"},
    ]
    assert [one for (one,) in task.requests(documents[:1], PromptStyle())] == [Rolling("First text.\n")]
    samples = [task.score(one, (), [Response(loglikelihood=-4.0, prompt_tokens=2)]) for one in documents]
    found = {metric.name: metric.value for metric in task.summarize(samples)}
    assert found["token_perplexity"] == pytest.approx(2.718281828459045**2)
    assert task.info.dataset is not None
    assert task.info.dataset.id == tmp_path.name
    (one,) = select(f"perplexity:{tmp_path / 'a.txt'}").tasks
    assert len(one.documents(mock.Mock())) == 1
    with pytest.raises(UserError, match="no such file or folder"):
        select(f"perplexity:{tmp_path / 'nothing'}")
    with pytest.raises(UserError, match="not UTF-8 text"):
        select(f"perplexity:{tmp_path / 'c.bin'}").tasks[0].documents(mock.Mock())


def test_the_encoding_of_a_text(tmp_path):
    file = tmp_path / "a.txt"

    def text():
        return select(f"perplexity:{file}").tasks[0].documents(mock.Mock())[0].data["text"]

    file.write_bytes("One.\r\nTwo.".encode("utf-8-sig"))
    assert text() == "One.\nTwo."
    for content, said in (
        ("a\nb".encode("utf-16"), "a.txt:1: not UTF-8 text but UTF-16"),
        ("a\nb".encode("utf-16-le"), "a.txt:1: a NUL character"),
        ("a\né".encode("latin-1"), "a.txt:2: not UTF-8 text"),
    ):
        file.write_bytes(content)
        with pytest.raises(UserError, match=said):
            text()


@pytest.mark.parametrize(
    "name",
    ["squad_v2", "race", "xsum", "cnn_dailymail", "gsm8k", "siqa", "winogrande", "crows_pairs", "bbh_word_sorting"],
)
def test_samples_have_24_items_that_their_own_answers_solve(name: str) -> None:
    (task,) = select(f"{name}@sample").tasks
    documents = task.documents(mock.Mock())
    assert len(documents) == 24
    assert len({document.hash for document in documents}) == 24
    if task.info.kind != "generate":
        return
    primary = {"xsum": "rougeL,none", "cnn_dailymail": "rougeL,none"}.get(name, task.info.primary)
    for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        right = task.answer(document).split(" | ")[0]  # type: ignore[attr-defined]
        sample = task.score(document, requests, [Response(text=f" {right}")])
        assert sample.metrics[primary] == pytest.approx(1.0), right
