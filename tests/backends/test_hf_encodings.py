"""Kept encodings of transformers tokenizers: when they are another's, and that a model answers the same from them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import tiny_models as tiny
from tokenizers import normalizers

from evalkit.backends.hf.tokens import Tokens
from evalkit.contract.types import Generate, Rolling, Score
from evalkit.engine import answer, encodings
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.kept import stats


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    monkeypatch.delenv("EVALKIT_ENCODINGS", raising=False)
    monkeypatch.setattr(encodings, "WORTH_CHARACTERS", 0)
    return tmp_path / "encodings"


def test_a_transformers_tokenizer_says_what_it_is():
    def changed(change) -> Tokens:
        made = copy.deepcopy(tiny.tokenizer())
        change(made)
        return Tokens(made)

    same = Tokens(copy.deepcopy(tiny.tokenizer()))
    others = [
        Tokens(tiny.tokenizer(), ModelSpec(name="tiny", add_bos=True)),
        changed(lambda one: one.add_tokens(["word"])),
        changed(lambda one: one.add_special_tokens({"bos_token": "a"})),
        changed(lambda one: setattr(one.backend_tokenizer, "normalizer", normalizers.Lowercase())),
        changed(lambda one: setattr(one, "split_special_tokens", True)),
    ]
    identities = [one.encoding_identity for one in (Tokens(tiny.tokenizer()), *others)]
    assert identities[0] == same.encoding_identity
    assert len(set(identities)) == len(identities)
    assert None not in identities
    same.encode(["a" * 50, "b"])
    assert Tokens(same.tokenizer).encoding_identity == identities[0]  # using it does not change what it is


def test_a_model_answers_the_same_from_kept_encodings(folder, monkeypatch):
    asked = [Score("abc", "de"), Score("abc", "f"), Generate("abc", max_tokens=4), Rolling("hello")]
    first = answer(tiny.backend(tiny.model("llama")), asked, None, EngineSpec())
    assert stats(folder)["files"] == 1
    backend = tiny.backend(tiny.model("llama"))
    backend.encoding_identity  # noqa: B018  made before the tokenizer is taken away
    monkeypatch.setattr(Tokens, "encode", None)
    assert answer(backend, asked, None, EngineSpec()) == first
