"""Items that are not independent because their documents share something: a passage, or the question they vary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

CLUSTER_FIELDS = ("passage", "context", "article", "story", "paragraph", "of")
"""Document fields whose repeated value means that items share it and are not independent; "of" names the question that
variants (order:, labels:, templates:) and proposed answers (fct:) are made from.
"""

COPIES = 0.05
"""How much wider than independent items' a variance may be, where copies of a document agree, without a word."""


def shared_field(documents: Sequence[Any], field: str | None = None) -> tuple[str, tuple[str, ...] | None]:
    """(field, label of each document) of what documents share: the ``field`` asked for, or the first of CLUSTER_FIELDS
    that all of them have and whose values repeat; else the whole "document", where so many are copies of others that it
    matters. ("", None) where there is none: the documents are independent.
    """
    for name in (field,) if field else CLUSTER_FIELDS:
        values = [document.get(name) if isinstance(document, Mapping) else None for document in documents]
        if any(value in (None, "") for value in values):
            continue
        texts = [
            value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str) for value in values
        ]
        order = {text: str(number) for number, text in enumerate(dict.fromkeys(texts))}
        if len(order) < len(texts):
            return name, tuple(order[text] for text in texts)
    return ("", None) if field else _copies(documents)


def _copies(documents: Sequence[Any]) -> tuple[str, tuple[str, ...] | None]:
    """Documents that are the same throughout. Were their answers the same too, the variance would be that of
    independent ones times sum(copies^2) / documents.
    """
    if not all(isinstance(document, Mapping) and document for document in documents):
        return "", None
    texts = [repr(document) for document in documents]
    times = Counter(texts)
    if sum(count**2 for count in times.values()) <= (1 + COPIES) * len(texts):
        return "", None
    order = {text: str(number) for number, text in enumerate(times)}
    return "document", tuple(order[text] for text in texts)
