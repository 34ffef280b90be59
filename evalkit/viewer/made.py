"""What takes a while to make and is kept until a run changes: comparisons, reports, boards. Files lie in a temporary
folder of this process.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.analysis.compare import Comparison, compare
from evalkit.contract.errors import UserError
from evalkit.leaderboard.board import load_board, names
from evalkit.leaderboard.collect import run_entry
from evalkit.leaderboard.site import build_site
from evalkit.render.report import write_report
from evalkit.viewer.pages import OWN_BOARD
from evalkit.viewer.runs import Entry

KEPT = 20


class Made:
    """Makes one thing at a time; what several pages ask for is made once."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._lock = threading.Lock()
        self._comparisons: OrderedDict[Any, Comparison] = OrderedDict()

    def comparison(self, entries: Sequence[Entry], allow_mismatch: bool) -> Comparison:
        """The others against the first. Raises UserError as `evalkit.analysis.compare.compare` does."""
        key = tuple((entry.id, entry.stamp) for entry in entries), allow_mismatch
        with self._lock:
            found = self._comparisons.get(key)
            if found is None:
                base, *others = (entry.path for entry in entries)
                found = self._comparisons[key] = compare(base, others, allow_mismatch=allow_mismatch)
                while len(self._comparisons) > KEPT:
                    self._comparisons.popitem(last=False)
            return found

    def report(self, entries: Sequence[Entry]) -> Path:
        """The report of runs side by side, written anew: a file that lies in a run directory is never shown, for
        anybody may have put it there. Raises UserError as `evalkit.render.report.write_report` does.
        """
        path = self._scratch / f"report-{_digest(entries)}.html"
        with self._lock:
            return path if path.is_file() else write_report([entry.path for entry in entries], path)

    def board(self, name: str, file: str, entries: Sequence[Entry]) -> Path:
        """A file of the board ``name`` of all runs with results. Raises UserError for a name or file that is none."""
        if name != OWN_BOARD and name not in names():
            raise UserError(f"{name[:200]}: there is no such board")
        ready = [entry for entry in entries if entry.stamp[1]]
        site = self._scratch / f"board-{name}-{_digest(ready)}"
        with self._lock:
            if not (site / "index.html").is_file():
                sources = [entry.path for entry in ready if _readable(entry)]
                board = None if name == OWN_BOARD else load_board(name)
                build_site(sources, board, site, with_published=name != OWN_BOARD, with_reports=False)
        found = (site / (file or "index.html")).resolve()
        if not found.is_relative_to(site.resolve()) or not found.is_file():
            raise UserError(f"{file[:200]}: no file of this board")
        return found


def _readable(entry: Entry) -> bool:
    try:
        run_entry(entry.path)
    except UserError:
        return False
    return True


def _digest(entries: Sequence[Entry]) -> str:
    return hashlib.sha256(repr([(entry.id, entry.stamp) for entry in entries]).encode()).hexdigest()[:20]
