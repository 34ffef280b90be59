from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.spec import config


def specs(text: str, tmp_path: Path, **flags):
    file = tmp_path / "experiment.yaml"
    file.write_text(text, encoding="utf-8")
    settings, origin = config.load(file)
    return config.expand(*config.merge(settings, flags, origin))


def from_flags(**flags):
    return config.expand(*config.merge({}, flags, config.Origin()))


def refused(text: str, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        specs(text, tmp_path)
    return str(caught.value)


def test_a_matrix_is_one_spec_a_model_with_shots_per_task(tmp_path):
    runs = specs(
        """
models:
  - smollm2-135m
  - {name: org/Big-7B, dtype: bfloat16, label: big}
tasks:
  - boolq
  - {name: hellaswag, num_fewshot: 10, limit: 50}
dtype: float32
batch_size: 8
output: out
seed: 7
""",
        tmp_path,
    )
    assert [run.model.name for run in runs] == ["smollm2-135m", "org/Big-7B"]
    assert [run.model.dtype for run in runs] == ["float32", "bfloat16"]
    assert [run.output for run in runs] == [Path("out/smollm2-135m"), Path("out/big")]
    assert [(task.name, task.num_fewshot, task.limit) for task in runs[0].tasks] == [
        ("boolq", None, None),
        ("hellaswag", 10, 50),
    ]
    assert runs[1].engine.batch_size == 8
    assert runs[1].seed == 7


def test_flags_lie_on_top_of_the_file(tmp_path):
    (run,) = specs("model: a/b\ntasks: boolq,piqa\nlimit: 5\n", tmp_path, limit="9:random", model="c/d")
    assert (run.model.name, run.limit, run.limit_random) == ("c/d", 9, True)
    assert [task.name for task in run.tasks] == ["boolq", "piqa"]


def test_lm_evals_own_keys_are_understood(tmp_path):
    (run,) = specs(
        """
model: hf
model_args: {pretrained: org/m, dtype: float32, add_bos_token: true, max_length: 512, parallelize: false}
tasks: [arc_easy]
apply_chat_template: true
system_instruction: Be brief.
output_path: out
use_cache: answers
""",
        tmp_path,
    )
    assert (run.model.name, run.model.backend, run.model.dtype) == ("org/m", "hf", "float32")
    assert (run.model.add_bos, run.model.max_length, run.model.args) == (True, 512, {"parallelize": False})
    assert (run.model.chat_template, run.model.system) == (True, "Be brief.")
    assert (run.output, run.engine.cache) == (Path("out"), Path("answers"))


def test_the_command_lines_values_are_read():
    (run,) = from_flags(
        model="hf",
        model_args="pretrained=org/m,dtype=bfloat16",
        tasks="mmlu,boolq@sample",
        seed="0,1,2,3",
        gen_kwargs="temperature=0.5,until=['x']",
        batch_size="auto:4",
        chat_template="true",
        max_memory=2.5,
        include_path=["more"],
    )
    assert run.model.name == "org/m"
    assert run.model.dtype == "bfloat16"
    assert run.model.chat_template is True
    assert [task.name for task in run.tasks] == ["mmlu", "boolq@sample"]
    assert run.seed == 3
    assert run.gen_kwargs == {"temperature": 0.5, "until": ["x"]}
    assert run.engine.batch_size == "auto"
    assert run.engine.max_memory_gb == 2.5
    assert run.include_path == (Path("more"),)


def test_a_named_template_stays_a_name():
    (run,) = from_flags(tasks="a", chat_template="tool_use")
    assert run.model.chat_template == "tool_use"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("tasks: boolq\nlimit: 0\n", ":2: limit", "0"),
        ("tasks: boolq\nnum_fewshot: -1\n", ":2: num_fewshot", "0 or more"),
        ("tasks:\n  - boolq\n  - name: piqa\n    shots: 3\n", ":4: tasks.1.shots", "unknown"),
        ("tasks: boolq\nlimmit: 3\n", ":2: limmit", "did you mean limit"),
        ("models:\n  - a\n  - {name: b, dtipe: x}\ntasks: boolq\n", ":3: models.1.dtipe", "unknown"),
        ("models:\n  - a\n  - {dtype: x}\ntasks: boolq\n", ":3: models.1", "missing"),
        ("models: []\ntasks: boolq\n", ":1: models", "at least one"),
        ("models: [a, b/a]\ntasks: boolq\n", ":1: models", "label"),
        ("model: a\nmodels: [b]\ntasks: boolq\n", ":2: models", "not both"),
        ("model: a\n", ":1: tasks", "which tasks"),
        ("engine:\n  batch_size: 0\ntasks: boolq\n", ":2: engine.batch_size", "positive"),
        ("- a\n", ":1", "mapping"),
        ("tasks: [a\nmodel: b\n", ":2", "YAML"),
    ],
)
def test_a_mistake_names_file_line_and_key(text, place, words, tmp_path):
    message = refused(text, tmp_path)
    assert f"experiment.yaml{place}" in message
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"tasks": "a", "limit": "0"}, "--limit 0: must be above 0"),
        ({"tasks": "a", "max_error_rate": 2.0}, "--max-error-rate: must be a share between 0 and 1 (got 2.0)"),
        ({"tasks": "a", "overlength": "cut"}, "--overlength: "),
        ({"tasks": "a", "max_memory": -1.0}, "--max-memory: "),
        (
            {"tasks": "a", "model": "hf", "model_args": "pretrained=x,trust_remote_code=True"},
            "--model-args: trust_remote_code",
        ),
        ({}, "--tasks: which tasks?"),
    ],
)
def test_a_mistake_in_a_flag_names_the_flag(flags, words):
    with pytest.raises(UserError) as caught:
        from_flags(**flags)
    assert words in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing\.yaml"):
        config.load(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("model", "args", "name"),
    [
        ("openai-chat-completions", "model=gpt-4o-mini,num_concurrent=4", "openai/gpt-4o-mini"),
        ("anthropic-chat-completions", "model=claude-x", "anthropic/claude-x"),
        ("local-chat-completions", "model=x,base_url=http://a:1/v1/chat/completions", "http://a:1/v1/chat/completions"),
        ("local-completions", "base_url=http://a:1/v1/completions", "http://a:1/v1/completions"),
        ("gguf", "base_url=http://a:1", "http://a:1"),
        ("ggml", "base_url=http://a:1", "http://a:1"),
        ("litellm", "model=mistral/small", "mistral/small"),
        ("openai-completions", "model=davinci-002", "https://api.openai.com/v1"),
        ("dummy", "", "mock"),
    ],
)
def test_lm_evals_names_of_servers_and_providers(model: str, args: str, name: str) -> None:
    (run,) = from_flags(model=model, model_args=args, tasks="boolq")
    assert run.model.name == name
    assert run.model.args.get("num_concurrent") == (4 if "num" in args else None)
    with pytest.raises(UserError, match="model=NAME"):
        from_flags(model="openai-chat-completions", tasks="boolq")


@pytest.mark.parametrize("model", ["hf-multimodal", "hf-auto", "huggingface", "mamba_ssm"])
def test_lm_evals_names_of_transformers_models(model: str) -> None:
    (run,) = from_flags(model=model, model_args="pretrained=org/m", tasks="boolq")
    assert (run.model.name, run.model.backend) == ("org/m", "hf")


def test_every_model_of_lm_evals_is_understood_or_told_what_to_do_instead() -> None:
    models = pytest.importorskip("lm_eval.models")
    known = {*config.BACKENDS, *config.SERVERS, *config.HOSTED, *config.ELSEWHERE, "hf", "vllm", "dummy"}
    assert set(models.MODEL_MAPPING) <= known
    for name in config.ELSEWHERE:
        with pytest.raises(UserError, match="OpenAI API"):
            from_flags(model=name, model_args="pretrained=org/m", tasks="boolq")


def test_one_path_of_several_is_taken_from_python(tmp_path):
    assert from_flags(model="mock", tasks="boolq", include_path=tmp_path)[0].include_path == (tmp_path,)


def test_paths_of_a_file_are_taken_from_its_folder_on(tmp_path, monkeypatch):
    folder, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    for path in (folder / "my_tasks", folder / "mirror", elsewhere / "only_here"):
        path.mkdir(parents=True)
    (folder / "rows.jsonl").write_text("{}")
    file = folder / "study.yaml"
    file.write_text(
        "model: mock\ndata_dir: mirror\ninclude_path: [my_tasks, only_here, nowhere]\n"
        "tasks: [boolq, {name: own, data: rows.jsonl, prompt: x, target: y}]\n"
    )
    monkeypatch.chdir(elsewhere)
    (run,) = config.expand(*config.load(file))
    assert run.include_path == (folder / "my_tasks", Path("only_here"), Path("nowhere"))
    assert run.data_dir == folder / "mirror"
    assert run.tasks[1].data == folder / "rows.jsonl"
    monkeypatch.chdir(folder)  # the same both ways: as it is written, so that older records of it hold
    (run,) = config.expand(*config.load(Path("study.yaml")))
    assert run.include_path == (Path("my_tasks"), Path("only_here"), Path("nowhere"))
