"""YAML as its 1.2 core schema reads it, with bounds on what a file may ask for.

Only ``true`` and ``false`` are booleans: ``yes``, ``no``, ``on`` and ``off`` are texts (YAML 1.2.2, 10.3.2; YAML 1.1
made booleans of them, so that the choices "yes" and "no" became True and False). Dates, base-60 and octal numbers of
1.1 are texts and decimal numbers, and the keys of mappings are always texts. Tags beyond the core schema are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

Keys = tuple[str | int, ...]

MAX_DEPTH = 100
"""Levels of nesting. libyaml's composer calls itself for each level and overruns its stack at some ten thousand."""

MAX_NODES = 1_000_000
"""Values of a file, each alias counted with all that it stands for."""

MAX_DIGITS = 300
"""Of an integer: more would not fit a floating-point number, which most of what is done with one needs."""

_CORE = "tag:yaml.org,2002:"
_RESOLVED = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+(?:_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
)


class TooMuch(yaml.YAMLError):
    """The text asks for more than a file of settings may: ``problem`` says what, ``problem_mark`` where."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem)
        self.problem = problem
        self.problem_mark = mark


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values of the core schema and nothing else."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        """A mapping by the text of its keys. Raises ConstructorError for a key that is a list or a mapping."""
        self.flatten_mapping(node)
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

    def _null(self, node: Any) -> None:
        return None

    def _boolean(self, node: Any) -> bool:
        return node.value.lower() == "true"

    def _integer(self, node: Any) -> int:
        base = {"0o": 8, "0x": 16}.get(node.value[:2], 10)
        if len(node.value) > MAX_DIGITS:
            problem = f"an integer of {len(node.value)} digits: at most {MAX_DIGITS} are read"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return self._number(node, lambda text: int(text, base))

    def _float(self, node: Any) -> float:
        text = node.value.lower()
        return self._number(node, lambda _: float(text.replace(".inf", "inf").replace(".nan", "nan")))

    @staticmethod
    def _number(node: Any, convert: Any) -> Any:
        try:
            return convert(node.value)
        except ValueError:
            problem = f"{node.value[:40]!r} is no number"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


for _tag, _pattern, _first in _RESOLVED:
    _starts: list[Any] = [*_first, ""] if _tag == "null" else [*_first]
    _Loader.add_implicit_resolver(_CORE + _tag, re.compile(rf"(?:{_pattern})\Z"), _starts)
for _tag, _build in (
    ("null", _Loader._null),
    ("bool", _Loader._boolean),
    ("int", _Loader._integer),
    ("float", _Loader._float),
    ("str", _Loader.construct_yaml_str),
    ("merge", _Loader.construct_yaml_str),  # as a value it is a text like any other
    ("seq", _Loader.construct_yaml_seq),
    ("map", _Loader.construct_yaml_map),
):
    _Loader.add_constructor(_CORE + _tag, _build)
_Loader.add_constructor(None, _Loader.construct_undefined)


def load(text: str) -> tuple[Any, dict[Keys, int]]:
    """The one value of a text, and the line of each key and list item in it.

    Raises yaml.YAMLError for what is no YAML, a key written twice, and what goes beyond the bounds above.
    """
    _check(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        lines = dict(_lines(node, ()))  # before the values are made, which flattens merged mappings
        return loader.construct_document(node), lines
    finally:
        loader.dispose()


def _check(text: str) -> None:
    """The bounds, held against the parser's events: they come one after another, whatever the nesting."""
    depth = total = 0
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in opened):
                raise TooMuch(f"the anchor {event.anchor} contains itself", event.start_mark)
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
            depth += 1
            if depth > MAX_DEPTH:
                raise TooMuch(f"nested more than {MAX_DEPTH} levels deep", event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            depth -= 1
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_NODES:
            raise TooMuch(f"holds more than {MAX_NODES:,} values, aliases counted in full", event.start_mark)


def _lines(node: Any, where: Keys) -> Iterator[tuple[Keys, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen and key.tag != _CORE + "merge":
                raise TooMuch(f"{name}: is written twice (first on line {seen[name]})", key.start_mark)
            seen[name] = line
            yield (*where, name), line
            yield from _lines(value, (*where, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*where, index), value.start_mark.line + 1
            yield from _lines(value, (*where, index))
