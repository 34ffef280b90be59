"""What an embedder is: texts in, vectors out. Everything that is made of vectors is made by tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from evalkit.contract.capabilities import Capabilities

Vectors = npt.NDArray[np.float32]
"""Shape [texts, dimensions]."""
Role = Literal["", "query", "passage"]
"""What a text is to the model: one of two alike, or what is looked for, or where. Many models want another instruction
before each."""
EMBEDDER = Capabilities(answers=frozenset(("embed",)), counts_tokens=True, architecture="embedder")


@dataclass(frozen=True, slots=True)
class Collection:
    """Texts that many requests share, known by their ``digest``."""

    digest: str
    texts: Sequence[str]
    role: Role = "passage"


class Embedder(Protocol):
    """What the ``compute`` of an `evalkit.contract.requests.Embed` is given."""

    def embed(self, texts: Sequence[str], role: Role = "") -> Vectors:
        """A vector of each text."""
        ...

    def collection(self, texts: Collection) -> Vectors:
        """The same for shared texts, computed once."""
        ...
