"""A model's chat template: conversations as text, in transformers' dialect of Jinja, for every backend that has one.

A template comes with the model's files, so it is a stranger's program. It runs in a sandbox, in a process of its own
with a limit of time, memory and length (`evalkit.backends.template_worker`); one that fails is one line to the user.
Its clock stands still, or the same run on two days would ask two different things.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import IMAGE_MARK, Message, parts_of
from evalkit.spec.models import ModelSpec
from evalkit.text import tool_calls

CLOCK = "2024-07-26T00:00:00"
"""What ``strftime_now`` tells: the day that Llama 3's templates fall back to where there is no clock."""
SECONDS = 5.0
"""Computing time that a template may take for one conversation."""
MEMORY = 1 << 30
"""Bytes of address space of the process that it runs in."""
CHARACTERS = 1 << 24
"""Characters that it may write for one conversation."""
LARGEST = 1 << 20
"""Characters of a template."""

FOLDED = "it begins the first user turn"
"""What becomes of a system turn that a template would drop or refuse."""

_WORKER = Path(__file__).with_name("template_worker.py")
_TAG = "EVALKIT-GOES-ON-HERE "
_PROBE = "evalkit-system-probe"


log = logging.getLogger("evalkit.chat_template")


class Fails(Exception):
    """The template does not render this conversation; the message says why."""


class ChatTemplate:
    """One template with its variables. ``special``: the tokenizer's special tokens by name ("bos_token"). ``sees``: the
    model reads pictures, so that its template may want the parts of a turn instead of its text.
    """

    def __init__(
        self, owner: str, text: str, special: Mapping[str, str], variables: Mapping[str, Any], sees: bool = False
    ) -> None:
        if len(text) > LARGEST:
            raise UserError(f"{owner}: its chat template has {len(text):,} characters, of {LARGEST:,} at most")
        self._owner = owner
        self._sees = sees
        self.text = text
        if unknown := sorted(name for name in variables if not re.search(rf"\b{re.escape(name)}\b", text)):
            log.warning("%s: its chat template has no variable %s: it changes nothing", owner, ", ".join(unknown))
        self._variables = {**special, **variables}
        self._given = dict(variables)
        self._folds = False
        self.process: subprocess.Popen[str] | None = None
        """What renders, once it was needed."""
        self._lock = threading.Lock()

    def __call__(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The conversation as text; without ``add_generation_prompt`` its last turn goes on. A template without a place
        for a system turn gets it as the beginning of the first user turn. UserError where it fails.
        """
        tools = tool_calls.offered(messages)
        if tools and not re.search(r"\btools\b", self.text):
            raise UserError(
                f"{self._owner}: the model's chat template has no place for tools: ask for calls as text "
                "(calls=prompted)"
            )
        if any(one.role == "system" for one in messages) and not self.takes_system:
            messages = _folded(messages)
            if not self._folds:
                self._folds = True
                log.warning("%s: its chat template has no place for a system turn: %s", self._owner, FOLDED)
        try:
            return self._rendered(self._turns(messages), add_generation_prompt, tools)
        except (Fails, ValueError) as error:
            raise UserError(f"{self._owner}: the model's chat template fails on these turns: {error}") from None

    def _turns(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The turns as the template wants them: with their contents as parts where it reads pictures."""
        if not self.takes_parts:
            if any(one.images for one in messages):
                raise UserError(f"{self._owner}: its chat template has no place for a picture: run it without")
            return [{"role": one.role, "content": one.content} for one in messages]
        return [
            {
                "role": one.role,
                "content": [
                    {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                    for part in parts_of(one)
                ],
            }
            for one in messages
        ]

    @cached_property
    def takes_parts(self) -> bool:
        """Whether the template places pictures: of a turn with one it writes something else than of its text alone."""
        if not self._sees:
            return False
        text = {"type": "text", "text": _PROBE}
        with suppress(Fails):
            alone, shown = (
                self._ask([{"role": "user", "content": parts}], True) for parts in ([text], [{"type": "image"}, text])
            )
            return _PROBE in alone and "'text'" not in alone and alone != shown
        return False

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system turn shows in what the template writes, as a probe finds out."""
        asked = [Message("system", _PROBE), Message("user", "question")]
        try:
            return _PROBE in self._rendered(self._turns(asked), True)
        except Fails:
            return False

    def record(self) -> dict[str, Any]:
        """What a run keeps of the template."""
        kept: dict[str, Any] = {"chat_template": self.text}
        if self._given:
            kept["template_variables"] = self._given
        if "strftime_now" in self.text:
            kept["template_clock"] = CLOCK
        if not self.takes_system:
            kept["system_turn"] = f"the template has no place for it: {FOLDED}"
        return kept

    def _rendered(
        self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool, tools: Sequence[Any] = ()
    ) -> str:
        if add_generation_prompt:
            return self._ask(turns, True, tools)
        *before, last = turns
        inside = last["content"]
        tagged = inside + _TAG if isinstance(inside, str) else [*inside, {"type": "text", "text": _TAG}]
        text = self._ask([*before, {**last, "content": tagged}], False, tools)
        at = text.rfind(_TAG.strip())
        if at < 0:
            raise Fails("the last turn, which is to go on, does not show in what it writes")
        # A template that strips its turns stripped the tag's own blank too, and would have stripped the text's.
        return text[:at] if text[at : at + len(_TAG)] == _TAG else text[:at].rstrip()

    def _ask(self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool, tools: Sequence[Any] = ()) -> str:
        asked: dict[str, Any] = {"messages": turns, "add_generation_prompt": add_generation_prompt}
        if tools:
            asked["tools"] = list(tools)
        with self._lock:
            process = self.process or self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(json.dumps(asked) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line.endswith("\n"):
                raise Fails(self._ended(process))
        answer = json.loads(line)
        if "error" in answer:
            raise Fails(" ".join(str(answer["error"]).split())[:300])
        return str(answer["text"])

    def _started(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self.process = process
        weakref.finalize(self, _end, process)
        task = {
            "template": self.text,
            "variables": self._variables,
            "clock": CLOCK,
            "seconds": SECONDS,
            "memory": MEMORY,
            "characters": CHARACTERS,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(task, default=str) + "\n")
        return process

    def _ended(self, process: subprocess.Popen[str]) -> str:
        """Why the process is no more."""
        self.process = None
        code = process.wait()
        if code == -signal.SIGPROF:
            return f"it computes for more than {SECONDS:g} seconds"
        return f"it ended its process ({code}): most likely it takes more memory than a template may"


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # it is gone already
                stream.close()
    process.kill()
    process.wait()


def _folded(messages: Sequence[Message]) -> list[Message]:
    """The conversation with its system turns before the first user turn's text."""
    system = "\n\n".join(one.content for one in messages if one.role == "system")
    kept = [one for one in messages if one.role != "system"]
    place = next((place for place, one in enumerate(kept) if one.role == "user"), None)
    if place is None:
        return [Message("user", system), *kept]
    user = kept[place]
    marks = "" if IMAGE_MARK in user.content else IMAGE_MARK * len(user.images)  # the pictures stay with their text
    kept[place] = replace(user, content=f"{system}\n\n{marks}{user.content}")
    return kept


def variables(model: ModelSpec) -> dict[str, Any]:
    """The template's variables that the user set."""
    thinking = {} if model.enable_thinking is None else {"enable_thinking": model.enable_thinking}
    return {**model.chat_template_args, **thinking}


def prompting_identity(model: ModelSpec) -> dict[str, Any]:
    """What of the settings of template and thoughts can change an answer; nothing where none are set, as in the
    fingerprints of before there were any.
    """
    marks = {"think_start": model.think_start, "think_end": model.think_end}
    given = {"template_variables": variables(model), **marks}
    return {name: value for name, value in given.items() if value not in (None, {})}


def named(owner: str, templates: str | Mapping[str, str] | None, wanted: bool | str) -> str:
    """The text of the template that ``wanted`` (--chat-template) names: true for the one, or "default". UserError for
    a model without one, or without that one.
    """
    if not templates:
        raise UserError(f"{owner}: the model has no chat template: run it without --apply_chat_template")
    if isinstance(templates, str):
        templates = {"default": templates}
    name = wanted if isinstance(wanted, str) else "default"
    if name not in templates:
        raise UserError(f"{owner}: has no chat template called {name!r}: it has {', '.join(sorted(templates))}")
    return templates[name]
