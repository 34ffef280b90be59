"""The tokenizer of a transformers model, with lm-evaluation-harness's rules for special tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from evalkit.backends.chat_template import ChatTemplate, named, variables
from evalkit.backends.hf.piecewise_encoding import TRIALS, PieceEncoder
from evalkit.backends.thinking import Marks, marks_of
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message
from evalkit.spec.models import ModelSpec
from evalkit.store.identity import digest


class Tokens:
    """Encodes, decodes and renders conversations. ``model``: how, where something is asked. ``keep_end``: leave special
    tokens behind a text, as an encoder wants them; a decoder's texts go on, so that they are taken off. ``sees``: of a
    model that reads pictures.
    """

    def __init__(
        self, tokenizer: Any, model: ModelSpec | None = None, keep_end: bool = False, sees: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self._keep_end = keep_end
        self._sees = sees
        self._model = model or ModelSpec(name=type(tokenizer).__name__)
        self._add_bos = self._model.add_bos
        eos, bos = tokenizer.eos_token_id, tokenizer.bos_token_id
        if eos is None and bos is None:
            raise UserError("the tokenizer has neither an end-of-text nor a beginning-of-text token: it cannot be used")
        self.eot_id: int = eos if eos is not None else bos
        self.prefix_id: int = bos if bos is not None else eos
        self.eot_text: str = tokenizer.decode([self.eot_id], skip_special_tokens=False)
        self._prefix_text: str = tokenizer.decode([self.prefix_id], skip_special_tokens=False)
        self._pieces = PieceEncoder(tokenizer, self._encode_whole)

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """Token ids of each text; see `TokenBackend.encode`."""
        if special is not None:
            return self._encode(texts, special)
        begun = [bool(self._prefix_text) and text.startswith(self._prefix_text) for text in texts]
        if not any(begun):
            return self._encode(texts, self._add_bos)
        fresh = iter(self._encode([t for t, b in zip(texts, begun, strict=True) if not b], self._add_bos))
        having = iter(self._encode([t for t, b in zip(texts, begun, strict=True) if b], False))
        return [next(having) if b else next(fresh) for b in begun]

    @cached_property
    def encoding_identity(self) -> str | None:
        """Changes with everything that token ids depend on; None for a tokenizer written in Python, whose insides
        cannot be told apart.
        """
        inner = getattr(self.tokenizer, "backend_tokenizer", None)
        if inner is None or not getattr(self.tokenizer, "is_fast", False):
            return None
        import tokenizers
        import transformers

        # The trials first: the first call sets truncation and padding, which are part of the inner tokenizer's text.
        trials = [self.encode([*TRIALS, self._prefix_text], special) for special in (None, True, False)]
        return digest(
            {
                "kind": type(self.tokenizer).__name__,
                "tokenizer": hashlib.sha256(inner.to_str().encode()).hexdigest(),
                "special_as_text": bool(inner.encode_special_tokens),
                "add_bos": self._add_bos,
                "prefix": [self.prefix_id, self._prefix_text],
                "trials": trials,
                "libraries": [transformers.__version__, tokenizers.__version__],
            }
        )

    def _encode(self, texts: Sequence[str], special: bool | None) -> list[list[int]]:
        return self._pieces(texts, special) if texts else []

    def _encode_whole(self, texts: Sequence[str], special: bool | None) -> list[list[int]]:
        settings = {} if special is None else {"add_special_tokens": special}
        encoded = self.tokenizer(list(texts), return_attention_mask=False, verbose=False, **settings)
        added = 0 if special is False or self._keep_end else self._added_at_the_end[special]
        return [ids[: len(ids) - added] for ids in encoded["input_ids"]] if added else list(encoded["input_ids"])

    @cached_property
    def _added_at_the_end(self) -> dict[bool | None, int]:
        """Special tokens that the tokenizer puts behind a text, by the setting; a text that goes on has none there.
        lm-eval leaves them, which gives a continuation an end of text to score, or that alone.
        """
        found: dict[bool | None, int] = {}
        bare = self._ids("x", add_special_tokens=False)
        for special in (None, True):
            framed = self._ids("x", **({} if special is None else {"add_special_tokens": special}))
            at = next((i for i in range(len(framed)) if framed[i : i + len(bare)] == bare), None) if bare else None
            found[special] = 0 if at is None else len(framed) - at - len(bare)
        return found

    def _ids(self, text: str, **settings: bool) -> list[int]:
        return list(self.tokenizer([text], return_attention_mask=False, verbose=False, **settings)["input_ids"][0])

    def decode(self, tokens: Sequence[int], special: bool = False) -> str:
        """Text without special tokens; ``special``: with them, as they are written."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=not special))

    def special_ids(self, texts: Sequence[str]) -> list[int]:
        """The ids of those texts that are special tokens."""
        known = self.tokenizer.get_added_vocab()
        return sorted(known[text] for text in set(texts) if text in known)

    @cached_property
    def template(self) -> ChatTemplate:
        """The chat template that the model is asked by. UserError where it has none."""
        model = self._model
        text = named(model.name, self.tokenizer.chat_template, model.chat_template)
        special = {name: str(token) for name, token in self.tokenizer.special_tokens_map.items()}
        return ChatTemplate(model.name, text, special, variables(model), self._sees)

    @cached_property
    def marks(self) -> Marks:
        """What the model's thoughts stand between."""
        found = self.tokenizer.chat_template
        texts = found.values() if isinstance(found, dict) else (found or "",)
        return marks_of(self._model, "\n".join(texts))

    def record(self) -> dict[str, Any]:
        """What a run keeps of how conversations are written; nothing where there are none."""
        return self.template.record() if self._model.chat_template else {}

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The conversation as text; see `ChatTemplate`."""
        return self.template(messages, add_generation_prompt)


class OverTokens:
    """What a backend over a transformers tokenizer answers by ``self._tokens`` alone."""

    _tokens: Tokens

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return self._tokens.encode(texts, special)

    @property
    def encoding_identity(self) -> str | None:
        """See `TokenBackend`."""
        return self._tokens.encoding_identity

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._tokens.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._tokens.chat(messages, add_generation_prompt)
