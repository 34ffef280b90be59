"""Whether a tokenizer is that of its model: ids within the embedding, and special tokens that both agree on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evalkit.backends.hf import kinship
from evalkit.backends.hf.weights import WAY_OUT
from evalkit.contract.errors import UserError

FEWEST = 0.5
"""Share of the embedding's rows below which a tokenizer is taken for another model's. Embeddings are padded to round
numbers (Phi-2: 51,200 rows for 50,295 tokens), never to twice what they hold."""
LEARNED_POSITIONS = re.compile(r"(^|\.)(wpe|embed_positions|position_embeddings?|embed_position)$")
"""Names of modules that hold a row for every position a model can take."""
ROUNDING = 1024
"""Rows more than tokens that are nothing odd in small vocabularies."""


def rows(model: Any) -> int:
    """Ids that a model's embedding has a row for."""
    return int(model.get_input_embeddings().weight.shape[0])


def window(config: Any, tokenizer: Any) -> int:
    """The context window in tokens, from where lm-eval takes it; 2048 where nothing says."""
    config = config.get_text_config()
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        if value := getattr(config, name, None):
            return int(value)
    length = getattr(tokenizer, "model_max_length", None)
    return int(length) if length and length < 1e12 else 2048


def positions(model: Any, tokenizer: Any) -> int:
    """The window in tokens of a model that reads whole texts: learned positions before the padding's own (RoBERTa keeps
    two), the configuration's, and what the tokenizer was made for, whichever is least.
    """
    found = [window(model.config, tokenizer)]
    if (length := getattr(tokenizer, "model_max_length", None)) and length < 1e12:
        found.append(int(length))
    for name, module in model.named_modules():
        if (rows := getattr(module, "num_embeddings", None)) is not None and LEARNED_POSITIONS.search(name):
            pad = getattr(module, "padding_idx", None)
            found.append(rows if pad is None else rows - pad - 1)
    return min(found)


def check_window(model: Any, asked: int | None) -> None:
    """Raise UserError for a window longer than a model's learned positions: there is nothing beyond them to look up."""
    if asked is None:
        return
    for name, module in model.named_modules():
        rows = getattr(module, "num_embeddings", None)
        if rows is not None and "vision" not in name and LEARNED_POSITIONS.search(name) and asked > rows:
            raise UserError(
                f"--max-length {asked}: the model has learned positions for {rows} tokens ({name}): give fewer"
            )


def check(name: str, model: Any, tokenizer: Any, folder: Path | None, causal: bool, allowed: bool) -> dict[str, Any]:
    """Raise UserError for a tokenizer that is certainly not this model's, unless ``allowed``; what a run records
    otherwise, with what makes it likely of a ``causal`` model. ``folder`` has the model's files, if they are at hand.

    A padding token without a row is replaced by one that has a row: padding is never read. Texts with any other id
    that has no row end in an error of their own.
    """
    size = rows(model)
    outside = {token: index for token, index in tokenizer.get_vocab().items() if index >= size}
    details: dict[str, Any] = {}
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= size:
        details["pad"] = f"{tokenizer.pad_token!r} ({tokenizer.pad_token_id}) has no row in the embedding: replaced"
        outside.pop(tokenizer.pad_token, None)
        _replace_pad(tokenizer, size)
    files = kinship.Files(folder)
    own = (_beyond(outside, size), _sparse(tokenizer, size), _strange_end(model, tokenizer))
    doubts = [*(doubt for doubt in own if doubt), *kinship.contradictions(files)]
    if doubts and not allowed:
        raise UserError(
            f"{name}: its tokenizer is not that of its weights: {doubts[0]}: put the model's own tokenizer into the "
            f"folder; {WAY_OUT}"
        )
    if causal:
        doubts += kinship.doubts(files, model, tokenizer)
    return details | ({"tokenizer_doubts": doubts} if doubts else {})


def _replace_pad(tokenizer: Any, size: int) -> None:
    for attribute in ("eos_token", "bos_token", "unk_token"):
        index = getattr(tokenizer, f"{attribute}_id")
        if index is not None and index < size:
            tokenizer.pad_token = getattr(tokenizer, attribute)
            return
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)


def _beyond(outside: dict[str, int], size: int) -> str | None:
    if not outside:
        return None
    token, index = max(outside.items(), key=lambda pair: pair[1])
    return f"{len(outside)} of its tokens have no row in the embedding of {size} ({token!r} is {index})"


def _sparse(tokenizer: Any, size: int) -> str | None:
    known = len(tokenizer)
    if known >= size * FEWEST or size - known <= ROUNDING:
        return None
    return f"it has {known} tokens for an embedding of {size}"


def _strange_end(model: Any, tokenizer: Any) -> str | None:
    """The model ends texts with a token that is ordinary text to the tokenizer, and not with the tokenizer's own."""
    ends = kinship.ends_of(model)
    special = {*tokenizer.all_special_ids, *getattr(tokenizer, "added_tokens_decoder", {})}
    if not ends or ends & special:
        return None
    index = min(ends)
    return (
        f"the model's end of text is {index}, which is {tokenizer.convert_ids_to_tokens(index)!r} to it"
        if index < len(tokenizer)
        else f"the model's end of text is {index}, which it does not have"
    )
