"""Every native task that lm-evaluation-harness has too asks what lm-eval asks, byte for byte; no model is needed.

Both programs get the same rows: the first of every split on the mirror, or the bundled items where the mirror lacks the
data set. Examples are drawn out of these rows, so a draw that differs anywhere shows.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, Documents, Generate, Message, PromptStyle, Request, Score
from evalkit.data.mirror import MirrorSource
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.store import paths
from evalkit.task import sample
from evalkit.task.catalog import Catalog, resolve
from evalkit.task.definition import Definition
from evalkit.task.lm_eval.index import manager
from evalkit.task.native import NativeTask

pytestmark = pytest.mark.lm_eval

ROWS = 60
"""Of every split; more than any number of shots."""
DOCUMENTS = 3
OTHER_NAMES = {
    "siqa": "social_iqa",
    "squad_v2": "squadv2",
    "crows_pairs": "crows_pairs_english",
    "cnn_dailymail": "cnn_dailymail_abisee",
}
"""What lm-eval calls a task. Its own cnn_dailymail and xsum are another package's, whose prompts are in no file."""
BBH = sorted(f"bbh_{file.parent.name}" for file in (paths.share("tasks") / "bbh").glob("*/task.yaml"))
TASKS = [
    *BBH, "arc_challenge", "arc_easy", "boolq", "cnn_dailymail", "cola", "crows_pairs", "gsm8k",
    "gsm8k_cot", "gsm8k_cot_self_consistency", "hellaswag", "ifeval", "lambada_openai", "mmlu_anatomy",
    "mmlu_high_school_us_history", "mrpc", "nq_open", "openbookqa", "piqa", "qnli", "race", "rte", "siqa", "squad_v2",
    "sst2", "triviaqa", "truthfulqa_mc1", "truthfulqa_mc2", "winogrande",
]  # fmt: skip
"""Not here: truthfulqa_gen, whose prompt is evalkit's own (lm-eval's ends before the "A:" that it asks for)."""
ONLY_0 = ("bbh_", "cnn_dailymail", "ifeval", "squad_v2")
"""Beginnings of the names of tasks that lm-eval shows without examples whatever is asked for, or fails to show with
them; evalkit shows them."""
SETTINGS = {"gsm8k_cot_self_consistency": {"repeats": 64, "temperature": 0.2}}
"""Where evalkit's own sampling differs (8 answers at 0.7): lm-eval's, asked for."""
MMLU = sorted(name for name in Catalog.of().leaves("mmlu") if name not in TASKS)
"""The other subjects, which differ in their description alone: compared in the nightly run."""


def chat(messages: Sequence[Message], add_generation_prompt: bool) -> str:
    text = "".join(f"<{message.role}>{message.content}</{message.role}>\n" for message in messages)
    return text + ("<assistant>" if add_generation_prompt else "")


def lm_eval_chat(messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    return chat([Message(**message) for message in messages], add_generation_prompt)


STYLES = {
    "plain": PromptStyle(),
    "plain, system": PromptStyle(system="Be brief."),
    "chat, turns": PromptStyle(chat=chat, multiturn=True),
    "chat, turns, system": PromptStyle(chat=chat, multiturn=True, system="Be brief."),
    "chat, one turn, system": PromptStyle(chat=chat, multiturn=False, system="Be brief."),
}


class FirstRows:
    """The same rows for both programs: evalkit's data source, and what ``datasets.load_dataset`` gives lm-eval."""

    name = "the first rows"

    def __init__(self, definition: Definition) -> None:
        one = definition.dataset
        wanted = list(dict.fromkeys([one.splits.eval, *filter(None, [one.splits.fewshot])]))
        found = _on_mirror(DatasetRef(one.id, one.config), wanted)
        if found is None:
            assert definition.sample is not None
            found = {split: sample.rows(definition.sample, split) for split in wanted}
        self.splits = found

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        return self.splits[split]

    @contextmanager
    def behind_load_dataset(self) -> Iterator[None]:
        import datasets

        def load(*_: Any, split: str | None = None, **__: Any) -> Any:
            made = datasets.DatasetDict({name: datasets.Dataset.from_list(one) for name, one in self.splits.items()})
            return made if split is None else made[split]

        with mock.patch("datasets.load_dataset", load):
            yield


def _on_mirror(dataset: DatasetRef, wanted: Sequence[str]) -> dict[str, list[dict[str, Any]]] | None:
    """The first rows of each split; a split that the mirror lacks has other rows of the evaluated one."""
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        return None
    try:
        files = MirrorSource(Path(folder)).splits(dataset)
    except UserError:
        return None
    if wanted[0] not in files or files[wanted[0]].suffix != ".jsonl":
        return None

    def rows(split: str, begin: int) -> list[dict[str, Any]]:
        with files[split].open(encoding="utf-8") as lines:
            return [json.loads(line) for line in itertools.islice(lines, begin, begin + ROWS)]

    return {split: rows(split, 0) if split in files else rows(wanted[0], ROWS) for split in wanted}


@cache
def board_shots() -> dict[str, set[int]]:
    """The numbers of examples that boards and groups show a task at."""
    found: dict[str, set[int]] = {}
    files = [*paths.share("leaderboards").glob("*.yaml"), *paths.share("tasks").glob("groups/*/group.yaml")]
    for file in files:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
        for entry in [*read.get("columns", ()), *read.get("tasks", ())]:
            if isinstance(entry, dict) and entry.get("num_fewshot"):
                found.setdefault(entry["task"], set()).add(entry["num_fewshot"])
    return found


def native(name: str, shots: int | None) -> NativeTask:
    asked = (TaskSpec(name=name, num_fewshot=shots),)
    (task,) = resolve(RunSpec(model=ModelSpec(name="m"), tasks=asked, gen_kwargs=SETTINGS.get(name, {}))).tasks
    assert isinstance(task, NativeTask)
    return task


def ours(name: str, shots: int, style: PromptStyle, rows: FirstRows) -> list[tuple[Any, ...]]:
    task = native(name, shots)
    documents = task.documents(rows)
    part = Documents(tuple(documents[:DOCUMENTS]), documents.pool)
    return [as_arguments(request) for requests in task.requests(part, style) for request in requests]


def as_arguments(request: Request) -> tuple[Any, ...]:
    if isinstance(request, Score):
        return (request.context, request.continuation)
    assert isinstance(request, Generate)
    return (request.context, list(request.until), request.sampling.temperature, request.max_tokens)


def theirs(built: Any, shots: int, style: PromptStyle) -> list[tuple[Any, ...]]:
    task = copy.deepcopy(built)
    if task.config.num_fewshot != 0:
        task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests(
        limit=DOCUMENTS,
        system_instruction=style.system,
        apply_chat_template=style.chat is not None,
        fewshot_as_multiturn=style.multiturn,
        chat_template=lm_eval_chat if style.chat is not None else None,
    )
    found = []
    for instance in task.instances:
        context, second = instance.args[:2]
        if instance.request_type == "generate_until":
            until = second.get("until")
            one = (context, until, second.get("temperature", 0.0), second.get("max_gen_toks", 256))
            found += [one] * instance.repeats
        elif task.OUTPUT_TYPE != "generate_until":
            found.append((context, second))  # squadv2 asks for the likelihood of "unanswerable" besides
    return found


def compared(name: str) -> int:
    """Compare one task at every number of examples and in every style; how many requests were compared."""
    definition = native(name, None).definition
    rows = FirstRows(definition)
    other = OTHER_NAMES.get(name) or (name.replace("bbh_", "bbh_zeroshot_") if name.startswith("bbh_") else name)
    with rows.behind_load_dataset():
        built = manager().load([other])["tasks"][other]
    if definition.fewshot.file is not None:
        built.sampler.replace_df(sample.lines(definition.fewshot.file))  # evalkit's examples are its own
    family = "mmlu" if name.startswith("mmlu_") else name
    shown = {0, 1, 2, definition.fewshot.num, *board_shots().get(family, ())}
    if name.startswith(ONLY_0):
        assert built.config.num_fewshot == 0 or other == "squadv2"
        shown = {0}
    there = len(rows.splits[definition.dataset.splits.fewshot or definition.dataset.splits.eval])
    count = 0
    for shots in sorted(number for number in shown if number < there):
        for label, style in STYLES.items():
            mine, reference = ours(name, shots, style, rows), theirs(built, shots, style)
            assert len(mine) >= DOCUMENTS
            assert mine == reference, f"{name}, {shots} shots, {label}"
            count += len(mine)
    return count


@pytest.mark.parametrize("name", TASKS)
def test_requests_are_lm_evals(name: str) -> None:
    if name == "ifeval":  # lm-eval's own task imports these
        pytest.importorskip("langdetect", reason="needs langdetect (pip install 'evalkit-harness[ifeval]')")
        pytest.importorskip("immutabledict", reason="needs immutabledict (pip install 'evalkit-harness[dev]')")
    assert compared(name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", MMLU)
def test_requests_of_the_other_subjects_are_lm_evals(name: str) -> None:
    assert compared(name)


def test_examples_are_seen() -> None:
    """The comparison above would also hold if neither side showed examples."""
    for name, mark in {"mmlu_anatomy": "\nAnswer:", "race": "Article:", "gsm8k_cot": "The answer is"}.items():
        rows = FirstRows(native(name, None).definition)
        counts = [ours(name, shots, PromptStyle(), rows)[0][0].count(mark) for shots in (0, 2)]
        assert counts[1] > counts[0], name
