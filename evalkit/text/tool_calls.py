"""Functions that a model may call and its calls, as they stand in conversations and texts.

A call that a server tells apart is written into the reply's text as the open models' own templates write it (Hermes,
Qwen): ``<tool_call>``, a line of JSON with "name" and "arguments", ``</tool_call>``. So one text is what a journal
keeps and a metric reads, whoever made it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.text.reading import Malformed, parse_json

if TYPE_CHECKING:
    from evalkit.contract.requests import Message

BEGIN, END = "<tool_call>", "</tool_call>"


def offered(messages: Iterable[Message]) -> list[Any]:
    """The tools of a conversation, as objects."""
    return [json.loads(tool) for one in messages for tool in one.tools]


def joined(text: str, calls: Sequence[tuple[str, str]]) -> str:
    """A reply's text with its calls (name, arguments as JSON) behind it. Arguments that are no JSON stay a text."""
    written = []
    for name, arguments in calls:
        try:
            read = parse_json(arguments)
        except Malformed:
            read = arguments
        line = json.dumps({"name": name, "arguments": read}, ensure_ascii=False)
        # A mark within a text of the model's must not end the call.
        line = line.replace("<", "\\u003c")
        written.append(f"{BEGIN}\n{line}\n{END}")
    return "\n".join([*([text] if text else []), *written])
