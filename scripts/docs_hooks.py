"""For mkdocs: links from docs/ to files outside it lead to the repository, or are plain names where it is unknown; and
the search index stands as a script too, for pages that are opened as files (docs/assets/search.js).
"""

from __future__ import annotations

import re
from pathlib import Path
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


def on_post_build(config: Any) -> None:
    """Called by mkdocs when the site is written."""
    folder = Path(config["site_dir"]) / "search"
    index = folder / "search_index.json"
    if index.is_file():
        (folder / "search_index.js").write_text(f"window.evalkitSearch = {index.read_text('utf-8')};\n", "utf-8")
