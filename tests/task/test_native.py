"""A native task from its documents to its metrics, on data of this file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, Generate, Message, PromptStyle, Response, Rolling, Score, Shots, Task
from evalkit.task.definition import load_task
from evalkit.task.native import NativeTask, Options

CHOICE = """\
name: toy
version: "1.0"
dataset: {id: me/toy, revision: main, splits: {eval: test, fewshot: train}}
kind: multiple_choice
instruction: "About {{ topic }}:\\n\\n"
prompt: "Q: {{ q }}\\nA:"
choices: options
target: gold
fewshot: {sampler: first_n}
metrics:
  - metric: acc
  - metric: acc_norm
baseline: {random: 1/choices}
sample: sample.jsonl
"""
TEXT = """\
name: words
version: "1.0"
dataset: {id: me/words, splits: {eval: test}}
kind: generate
prompt: "Say {{ word }}:"
target: "{{ answers }}"
generation: {until: ["\\n"], max_tokens: 4}
filters: {strip: [strip], letter: [{function: regex, regex_pattern: "([a-z])"}]}
metrics:
  - metric: exact_match
    filter: strip
  - metric: exact_match
    filter: letter
    name: letter
primary: exact_match,strip
"""


def row(q: str, gold: Any, options: Sequence[str] = ("red", "green")) -> dict[str, Any]:
    return {"q": q, "gold": gold, "options": list(options), "topic": "colours"}


class Data:
    name = "memory"

    def __init__(self, **splits: list[dict[str, Any]]) -> None:
        self.splits = splits
        self.loaded: list[str] = []

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        self.loaded.append(split)
        return self.splits[split]


def make(folder: Path, text: str, options: Options = Options(), **files: str) -> NativeTask:
    (folder / "task.yaml").write_text(text)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    defined = load_task(folder / "task.yaml")
    return NativeTask(defined.tasks[0], defined.source, options)


def ll(*values: float) -> list[Response]:
    return [Response(loglikelihood=value, is_greedy=False) for value in values]


DATA = Data(test=[row("sky", 1), row("blood", 0), row("grass", 1)], train=[row("rose", 0), row("leaf", 1)])


def test_documents_and_hash(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE)
    assert isinstance(task, Task)
    documents = task.documents(DATA)
    assert [document.id for document in documents] == [0, 1, 2]
    text = json.dumps(row("sky", 1), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert documents[0].hash == hashlib.sha256(text.encode()).hexdigest()


def test_fewshot_split_is_read_only_if_needed(tmp_path: Path) -> None:
    data = Data(**DATA.splits)
    make(tmp_path, CHOICE).documents(data)
    assert data.loaded == ["test"]
    make(tmp_path, CHOICE, Options(shots=Shots(1))).documents(data)
    assert data.loaded == ["test", "test", "train"]


def test_prompts(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE, Options(shots=Shots(2)))
    documents = task.documents(DATA)
    first = next(task.requests(documents, PromptStyle()))
    shots = "Q: rose\nA: red\n\nQ: leaf\nA: green\n\n"
    assert first == (
        Score(f"About colours:\n\n{shots}Q: sky\nA:", " red"),
        Score(f"About colours:\n\n{shots}Q: sky\nA:", " green"),
    )


def test_chat_prompts(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE, Options(shots=Shots(1)))
    documents = task.documents(DATA)

    def chat(messages: Sequence[Message], add: bool) -> str:
        return "|".join(f"{one.role}:{one.content}" for one in messages) + f"|{add}"

    turns = next(task.requests(documents, PromptStyle(chat=chat, system="Hi.")))[0]
    assert isinstance(turns, Score)
    assert turns.context == "system:Hi.\n\nAbout colours:\n\n|user:Q: rose\nA:|assistant:red|user:Q: sky\nA:|True"
    assert turns.continuation == "red"
    assert turns.messages is not None
    assert [message.role for message in turns.messages] == ["system", "user", "assistant", "user"]
    single = next(task.requests(documents, PromptStyle(chat=chat, multiturn=False)))[0]
    assert isinstance(single, Score)
    assert single.context == "system:About colours:\n\n|user:Q: rose\nA: red\n\nQ: sky\nA:|True"


def test_scores_and_baselines(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE)
    documents = task.documents(DATA)
    requests = list(task.requests(documents, PromptStyle()))
    answers = [ll(-2.0, -1.0), ll(-2.0, -1.0), ll(-1.0, -1.5)]
    samples = [task.score(*one) for one in zip(documents, requests, answers, strict=True)]
    assert [sample.metrics["acc,none"] for sample in samples] == [1.0, 0.0, 0.0]
    # -1/3 a character for red, -1.5/5 for green
    assert samples[2].metrics["acc_norm,none"] == 1.0
    assert samples[0].target == 1
    assert samples[0].extra == {"choices": ["red", "green"], "prediction": 1}
    acc, acc_norm = task.summarize(samples)
    assert (acc.key, acc.value, acc.n, acc.primary) == ("acc,none", pytest.approx(1 / 3), 3, True)
    assert (acc.baseline, acc.majority) == (pytest.approx(0.5), pytest.approx(2 / 3))
    assert (acc_norm.value, acc_norm.primary) == (pytest.approx(2 / 3), False)


def test_failures_are_values(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE)
    data = Data(test=[row("sky", 1), row("far", 2), row("none", -1), row("text", "green"), row("number", "0")])
    documents = task.documents(data)
    requests = list(task.requests(documents, PromptStyle()))
    broken = task.score(documents[0], requests[0], [*ll(-1.0), Response(status="error", error="no room")])
    assert (broken.status, broken.error, broken.metrics) == ("error", "no room", {})
    assert task.score(documents[0], requests[0], ll(-1.0)).error == "1 answers came for 2 requests"
    assert task.score(documents[0], requests[0], ll(-1.0, float("nan"))).status == "error"
    far, none, text, number = [
        task.score(document, asked, ll(-2.0, -1.0)) for document, asked in zip(documents[1:], requests[1:], strict=True)
    ]
    assert (far.status, far.error) == ("unscored", "the gold index 2 is out of range for 2 choices")
    assert none.status == "unscored"
    assert (text.target, text.metrics["acc,none"]) == (1, 1.0)
    assert (number.target, number.metrics["acc,none"]) == (0, 0.0)
    (acc, _) = task.summarize([broken, far, none, text, number])
    assert (acc.n, acc.value) == (2, 0.5)


def test_generation(tmp_path: Path) -> None:
    task = make(tmp_path, TEXT, Options(gen_kwargs={"max_gen_toks": 9}, seed=5))
    documents = task.documents(Data(test=[{"word": "hi", "answers": ["hi", "hello"]}]))
    ((request,),) = list(task.requests(documents, PromptStyle()))
    assert isinstance(request, Generate)
    assert (request.context, request.until, request.max_tokens, request.sampling.seed) == ("Say hi:", ("\n",), 9, 5)
    sample = task.score(documents[0], (request,), [Response(text=" hello ")])
    assert sample.filtered == {"none": " hello ", "strip": "hello", "letter": "h"}
    assert sample.metrics == {"exact_match,strip": 1.0, "letter,letter": 0.0}
    assert task.score(documents[0], (request,), [Response()]).status == "error"


def test_rolling(tmp_path: Path) -> None:
    text = (
        'name: books\nversion: "1"\ndataset: {id: me/books, splits: {eval: test}}\nkind: rolling\n'
        "target: page\nmetrics:\n  - metric: word_perplexity\n"
    )
    task = make(tmp_path, text)
    documents = task.documents(Data(test=[{"page": "one two"}]))
    assert list(task.requests(documents, PromptStyle())) == [(Rolling("one two"),)]
    sample = task.score(documents[0], (Rolling("one two"),), ll(-4.0))
    assert sample.statistics == {"word_perplexity,none": (-4.0, 2.0)}
    assert sample.metrics == {}
    assert task.info.higher_is_better == {"word_perplexity,none": False}


def test_sample_is_marked_and_self_contained(tmp_path: Path) -> None:
    lines = [row("sun", 0) | {"_split": "test"}, row("sea", 1) | {"_split": "train"}]
    files = {"sample_jsonl": "\n".join(map(json.dumps, lines))}
    task = make(tmp_path, CHOICE, Options(shots=Shots(1), sample=True), **files)
    documents = task.documents(Data())
    assert task.info.sample
    assert "_split" not in documents[0].data
    ((request, _),) = list(task.requests(documents, PromptStyle()))
    assert isinstance(request, Score)
    assert request.context.endswith("Q: sea\nA: green\n\nQ: sun\nA:")


def test_bad_data_is_placed(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE)
    documents = task.documents(Data(test=[row("sky", 1), {"q": "x", "topic": "t", "gold": 0}]))
    with pytest.raises(UserError) as caught:
        list(task.requests(documents, PromptStyle()))
    message = str(caught.value)
    assert message.startswith("me/toy, split test, row 2: the field 'options' is missing, which ")
    assert message.endswith("task.yaml:7: choices asks for; the row has gold, q, topic")
    with pytest.raises(UserError, match="me/toy, split test: the split test is empty"):
        task.documents(Data(test=[]))


def test_too_many_shots_and_no_split(tmp_path: Path) -> None:
    task = make(tmp_path, CHOICE, Options(shots=Shots(3)))
    with pytest.raises(UserError, match=r"toy .*split train.*3 few-shot examples asked for, but there are only 2"):
        task.documents(DATA)
    with pytest.raises(UserError, match="words: has no split to take few-shot examples from"):
        make(tmp_path, TEXT, Options(shots=Shots(1)))


def test_code_beside_the_definition(tmp_path: Path) -> None:
    text = CHOICE.replace("target: gold", "target: right\nprocess: task.py:flip")
    code = "def flip(row):\n    return {**row, 'right': 1 - row['gold']}\n"
    task = make(tmp_path, text, task_py=code)
    documents = task.documents(DATA)
    assert task.score(documents[0], (), ()).target == 0
    assert "right" not in documents[0].data
    with pytest.raises(UserError, match=r"row 1: the field 'gold' is missing \(.*task.yaml:9: process\)"):
        list(task.requests(task.documents(Data(test=[{"q": "x"}])), PromptStyle()))
    with pytest.raises(UserError, match=r"task.yaml:9: process: .*task.py defines no 'flop'"):
        make(tmp_path, text.replace("flip", "flop"))


def test_metric_defined_beside_the_definition(tmp_path: Path) -> None:
    code = (
        "from evalkit.metrics.base import MetricDef\n"
        "half = MetricDef('half', 'choice', lambda one: 0.5, 'mean', False, False, 'here')\n"
    )
    task = make(tmp_path, CHOICE.replace("metric: acc_norm", "metric: task.py:half"), task_py=code)
    assert task.info.higher_is_better == {"acc,none": True, "half,none": False}
    assert task.info.config["evalkit"]["metrics"][1]["metric"] == "task.py:half"


def test_mistakes_in_templates_and_metrics_are_placed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task.yaml:6: prompt: template syntax"):
        make(tmp_path, CHOICE.replace("{{ q }}", "{{ q"))
    with pytest.raises(UserError, match=r"task.yaml:11: metrics\[0\].metric: .*did you mean acc"):
        make(tmp_path, CHOICE.replace("metric: acc\n", "metric: accc\n"))


def test_config_reads_like_lm_evals(tmp_path: Path) -> None:
    config = make(tmp_path, CHOICE, Options(shots=Shots(2))).info.config
    assert config["task"] == "toy"
    assert config["dataset_path"] == "me/toy"
    assert config["num_fewshot"] == 2
    assert config["output_type"] == "multiple_choice"
    assert config["metadata"] == {"version": "1.0"}
    assert config["metric_list"][0] == {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
    assert str(tmp_path) not in json.dumps(config)
