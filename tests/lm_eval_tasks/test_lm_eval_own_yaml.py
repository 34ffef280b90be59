"""Tasks from a user's own YAML folder: every kind of task, groups, tags, overrides, and errors, beside lm-eval."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fake_lm
import pytest

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.types import Generate, PromptStyle, Response, Rolling, SampleResult, Score, Task
from evalkit.data import open_source
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.lm_eval import apart, available, rename, resolve
from evalkit.task.lm_eval.index import manager
from evalkit.task.lm_eval.mirror import served

pytestmark = pytest.mark.lm_eval

ROWS = [
    {"q": f"Which word is number {n}?", "words": ["zero", "one", "two"], "label": n % 3, "text": f"Line {n} of a text."}
    for n in range(9)
]

YAML = {
    "ek_choice": """
        tag: [ek_tagged]
        output_type: multiple_choice
        training_split: train
        doc_to_text: "Q: {{q}}\\nA:"
        doc_to_choice: words
        doc_to_target: label
        metric_list:
          - {metric: acc, aggregation: mean, higher_is_better: true}
          - {metric: acc_norm, aggregation: mean, higher_is_better: true}
          - {metric: acc_mutual_info, aggregation: mean, higher_is_better: true}
          - {metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}
          - {metric: brier_score, aggregation: brier_score, higher_is_better: false}
        """,
    "ek_inputs": """
        tag: [ek_tagged]
        output_type: multiple_choice
        doc_to_text: "{{label}}"
        doc_to_choice: "{{[q + ' zero', q + ' one', q + ' two']}}"
        doc_to_target: "is the answer"
        metric_list:
          - {metric: acc, aggregation: mean, higher_is_better: true}
        """,
    "ek_rolling": """
        output_type: loglikelihood_rolling
        doc_to_text: ""
        doc_to_target: text
        metric_list:
          - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
          - {metric: byte_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
          - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
        """,
    "ek_bleu": """
        output_type: generate_until
        doc_to_text: "Copy: {{q}}"
        doc_to_target: q
        metric_list:
          - {metric: bleu, aggregation: bleu, higher_is_better: true}
          - {metric: chrf, aggregation: chrf, higher_is_better: true}
        """,
    "ek_vote": """
        output_type: generate_until
        repeats: 3
        doc_to_text: "Q: {{q}}\\nA:"
        doc_to_target: "yes"
        generation_kwargs: {until: ["\\n"], do_sample: true, temperature: 0.7, top_p: 0.9, max_gen_toks: 12}
        filter_list:
          - name: first
            filter: [{function: take_first}]
          - name: vote
            filter: [{function: remove_whitespace}, {function: majority_vote}, {function: take_first}]
        metric_list:
          - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}
        """,
    "ek_ranked": """
        output_type: generate_until
        doc_to_text: "Q: {{q}}\\nA:"
        doc_to_target: "rare"
        filter_list:
          - name: ranked
            filter: [{function: custom, filter_fn: !function code.most_common_is_rare}, {function: take_first}]
        metric_list:
          - {metric: exact_match, aggregation: mean, higher_is_better: true}
        """,
    "ek_fixed": """
        output_type: multiple_choice
        num_fewshot: 0
        doc_to_text: q
        doc_to_choice: words
        doc_to_target: label
        """,
    "ek_unsafe": """
        output_type: generate_until
        unsafe_code: true
        doc_to_text: q
        doc_to_target: text
        """,
    "ek_fails": """
        output_type: generate_until
        doc_to_text: q
        doc_to_target: text
        process_results: !function code.fails
        metric_list:
          - {metric: acc, aggregation: mean, higher_is_better: true}
        """,
}
CODE = '''
from collections import Counter

def most_common_is_rare(resps, docs):
    """Looks at all documents: answers that only one document gave are "rare"."""
    counts = Counter(resp[0] for resp in resps)
    return [["rare" if counts[resp[0]] == 1 else "common"] for resp in resps]

def fails(doc, results):
    raise ValueError("two\\nlines")
'''
GROUP = """
group: ek_group
group_alias: ours
task: [ek_choice, {group: inner, task: [ek_inputs, ek_fixed], aggregate_metric_list: [{metric: acc}]}]
aggregate_metric_list:
  - {metric: acc, weight_by_size: true, filter_list: none}
  - {metric: f1, weight_by_size: true}
metadata: {version: 3}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The YAML folder and a mirror with the data set it uses."""
    import textwrap

    base = tmp_path_factory.mktemp("own")
    tasks, data = base / "tasks", base / "data"
    tasks.mkdir()
    (tasks / "code.py").write_text(CODE)
    (tasks / "group.yaml").write_text(GROUP)
    for name, body in YAML.items():
        head = f"task: {name}\ndataset_path: ek/words\nvalidation_split: test\nmetadata: {{version: 2}}\n"
        (tasks / f"{name}.yaml").write_text(head + textwrap.dedent(body))
    home = data / "ek" / "words" / "default"
    home.mkdir(parents=True)
    (home / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tasks, data


def spec(folders: tuple[Path, Path], **options: Any) -> RunSpec:
    tasks, data = folders
    return RunSpec(
        model=ModelSpec(name="fake"), tasks=(TaskSpec(name="x"),), include_path=(tasks,), data_dir=data, **options
    )


def one_task(name: str, folders: tuple[Path, Path], **options: Any) -> Task:
    (task,) = resolve(name, TaskSpec(name=name), spec(folders, **options)).tasks
    return task


def run(task: Task, folders: tuple[Path, Path]) -> list[SampleResult]:
    documents = task.documents(open_source(folders[1]))
    return [
        task.score(document, requests, [fake_lm.respond(request) for request in requests])
        for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True)
    ]


def theirs(name: str, folders: tuple[Path, Path]) -> dict[str, Any]:
    import lm_eval

    with served(folders[1]):
        results = lm_eval.simple_evaluate(
            model=fake_lm.make_lm(), tasks=[name], bootstrap_iters=0, task_manager=manager((str(folders[0]),))
        )
    assert results is not None
    return results


@pytest.mark.parametrize("name", ["ek_choice", "ek_inputs", "ek_rolling", "ek_bleu", "ek_vote", "ek_ranked"])
def test_every_kind_gives_lm_evals_values(name: str, folders: tuple[Path, Path]) -> None:
    task = one_task(name, folders)
    expected = {
        key: value
        for key, value in theirs(name, folders)["results"][name].items()
        if "," in key and "_stderr" not in key
    }
    metrics = task.summarize(run(task, folders))
    assert {metric.key: metric.value for metric in metrics} == pytest.approx(expected, abs=1e-9)
    assert all(metric.n == len(ROWS) for metric in metrics)
    assert task.info.version == "2"


def test_what_an_adapted_task_says_of_itself(folders: tuple[Path, Path]) -> None:
    info = one_task("ek_choice", folders).info
    assert (info.name, info.kind, info.split, info.num_fewshot, info.primary) == (
        "ek_choice",
        "multiple_choice",
        "test",
        0,
        "acc,none",
    )
    assert info.dataset is not None
    assert info.dataset.id == "ek/words"
    assert info.higher_is_better["brier_score"] is False
    assert info.config["metadata"] == {"version": 2, "config_source": "ek_choice.yaml"}
    assert json.loads(json.dumps(info.config)) == info.config
    assert str(folders[0]) not in json.dumps(info.config)


def test_requests_of_each_kind(folders: tuple[Path, Path]) -> None:
    def first(name: str) -> tuple:
        task = one_task(name, folders)
        return next(task.requests(task.documents(open_source(folders[1])), PromptStyle()))

    choice = first("ek_choice")
    assert choice[0] == Score("Q: Which word is number 0?\nA:", " zero")
    assert choice[3:] == (Score("", " zero"), Score("", " one"), Score("", " two"))
    assert first("ek_inputs")[1] == Score("Which word is number 0? one", " is the answer")
    assert first("ek_rolling") == (Rolling("Line 0 of a text."),)
    sampled = first("ek_vote")
    assert [request.repeat for request in sampled] == [0, 1, 2]
    assert isinstance(sampled[0], Generate)
    assert (sampled[0].until, sampled[0].max_tokens) == (("\n",), 12)
    assert (sampled[0].sampling.temperature, sampled[0].sampling.top_p) == (0.7, 0.9)
    greedy = first("ek_bleu")[0]
    assert isinstance(greedy, Generate)
    assert (greedy.until, greedy.max_tokens, greedy.sampling.temperature) == (("\n\n",), 256, 0.0)


def test_repeated_answers_are_filtered_together(folders: tuple[Path, Path]) -> None:
    task = one_task("ek_vote", folders)
    document = task.documents(open_source(folders[1]))[0]
    requests = next(task.requests([document], PromptStyle()))
    sample = task.score(document, requests, [Response(text=text) for text in ("no", " yes", "yes ")])
    assert sample.metrics == {"exact_match,first": 0.0, "exact_match,vote": 1.0}
    assert sample.filtered == {"first": ["no"], "vote": ["yes"]}
    assert sample.target == "yes"


def test_rolling_keeps_its_sums(folders: tuple[Path, Path]) -> None:
    sample = run(one_task("ek_rolling", folders), folders)[0]
    expected = fake_lm.rolling("Line 0 of a text.")
    assert sample.statistics["word_perplexity,none"] == (expected, 5.0)
    assert sample.metrics["word_perplexity,none"] is None


def test_failures_are_values(folders: tuple[Path, Path]) -> None:
    task = one_task("ek_choice", folders)
    document = task.documents(open_source(folders[1]))[0]
    requests = next(task.requests([document], PromptStyle()))
    good = fake_lm.respond(requests[0])
    failed = task.score(document, requests, [good] * 5 + [Response(status="error", error="out of memory")])
    assert (failed.status, failed.error, dict(failed.metrics)) == ("error", "out of memory", {})
    skipped = task.score(document, requests, [good] * 5 + [Response(status="unscored")])
    assert skipped.status == "unscored"
    assert task.summarize([failed, skipped]) == ()
    broken = run(one_task("ek_fails", folders), folders)[0]
    assert (broken.status, broken.error) == ("error", "lm-eval's scoring failed: ValueError: two lines")


def test_groups_and_tags(folders: tuple[Path, Path]) -> None:
    found = resolve("lm_eval:ek_group", TaskSpec(name="ek_group"), spec(folders))
    assert [task.info.name for task in found.tasks] == ["ek_choice", "ek_inputs", "ek_fixed"]
    outer, inner = sorted(found.groups, key=lambda group: len(group.name))
    assert (outer.name, outer.alias, outer.version) == ("ek_group", "ours", "3")
    assert outer.children == ("ek_choice", "ek_group::inner")
    # No task has f1, so the group has none either.
    assert outer.aggregate == ("acc,none",)
    assert (inner.children, inner.aggregate) == (("ek_inputs", "ek_fixed"), ("acc,none",))
    tagged = resolve("ek_tagged", TaskSpec(name="ek_tagged"), spec(folders))
    assert [task.info.name for task in tagged.tasks] == ["ek_choice", "ek_inputs"]
    assert tagged.groups == ()
    matched = resolve("ek_?o*", TaskSpec(name="x"), spec(folders)).tasks
    assert [task.info.name for task in matched] == ["ek_rolling", "ek_vote"]


def test_overrides(folders: tuple[Path, Path]) -> None:
    assert one_task("ek_inputs", folders, num_fewshot=2).info.num_fewshot == 2
    assert one_task("ek_fixed", folders, num_fewshot=2).info.num_fewshot == 0
    task = one_task("ek_bleu", folders, gen_kwargs={"max_gen_toks": 3})
    request = next(task.requests(task.documents(open_source(folders[1])), PromptStyle()))[0]
    assert isinstance(request, Generate)
    assert (request.max_tokens, request.until) == (3, ("\n\n",))


def test_requests_are_the_same_each_time(folders: tuple[Path, Path]) -> None:
    task = one_task("ek_inputs", folders, num_fewshot=2)
    documents = task.documents(open_source(folders[1]))
    first = list(task.requests(documents, PromptStyle()))
    assert list(task.requests(documents, PromptStyle())) == first
    assert len({requests[0] for requests in first}) == len(ROWS)


def test_rename(folders: tuple[Path, Path]) -> None:
    task = one_task("ek_choice", folders)
    assert rename(task, "lm_eval:ek_choice").info.name == "lm_eval:ek_choice"
    assert task.info.name == "ek_choice"


def test_clashing_names_are_kept_apart(folders: tuple[Path, Path]) -> None:
    found = resolve("ek_group", TaskSpec(name="ek_group"), spec(folders))
    other = apart(found, {"ek_inputs", "ek_group::inner", "hellaswag"})
    assert [task.info.name for task in other.tasks] == ["ek_choice", "lm_eval:ek_inputs", "ek_fixed"]
    by_name = {group.name: group.children for group in other.groups}
    assert by_name == {
        "ek_group": ("ek_choice", "lm_eval:ek_group::inner"),
        "lm_eval:ek_group::inner": ("lm_eval:ek_inputs", "ek_fixed"),
    }


def test_names(folders: tuple[Path, Path]) -> None:
    names = available((folders[0],))
    assert {"ek_choice", "ek_group", "ek_tagged", "hellaswag", "mmlu"} <= set(names)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ek_choise", {}, "no task, group or tag 'ek_choise'; did you mean ek_choice"),
        ("ek_unsafe", {}, "runs code that the model writes"),
        ("ek_choice", {"num_fewshot": 2}, "2 shots come from the split 'train', which the data folder lacks"),
        ("ek_choice", {"sample": True}, "have no bundled items"),
        ("hellaswag", {}, "lm_eval:hellaswag: data folder .*: data set Rowan/hellaswag is not there"),
    ],
)
def test_bad_input_says_what_is_wrong(
    name: str, options: dict[str, Any], words: str, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(UserError, match=words) as raised:
        resolve(name, TaskSpec(name=name), spec(folders, **options))
    assert "\n" not in str(raised.value)


def test_a_broken_file_of_ones_own_is_named(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "broken.yaml").write_text("task: [unclosed\n")
    with pytest.raises(UserError, match=r"broken\.yaml: no task that lm-eval can read"):
        resolve("ek", TaskSpec(name="ek"), spec((tmp_path, folders[1])))
    with pytest.raises(UserError, match="no such folder"):
        resolve("ek", TaskSpec(name="ek"), spec((tmp_path / "absent", folders[1])))


def test_an_evaluation_split_that_is_not_there(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    (tmp_path / "ek_absent.yaml").write_text(
        "task: ek_absent\ndataset_path: ek/words\nvalidation_split: test\ntest_split: hidden\n"
        "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: text\n"
    )
    with pytest.raises(UserError, match="evaluates on the split 'hidden' of ek/words, which has only test"):
        resolve("ek_absent", TaskSpec(name="ek_absent"), spec((tmp_path, folders[1])))


def test_without_lm_eval(monkeypatch: pytest.MonkeyPatch, folders: tuple[Path, Path]) -> None:
    manager.cache_clear()
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit-harness\[lm-eval\]'"):
        resolve("hellaswag", TaskSpec(name="hellaswag"), spec(folders))
