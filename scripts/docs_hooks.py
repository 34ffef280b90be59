"""For mkdocs: links from docs/ to files outside it lead to the repository, or are plain names where it is not known."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\(\.\./(?P<path>[^)#\s]+)\)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Called by mkdocs with each page's Markdown."""
    source = str(config["extra"].get("source") or "").rstrip("/")
    return _OUTSIDE.sub(lambda link: _link(link, source), markdown)


def _link(link: re.Match[str], source: str) -> str:
    if not source.startswith("https://"):
        return link["text"]
    return f"[{link['text']}]({source}/blob/main/{link['path']})"
