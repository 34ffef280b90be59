"""The JSON files beside a folder's weights: each is told by name where it is broken or holds values of another type.

transformers passes over some of them (a generation_config.json that is no JSON counts as absent, a vocab.json is not
read beside a tokenizer.json), and speaks of others without naming the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.text.reading import read_json, read_text

MEND = "mend it, or copy the model's own there again"
OBJECTS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Files that hold a JSON object, where they are there."""


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return _integer(value) or (isinstance(value, float) and math.isfinite(value))


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _integers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_integer, value))


def _ids(value: Any) -> bool:
    return _integer(value) or _integers(value)


def _lists_of_integers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_integers, value))


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))


TYPES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("a token's id or a list of them", _ids, "bos_token_id eos_token_id pad_token_id decoder_start_token_id"),
    ("a token's id or a list of them", _ids, "forced_bos_token_id forced_eos_token_id"),
    ("a list of token ids", _integers, "suppress_tokens begin_suppress_tokens"),
    ("a list of lists of token ids", _lists_of_integers, "bad_words_ids"),
    ("a text or a list of texts", _texts, "stop_strings"),
    ("a whole number", _integer, "top_k max_length max_new_tokens min_length min_new_tokens num_beams num_beam_groups"),
    ("a whole number", _integer, "no_repeat_ngram_size encoder_no_repeat_ngram_size prompt_lookup_num_tokens"),
    ("a number", _number, "temperature top_p min_p top_h typical_p epsilon_cutoff eta_cutoff repetition_penalty"),
    ("a number", _number, "encoder_repetition_penalty length_penalty diversity_penalty guidance_scale max_time"),
    ("a number", _number, "penalty_alpha"),
    ("true or false", _boolean, "do_sample renormalize_logits remove_invalid_values token_healing"),
)
"""What the settings of generation_config.json are (transformers' GenerationConfig); null says nothing everywhere."""

CHECKS = {name: (what, check) for what, check, names in TYPES for name in names.split()}


def check(folder: Path) -> None:
    """Raise UserError for a file of OBJECTS that is no JSON object, or has a value of a type that it cannot have."""
    for name in OBJECTS:
        file = folder / name
        if not file.is_file():
            continue
        held = read_json(file, "model file", MEND)
        if not isinstance(held, dict):
            raise UserError(f"{file}: must hold a JSON object, not {_kind(held)}: {MEND}")
        if name in _CONTENT:
            _CONTENT[name](file, held)


def _check_config(file: Path, held: Mapping[str, Any]) -> None:
    quantized = held.get("quantization_config")
    if quantized is not None and not isinstance(quantized, dict):
        raise UserError(f"{file}: quantization_config must be an object, not {_kind(quantized)}: {MEND}")
    named = held.get("architectures")
    if named is not None and not (isinstance(named, list) and all(isinstance(one, str) for one in named)):
        raise UserError(f"{file}: architectures must be a list of texts, not {named!r:.60}: {MEND}")
    if (kind := held.get("model_type")) is not None and not isinstance(kind, str):
        raise UserError(f"{file}: model_type must be a text, not {kind!r:.60}: {MEND}")
    for name in ("vocab_size", "hidden_size", "num_attention_heads"):
        if _integer(held.get(name)) and held[name] < 1:
            raise UserError(f"{file}: {name} must be 1 or more, not {held[name]}: {MEND}")


def _check_generation(file: Path, held: Mapping[str, Any]) -> None:
    for name, (what, fits) in CHECKS.items():
        value = held.get(name)
        if value is not None and not fits(value):
            raise UserError(f"{file}: {name} must be {what}, not {value!r:.60}: {MEND}")


def _check_vocabulary(file: Path, held: Mapping[str, Any]) -> None:
    for token, index in held.items():
        if not _integer(index):
            raise UserError(f"{file}: must give each token its id: {token!r:.60} has {index!r:.60}: {MEND}")


def _check_template(file: Path, held: Mapping[str, Any]) -> None:
    """A template, or several by name: an object, or a list of objects with a name and a template."""
    value = held.get("chat_template")
    entries = value if isinstance(value, list) else [value]
    fits = value is None or isinstance(value, str | dict) or all(isinstance(one, dict) for one in entries)
    if not fits:
        raise UserError(f"{file}: chat_template must be a text, not {value!r:.60}: {MEND}")


VOCABULARIES = ("tokenizer*", "vocab*", "merges.txt", "*.model", "*.spm", "*.tiktoken", "tekken.json", "*.bpe")
"""How the files that hold a tokenizer are called, of every kind that transformers knows."""

_CONTENT: Mapping[str, Callable[[Path, Mapping[str, Any]], None]] = {
    "config.json": _check_config,
    "generation_config.json": _check_generation,
    "vocab.json": _check_vocabulary,
    "tokenizer_config.json": _check_template,
    "chat_template.json": _check_template,
}


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds files that may be a tokenizer."""
    return any(path.is_file() for pattern in VOCABULARIES for path in folder.glob(pattern))


def of_tokenizer(path: Path) -> bool:
    """Whether a file is one that a tokenizer, or its chat template, is read from."""
    patterns = (*VOCABULARIES, "special_tokens_map.json", "added_tokens.json", "chat_template*")
    return path.is_file() and any(map(path.match, patterns))


def blame(folder: Path) -> UserError | None:
    """The tokenizer's file that keeps a folder from loading, where one does or none is there. For a load that has
    failed: a large tokenizer.json takes a second.
    """
    file = folder / "tokenizer.json"
    if not has_tokenizer(folder):
        return UserError(
            f"{folder}: holds no tokenizer (tokenizer.json, or files of its kind): copy the model's own there, or name "
            "the one it was made with: --model_args tokenizer=FOLDER"
        )
    try:
        if file.is_file():
            held = read_json(file, "tokenizer", MEND)
            if not isinstance(held, dict):
                return UserError(f"{file}: must hold a JSON object, not {_kind(held)}: {MEND}")
            if reason := _unreadable(file):
                return UserError(f"{file}: no tokenizer ({reason}): {MEND}")
        for template in folder.glob("*.jinja"):
            read_text(template, "chat template")
    except UserError as error:
        return error
    return None


def _unreadable(file: Path) -> str:
    """Why the tokenizers package does not read a file; "" where it does."""
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises nothing more particular
        return " ".join(str(error).split())[:200]
    return ""


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
