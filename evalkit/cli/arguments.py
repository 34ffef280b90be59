"""Reading a command line as a user of lm_eval writes it.

lm_eval spells options with underscores and lets some take several words; ours have dashes and take one. The
functions here turn the first into the second, by what `evalkit.spec.table` says of each setting.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from evalkit.spec.table import SETTINGS


def normalize(args: Sequence[str], keys: Collection[str] = tuple(SETTINGS)) -> list[str]:
    """The same command line in our spelling: dashes, and exactly one word after an option that takes one; ``keys`` name
    the command's parameters, of which those count that are settings.
    """
    settings = [SETTINGS[key] for key in keys if key in SETTINGS]
    ours = {f"--{alias.replace('_', '-')}": one.flag for one in settings for alias in one.option.aliases}
    joined = {flag for one in settings if one.option.joined for flag in (one.flag, one.option.short)}
    bare = {one.flag: one.option.bare for one in settings if one.option.bare}
    off = {f"--no-{flag.removeprefix('--')}": flag for flag, value in bare.items() if value == "true"}
    words: list[str] = []
    queue = list(args)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return [*words, word, *queue]
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = ours.get(dashed := name.replace("_", "-"), dashed)
        if name in off and not equals:
            words += [off[name], "false"]
            continue
        words.append(name + equals + value if word.startswith("-") else word)
        if equals or not name.startswith("-"):
            continue
        if name in joined:
            values = _take_values(queue)
            words += [",".join(part.strip(",") for part in values)] if values else []
        elif name in bare:
            words.append(_take_value(queue) or bare[name])
    return words


def _take_values(queue: list[str]) -> list[str]:
    values = []
    while queue and not queue[0].startswith("-"):
        values.append(queue.pop(0))
    return values


def _take_value(queue: list[str]) -> str | None:
    return queue.pop(0) if queue and not queue[0].startswith("-") else None
