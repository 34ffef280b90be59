"""Small random-weights models of many architectures, with a tokenizer of characters: nothing is downloaded."""

from __future__ import annotations

import copy
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.backend import HfBackend
from evalkit.backends.hf.loading import Parts
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, RowResult
from evalkit.contract.types import Sampling
from evalkit.spec.models import EngineSpec, ModelSpec

CHARACTERS = string.ascii_letters + string.digits + ".,;:!?"
EOS = "<end>"
VOCABULARY = len(CHARACTERS) + 1

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": VOCABULARY - 1,
    "pad_token_id": None,
}
"""Weights far from zero: scores that differ from token to token, so that an error shows."""

ALL_HEADS = {"num_key_value_heads": 4}
GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": VOCABULARY - 1,
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "qwen2": ("Qwen2Config", SIZES),
    "qwen3": ("Qwen3Config", SIZES | {"head_dim": 8}),
    "gpt2": ("GPT2Config", GPT2),
    "gpt_neox": ("GPTNeoXConfig", SIZES | ALL_HEADS),
    "gemma": ("GemmaConfig", SIZES | {"head_dim": 8}),
    "olmo2": ("Olmo2Config", SIZES),
    "phi3": ("Phi3Config", SIZES | {"sliding_window": None}),
    "mistral": ("MistralConfig", SIZES | {"sliding_window": None}),
    "mistral_sliding": ("MistralConfig", SIZES | {"sliding_window": 8}),
    "qwen2_sliding": (
        "Qwen2Config",
        SIZES | {"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 0},
    ),
    "gemma2": ("Gemma2Config", SIZES | {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "bloom": ("BloomConfig", GPT2 | {"hidden_size": 32}),
    "mamba": ("MambaConfig", {k: v for k, v in SIZES.items() if "attention" not in k and "max" not in k}),
}


@lru_cache
def tokenizer() -> Any:
    """One token a character."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {character: index for index, character in enumerate(CHARACTERS)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=EOS, pad_token=EOS)
    assert wrapped.eos_token_id == VOCABULARY - 1
    return wrapped


def model(kind: str, seed: int = 0, **own: Any) -> Any:
    """A model of one architecture with seeded random weights, in float32. ``own``: other settings of its config."""
    import transformers

    name, settings = CONFIGS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = transformers.AutoModelForCausalLM.from_config(getattr(transformers, name)(**settings | own))
    return made.eval()


def backend(
    made: Any, kind: str = "llama", max_length: int | None = None, device: str = "cpu", **engine: Any
) -> HfBackend:
    """A backend around a copy of such a model: the tree changes the model's attention."""
    parts = Parts(copy.deepcopy(made).to(device), tokenizer(), torch.device(device), f"random {kind}", kind)
    return HfBackend(parts, ModelSpec(name=kind, max_length=max_length), EngineSpec(**engine))


def score_row(tokens: Sequence[int], start: int) -> LoglikelihoodRow:
    return LoglikelihoodRow(np.array(tokens, dtype=np.int32), start)


def generate_row(
    tokens: Sequence[int],
    max_tokens: int = 8,
    until: tuple[str, ...] = (),
    sampling: Sampling | None = None,
    key: str = "",
) -> GenerateRow:
    return GenerateRow(np.array(tokens, dtype=np.int32), until, max_tokens, sampling or Sampling(), key)


def answers(call: Any, rows: Sequence[Any]) -> list[RowResult]:
    """What ``call`` (a backend's score or generate) says of each row; each is answered once."""
    found: dict[int, Any] = {}

    def done(index: int, answer: Any) -> None:
        assert index not in found
        found[index] = answer

    call(rows, done)
    assert sorted(found) == list(range(len(rows)))
    return [found[index] for index in range(len(rows))]


def exact(made: Any, row: LoglikelihoodRow) -> float:
    """The log-likelihood of one row by itself, through the model's own forward (give it a model in float64)."""
    with torch.inference_mode():
        logits = made(torch.from_numpy(row.tokens[None, :-1].astype(np.int64)), use_cache=False).logits[0]
        logprobs = logits.log_softmax(-1)[row.start - 1 :]
    targets = torch.from_numpy(row.tokens[row.start :].astype(np.int64))
    return float(logprobs[torch.arange(len(targets)), targets].sum())


def own_generation(made: Any, tokens: Sequence[int], max_tokens: int) -> list[int]:
    """transformers' own greedy continuation of one prompt, without the end-of-sequence token."""
    with torch.inference_mode():
        output = made.generate(
            torch.tensor([list(tokens)]), attention_mask=torch.ones(1, len(tokens), dtype=torch.long),
            max_new_tokens=max_tokens, do_sample=False, pad_token_id=VOCABULARY - 1,
        )  # fmt: skip
    new = output[0, len(tokens) :].tolist()
    return [token for token in new if token != VOCABULARY - 1]


def copied_tokenizer() -> Any:
    """The tokenizer as a copy that may be changed."""
    return copy.deepcopy(tokenizer())
