"""Items that are not independent because their documents share something: a passage, or the question they vary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

CLUSTER_FIELDS = ("passage", "context", "article", "story", "paragraph", "of")
"""Document fields whose repeated value means that items share it and are not independent; "of" names the question that
variants (order:, labels:, templates:) and proposed answers (fct:) are made from.
"""


def shared_field(documents: Sequence[Any], field: str | None = None) -> tuple[str, tuple[str, ...] | None]:
    """(field, label of each document) of what documents share: the ``field`` asked for, or the first of CLUSTER_FIELDS
    that all of them have and whose values repeat. ("", None) where there is none: the documents are independent.
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
    return "", None
