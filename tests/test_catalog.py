"""Names to tasks: groups, tags, patterns, suffixes, folders, and what is said when a name is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lm_eval_mirror
import pytest

from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task import catalog, listing

TOY = """\
name: {name}
version: "1"
description: A toy.
tags: [toys]
dataset: {{id: me/toy, splits: {{eval: test}}}}
kind: multiple_choice
prompt: "{{{{ q }}}}"
choices: [a, b]
target: 0
metrics:
  - metric: acc
"""


def resolve(*names: str, **spec: Any) -> catalog.Selection:
    tasks = tuple(TaskSpec(name=name) for name in names)
    return catalog.resolve(RunSpec(model=ModelSpec(name="m"), tasks=tasks, **spec))


def test_native_tasks_are_there() -> None:
    rows = {row.name: row for row in listing.listing()}
    assert {"hellaswag", "boolq", "triviaqa", "arc_easy", "arc_challenge", "piqa", "openbookqa"} <= set(rows)
    assert {"truthfulqa_mc1", "truthfulqa_mc2", "lambada_openai", "nq_open", "mmlu", "mmlu_stem"} <= set(rows)
    assert rows["mmlu"].kind == "group"
    assert rows["mmlu"].n_sample >= 60
    assert rows["mmlu_anatomy"].groups == ("mmlu_stem", "medical")
    assert rows["triviaqa"].metrics == ("em,none", "f1,none", "exact_match,remove_whitespace")
    assert all(row.description for row in rows.values())
    named = ("hellaswag", "boolq", "triviaqa", "piqa", "truthfulqa_mc2", "lambada_openai", "nq_open")
    assert all(rows[name].n_sample >= 20 for name in named)


MADE_ELSEWHERE = (
    "evalkit/",
    "sacrebleu/",
    "lighteval/siqa",
    "EleutherAI/race",
    "jannalu/crows_pairs_multilingual",
    "openlifescienceai/Med-HALT",
    "McGill-NLP/faithdial-audit",
    "fever/fever",
    "pminervini/inverse-scaling",
    "pminervini/NQ-Swap",
    "pminervini/true-false",
    "potsawee/wiki_bio_gpt3_hallucination",
    "pminervini/HaluEval",
    "tuetschek/e2e_nlg",
    "xlangai/spider",
    "defog-ai/sql-eval",
    "gorilla-llm/Berkeley-Function-Calling-Leaderboard",
    "Nexusflow/NexusRaven_API_evaluation",
    "evalplus/",
    "MMMU/MMMU",
    "derek-thomas/ScienceQA",
    "lmms-lab/",
    "Paul/XSTest",
    "lmsys/toxic-chat",
    "oskarvanderwal/bbq",
)
"""Data sets that have no commit on the Hub, or whose commit we have not been able to look up."""


def test_every_native_task_is_complete() -> None:
    native = [task for task in resolve("*").tasks if not task.info.name.startswith("plugin_")]  # if it is installed
    assert len(native) > 60
    for task in native:
        assert task.info.description
        assert task.info.dataset is not None
        assert task.info.citation.startswith("@") or task.info.dataset.id.startswith("evalkit/"), task.info.name
        own = task.info.dataset.id.startswith(MADE_ELSEWHERE)
        assert own or len(task.info.dataset.revision or "") == 40, task.info.name
        assert task.info.primary in task.info.higher_is_better


def test_mmlu_has_its_groups() -> None:
    selection = resolve("mmlu")
    assert len(selection.tasks) == 57
    assert [group.name for group in selection.groups] == [
        "mmlu_stem",
        "mmlu_other",
        "mmlu_social_sciences",
        "mmlu_humanities",
        "mmlu",
    ]
    assert [len(group.children) for group in selection.groups] == [19, 13, 12, 13, 4]
    assert selection.roots == ("mmlu",)
    (one,) = resolve("mmlu_anatomy").tasks
    assert (one.info.alias, one.info.baseline, one.info.version) == ("anatomy", 0.25, "1.0")
    assert resolve("mmlu_anatomy").groups == ()


def test_sample_takes_the_subjects_that_have_one() -> None:
    selection = resolve("mmlu@sample")
    assert len(selection.tasks) == 12
    assert all(task.info.sample for task in selection.tasks)
    assert sum(len(group.children) for group in selection.groups if group.name != "mmlu") == 12
    assert resolve("boolq", sample=True).tasks[0].info.sample
    with pytest.raises(UserError, match="mmlu_virology: has no bundled items"):
        resolve("mmlu_virology@sample")


def test_suffixes_combine_and_override() -> None:
    (one,) = resolve("hellaswag@10shot@sample", num_fewshot=2).tasks
    assert (one.info.num_fewshot, one.info.sample) == (10, True)
    assert resolve("hellaswag", num_fewshot=2).tasks[0].info.num_fewshot == 2
    assert resolve("hellaswag").tasks[0].info.num_fewshot == 0
    with pytest.raises(UserError, match="unknown suffix @full"):
        resolve("hellaswag@full")
    with pytest.raises(UserError, match="ask for different shots"):
        catalog.parse_suffixes(TaskSpec(name="boolq@5shot", num_fewshot=3))


def test_tags_patterns_and_repeats() -> None:
    assert [task.info.name for task in resolve("ai2_arc").tasks] == ["arc_challenge", "arc_easy"]
    assert len(resolve("mmlu_*").tasks) == 57
    assert [task.info.name for task in resolve("arc_easy", "arc_*").tasks] == ["arc_easy", "arc_challenge"]
    assert len(resolve("mmlu", "mmlu_anatomy").tasks) == 57
    with pytest.raises(UserError, match="asked for twice with different settings"):
        resolve("boolq@2shot", "boolq")


def test_asked_tells_which_entry_brought_a_task() -> None:
    tasks = (TaskSpec(name="ai2_arc@2shot", limit=5), TaskSpec(name="boolq"))
    selection = catalog.resolve(RunSpec(model=ModelSpec(name="m"), tasks=tasks))
    assert selection.asked["arc_easy"].limit == 5
    assert selection.asked["arc_easy"].num_fewshot == 2
    assert selection.asked["boolq"].limit is None


def test_warnings() -> None:
    (one,) = resolve("truthfulqa_mc1", num_fewshot=5).warnings
    assert one == "truthfulqa_mc1: its prompt is fixed at 0 few-shot examples; 5 is ignored"
    (one,) = resolve("lambada_openai", num_fewshot=1).warnings
    assert "come from the evaluated split test" in one
    assert resolve("mmlu", "truthfulqa_mc1").warnings == ()


def test_unknown_names_suggest() -> None:
    with pytest.raises(UserError, match=r"unknown task 'helaswag'; did you mean hellaswag\?; see `evalkit tasks list`"):
        resolve("helaswag")
    with pytest.raises(UserError, match="no task or group matches the pattern 'xyz_"):
        resolve("xyz_*")


def test_generation_overrides_reach_the_task() -> None:
    (one,) = resolve("triviaqa", gen_kwargs={"max_gen_toks": 7, "temperature": 0.5}).tasks
    assert one.info.config["generation_kwargs"]["max_gen_toks"] == 7
    assert one.info.config["generation_kwargs"]["do_sample"] is True


def write(folder: Path, text: str, name: str = "task.yaml") -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(text)


def test_include_path(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "one", TOY.format(name="toy_one"))
    write(tmp_path / "two", TOY.format(name="toy_two"))
    write(tmp_path / "all", "name: toy_all\nchildren: [toy_one, toy_two, boolq]\n", "group.yaml")
    selection = resolve("toy_all", include_path=(tmp_path,))
    assert [task.info.name for task in selection.tasks] == ["toy_one", "toy_two", "boolq"]
    assert [task.info.name for task in resolve("toys", include_path=(tmp_path,)).tasks] == ["toy_one", "toy_two"]
    assert "toy_one" in {row.name for row in listing.listing([tmp_path])}
    assert "toy_one" not in {row.name for row in listing.listing()}
    with pytest.raises(UserError, match="there is no such folder"):
        resolve("boolq", include_path=(tmp_path / "nowhere",))


def test_a_name_that_is_taken_is_told(tmp_path: Path) -> None:
    write(tmp_path / "x", TOY.format(name="boolq"))
    with pytest.raises(UserError, match=r"boolq is defined twice, in .*boolq/task.yaml and in .*x/task.yaml"):
        resolve("hellaswag", include_path=(tmp_path,))


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("task.yaml", TOY.format(name="bad").replace("kind: multiple_choice", "kind: quiz"), r"x/task.yaml:6: kind"),
        ("task.yaml", "name: [unclosed", r"x/task.yaml:2: not valid YAML"),
        ("task.yaml", "[" * 100_000, r"x/task.yaml:1: not valid YAML"),
        ("task.yaml", "name: \0", r"x/task.yaml:.*not valid YAML"),
        ("group.yaml", "name: x\nchildren: [boolqq]\n", r"group x: unknown child 'boolqq'; did you mean boolq\?"),
        ("group.yaml", "name: x\nchildren: [above]\n", r"group x contains itself"),
        ("benchmark.py", "1 / 0", r"x/benchmark.py"),
    ],
)
def test_a_broken_file_takes_nothing_away_from_the_others(tmp_path: Path, file: str, text: str, says: str) -> None:
    write(tmp_path / "x", text, file)
    write(tmp_path / "y", TOY.format(name="toy_one"))
    if "above" in text:
        write(tmp_path / "z", "name: above\nchildren: [x]\n", "group.yaml")
    selection = resolve("toy_one", "hellaswag", include_path=(tmp_path,))
    assert [task.info.name for task in selection.tasks] == ["toy_one", "hellaswag"]
    assert any(re.search(f"left out: .*{says}", line) for line in selection.warnings)
    for wanted in ("x", "nothing_of_this_name"):
        with pytest.raises(UserError, match=says):
            resolve(wanted, include_path=(tmp_path,))


def test_describe() -> None:
    shown = listing.describe("mmlu_anatomy", num_fewshot=1)
    assert shown.prompt.startswith("The following are multiple choice questions (with answers) about anatomy.\n\n")
    assert shown.prompt.count("Answer:") == 2
    assert shown.choices == (" A", " B", " C", " D")
    assert shown.target in "ABCD"
    assert shown.config["num_fewshot"] == 1
    assert shown.file.name == "task.yaml"
    assert listing.describe("mmlu").children == ("mmlu_stem", "mmlu_other", "mmlu_social_sciences", "mmlu_humanities")
    with pytest.raises(UserError, match="unknown task 'anatomy'"):
        listing.describe("anatomy")


@pytest.mark.lm_eval
@pytest.mark.mirror
def test_lm_evals_task_stands_beside_our_own() -> None:
    folder = lm_eval_mirror.mirror()
    selection = resolve("lm_eval:boolq@1shot", "boolq", data_dir=folder)
    assert [task.info.name for task in selection.tasks] == ["lm_eval:boolq", "boolq"]
    assert [task.info.num_fewshot for task in selection.tasks] == [1, 0]
    assert resolve("lm_eval:boolq", data_dir=folder).tasks[0].info.name == "boolq"
