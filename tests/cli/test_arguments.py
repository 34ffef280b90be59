from evalkit.cli.arguments import normalize


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
