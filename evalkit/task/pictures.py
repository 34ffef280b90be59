"""Where pictures stand in a prompt: ``<image>`` is the next one, ``<image 2>`` the second of the row's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import IMAGE_MARK, DatasetRef, DataSource, HasFolder, Image
from evalkit.data.generated import is_own
from evalkit.store import pictures
from evalkit.task.definition import Definition

_MARK = re.compile(r"<image(?: (\d{1,3}))?>")


def folder_of(definition: Definition, bundled: bool, data: DataSource) -> Path | None:
    """Where the pictures lie that a task's rows name; None for a task without pictures, or where nobody knows."""
    if definition.images is None:
        return None
    own = definition.dataset
    if bundled or is_own(own.id):
        return definition.sample.file.parent if definition.sample else None
    if own.path is not None:
        return own.path.parent
    reference = DatasetRef(own.id, own.config, own.revision)
    return data.files_folder(reference, own.splits.eval) if isinstance(data, HasFolder) else None


def placed(text: str, held: Sequence[Any], folder: Path | None, where: str) -> tuple[str, tuple[Image, ...]]:
    """The text with one `IMAGE_MARK` for each picture it shows, and these in reading order.

    ``held``: what the row has at the definition's places, None where it has no picture. Those that no mark names stand
    before the text. UserError for a picture that is none, or over the limits, and where marks and pictures do not fit:
    nothing is left out or put elsewhere.
    """
    every = [None if one is None else pictures.read(one, folder, where) for one in held]
    marks = [found[1] for found in _MARK.finditer(text)]
    there = [one for one in every if one is not None]
    if not marks:
        return IMAGE_MARK * len(there) + text, tuple(there)
    if all(number is None for number in marks):
        if len(marks) != len(there):
            raise UserError(
                f"{where}: {len(marks)} marks {IMAGE_MARK} in the prompt for {len(there)} pictures in the row: write "
                "one for each, <image N> for the N-th, or none (they then stand before the text)"
            )
        return text, tuple(there)
    if any(number is None for number in marks):
        raise UserError(f"{where}: the prompt has both {IMAGE_MARK} and <image N>: write one kind")
    numbers = [int(number) for number in marks if number is not None]
    if absent := next((n for n in numbers if not 1 <= n <= len(every) or every[n - 1] is None), None):
        raise UserError(f"{where}: the prompt names <image {absent}>, and the row has no such picture")
    shown = [one for n in numbers if (one := every[n - 1]) is not None]
    unnamed = [one for n, one in enumerate(every, 1) if one is not None and n not in numbers]
    return IMAGE_MARK * len(unnamed) + _MARK.sub(IMAGE_MARK, text), (*unnamed, *shown)
