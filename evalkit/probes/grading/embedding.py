"""A grader by word embeddings (wordllama, whose weights come with its package): is each sentence near one of the
source's?

A sentence's likeness is the largest cosine of its mean embedding with a source sentence's or two neighbouring ones'; a
text's is that of its least like sentence. A logistic function of it is the score. Its two numbers were fitted on the
development split of WiCE, whose test split is another (docs/probes.md). Likeness is not support: a sentence and its
negation are near each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.grading import Claim
from evalkit.probes.grading.sentences import sentences

MIDDLE, STEEPNESS = 0.62, 3.75
"""The cosine at which a score is one half, and how fast it rises there."""
_MODEL = "l2_supercat_256"


class Embedding:
    """The grader by embeddings. It takes no arguments."""

    @property
    def identity(self) -> str:
        """The package's version stands for the weights."""
        from importlib.metadata import version

        return f"embedding:{_MODEL}@wordllama-{version('wordllama')}:{MIDDLE}:{STEEPNESS}"

    def grade(self, claims: Sequence[Claim]) -> list[float | None]:
        """None for a text or a source without a word."""
        return [None if one is None else _logistic(one) for one in self.likeness(claims)]

    def likeness(self, claims: Sequence[Claim]) -> list[float | None]:
        """Cosines from -1 to 1, before the logistic function."""
        embed = _model().embed
        found: list[float | None] = []
        for claim in claims:
            parts, there = sentences(claim.text), sentences(claim.source)
            if not parts or not there:
                found.append(None)
                continue
            pieces = [*there, *(f"{one} {other}" for one, other in pairwise(there))]
            stated = [f"{claim.question} {part}" if claim.question else part for part in parts]
            cosines = embed(stated, norm=True) @ embed(pieces, norm=True).T
            found.append(float(cosines.max(axis=1).min()))
        return found


def embedding(args: Mapping[str, Any]) -> Embedding:
    """The entry point. UserError for any argument; MissingExtra without wordllama."""
    from importlib.util import find_spec

    if args:
        raise UserError(f"grader embedding: there is no argument {sorted(args)[0]!r}; it takes none")
    if find_spec("wordllama") is None:
        raise MissingExtra("grader embedding", "wordllama", "embedding")
    return Embedding()


def _logistic(cosine: float) -> float:
    return 0.5 * (1 + math.tanh(STEEPNESS * (cosine - MIDDLE) / 2))


@lru_cache(maxsize=1)
def _model() -> Any:
    """The package's own weights and tokenizer; its loader looks for the tokenizer on the Hub."""
    from pathlib import Path

    import wordllama
    from safetensors import safe_open
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    home = Path(wordllama.__file__).parent
    tokenizer = Tokenizer.from_file(str(home / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    with safe_open(home / "weights" / f"{_MODEL}.safetensors", framework="np") as file:
        return WordLlamaInference(file.get_tensor("embedding.weight"), tokenizer)
