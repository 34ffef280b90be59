"""Two programs in Java out of the package pycocoevalcap: Stanford's PTBTokenizer 3.4.1 and METEOR 1.5.

Texts go through their standard input and never into a command line. Each is started once a call, for all texts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from evalkit.contract.errors import MissingExtra, UserError

PUNCTUATION = frozenset(("''", "'", "``", "`", *".?!,:;", "-", "--", "..."))
"""Tokens that the caption evaluation leaves out. It lists brackets too, but in capitals (-LRB-), which the lower-casing
tokenizer never writes: they stay.
"""
COUNTS = 23
"""Numbers that METEOR keeps of a sentence."""


def require(what: str) -> tuple[str, Path]:
    """Java's path and the package's folder. MissingExtra without the package, UserError without Java."""
    found = find_spec("pycocoevalcap")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra(what, "pycocoevalcap", "captions")
    java = shutil.which("java")
    if java is None:
        raise UserError(f"{what} runs programs in Java, and there is no java here: install a Java runtime, 8 or newer")
    return java, Path(next(iter(found.submodule_search_locations)))


@lru_cache(maxsize=2)
def words(lines: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each text's tokens by Stanford's PTBTokenizer, lower-cased, without punctuation; kept for the next metric."""
    plain = [" ".join(text.split()) for text in lines]
    asked = [text for text in plain if text]
    if not asked:
        return [() for _ in plain]
    java, folder = require("the PTB tokenizer")
    command = [java, "-Dfile.encoding=UTF-8", "-cp", str(folder / "tokenizer" / "stanford-corenlp-3.4.1.jar")]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    printed = _run(command, asked, folder, "the PTB tokenizer").removesuffix("\n").split("\n")
    if len(printed) != len(asked):
        raise UserError(f"the PTB tokenizer gave {len(printed)} lines for {len(asked)} texts")
    split = iter(tuple(word for word in line.rstrip().split(" ") if word not in PUNCTUATION) for line in printed)
    return [next(split) if text else () for text in plain]


def meteor_counts(sides: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[float, ...]]:
    """METEOR 1.5's counts for each answer, in words with spaces between, and its references; of several references
    those of the best. An item without references has zeros.
    """
    asked = [
        " ||| ".join(("SCORE", *(_plain(one) for one in references), _plain(answer)))
        for answer, references in sides
        if references
    ]
    java, folder = require("METEOR 1.5")
    command = [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", str(folder / "meteor" / "meteor-1.5.jar")]
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]
    printed = _run(command, asked, folder, "METEOR 1.5").split("\n")[: len(asked)] if asked else []
    rows = [tuple(map(float, line.split())) for line in printed]
    if len(rows) != len(asked) or any(len(row) != COUNTS for row in rows):
        raise UserError(f"METEOR 1.5 gave no counts for some of {len(asked)} texts; is the Java runtime whole?")
    found = iter(rows)
    return [next(found) if references else (0.0,) * COUNTS for _, references in sides]


def _plain(text: str) -> str:
    """Without what separates texts in METEOR's protocol."""
    return " ".join(text.replace("|||", " ").split())


def _run(command: Sequence[str], lines: Sequence[str], folder: Path, what: str) -> str:
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    done = subprocess.run(
        command, input=text, capture_output=True, cwd=folder, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False
    )
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise UserError(f"{what} failed with exit status {done.returncode}: {last}")
    return done.stdout.decode("utf-8", "replace")
