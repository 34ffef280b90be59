"""What ends a generation and what shapes it, for both paths from one place."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.stops import StopScan
from evalkit.contract.backend import GenerateRow

SHAPING: dict[str, Any] = {
    "guidance_scale": 1.0,
    "sequence_bias": None,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "watermarking_config": None,
    "num_beams": 1,
    "num_beam_groups": 1,
    "penalty_alpha": None,
    "dola_layers": None,
    "constraints": None,
    "force_words_ids": None,
    "token_healing": False,
    "prompt_lookup_num_tokens": None,
    "max_time": None,
}
"""Settings of transformers' GenerationConfig that change even a greedy text, with the value that changes nothing."""

SAMPLING: dict[str, Any] = {
    "min_p": None,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "renormalize_logits": False,
}
"""The same of sampled texts, beside temperature, top_p and top_k, which every row sets itself."""


class Generation:
    """How a model's generations end, and which of its own settings (generation_config.json) shape them."""

    def __init__(self, model: Any, tokens: Tokens) -> None:
        self._tokens = tokens
        self._config = model.generation_config
        self._size = len(tokens.tokenizer)
        self.ignore_end = False
        """Generate on past end-of-sequence, as benchmarks do."""
        self.own = self._apart(SHAPING)
        """Settings of the model's own that change greedy texts; only transformers' generate applies them."""

    def _apart(self, neutral: dict[str, Any]) -> dict[str, Any]:
        held = {name: getattr(self._config, name, None) for name in neutral}
        return {name: value for name, value in held.items() if value not in (None, [], {}, neutral[name])}

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end a text: the model's own and the tokenizer's end of text."""
        if self.ignore_end:
            return frozenset()
        stop = self._config.eos_token_id
        stops = stop if isinstance(stop, list) else [stop]
        return frozenset(token for token in (*stops, self._tokens.eot_id) if token is not None)

    def scan(self, row: GenerateRow) -> StopScan:
        """What looks for the end of a row. The end of text also stops where it is written out."""
        marks = self._tokens.marks
        return StopScan(
            row.until,
            self._tokens.decode,
            self.stop_ids,
            row.max_tokens,
            self._size,
            "" if self.ignore_end else self._tokens.eot_text,
            marks,
            marks.opened_by_tokens(row.tokens, self._tokens.decode),
        )

    @property
    def pad_id(self) -> int:
        """What padding is written with; it is never read."""
        pad = self._tokens.tokenizer.pad_token_id
        return 0 if pad is None else int(pad)

    def settings(self, row: GenerateRow) -> dict[str, Any]:
        """What transformers' generate is told of a row; the model's own settings stand where nothing is said. Seeds
        the sampling of a row that samples, so that its answer does not depend on what came before.
        """
        settings: dict[str, Any] = {"max_new_tokens": row.max_tokens, "pad_token_id": self.pad_id}
        if self.ignore_end:
            settings["eos_token_id"] = -1  # None would mean the model's own
        elif self._config.eos_token_id is None:
            settings["eos_token_id"] = sorted(self.stop_ids) or None
        sampling = row.sampling
        if sampling.temperature <= 0:
            return {**settings, "do_sample": False, **dict(sampling.extra)}
        seed = hashlib.sha256(f"{sampling.seed}:{row.key}".encode()).digest()
        torch.manual_seed(int.from_bytes(seed[:8], "big") >> 1)
        chosen = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        return {**settings, "do_sample": True, **chosen, **dict(sampling.extra)}

    def only_by_generate(self, row: GenerateRow) -> bool:
        """Whether this row has settings that only transformers' own generate applies."""
        if row.sampling.extra or self.own:
            return True
        return row.sampling.temperature > 0 and bool(self._apart(SAMPLING))

    def by_steps(self, row: GenerateRow) -> bool:
        """Whether generate's rows grow by the tokens that they end up with (beams are reordered on the way)."""
        beams = dict(row.sampling.extra).get("num_beams", self.own.get("num_beams", 1))
        return int(beams or 1) == 1
