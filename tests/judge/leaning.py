"""A judge whose habits are known: its verdict is drawn by a logistic model of quality, length and place."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from evalkit.contract.types import Generate, ModelInfo, Response

_SHOWN = re.compile(r"\[Answer ([AB])\]\n(.*?)\n\[End of answer", re.DOTALL)
_ALONE = re.compile(r"\[Answer\]\n(.*?)\n\[End of answer\]", re.DOTALL)


class Leaning:
    """Log-odds for answer A: ``place`` + ``length`` tanh(difference of characters / ``scale``) + the difference of
    qualities ("quality=0.8" in an answer, else 0). Of a prompt the draw is always the same.
    """

    def __init__(self, place: float = 0.0, length: float = 0.0, scale: float = 300.0) -> None:
        self.place, self.length, self.scale = place, length, scale
        self.asked = 0
        self.info = ModelInfo(
            name="leaning", backend="leaning", fingerprint=f"leaning {place} {length} {scale}", max_length=1 << 20
        )

    def respond(self, requests: Sequence[Generate]) -> Iterator[tuple[int, Response]]:
        """A verdict, a grade, or two grades, by what the prompt asks for."""
        self.asked += len(requests)
        for place, request in enumerate(requests):
            yield place, Response(text=self._reply(request.context), finish="stop")

    def _reply(self, prompt: str) -> str:
        shown = dict(_SHOWN.findall(prompt))
        if not shown:
            (answer,) = _ALONE.findall(prompt)
            return f"[[{min(10, max(1, round(5 + quality(answer) + len(answer) / self.scale)))}]]"
        odds = self.odds(shown["A"], shown["B"])
        if "two numbers" in prompt:
            return f"{min(10, 5 + quality(shown['A']) + self.place):.1f} {5 + quality(shown['B']):.1f}"
        draw = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") / 2**64
        return "[[A]]" if draw < 1 / (1 + math.exp(-odds)) else "[[B]]"

    def odds(self, first: str, second: str) -> float:
        """Log-odds for the answer shown first."""
        longer = math.tanh((len(first) - len(second)) / self.scale)
        return self.place + self.length * longer + quality(first) - quality(second)

    def close(self) -> None:
        """Nothing to free."""


def quality(answer: str) -> float:
    """What an answer says of itself."""
    found = re.search(r"quality=(-?[\d.]+)", answer)
    return float(found[1]) if found else 0.0


def load(model: Any, engine: Any) -> Leaning:
    """As a backend: arguments place, length and scale."""
    return Leaning(**{name: float(value) for name, value in model.args.items()})
