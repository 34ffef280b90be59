"""One self-contained HTML page: assets inside, scripts allowed by their hash and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.store.paths import share

if TYPE_CHECKING:
    from jinja2 import Environment


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
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(scripts: Sequence[str]) -> str:
    """A policy that allows exactly these inline scripts, styles inside the page, and no load of any kind.

    Styles need 'unsafe-inline' because plotly writes its own; a style can neither run nor, with every fetch
    forbidden, send anything.
    """
    sources = " ".join(script_hash(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def embed(value: Any) -> str:
    """JSON for a script element of type application/json: no character that could end the element or a comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plotly() -> str:
    """The plotly library as the plotly package ships it."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("\r\n", "\n")


def environment(folder: Path | None = None) -> Environment:
    """Sandboxed templates of reports/ (or ``folder``); what our own code did not mark as markup is escaped."""
    from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder or share("reports")),
        autoescape=select_autoescape(enabled_extensions=("html", "html.j2"), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
