"""Lives of a run that end badly: `evalkit` command lines in child processes that can be killed at any moment.

The children are forked from a server that has imported torch and transformers already, which saves seconds a life;
each loads its model, takes its locks and opens its files by itself, as a process started from a shell does. Whatever
a child hands to its journal it also notes in ``puts.log`` by a write of its own that no kill can lose, so that a test
can count what was computed and what of it was kept.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import sqlite3
import sys
import time
from pathlib import Path

PRELOAD = ["torch", "transformers.models.llama.modeling_llama", "pandas", "pyarrow.parquet",
           "statsmodels.stats.proportion", "typer", "rich.table", "jinja2"]  # fmt: skip

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOAD)


class Life:
    """One child with ``arguments`` on its command line, its output in ``folder``."""

    def __init__(self, folder: Path, *arguments: object, file_limit: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.puts = folder / "puts.log"
        line = [str(argument) for argument in arguments]
        self._begin = len(self._lines())
        self._process = _context.Process(target=_live, args=(str(folder), line, file_limit), daemon=True)
        self._process.start()

    def answered(self) -> list[str]:
        """Keys that this life has put so far, in order."""
        return self._lines()[self._begin :]

    def _lines(self) -> list[str]:
        return self.puts.read_text().split() if self.puts.exists() else []

    def wait_for_answers(self, count: int = 1) -> bool:
        """Wait until so many answers are there; False if the life ended before."""
        while len(self.answered()) < count:
            if not self._process.is_alive():
                return len(self.answered()) >= count
            time.sleep(0.01)
        return True

    def kill(self) -> bool:
        """kill -9; False if the run was finished before."""
        self._process.kill()
        code = self.end()
        assert code in (0, -signal.SIGKILL), f"exit code {code}: {self.output()}"
        return code != 0

    def interrupt(self, how: signal.Signals = signal.SIGINT) -> None:
        """What Ctrl-C sends, or another signal."""
        os.kill(self._process.pid or 0, how)

    def end(self) -> int:
        """Wait for the end; the exit code (negative: the signal)."""
        self._process.join(timeout=300)
        assert self._process.exitcode is not None, "the run hangs"
        return self._process.exitcode

    def output(self) -> str:
        """Everything printed by all lives in this folder."""
        return (self.folder / "output.txt").read_text(encoding="utf-8")


def _live(folder: str, line: list[str], file_limit: int | None) -> None:
    os.chdir(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
    _note_puts()
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    from evalkit.cli.app import main

    sys.argv = ["evalkit", *line]
    main()


def _note_puts() -> None:
    from evalkit.store.answers import AnswerFile

    log = os.open("puts.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    put = AnswerFile.put

    def noting(self, key, response):
        with contextlib.suppress(OSError):
            os.write(log, f"{key}\n".encode())
        put(self, key, response)

    AnswerFile.put = noting  # type: ignore[method-assign]


def journaled(run: Path) -> set[str]:
    """Keys of the answers on disk, of a run that nobody is writing. The journal itself is not touched."""
    journal = run / "journal.sqlite"
    if not journal.exists():
        return set()
    copy = run.parent / "look.sqlite"
    for suffix in ("", "-wal"):
        source, target = run / f"journal.sqlite{suffix}", copy.with_name(copy.name + suffix)
        target.unlink(missing_ok=True)
        if source.exists():
            target.write_bytes(source.read_bytes())
    connection = sqlite3.connect(copy)
    try:
        return {row[0].hex() for row in connection.execute("SELECT key FROM answers")}
    except sqlite3.OperationalError:  # killed before the tables were made
        return set()
    finally:
        connection.close()
