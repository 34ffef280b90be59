"""Encoding by pieces equals encoding whole texts, and is not used where it could differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from evalkit.backends.hf.piecewise_encoding import PieceEncoder

CORPUS = ["Question: what is it?\nA. one\nB. two\nAnswer: A\n\n", "the cat\nsat on\nthe mat 123\n"] * 20


def tokenizer(pre: Any, post: Any = None) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>"], initial_alphabet=alphabet)
    )
    if post:
        raw.post_processor = post
    return PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="<s>")


def encoder(of: PreTrainedTokenizerFast) -> tuple[PieceEncoder, Any]:
    def whole(texts: Sequence[str], special: bool | None) -> list[list[int]]:
        settings = {} if special is None else {"add_special_tokens": special}
        return list(of(list(texts), **settings)["input_ids"])

    return PieceEncoder(of, whole), whole


PLAIN = encoder(tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False)))
FRAMED = encoder(
    tokenizer(
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]),
    )
)


@given(texts=st.lists(st.text(alphabet="ab1 \n\t.é😀", max_size=30), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("pair", [PLAIN, FRAMED], ids=["plain", "framed"])
@pytest.mark.parametrize("special", [None, True, False])
def test_pieces_equal_the_whole(pair: tuple[PieceEncoder, Any], special: bool | None, texts: list[str]) -> None:
    pieces, whole = pair
    assert pieces.exact
    assert pieces(texts, special) == whole(texts, special)


def test_a_tokenizer_that_adds_a_space_to_every_text_is_left_alone() -> None:
    pieces, whole = encoder(tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=True)))
    assert not pieces.exact
    assert pieces(["a\nb"], None) == whole(["a\nb"], None)


def test_a_vocabulary_with_a_token_across_the_cut_is_left_alone() -> None:
    of = tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=False))
    of.add_tokens(["cat\nsat"])
    pieces, whole = encoder(of)
    assert not pieces.exact
    assert pieces(["the cat\nsat on"], None) == whole(["the cat\nsat on"], None)
