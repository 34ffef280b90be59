"""What a run records of its surroundings, and what it must not."""

import json

import evalkit
from evalkit.store.environment import collect, command_line
from evalkit.text.secrets import mask, mask_text


def test_collect_is_plain_json_with_the_essentials():
    found = collect(["evalkit", "run"])
    assert json.loads(json.dumps(found)) == found
    assert found["command"] == "evalkit run"
    assert found["packages"]["numpy"]
    assert found["packages"]["evalkit-harness"] == evalkit.__version__
    assert found["cpu"]["threads"] >= 1
    assert found["memory_bytes"] > 0
    assert found["start_time"].endswith("+00:00")


def test_secrets_in_the_command_are_masked():
    argv = ["/opt/x/bin/evalkit", "run", "--model_args", "pretrained=m,api_key=s3cret,max_tokens=5", "--api-key", "k 1"]
    argv += ["--header", "Authorization: Bearer abc.def", "https://me:pw@host/v1", "hf_ABCDEFGHIJKLMNOPQRST"]
    shown = command_line(argv)
    for secret in ("s3cret", "k 1", "abc.def", "me:pw", "hf_ABC", "/opt"):
        assert secret not in shown
    assert "pretrained=m" in shown
    assert "max_tokens=5" in shown
    assert shown.startswith("evalkit run")


def test_a_program_that_was_started_as_a_module_goes_by_its_name():
    assert command_line(["/somewhere/evalkit/__main__.py", "version"]) == "evalkit version"
    assert command_line(["/somewhere/other/__main__.py"]) == "__main__.py"


def test_tokenizer_settings_are_no_secrets():
    assert mask_text("eos_token=</s>,tokenizer=gpt2") == "eos_token=</s>,tokenizer=gpt2"
    kept = {"max_tokens": 3, "pad_token": "<pad>", "tokenizer": "x", "token": "t", "nested": [{"API_KEY": "k"}]}
    assert mask(kept) == {**kept, "token": "***", "nested": [{"API_KEY": "***"}]}
