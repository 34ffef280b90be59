"""Whether a tokenizer is its model's, where their sizes do not tell: refused where files contradict each other, told
where it is only likely.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch

from evalkit.backends.hf import kinship, load
from evalkit.contract.errors import UserError
from evalkit.contract.types import RunResult
from evalkit.render.outcomes import lines
from evalkit.spec.models import EngineSpec, ModelSpec


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.model("llama").save_pretrained(tmp_path / "tiny")
    tiny.tokenizer().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def change(file: Path, **settings: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def doubts(folder: Path, **settings: Any) -> Any:
    return load(ModelSpec(name=str(folder), **settings), EngineSpec()).info.details.get("tokenizer_doubts")


def exchange(folder: Path) -> dict[str, int]:
    """The vocabulary of the folder's tokenizer.json with every id moved by one."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return {token: (index + 1) % len(vocabulary) for token, index in vocabulary.items()}


def test_a_models_own_tokenizer_raises_no_doubt(folder: Path) -> None:
    assert doubts(folder) is None


def test_files_that_contradict_each_other_are_refused(folder: Path) -> None:
    (folder / "vocab.json").write_text(json.dumps(exchange(folder)))
    with pytest.raises(UserError, match=r"vocab\.json and tokenizer\.json number"):
        doubts(folder)
    assert len(doubts(folder, allow_missing_weights=True)) == 1
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    assert doubts(folder) is None
    token, index = next(iter(vocabulary.items()))
    change(folder / "tokenizer_config.json", added_tokens_decoder={str(index + 1): {"content": token}})
    with pytest.raises(UserError, match=f"is {index + 1} in tokenizer_config.json and {index} in tokenizer.json"):
        doubts(folder)


def test_another_class_of_tokenizer_is_told(folder: Path) -> None:
    change(folder / "config.json", tokenizer_class="GPT2TokenizerFast")
    change(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    (told,) = kinship.doubts(kinship.Files(folder), tiny.model("llama"), tiny.tokenizer())
    assert told == "config.json names the tokenizer GPT2Tokenizer, tokenizer_config.json LlamaTokenizer"
    assert lines(RunResult({}, {}, {"details": {"tokenizer_doubts": [told]}}, ())) == [f"the model's tokenizer: {told}"]


def test_another_end_and_rows_that_nobody_padded_are_told(folder: Path) -> None:
    tokenizer, model = tiny.copied_tokenizer(), tiny.model("llama")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(3)
    model.resize_token_embeddings(len(tokenizer) + 2, mean_resizing=False)
    assert [doubt.split()[:3] for doubt in kinship.doubts(kinship.Files(folder), model, tokenizer)] == [
        ["its", "tokenizer", "ends"],
        ["it", "has", f"{len(tokenizer)}"],
    ]


class Moved:
    """A tokenizer with the same ids for other tokens."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._ids = np.random.default_rng(0).permutation(len(inner)).tolist()

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [self._ids[index] for index in self._inner(text)["input_ids"]]}


def test_a_trained_model_is_surprised_by_strange_tokens(smollm2_folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    own = AutoTokenizer.from_pretrained(smollm2_folder)
    files = kinship.Files(smollm2_folder)
    assert list(kinship.contradictions(files)) == []
    assert list(kinship.doubts(files, model, own)) == []
    assert "nats a token, more than chance (10.8)" in str(kinship.surprise(model, Moved(own)))
