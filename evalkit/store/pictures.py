"""Pictures in prompts: read from what a row holds, within limits, opened for a model, and made small for pages.

A picture is a stranger's file. It is opened by Pillow alone, as one of three formats, and only after its header has
said how many pixels it has; what a page shows is written anew from the pixels.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.types import Image

if TYPE_CHECKING:
    import PIL.Image

MOST_BYTES = 20 << 20
"""Of one picture: what providers take at the most."""
MOST_PIXELS = 40_000_000
"""Width times height: a scanned page at 600 dpi has 35 million."""
MEDIA_TYPES: Mapping[str, str] = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
"""Formats that every provider and Pillow read, by Pillow's name."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SHOWN_SIDE = 384
"""Pixels of the longer side of a picture on a page."""
_LONGEST_NAME = 1_024


def read(value: Any, folder: Path | None, where: str) -> Image:
    """The picture that a row's value holds: the Hub's {"bytes": ..., "path": ...}, bytes, base64 (a data URL or bare),
    or a path below ``folder``. UserError, beginning with ``where``, for anything else and for one over the limits.
    """
    data = _bytes(value, folder, where)
    if len(data) > MOST_BYTES:
        raise UserError(f"{where}: the picture has {len(data):,} bytes, of {MOST_BYTES:,} at most: make it smaller")
    return Image(data, _media_type(data, where))


def opened(image: Image) -> PIL.Image.Image:
    """The picture in RGB, turned upright as its EXIF data say (as transformers opens one). ValueError where it is
    damaged.
    """
    from PIL import ImageOps

    with _within_limits():
        found = _pillow().open(io.BytesIO(image.data), formats=list(MEDIA_TYPES))
        return ImageOps.exif_transpose(found).convert("RGB")


def blank(side: int) -> Image:
    """A white square, in PNG."""
    out = io.BytesIO()
    _pillow().new("RGB", (side, side), "white").save(out, "PNG")
    return Image(out.getvalue(), "image/png")


def small(image: Image, side: int = SHOWN_SIDE) -> Image:
    """A copy for a page: written anew, at most ``side`` pixels long. ValueError where the picture is damaged."""
    found = opened(image)
    found.thumbnail((side, side))
    out = io.BytesIO()
    if max(found.size) <= side // 3:  # small drawings stay sharp
        found.save(out, "PNG")
        return Image(out.getvalue(), "image/png")
    found.save(out, "JPEG", quality=80)
    return Image(out.getvalue(), "image/jpeg")


def data_url(image: Image) -> str:
    """The picture as a data URL."""
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def sha256(image: Image) -> str:
    """Hex SHA-256 of the picture's bytes."""
    return hashlib.sha256(image.data).hexdigest()


def _bytes(value: Any, folder: Path | None, where: str) -> bytes:
    if isinstance(value, Mapping):
        inner = value.get("bytes")
        if inner is None and not value.get("path"):
            raise UserError(f"{where}: the picture has neither bytes nor a path: fetch the data set again")
        return _bytes(value["path"], folder, where) if inner is None else _bytes(inner, None, where)
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise UserError(
            f"{where}: a picture is bytes, base64, a path or {{'bytes': ..., 'path': ...}}, not {type(value).__name__}"
        )
    if len(value) <= _LONGEST_NAME and value.lower().endswith(SUFFIXES):
        return _of_file(value, folder, where)
    text = value.partition(",")[2] if value.startswith("data:") else value
    if len(text) > MOST_BYTES * 4 // 3 + 4:
        raise UserError(f"{where}: the picture has more than {MOST_BYTES:,} bytes: make it smaller")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UserError(
            f"{where}: {value[:40]!r} is neither base64 nor the path of a picture ({', '.join(SUFFIXES)})"
        ) from None


def _of_file(name: str, folder: Path | None, where: str) -> bytes:
    if folder is None:
        raise UserError(f"{where}: the picture {name!r} lies in no folder that is known: put its bytes into the row")
    home = folder.resolve()
    path = (home / name.replace("\0", "")).resolve()
    if Path(name).is_absolute() or "\0" in name or not path.is_relative_to(home):
        raise UserError(f"{where}: the picture {name!r} leads out of the data's folder: put it beside the rows")
    if not path.is_file():
        raise UserError(f"{where}: there is no picture {name!r} beside the rows ({home})")
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{where}: the picture {name!r} cannot be read: {error.strerror}") from error


def _media_type(data: bytes, where: str) -> str:
    """The kind of a picture whose header is within the limits and whose data are whole."""
    pillow = _pillow()
    try:
        with _within_limits(), pillow.open(io.BytesIO(data), formats=list(MEDIA_TYPES)) as found:
            width, height = found.size
            if width * height > MOST_PIXELS:
                raise UserError(f"{where}: the picture has {width} x {height} pixels, of {MOST_PIXELS:,} at most")
            if getattr(found, "n_frames", 1) > 1:
                raise UserError(f"{where}: the picture moves ({found.n_frames} frames): give one of them")
            kind = str(found.format)
            if kind == "PNG":
                found.verify()
            else:
                found.draft("RGB", (max(1, width // 8), max(1, height // 8)))  # JPEG: an eighth of the work
                found.load()
            return MEDIA_TYPES[kind]
    except UserError:
        raise
    except pillow.DecompressionBombError:
        raise UserError(f"{where}: the picture has more than {MOST_PIXELS:,} pixels: make it smaller") from None
    except Exception as error:  # Pillow's decoders each have their own
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        kinds = ", ".join(MEDIA_TYPES)
        if isinstance(error, pillow.UnidentifiedImageError):
            raise UserError(f"{where}: no picture that can be read ({kinds} can)") from None
        raise UserError(f"{where}: the picture is damaged ({reason}): fetch it again") from None


@contextmanager
def _within_limits() -> Iterator[None]:
    """Pillow's own guard against small files of very many pixels raises instead of warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", _pillow().DecompressionBombWarning)
        try:
            yield
        except Warning as warning:
            raise _pillow().DecompressionBombError(str(warning)) from None


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError:
        raise MissingExtra("a task with pictures", "pillow", "vision") from None
    return PIL.Image
