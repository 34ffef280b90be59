"""The tests of a program, in a sandbox of their own: what they call is asked of the program's process, and values come
back. The verdict goes out by a way that the program does not have.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from .wire import Channel, Ended


class Missing(Exception):
    """A name that the program does not define."""


class Remote:
    """Something of the program's that is no plain value: it can be called and looked into, and equals only itself."""

    __slots__ = ("_ask", "_id", "_kind")

    def __init__(self, ask: Any, identity: int, kind: str) -> None:
        put = object.__setattr__
        put(self, "_ask", ask)
        put(self, "_id", identity)
        put(self, "_kind", kind)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._ask("call", self, list(args), named)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._ask("iter", self))

    def __len__(self) -> int:
        return int(self._ask("len", self))

    def __bool__(self) -> bool:
        return bool(self._ask("bool", self))

    def __str__(self) -> str:
        return str(self._ask("str", self))

    def __getattr__(self, name: str) -> Any:
        return self._ask("attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and other._id == self._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return f"<{self._kind} of the program>"


def main() -> None:
    verdict = os.dup(2)
    channel = Channel.of_standard(_keep, lambda mark: Remote(ask, int(mark["h"][0]), str(mark["h"][1])[:100]))

    def ask(*message: Any) -> Any:
        channel.send(list(message))
        reply = channel.receive()
        if not isinstance(reply, dict) or len(reply) != 1:
            raise Ended
        if "error" in reply:
            raise _error(*map(str, reply["error"]))
        return reply["value"]

    found: dict[str, Any]
    try:
        if channel.receive() != "ready":
            raise Ended
    except Ended:
        found = {"sandbox": "the program's sandbox did not start"}
    else:
        os.write(verdict, b"ready\n")  # from here on a verdict that does not come is the program's doing
        found = _judged(channel, ask)
    os.write(verdict, json.dumps(found).encode())
    os._exit(0)


def _judged(channel: Channel, ask: Any) -> dict[str, Any]:
    with open("/job/tests.json", encoding="utf-8") as file:  # noqa: PTH123
        job = json.load(file)
    try:
        loaded = channel.receive()
        if isinstance(loaded, dict) and "error" in loaded:
            return {"passed": False, "reason": _line(": ".join(map(str, loaded["error"])))}
        _test(job, ask)
    except Ended:
        return {"passed": False, "reason": "the program ended before its tests did"}
    except SystemExit:
        return {"passed": False, "reason": "the tests ended themselves"}
    except BaseException as error:
        return {"passed": False, "reason": _line(f"{type(error).__name__}: {error}")}
    return {"passed": True, "reason": ""}


def _test(job: dict[str, Any], ask: Any) -> None:
    """Run ``helpers``, whose names are the tests' own, then ``tests``, which see the program's for all others."""
    names: dict[str, Any] = {"__name__": "tests"}
    if job["helpers"]:
        exec(compile(job["helpers"], "helpers.py", "exec"), names)
    trees = [ast.parse(text) for text in job["tests"]]
    for name in sorted({*_free(trees, names), *job["names"]}):
        if name in sys.stdlib_module_names and name not in job["names"]:
            names[name] = importlib.import_module(name)
            continue
        try:
            names[name] = ask("name", name)
        except Exception:
            names.pop(name, None)  # the tests tell it by their NameError
    for text in job["tests"]:
        exec(compile(text, "tests.py", "exec"), names)


def _free(trees: list[ast.Module], known: dict[str, Any]) -> set[str]:
    """Names that tests read and nobody has bound."""
    read: set[str] = set()
    bound = set(known) | set(dir(builtins))
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
    return read - bound


def _keep(value: Any) -> Any:
    if isinstance(value, Remote):
        return {"h": value._id}
    raise TypeError(f"a {type(value).__name__} cannot be handed to the program")


def _error(name: str, text: str) -> BaseException:
    """The built-in exception of that name, as the tests may expect it; never one that ends a process."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:
            pass
    return RuntimeError(f"{name}: {text}")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
