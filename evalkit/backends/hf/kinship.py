"""Whether a tokenizer and a model belong together, where their sizes do not tell: what a folder's files say of each
other, and whether the model predicts a plain text.

Many families share a vocabulary's size and its first ids (Llama 2 and Mistral: 32,000 tokens, <s> and </s> at 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from evalkit.contract.errors import UserError
from evalkit.text.reading import read_json

TEXT = (
    "In the morning she walked along the river to the old bridge. It was built in 1998, and it is 240 metres long. "
    '"I have never seen so much water," he said.'
)
"""Ours. A model of any language or of code has read the like of it."""
FEWEST_TOKENS = 16
FEWEST_ROWS = 1000
"""Of an embedding: a vocabulary of letters is predicted hardly worse by chance than by a trained model."""
FLAT = 0.85
"""Share of the highest possible entropy (nats, ln of the vocabulary) above which the mean of a model's predictions says
nothing of its tokens: random weights (0.99 and more), where
a trained one asked in strange tokens had 0.79 (SmolLM2 135M)."""
ROUND = 8
"""What rows of embeddings are padded to: multiples of this at least."""
SHARED = 0.01
"""Share of tokens that two files may number differently before they are files of two tokenizers."""
_GENERIC = {"PreTrainedTokenizer", "TokenizersBackend", "PythonBackend"}


class Files:
    """The files of a model's folder that say something of its tokenizer; where there is no folder, none."""

    def __init__(self, folder: Path | None) -> None:
        self.ids = {} if folder is None else _vocabulary(folder / "tokenizer.json")
        self.settings, self.config, self.listed = (
            {} if folder is None else _read(folder / name)
            for name in ("tokenizer_config.json", "config.json", "vocab.json")
        )


def contradictions(files: Files) -> Iterator[str]:
    """What two files of a folder say differently of one tokenizer: one of them is another model's."""
    ids, settings = files.ids, files.settings
    if not ids:
        return
    named = {index: token for token, index in ids.items()}
    for index, entry in (settings.get("added_tokens_decoder") or {}).items():
        token = entry.get("content") if isinstance(entry, Mapping) else None
        if not isinstance(token, str) or not str(index).isdecimal():
            continue
        if token in ids and ids[token] != int(index):
            yield f"{token!r} is {index} in tokenizer_config.json and {ids[token]} in tokenizer.json"
            break
        if token not in ids and int(index) in named:
            yield f"{index} is {token!r} in tokenizer_config.json and {named[int(index)]!r} in tokenizer.json"
            break
    other = {token: index for token, index in files.listed.items() if isinstance(index, int)}
    apart = sum(ids.get(token) != index for token, index in other.items())
    if apart > SHARED * len(other):
        yield f"vocab.json and tokenizer.json number {apart:,} of {len(other):,} tokens differently"


def doubts(files: Files, model: Any, tokenizer: Any) -> Iterator[str]:
    """What makes it likely, but not certain, that the tokenizer is not that of ``model``, a causal one."""
    yield from _settings_doubts(files)
    config = model.config.get_text_config()
    begin, own = getattr(config, "bos_token_id", None), tokenizer.bos_token_id
    if isinstance(begin, int) and own is not None and begin != own and tokenizer("a")["input_ids"][:1] == [own]:
        yield f"its tokenizer begins texts with {own} ({tokenizer.bos_token!r}), the model with {begin}"
    ends = ends_of(model)
    if ends and tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        shown = " or ".join(f"{end} ({tokenizer.convert_ids_to_tokens(end)!r})" for end in sorted(ends)[:3])
        own = f"{tokenizer.eos_token_id} ({tokenizer.eos_token!r})"
        yield f"its tokenizer ends texts with {own}, the model with {shown}"
    held = int(model.get_input_embeddings().weight.shape[0])
    if held > len(tokenizer) and held % ROUND:
        yield f"it has {len(tokenizer):,} tokens for an embedding of {held:,}, which nobody padded to a round number"
    if (strange := surprise(model, tokenizer)) is not None:
        yield strange


def ends_of(model: Any) -> set[int]:
    """The ids that end a model's texts by its configuration and its settings of generation."""
    ends: set[int] = set()
    for config in (model.config.get_text_config(), getattr(model, "generation_config", None)):
        value = getattr(config, "eos_token_id", None)
        ends |= set(value if isinstance(value, list | tuple) else [] if value is None else [value])
    return ends


def _settings_doubts(files: Files) -> Iterator[str]:
    settings, ids = files.settings, files.ids
    kinds = [str(one.get("tokenizer_class") or "").removesuffix("Fast") for one in (files.config, settings)]
    if all(kinds) and kinds[0] != kinds[1] and not _GENERIC & set(kinds):
        yield f"config.json names the tokenizer {kinds[0]}, tokenizer_config.json {kinds[1]}"
    for name in ("bos_token", "eos_token"):
        token = settings.get(name)
        token = token.get("content") if isinstance(token, Mapping) else token
        if ids and isinstance(token, str) and token not in ids:
            yield f"the {name} of tokenizer_config.json, {token!r}, is not in tokenizer.json"


def surprise(model: Any, tokenizer: Any) -> str | None:
    """A trained model that predicts a plain text worse than if it took every token for equally likely."""
    ids, embedding = tokenizer(TEXT)["input_ids"], model.get_input_embeddings().weight
    if len(ids) < FEWEST_TOKENS or len(embedding) < max(FEWEST_ROWS, max(ids) + 1):
        return None
    row = torch.tensor([ids], device=embedding.device)
    with torch.inference_mode():
        predicted = model(input_ids=row).logits[0].float().log_softmax(-1)
    nats = -float(predicted[:-1].gather(1, row[0, 1:, None].to(predicted.device)).mean())
    mean = predicted.exp().mean(0)
    spread = -float((mean * mean.clamp_min(1e-30).log()).sum())
    chance = math.log(predicted.shape[-1])
    if not (nats > chance and spread < FLAT * chance):  # NaN says nothing of the tokenizer
        return None
    return (
        f"it gives a plain English text {nats:.1f} nats a token, more than chance ({chance:.1f}): its tokenizer is "
        "another model's, or it has never read such a text"
    )


def _vocabulary(path: Path) -> dict[str, int]:
    """The ids of a tokenizer.json, by token; none where it is absent or of a form that we do not know."""
    content = _read(path)
    held = (content.get("model") or {}).get("vocab") if isinstance(content.get("model"), Mapping) else None
    if isinstance(held, list):  # Unigram: pieces with their scores
        held = {pair[0]: index for index, pair in enumerate(held) if isinstance(pair, list) and pair}
    if not isinstance(held, Mapping):
        return {}
    added = content.get("added_tokens") or []
    own = {one["content"]: one["id"] for one in added if isinstance(one, Mapping) and {"content", "id"} <= set(one)}
    return {token: index for token, index in {**held, **own}.items() if isinstance(index, int)}


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; an empty one where there is none: transformers says what it lacks."""
    if not path.is_file():
        return {}
    try:
        found = read_json(path, "tokenizer", "put the model's own there")
    except UserError:
        return {}
    return found if isinstance(found, Mapping) else {}
