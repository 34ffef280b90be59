"""The options of any multiple-choice task: what they say, whether the prompt names them by label, and putting others in
their place.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document
from evalkit.task.native import NativeTask
from evalkit.task.rendering import Item

_ANSWER = re.compile(r"\s*\n?\s*(?:the )?(?:correct )?(?:answer|a)\s*(?:is)?\s*:?\s*$", re.IGNORECASE)
_LABEL = re.compile(r"\W*(?:[A-Z]|[a-z]|\d{1,2})\W*")
_QUESTIONS = ("question", "question_stem", "query", "goal", "ctx", "sentence")


@dataclass(frozen=True, slots=True)
class Options:
    """``texts`` in the order of the choices. ``labelled``: the choices are letters, and ``path`` leads to the texts in
    the document (a list, or a mapping's values), or ``columns`` are its fields that hold one each.
    """

    texts: tuple[str, ...]
    labelled: bool
    path: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def options_of(task: NativeTask, document: Document, item: Item) -> Options:
    """What the choices of a document say. UserError where they are labels and their texts are not to be found."""
    if item.contexts:
        raise UserError(f"{task.info.name}: has a prompt of its own for every choice; this probe cannot be made of it")
    if not all(_LABEL.fullmatch(choice) for choice in item.choices):
        return Options(item.choices, False)
    for path, value in _texts(document.data, len(item.choices), ()):
        return Options(tuple(value), True, path)
    columns = tuple(choice.strip() for choice in item.choices)
    if all(isinstance(document.data.get(column), str) for column in columns):
        return Options(tuple(document.data[column] for column in columns), True, columns=columns)
    raise UserError(
        f"{task.info.name}: its choices are labels ({', '.join(map(str.strip, item.choices))}) and no field of its "
        "documents holds as many texts; this probe cannot be made of it"
    )


def _texts(data: Mapping[str, Any], count: int, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every list (or mapping) of ``count`` texts that are no labels."""
    for key, value in data.items():
        found = list(value.values()) if isinstance(value, Mapping) else value
        texts = isinstance(found, list) and len(found) == count and all(isinstance(one, str) for one in found)
        if texts and not all(_LABEL.fullmatch(one) and one.isalpha() for one in found):
            yield (*at, key), list(found)
        elif isinstance(value, Mapping):
            yield from _texts(value, count, (*at, key))


def with_options(document: Document, found: Options, texts: Sequence[str]) -> Document:
    """The document with other texts in the options' place."""
    data = copy.deepcopy(dict(document.data))
    if found.columns:
        data.update(zip(found.columns, texts, strict=True))
        return Document(document.id, data, document.hash)
    holder: Any = data
    for key in found.path[:-1]:
        holder = holder[key]
    before = holder[found.path[-1]]
    holder[found.path[-1]] = dict(zip(before, texts, strict=True)) if isinstance(before, Mapping) else list(texts)
    return Document(document.id, data, document.hash)


def stem(question: str) -> str:
    """A prompt without the "Answer:" at its end."""
    return _ANSWER.sub("", question)


def bare_question(task: NativeTask, document: Document, item: Item, found: Options) -> str:
    """The question without its options."""
    if not found.labelled:
        return re.sub(r"^\s*(?:question|q)\s*:\s*", "", stem(item.question), flags=re.IGNORECASE)
    for key in _QUESTIONS:
        if isinstance(document.data.get(key), str):
            return str(document.data[key]).strip()
    raise UserError(
        f"{task.info.name}: its question stands in none of the fields {', '.join(_QUESTIONS)}, so its prompt cannot be "
        "written in another way"
    )
