"""Reading a command line as a user of lm_eval writes it.

lm_eval spells options with underscores and lets some take several words; ours have dashes and take one. The
functions here turn the first into the second.
"""

from __future__ import annotations

from collections.abc import Sequence

JOINED = {"--tasks", "-t", "--model-args", "-a", "--gen-kwargs"}
"""Options that may be followed by several words; they are joined with commas."""
OURS = {
    "--apply-chat-template": "--chat-template",
    "--system-instruction": "--system",
    "--use-cache": "--cache",
    "--output-path": "--output",
}
"""lm_eval's names for options that have another name here."""
OPTIONAL = {"--chat-template": "true", "--fewshot-as-multiturn": "true", "--prompt-lookup": "10"}
"""Options that may stand without a value, and the value that this means."""


def normalize(args: Sequence[str]) -> list[str]:
    """The same command line in our spelling: dashes, and exactly one word after an option that takes one."""
    words: list[str] = []
    queue = list(args)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return [*words, word, *queue]
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = OURS.get(dashed := name.replace("_", "-"), dashed)
        words.append(name + equals + value if word.startswith("-") else word)
        if equals or not name.startswith("-"):
            continue
        if name in JOINED:
            values = _take_values(queue)
            words += [",".join(part.strip(",") for part in values)] if values else []
        elif name in OPTIONAL:
            words.append(_take_value(queue) or OPTIONAL[name])
    return words


def _take_values(queue: list[str]) -> list[str]:
    values = []
    while queue and not queue[0].startswith("-"):
        values.append(queue.pop(0))
    return values


def _take_value(queue: list[str]) -> str | None:
    return queue.pop(0) if queue and not queue[0].startswith("-") else None
