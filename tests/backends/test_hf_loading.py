"""What a folder lacks, holds too much, or holds of another model is told in one line before the first item."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch
from safetensors.torch import load_file, save_file
from test_hf_encoder_decoder import made
from tiny_classifier import classifier

from evalkit.backends.hf import load, local_files
from evalkit.contract.capabilities import KnownModel
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec

ROWS = [tiny.score_row([3, 1, 4, 1, 5, 9, 2, 6], 4), tiny.score_row([2, 7, 1], 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model as a user saves it."""
    return saved(tiny.model("llama"), tmp_path / "tiny")


def saved(model: Any, path: Path, **settings: Any) -> Path:
    model.save_pretrained(path, **settings)
    tiny.tokenizer().save_pretrained(path)
    return path


def rewrite(folder: Path, change: Any) -> None:
    """The folder's weights, changed."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def configure(folder: Path, **settings: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        load(ModelSpec(name=str(folder), **settings), EngineSpec())
    message = str(error.value)
    assert "\n" not in message
    return message


def details(folder: Path, **settings: Any) -> Any:
    return load(ModelSpec(name=str(folder), **settings), EngineSpec()).info.details


def test_a_whole_folder_loads_and_says_what_it_is(folder: Path) -> None:
    found = details(folder)
    assert found["architecture"] == "LlamaForCausalLM"
    assert found["path"] == "tree"
    assert not [key for key in found if key.startswith("weights_")]


def test_tied_weights_are_recorded(tmp_path: Path) -> None:
    found = details(saved(tiny.model("gpt2"), tmp_path / "gpt2"))
    assert found["tied"] == {"lm_head.weight": "transformer.wte.weight"}


def test_the_body_alone_is_refused(tmp_path: Path) -> None:
    model = tiny.model("llama")
    folder = saved(model.model, tmp_path / "body")
    configure(folder, architectures=["LlamaForCausalLM"])
    assert "lack 1 weights of LlamaForCausalLM (lm_head.weight)" in refusal(folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "student."])
def test_a_wrappers_prefix_is_refused_naming_both_sides(folder: Path, prefix: str) -> None:
    rewrite(folder, lambda held: {prefix + key: value for key, value in held.items()})
    message = refusal(folder)
    assert "lm_head.weight" in message
    assert f"{prefix}lm_head.weight" in message
    assert f"every name begins with {prefix!r}" in message


def test_a_weight_too_many_is_refused(folder: Path) -> None:
    rewrite(folder, lambda held: {**held, "model.layers.2.mlp.up_proj.weight": torch.zeros(48, 32)})
    assert "no place for (model.layers.2.mlp.up_proj.weight)" in refusal(folder)


def test_a_weight_of_another_shape_is_refused(folder: Path) -> None:
    rewrite(folder, lambda held: {**held, "lm_head.weight": torch.zeros(10, 32)})
    assert "lm_head.weight: [10, 32] in the file" in refusal(folder)


def test_a_layer_that_the_files_lack_is_refused(folder: Path) -> None:
    configure(folder, num_hidden_layers=3, layer_types=None)
    assert "model.layers.2." in refusal(folder)


def test_a_lost_shard_an_unlisted_one_and_half_of_one_are_refused(tmp_path: Path) -> None:
    whole = saved(tiny.model("llama"), tmp_path / "whole", max_shard_size="20KB")
    shards = sorted(path.name for path in whole.glob("model-*.safetensors"))
    assert len(shards) > 2
    lost, half, unlisted = (shutil.copytree(whole, tmp_path / name) for name in ("lost", "half", "unlisted"))
    (lost / shards[1]).unlink()
    assert f"{shards[1]} of its {len(shards)} weight files is not there" in refusal(lost)
    content = (half / shards[0]).read_bytes()
    (half / shards[0]).write_bytes(content[: len(content) // 2])
    assert shards[0] in refusal(half)
    (unlisted / "model.safetensors.index.json").unlink()
    assert "model.safetensors.index.json" in refusal(unlisted)
    (unlisted / "model.safetensors.index.json").write_text('{"weight_map": [1]}')
    assert "no index of weight files" in refusal(unlisted)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("generation_config.json", '{"eos', "generation_config.json:1: not valid JSON"),
        ("generation_config.json", "[1]", "generation_config.json: must hold a JSON object, not a list"),
        ("generation_config.json", '{"eos_token_id": [1, "x"]}', "eos_token_id must be a token's id or a list of them"),
        ("generation_config.json", '{"repetition_penalty": "1.2"}', "repetition_penalty must be a number, not '1.2'"),
        ("generation_config.json", '{"repetition_penalty": NaN}', "repetition_penalty must be a number, not nan"),
        ("generation_config.json", '{"do_sample": "yes"}', "do_sample must be true or false"),
        ("generation_config.json", '{"top_k": true}', "top_k must be a whole number"),
        ("generation_config.json", '{"suppress_tokens": "abc"}', "suppress_tokens must be a list of token ids"),
        ("generation_config.json", '{"bad_words_ids": [1]}', "bad_words_ids must be a list of lists of token ids"),
        ("config.json", "{", "config.json:1: not valid JSON"),
        ("config.json", '{"model_type": "llama", "architectures": 5}', "architectures must be a list of texts, not 5"),
        ("config.json", '{"architectures": ["LlamaForCausalLM", 1]}', "architectures must be a list of texts, not"),
        ("config.json", '{"model_type": ["llama"]}', "model_type must be a text, not ['llama']"),
        (
            "config.json",
            '{"model_type": "llama", "num_attention_heads": 0}',
            "num_attention_heads must be 1 or more, not 0",
        ),
        ("preprocessor_config.json", "[1]", "preprocessor_config.json: must hold a JSON object"),
        ("vocab.json", "[1, 2]", "vocab.json: must hold a JSON object, not a list"),
        ("vocab.json", '{"a": "b"}', "vocab.json: must give each token its id: 'a' has 'b'"),
        ("tokenizer.json", '{"version":', "tokenizer.json:1: not valid JSON"),
        ("tokenizer.json", "[1]", "tokenizer.json: must hold a JSON object, not a list"),
        ("tokenizer.json", '{"version": "1.0"}', "tokenizer.json: no tokenizer (Model missing."),
        ("tokenizer_config.json", "{", "tokenizer_config.json:1: not valid JSON"),
        ("tokenizer_config.json", '{"chat_template": 5}', "tokenizer_config.json: chat_template must be a text, not 5"),
        ("special_tokens_map.json", "[1]", "special_tokens_map.json: must hold a JSON object"),
        ("added_tokens.json", "[1]", "added_tokens.json: must hold a JSON object"),
        ("chat_template.json", "{", "chat_template.json:1: not valid JSON"),
    ],
)
def test_a_broken_file_beside_the_weights_is_named(folder: Path, file: str, content: str, told: str) -> None:
    (folder / file).write_text(content)
    assert f"{folder}/{file}" in refusal(folder)
    assert told in refusal(folder)


def test_a_template_in_utf_16_is_named(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes("{{ messages }}".encode("utf-16"))
    assert f"{folder}/chat_template.jinja: not UTF-8 text but UTF-16" in refusal(folder)


def test_settings_of_generation_of_every_right_type_are_taken(folder: Path) -> None:
    settings = {"eos_token_id": [67, 68], "temperature": 1, "top_p": 0.9, "top_k": None, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps({**settings, "suppress_tokens": [3], "other": "x"}))
    assert details(folder)["generation_config"] == {"suppress_tokens": [3]}


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ({"quant_method": "magic9"}, "a quantization_config of the quant_method 'magic9', which transformers"),
        ({"quant_method": ["gptq"]}, "of the quant_method ['gptq']"),
        ({"quant_method": "bitsandbytes"}, "of bitsandbytes without load_in_4bit or load_in_8bit"),
        ({"bits": 4}, "without a quant_method"),
        ([1], "config.json: quantization_config must be an object, not a list"),
        ("gptq", "config.json: quantization_config must be an object, not a text"),
    ],
)
def test_a_quantization_that_transformers_would_pass_over_is_refused(folder: Path, held: Any, told: str) -> None:
    if isinstance(held, dict) and held.get("quant_method") == "bitsandbytes":
        pytest.importorskip("bitsandbytes", reason="the extra quant is not installed")
    configure(folder, quantization_config=held)
    assert told in refusal(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(folder: Path, dtype: torch.dtype) -> None:
    rewrite(folder, lambda held: {key: value.to(dtype) for key, value in held.items()})
    assert "model.safetensors: holds 21 weights that are no floating-point numbers (lm_head.weight: " in refusal(folder)


def test_a_shard_of_another_type_or_shape_is_refused_and_one_of_half_precision_read(tmp_path: Path) -> None:
    whole = saved(tiny.model("llama"), tmp_path / "whole", max_shard_size="20KB")
    shard = sorted(whole.glob("model-*.safetensors"))[1]
    held = load_file(shard)

    def put(change: Any) -> None:
        save_file({key: change(value).contiguous() for key, value in held.items()}, shard, metadata={"format": "pt"})

    put(lambda value: value.to(torch.int8))
    assert f"{shard}: holds 3 weights that are no floating-point numbers" in refusal(whole)
    put(lambda value: value[..., :-1])
    assert "hold 3 of another shape" in refusal(whole)
    put(lambda value: value.half())
    assert details(whole)["path"] == "tree"


def test_missing_weights_run_where_asked_and_are_recorded(folder: Path) -> None:
    rewrite(folder, lambda held: {key: value for key, value in held.items() if key != "lm_head.weight"})
    spec = ModelSpec(name=str(folder), allow_missing_weights=True)
    one, other = (load(spec, EngineSpec()) for _ in range(2))
    assert one.info.details["weights_missing"] == ["lm_head.weight"]
    assert one.info.fingerprint != load_whole(folder).info.fingerprint
    scores = [[answer.loglikelihood for answer in tiny.answers(each.score, ROWS)] for each in (one, other)]
    assert scores[0] == scores[1], "a run that goes on must find the weights it began with"


def load_whole(folder: Path) -> Any:
    whole = saved(tiny.model("llama"), folder.parent / "whole")
    return load(ModelSpec(name=str(whole)), EngineSpec())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("BertForMaskedLM", "masked language model"),
        ("RobertaForMaskedLM", "masked language model"),
        ("ViTForImageClassification", "no language model"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(folder: Path, kind: str, told: str) -> None:
    import transformers

    config = getattr(transformers, kind.split("For")[0] + "Config")()
    config.architectures = [kind]
    config.save_pretrained(folder)
    message = refusal(folder)
    assert told in message
    assert kind in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(folder: Path, tmp_path: Path, value: float) -> None:
    def spoil(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        key = next(key for key in held if "layers.0" in key or "layer.0" in key or "block.0" in key)
        held[key].view(-1)[0] = value
        return held

    texts = classifier(tmp_path / "bert", ["no", "yes"])
    # BART's first bias is of keys: attention passes over a NaN there and answers.
    for one in (folder, saved(made("bart"), tmp_path / "bart"), texts):
        rewrite(one, spoil)
        assert ".0." in (message := refusal(one))
        assert message.endswith("holds NaN or infinity: save the model again, or download it again")


def test_answers_that_overflow_are_refused_with_the_type_that_holds_them(folder: Path) -> None:
    rewrite(folder, lambda held: {key: one * (1e4 if "lm_head" in key else 1) for key, one in held.items()})
    assert details(folder)["path"] == "tree"
    message = refusal(folder, dtype="float16")
    assert "its answers are NaN or infinite in float16" in message
    assert message.endswith("load it with --dtype bfloat16 or float32")


def test_a_folder_that_is_no_model_says_what_to_give(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").unlink()
    assert refusal(folder).endswith("give the folder that the model was saved to")
    (folder / "adapter_config.json").write_text("{}")
    assert refusal(folder).endswith(f"give its base model, and the adapter with --peft {folder}")
    (folder / "b.gguf").touch()
    (folder / "a.gguf").touch()
    assert refusal(folder).endswith(f"give the GGUF file itself: --model {folder / 'a.gguf'} (there are 2)")


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "holds no tokenizer (tokenizer.json, or files of its kind)" in refusal(folder)


def test_a_tokenizer_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    """As a checkpoint of a training leaves it, with the weights alone."""
    whole = load(ModelSpec(name=str(folder), device="cpu"), EngineSpec())
    other = tmp_path / "tokenizer"
    tiny.tokenizer().save_pretrained(other)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    spec = ModelSpec(name=str(folder), device="cpu", args={"tokenizer": str(other)})
    bare = load(spec, EngineSpec())
    assert bare.encode(["a b"]) == whole.encode(["a b"])
    row = tiny.score_row([*whole.encode(["a b c"])[0], 1], 2)
    assert tiny.answers(bare.score, [row]) == tiny.answers(whole.score, [row])
    assert load(spec, EngineSpec()).info.fingerprint == bare.info.fingerprint
    config = other / "tokenizer_config.json"
    config.write_text(config.read_text().replace("{", '{"note": 1, ', 1))
    assert load(spec, EngineSpec()).info.fingerprint != bare.info.fingerprint, "what is in the folder counts"
    with pytest.raises(UserError, match=r"--model_args tokenizer=.*holds no tokenizer"):
        load(ModelSpec(name=str(folder), device="cpu", args={"tokenizer": str(tmp_path)}), EngineSpec())


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    tokenizer = tiny.copied_tokenizer()
    tokenizer.add_tokens(["blue"])
    tokenizer.save_pretrained(folder)
    assert "'blue'" in refusal(folder)


def test_an_end_of_text_that_is_ordinary_text_to_the_tokenizer_is_refused(folder: Path) -> None:
    configure(folder, eos_token_id=7)
    (folder / "generation_config.json").unlink(missing_ok=True)
    assert "end of text is 7" in refusal(folder)


def test_a_tokenizer_much_too_small_is_refused(tmp_path: Path) -> None:
    model = tiny.model("llama")
    model.resize_token_embeddings(4000, mean_resizing=False)
    assert "tokens for an embedding of 4000" in refusal(saved(model, tmp_path / "large"))


def test_a_window_beyond_learned_positions_is_refused(tmp_path: Path) -> None:
    folder = saved(tiny.model("gpt2"), tmp_path / "gpt2")
    assert "positions for 128 tokens (transformer.wpe)" in refusal(folder, max_length=200)
    assert details(folder, max_length=100)["path"] == "tree"


def test_a_pad_token_without_a_row_is_replaced_and_recorded(folder: Path) -> None:
    tokenizer = tiny.copied_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    assert "[PAD]" in details(folder)["pad"]


@pytest.mark.parametrize("share", [True, False])
def test_a_text_with_an_id_without_a_row_ends_in_an_error_of_its_own(folder: Path, share: bool) -> None:
    tokenizer = tiny.copied_tokenizer()
    tokenizer.add_tokens(["blue"])
    tokenizer.save_pretrained(folder)
    backend = load(ModelSpec(name=str(folder), allow_missing_weights=True), EngineSpec(share_prefixes=share))
    strange = np.array(backend.encode(["ab blue".replace(" ", "")])[0], dtype=np.int32)
    answers = tiny.answers(backend.score, [ROWS[0], tiny.score_row(strange, 1), ROWS[1]])
    assert "'blue'" in str(answers[1])
    assert np.isfinite([answers[0].loglikelihood, answers[2].loglikelihood]).all()
    made = tiny.answers(backend.generate, [tiny.generate_row(strange), tiny.generate_row([1, 2])])
    assert "'blue'" in str(made[0])
    assert made[1].finish in ("stop", "length")


def test_a_file_in_parts_is_put_together_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own function writes it; what it could not finish is no file."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "model_in_parts"
    package.mkdir()
    broken = "def assemble(path, overwrite):\n    path.write_text('half')\n    raise ValueError('a part is missing')\n"
    (package / "__init__.py").write_text(broken)
    known = KnownModel("parts", "a model in parts", package="model_in_parts", file="whole.gguf", assembled=True)
    with pytest.raises(UserError, match="parts: its file cannot be put together \\(a part is missing\\)"):
        local_files.package_file(known)
    sys.modules.pop("model_in_parts")
    (package / "__init__.py").write_text("def assemble(path, overwrite):\n    path.write_text('whole')\n# mended")
    importlib.invalidate_caches()
    shutil.rmtree(package / "__pycache__", ignore_errors=True)
    file = local_files.package_file(known)
    assert file is not None
    assert file.read_text() == "whole"
    file.write_text("as it was")
    assert local_files.package_file(known) == file
    assert file.read_text() == "as it was"
