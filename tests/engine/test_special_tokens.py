"""Context, continuation and whole texts as token ids, over tokenizers of every habit: what lm-eval's `_encode_pair`
gives where it is right, and a direct computation where it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from evalkit.backends.hf.tokens import OverTokens, Tokens
from evalkit.contract.types import Generate, ModelInfo, Rolling, Score
from evalkit.engine.encode import tokenize

BOS, EOS = "<s>", "</s>"
TEXTS = [
    "The cat sat on the mat. A dog ran, and 12 birds sang!\n\nWas it so?  Yes: it was.",
    "an hour later\n they ate",
]


def _trained(model: Any, trainer: Any, *, split: Any, decoder: Any, normalizer: Any = None) -> Tokenizer:
    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = split, decoder
    if normalizer is not None:
        made.normalizer = normalizer
    made.train_from_iterator(TEXTS * 4, trainer)
    return made


def _bytes(**settings: Any) -> Tokenizer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=[BOS, EOS, "<unk>"], initial_alphabet=alphabet, show_progress=False
    )
    return _trained(
        models.BPE(), trainer, split=pre_tokenizers.ByteLevel(**settings), decoder=decoders.ByteLevel()
    )  # fmt: skip


def _pieces(scheme: str, **settings: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=[BOS, EOS, "<unk>"], unk_token="<unk>", show_progress=False
    )
    return _trained(
        models.Unigram(), trainer, split=pre_tokenizers.Metaspace(prepend_scheme=scheme),
        decoder=decoders.Metaspace(prepend_scheme=scheme), **settings,
    )  # fmt: skip


def _words() -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=[BOS, EOS, "<unk>"], show_progress=False)
    return _trained(
        models.WordPiece(unk_token="<unk>"), trainer, split=pre_tokenizers.BertPreTokenizer(),
        decoder=decoders.WordPiece(), normalizer=normalizers.BertNormalizer(lowercase=True),
    )  # fmt: skip


def _framed(made: Tokenizer, single: str) -> Tokenizer:
    marks = [(mark, made.token_to_id(mark)) for mark in (BOS, EOS)]
    made.post_processor = processors.TemplateProcessing(single=single, special_tokens=marks)
    return made


HABITS: dict[str, Callable[[], Tokenizer]] = {
    "bytes": lambda: _bytes(add_prefix_space=False),
    "bytes, a space before": lambda: _bytes(add_prefix_space=True),
    "bytes, BOS": lambda: _framed(_bytes(add_prefix_space=False), f"{BOS} $A"),
    "pieces": lambda: _pieces("first"),
    "pieces, BOS": lambda: _framed(_pieces("first"), f"{BOS} $A"),
    "pieces, always a space": lambda: _framed(_pieces("always"), f"{BOS} $A"),
    "pieces, never a space": lambda: _pieces("never"),
    "pieces that strip": lambda: _framed(_pieces("first", normalizer=normalizers.Strip()), f"{BOS} $A"),
    "words in lower case": _words,
    "words, BOS": lambda: _framed(_words(), f"{BOS} $A"),
}
ENDING: dict[str, Callable[[], Tokenizer]] = {
    "bytes, EOS": lambda: _framed(_bytes(add_prefix_space=False), f"$A {EOS}"),
    "bytes, BOS and EOS": lambda: _framed(_bytes(add_prefix_space=False), f"{BOS} $A {EOS}"),
    "pieces, EOS": lambda: _framed(_pieces("first"), f"$A {EOS}"),
    "words, both": lambda: _framed(_words(), f"{BOS} $A {EOS}"),
}


@lru_cache
def wrapped(habit: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    made = {**HABITS, **ENDING}[habit]()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=BOS, eos_token=EOS, unk_token="<unk>")


@lru_cache
def lm_evals(habit: str) -> Any:
    """lm-eval's model class around the same tokenizer, without a model."""
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="the comparison needs lm-eval")
    made = huggingface.HFLM.__new__(huggingface.HFLM)
    made.tokenizer = wrapped(habit)
    made.backend, made.add_bos_token, made.custom_prefix_token_id = "causal", None, None
    return made


class Speaker(OverTokens):
    """What the engine asks of a backend when it encodes."""

    def __init__(self, habit: str) -> None:
        self._tokens = Tokens(wrapped(habit))
        self.prefix_id = self._tokens.prefix_id
        self.info = ModelInfo(habit, "hf", habit, 100)


def rows(habit: str, request: Any) -> tuple[list[int], list[int]]:
    """Context and continuation as the engine has them."""
    found = tokenize(Speaker(habit), [request])  # type: ignore[arg-type]
    return found.head(0).tolist(), found.tail(0).tolist()


def directly(habit: str, text: str) -> list[int]:
    """A text's ids behind what the tokenizer puts before it."""
    tokenizer = wrapped(habit)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    first = tokenizer("x")["input_ids"][0]
    return [first, *ids] if first == tokenizer.bos_token_id and not text.startswith(BOS) else ids


WRITTEN = st.text(alphabet="The cat.\n  é1", min_size=1, max_size=12)


@pytest.mark.parametrize("habit", HABITS)
@settings(max_examples=60, deadline=None)
@given(context=WRITTEN, continuation=WRITTEN)
def test_a_pair_is_encoded_as_lm_eval_does(habit: str, context: str, continuation: str) -> None:
    before, after = lm_evals(habit)._encode_pair(context, continuation)
    if not before:  # spaces alone, and no BOS: lm-eval cannot score it; here the prefix token stands before
        before = [wrapped(habit).bos_token_id]
    assert rows(habit, Score(context, continuation)) == (before, after)


@pytest.mark.parametrize("habit", HABITS)
@settings(max_examples=30, deadline=None)
@given(continuation=WRITTEN)
def test_a_conversation_that_brings_its_bos_gets_no_second(habit: str, continuation: str) -> None:
    before, after = lm_evals(habit)._encode_pair(f"{BOS}The cat", continuation)
    assert rows(habit, Score(f"{BOS}The cat", continuation)) == (before, after)
    assert before.count(wrapped(habit).bos_token_id) == 1


@pytest.mark.parametrize("habit", ENDING)
@settings(max_examples=60, deadline=None)
@given(context=WRITTEN, continuation=WRITTEN)
def test_an_end_that_a_tokenizer_adds_is_neither_read_nor_scored(habit: str, context: str, continuation: str) -> None:
    stripped = context.rstrip()
    before, whole = directly(habit, stripped), directly(habit, context + continuation)
    end = wrapped(habit).eos_token_id
    found = rows(habit, Score(context, continuation))
    assert end not in [*found[0], *found[1]]
    assert found == (before or [wrapped(habit).bos_token_id], whole[len(before) :])
    assert rows(habit, Generate(context))[0] == (directly(habit, context) or [wrapped(habit).bos_token_id])


@pytest.mark.parametrize("habit", [*HABITS, *ENDING])
@settings(max_examples=30, deadline=None)
@given(text=WRITTEN, begun=st.booleans())
def test_a_whole_text_stands_behind_one_prefix(habit: str, text: str, begun: bool) -> None:
    tokenizer = wrapped(habit)
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    found, _ = rows(habit, Rolling(f"{BOS}{text}" if begun else text))
    assert tokenizer.bos_token_id not in found, "the engine itself puts the prefix before the text"
    if not begun:
        assert found == bare


@pytest.mark.parametrize("habit", [*HABITS, *ENDING])
@settings(max_examples=30, deadline=None)
@given(continuation=WRITTEN)
def test_without_a_context_the_prefix_stands_before(habit: str, continuation: str) -> None:
    tokenizer = wrapped(habit)
    bare = tokenizer(continuation, add_special_tokens=False)["input_ids"]
    assert rows(habit, Score("", continuation)) == ([tokenizer.bos_token_id], bare)
