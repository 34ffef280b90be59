import argparse

import pytest

from evalkit.cli.app import load
from evalkit.cli.arguments import KEPT_APART, REFUSED, TURNED, normalize, without_lm_eval_only


def test_underscores_become_dashes_in_names_only():
    assert normalize(["--num_fewshot", "5", "--output_path=a_b", "my_file"]) == [
        "--num-fewshot",
        "5",
        "--output=a_b",
        "my_file",
    ]


def test_several_words_after_tasks_are_one_list():
    line = ["--tasks", "mmlu", "hellaswag,boolq", "--model_args", "pretrained=x", "dtype=float32", "--limit", "3"]
    assert normalize(line) == [
        "--tasks", "mmlu,hellaswag,boolq", "--model-args", "pretrained=x,dtype=float32", "--limit", "3",
    ]  # fmt: skip


def test_a_chat_template_may_stand_without_a_value():
    assert normalize(["--apply_chat_template", "--limit", "3"]) == ["--chat-template", "true", "--limit", "3"]
    assert normalize(["--chat-template"]) == ["--chat-template", "true"]
    assert normalize(["--chat-template", "tool_use"]) == ["--chat-template", "tool_use"]
    assert normalize(["--fewshot_as_multiturn", "false"]) == ["--fewshot-as-multiturn", "false"]


@pytest.mark.parametrize("flag", sorted(KEPT_APART))
@pytest.mark.parametrize("spelling", ["{}", "{}_"])
def test_flags_of_lm_eval_that_change_nothing_get_a_note(evalkit, flag, spelling):
    word = flag if spelling == "{}" else "--" + flag.removeprefix("--").replace("-", "_")
    value = ["project=x,name=y"] if KEPT_APART[flag][0] else []
    done = evalkit("run", "--model", "mock", word, *value, "--tasks", "boolq@bundled", "--limit", "2", "--quiet")
    assert done.exit_code == 0, done.output
    assert f"evalkit: note: {flag}: ignored" in done.stderr


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("--wandb_args project=evals,name=x", "wandb:project=evals,name=x"),
        ("--wandb_args=project=evals job_type=eval", "wandb:project=evals"),
        ("--wandb-args project=evals, job_type=eval", "wandb:project=evals,job_type=eval"),
        ("--trackio_args project=evals", "trackio:project=evals"),
        (
            "--hf_hub_log_args hub_results_org=me,push_samples_to_hub=True,public_repo=True",
            "hub:repo=me/lm-eval-results,private=False,samples=True",
        ),
        (
            "--hf_hub_log_args hub_results_org=me,results_repo_name=r,push_results_to_hub=True",
            "hub:repo=me/r,private=True",
        ),
        ("--hf_hub_log_args hub_results_org=me", None),
    ],
)
def test_where_lm_eval_sends_numbers_is_where_log_to_sends_them(line, place):
    kept, (note,) = without_lm_eval_only([*line.split(), "--limit", "3"])
    sent = [kept[at + 1] for at, word in enumerate(kept) if word == "--log-to"]
    assert sent == ([place] if place else [])
    assert kept[-2:] == ["--limit", "3"]
    assert ("ignored" in note) == (place is None)


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_flags_of_lm_eval_that_would_change_numbers_are_refused(evalkit, flag):
    done = evalkit("run", "--model", "mock", "--tasks", "boolq@bundled", flag, "{}")
    assert done.exit_code == 2
    assert flag in done.stderr


def test_every_flag_of_lm_eval_is_known(evalkit):
    lm_eval = pytest.importorskip("lm_eval._cli.run", reason="needs lm_eval (pip install 'evalkit-harness[lm-eval]')")
    parser = argparse.ArgumentParser().add_subparsers()
    flags = {
        option.replace("_", "-")
        for action in lm_eval.Run.create(parser)._parser._actions
        for option in action.option_strings
        if option.startswith("--")
    }
    flags.remove("--help")
    assert len(flags) > 25
    known = {option for one in load("run").params for option in (*one.opts, *one.secondary_opts)}
    known |= set(KEPT_APART) | set(REFUSED) | set(TURNED)
    assert {flag for flag in flags if normalize([flag])[0] not in known} == set()
