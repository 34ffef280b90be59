"""The script of a mock model: what it says to which prompt.

A rule: ``match`` (regular expression searched in the prompt; none: every prompt), ``continuation`` (the same for the
scored text), and what to do: ``text`` (the reply, or a list from which sampling draws), ``prefer`` (the choice that is
most likely), ``loglikelihood`` (a number), ``error`` (a message), ``nan: true``, ``delay_s`` (a token).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.text.patterns import compiled
from evalkit.text.reading import read_json, read_yaml


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a script; see the module's docstring."""

    match: str = ""
    continuation: str = ""
    text: str | tuple[str, ...] | None = None
    prefer: str | None = None
    loglikelihood: float | None = None
    error: str | None = None
    nan: bool = False
    delay_s: float = 0.0

    def applies(self, prompt: str, continuation: str | None) -> bool:
        """Whether the rule is for this prompt (and this scored text; None when generating)."""
        if self.match and not compiled(self.match).search(prompt):
            return False
        if self.continuation:
            return continuation is not None and compiled(self.continuation).search(continuation)
        return True

    def replies(self) -> tuple[str, ...]:
        """The texts this rule wants to see, if it names any."""
        if self.text is not None:
            return (self.text,) if isinstance(self.text, str) else self.text
        return (self.prefer,) if self.prefer is not None else ()

    def answers(self) -> dict[str, Any] | None:
        """What of the rule can change an answer: an error or a delay is none."""
        if self.error is not None or self.nan:
            return None
        return {
            "match": self.match,
            "continuation": self.continuation,
            "replies": list(self.replies()),
            "loglikelihood": self.loglikelihood,
        }


NO_RULE = Rule()


def read_script(script: Any) -> tuple[Rule, ...]:
    """The rules of a script: a file's path, a list of rules, or {"rules": [...]}; none for None. Raises UserError for
    one that is no such thing, naming file and rule.
    """
    where = "mock: script"
    if isinstance(script, str | Path):
        where = f"mock: script {script}"
        path = Path(script)
        script = read_json(path, "mock script") if path.suffix == ".json" else read_yaml(path, "mock script").data
    if isinstance(script, Mapping):
        if set(script) != {"rules"}:
            raise UserError(f"{where}: is not a list of rules: write a list of {{match: ..., text: ...}}")
        script = script["rules"]
    if script is None:
        return ()
    if not isinstance(script, Sequence) or isinstance(script, str):
        raise UserError(f"{where}: is not a list of rules: write a list of {{match: ..., text: ...}}")
    return tuple(_parse(rule, f"{where}: rule {number}") for number, rule in enumerate(script, 1))


def _parse(rule: Any, where: str) -> Rule:
    if not isinstance(rule, Mapping):
        raise UserError(f"{where}: is not a mapping: write {{match: ..., text: ...}}")
    known = {field.name for field in fields(Rule)}
    if unknown := sorted(set(map(str, rule)) - known):
        raise UserError(f"{where}: unknown key {unknown[0]!r}: known are {', '.join(sorted(known))}")
    values = dict(rule)
    if isinstance(values.get("text"), list):
        values["text"] = tuple(str(text) for text in values["text"])
        if not values["text"]:
            raise UserError(f"{where}: text is an empty list: give at least one reply")
    for key in ("match", "continuation"):
        try:
            re.compile(values.get(key) or "")
        except (re.error, TypeError) as error:
            raise UserError(f"{where}: {key} is not a regular expression ({error})") from None
    for key in ("loglikelihood", "delay_s"):
        if key in values and not isinstance(values[key], int | float):
            raise UserError(f"{where}: {key} is not a number: {values[key]!r}")
    return Rule(**values)
