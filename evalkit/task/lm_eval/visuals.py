"""The pictures of lm-eval's multimodal tasks: what its documents hold, as images of a message."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import IMAGE_MARK, Image, Message
from evalkit.store import pictures


def is_picture(value: Any) -> bool:
    """Whether a value is one of Pillow's images, as the package datasets gives them."""
    return type(value).__module__.startswith("PIL.") and hasattr(value, "tobytes")


def digest_of(picture: Any) -> dict[str, str]:
    """What stands for a picture in a document: a hash of its pixels."""
    head = f"{picture.mode} {picture.size[0]} {picture.size[1]} ".encode()
    return {"sha256": hashlib.sha256(head + picture.tobytes()).hexdigest()}


def images_of(visuals: Any, where: str) -> tuple[Image, ...]:
    """lm-eval's ``visual`` argument as images, those of Pillow in PNG, which loses nothing. UserError for others."""
    every = visuals if isinstance(visuals, list | tuple) else [visuals]
    return tuple(_image(one, where) for one in every if one is not None)


def _image(one: Any, where: str) -> Image:
    if not is_picture(one):
        return pictures.read(one, None, where)
    out = io.BytesIO()
    (one if one.mode in ("1", "L", "P", "RGB", "RGBA") else one.convert("RGB")).save(out, "PNG")
    return pictures.read(out.getvalue(), None, where)


def shown(turns: Sequence[Mapping[str, str]], images: Sequence[Image], where: str) -> tuple[Message, ...]:
    """The turns with each image at its mark. UserError where there is not a mark for each: lm-eval puts pictures
    nowhere else.
    """
    ahead = iter(images)
    marks = sum(turn["content"].count(IMAGE_MARK) for turn in turns)
    if images and marks != len(images):
        raise UserError(f"{where}: {marks} marks {IMAGE_MARK} in the prompt for {len(images)} pictures")
    return tuple(
        Message(
            turn["role"],
            turn["content"],
            tuple(next(ahead) for _ in range(turn["content"].count(IMAGE_MARK))) if images else (),
        )
        for turn in turns
    )
