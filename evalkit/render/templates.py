"""Sandboxed templates: one environment a folder in a process, compiled once and kept between processes."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket, BytecodeCache
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from evalkit import __version__
from evalkit.store import kept
from evalkit.store.paths import cache_dir, share
from evalkit.text.escape import visible
from evalkit.text.markdown import code_block, inline
from evalkit.text.numbers import MISSING

LEVELS = {"task": "", "micro": ", mean over documents", "macro": ", mean over tasks"}


def markup(text: str) -> Markup:
    """Text that goes into a page as it stands: only for our own assets, escaped JSON, and what a template made."""
    return Markup(text)


def breakable(name: Any) -> Markup:
    """A name that may be broken after its underscores; escaped before the break marks are put in."""
    return Markup(str(escape(visible(str(name)))).replace("_", "_<wbr>"))


@lru_cache(maxsize=8)
def environment(folder: Path) -> jinja2.Environment:
    """Templates of ``folder``, and behind them the report's, whose figures boards draw too. In .html.j2 all is escaped
    that our own code did not mark as markup; in .md.j2 that is for the filters md and code.
    """
    made = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader([folder, share("reports")]),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html", "html.j2"), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_Compiled(),
    )
    made.filters |= {
        "visible": lambda value: visible(str(value)),
        "breakable": breakable,
        "md": inline,
        "code": code_block,
    }
    made.globals |= {"missing": MISSING, "level_words": LEVELS, "version": __version__}
    return made


def with_text(folder: Path, name: str, text: str | Path) -> jinja2.Template:
    """A template, given as text or as the file that holds it, that can import those of ``folder``. ``name`` says by its
    end what is escaped.
    """
    return _with_text(folder, name, text.read_text("utf-8") if isinstance(text, Path) else text)


@lru_cache(maxsize=64)
def _with_text(folder: Path, name: str, text: str) -> jinja2.Template:
    base = environment(folder)
    assert base.loader is not None
    loader = jinja2.ChoiceLoader([jinja2.DictLoader({name: text}), base.loader])
    return base.overlay(loader=loader).get_template(name)


class _Compiled(BytecodeCache):
    """Compiled templates in evalkit's cache. Code is taken only from files of this user that no other may write."""

    def load_bytecode(self, bucket: Bucket) -> None:
        content = kept.read(self._file(bucket), own=True)
        if content is not None:
            try:
                bucket.code = marshal.loads(content)
            except (ValueError, EOFError, TypeError):
                bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        kept.write(self._file(bucket), marshal.dumps(bucket.code))

    def _file(self, bucket: Bucket) -> Path:
        """Named after all that the code depends on: template, its place and text, Python, Jinja, and this file."""
        parts = (bucket.key, bucket.checksum, importlib.util.MAGIC_NUMBER.hex(), jinja2.__version__, __version__)
        name = hashlib.sha256("\0".join((*parts, _own_digest())).encode()).hexdigest()
        return cache_dir() / kept.FOLDER / "templates" / f"{name}.bin"


@lru_cache(maxsize=1)
def _own_digest() -> str:
    """The options of the environment stand in this file, so its hash stands for them."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
