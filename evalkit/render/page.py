"""One self-contained HTML page: assets inside, scripts allowed by their hash and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.store.paths import share


def assets(names: Sequence[str], folder: str = "reports") -> str:
    """Files of reports/assets (or another shipped folder's assets) joined, as they go inside a script or style element.

    Raises ValueError for text that would end the element, which only a change to our own files could bring.
    """
    text = "\n".join((share(folder) / "assets" / name).read_text("utf-8") for name in names)
    # A browser hashes an inline script after turning CRLF into LF.
    text = text.replace("\r\n", "\n")
    lowered = text.lower()
    if any(mark in lowered for mark in ("</script", "</style", "<!--", "<script")):
        raise ValueError(f"{', '.join(names)} holds markup that would end its element")
    return text


def script_hash(text: str) -> str:
    """The Content-Security-Policy source of an inline script."""
    return _source_of(hashlib.sha256(text.encode()).digest())


def _source_of(digest: bytes) -> str:
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(hashes: Sequence[str], server: bool = False) -> str:
    """A policy that allows exactly the inline scripts of these `script_hash`es, styles inside the page, and no load of
    any kind; of a page that a ``server`` of its own shows, requests and forms to that one.

    Styles need 'unsafe-inline' because plots place their marks by them; a style can neither run nor, with every fetch
    forbidden, send anything.
    """
    own = "connect-src 'self'; form-action 'self'" if server else "form-action 'none'"
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; {own}"
    )


def embed(value: Any) -> str:
    """JSON for a script element of type application/json: no character that could end the element or a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A script element that holds data and is no code: JSON, or base64 (plain text to any parser) of gzip."""

    id: str
    text: str
    type: Literal["application/gzip+base64", "application/json"] = "application/gzip+base64"
