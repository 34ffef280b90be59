"""lm_eval's names in --model_args: put as the setting that does the same, left out, or refused with a way."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends import opening
from evalkit.backends.hf.loading import ARGUMENTS
from evalkit.backends.lm_eval_arguments import INSTEAD, NEEDLESS, SERVERS_INSTEAD, SERVERS_NEEDLESS, SETTINGS
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec
from evalkit.spec.table import SETTINGS as FLAGS


def resolved(backend: str = "hf", name: str = "smollm2-135m", **args: Any) -> ModelSpec:
    return opening.resolve(ModelSpec(name=name, backend=backend, args=args))


@pytest.mark.parametrize(
    ("args", "field", "value"),
    [
        ({"load_in_8bit": True}, "quant", "int8"),
        ({"load_in_4bit": True}, "quant", "fp4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "quant", "nf4"),
        ({"load_in_4bit": True, "bnb_4bit_compute_dtype": "bfloat16"}, "dtype", "bfloat16"),
        ({"torch_dtype": "torch.float16"}, "dtype", "float16"),
        ({"torch_dtype": "half"}, "dtype", "float16"),
        ({"load_in_8bit": 1}, "quant", "int8"),
        ({"peft": "adapters/lora"}, "peft", ("adapters/lora",)),
        ({"max_model_len": 512}, "max_length", 512),
    ],
)
def test_what_changes_an_answer_becomes_the_setting_of_the_same_meaning(args, field, value) -> None:
    found = resolved(**args)
    assert getattr(found, field) == value
    assert found.args == {}
    assert opening.resolve(found) == found, "once more changes nothing"


def test_vllm_has_its_own_word_for_the_window() -> None:
    found = resolved("vllm", "org/m", max_model_len=4096, gpu_memory_utilization=0.8, swap_space=4)
    assert (found.max_length, found.args) == (4096, {"gpu_memory_utilization": 0.8})


def test_vllm_quantizes_by_itself() -> None:
    with pytest.raises(UserError, match="quantization=bitsandbytes"):
        resolved("vllm", "org/m", load_in_4bit=True)
    with pytest.raises(UserError, match="merge the adapter"):
        resolved("vllm", "org/m", peft="org/lora")


@pytest.mark.parametrize(("given", "name"), [("float", "float32"), ("torch.float16", "float16"), ("half", "float16")])
def test_a_dtype_has_torchs_names_too(given: str, name: str) -> None:
    assert opening.resolve(ModelSpec(name="org/m", backend="hf", dtype=given)).dtype == name
    both = ModelSpec(name="org/m", backend="hf", dtype=given, args={"torch_dtype": name})
    assert opening.resolve(both).dtype == name


def test_what_only_steers_the_loading_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = resolved(low_cpu_mem_usage=True, use_fast_tokenizer=True, gptqmodel=True, load_in_8bit=False)
    assert found.args == {}
    assert found.quant is None
    for name in ("low_cpu_mem_usage", "use_fast_tokenizer", "gptqmodel"):
        assert name in caplog.text
    assert resolved(tokenizer="smollm2-135m").args == {}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"max_gen_toks": 64}, "--gen_kwargs max_gen_toks=64"),
        ({"batch_size": 8}, "--batch-size 8"),
        ({"delta": "x"}, "add the delta weights"),
        ({"subfolder": "x"}, "the folder itself"),
        ({"mixed_precision_dtype": "bfloat16"}, "--dtype bfloat16"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "give one of them"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "int3"}, "one of nf4, fp4"),
        ({"bnb_4bit_quant_type": "nf4"}, "--quant nf4"),
        ({"max_model_len": "long"}, "a number of tokens"),
        ({"gguf_file": "q4.gguf"}, "--model FILE.gguf"),
        ({"use_fast_tokenizer": False}, "as the model's files say"),
        ({"softmax_dtype": "bfloat16"}, "computed in float32"),
    ],
)
def test_what_cannot_be_heeded_says_what_to_give(args: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("(", r"\(")) as raised:
        resolved(**args)
    assert str(raised.value).startswith("--model_args")
    assert "\n" not in str(raised.value)


def test_two_values_for_one_setting_are_refused() -> None:
    with pytest.raises(UserError, match="--max-length is 1024: give one of them"):
        opening.resolve(ModelSpec(name="m", backend="hf", max_length=1024, args={"max_model_len": 512}))
    with pytest.raises(UserError, match="--quant is nf4"):
        opening.resolve(ModelSpec(name="m", backend="hf", quant="nf4", args={"load_in_8bit": True}))
    same = ModelSpec(name="m", backend="hf", max_length=512, args={"max_model_len": 512})
    assert opening.resolve(same).max_length == 512


def test_a_gguf_file_beside_its_folder_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "q4.gguf").touch()
    assert resolved(name=str(tmp_path), gguf_file="q4.gguf").name == str(tmp_path / "q4.gguf")
    assert resolved(name=str(tmp_path / "q4.gguf"), gguf_file="q4.gguf").name == str(tmp_path / "q4.gguf")


def test_every_argument_of_lm_evals_transformers_model_is_known() -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.models.huggingface import HFLM

    own = set(inspect.signature(HFLM.__init__).parameters) - {"self", "kwargs", "pretrained"}
    given = {setting.option.model_arg for setting in FLAGS.values()}
    known = {*given, *ARGUMENTS, *NEEDLESS, *INSTEAD, *SETTINGS, "peft", "gguf_file"}
    assert own - known == {"tp_plan"}, "of several GPUs with processes of their own: refused as unknown"


def test_the_command_of_lm_evals_guide_for_servers_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    """As in lm_eval's README, "Local API servers"."""
    with caplog.at_level(logging.WARNING):
        found = resolved(
            "openai", "http://127.0.0.1:9/v1/completions",
            model="m", num_concurrent=1, max_retries=3, tokenized_requests=False, batch_size=16,
        )  # fmt: skip
    assert found.args == {"model": "m", "num_concurrent": 1, "max_retries": 3}
    assert "tokenized_requests, batch_size: left out" in caplog.text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"seed": 1234}, "--seed 1234"),
        ({"max_gen_toks": 64}, "--gen_kwargs max_gen_toks=64"),
        ({"verify_certificate": False}, "SSL_CERT_FILE"),
        ({"ca_cert_path": "/etc/own.pem"}, "SSL_CERT_FILE"),
        ({"truncate": True}, "--overlength"),
        ({"auth_token": "abc"}, "keys do not belong into arguments"),
    ],
)
def test_what_a_server_cannot_be_asked_says_what_to_give(args: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        resolved("openai", "http://127.0.0.1:9/v1", model="m", **args)


def test_every_argument_of_lm_evals_servers_is_known() -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.models.api_models import TemplateAPI

    from evalkit.backends.openai.settings import SECRETS, Settings

    own = set(inspect.signature(TemplateAPI.__init__).parameters) - {"self", "kwargs", "pretrained"}
    given = {setting.option.model_arg for setting in FLAGS.values()}
    known = {*given, *Settings.model_fields, *SECRETS, *SERVERS_NEEDLESS, *SERVERS_INSTEAD, "trust_remote_code"}
    assert own <= known
