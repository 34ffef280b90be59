"""looks.json: what `evalkit check` was asked for, and what it saw at every look; it says so where a run is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.store.files import plain, read_json, write_json

LOOKS = "looks.json"


class Record:
    """The file of one run. A run that goes on after it was killed makes its looks again, from the journal."""

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        """Raises UserError where the folder's looks were asked for otherwise, naming what changed."""
        self.path = folder / LOOKS
        self._asked = dict(plain(asked))
        self._looks: list[Any] = []
        if self.path.is_file():
            before = read_json(self.path, "record of looks").get("asked", {})
            changed = [key for key in self._asked if before.get(key) != self._asked[key]]
            if changed:
                raise UserError(
                    f"{folder}: holds a check that was asked for otherwise ({', '.join(changed)} changed): ask for the "
                    "same again, or give another --output"
                )
        else:
            self._write()

    def add(self, look: Mapping[str, Any]) -> None:
        """Keep one more look. Raises UserError if it cannot be saved."""
        self._looks.append(plain(look))
        self._write()

    def _write(self) -> None:
        write_json(self.path, {"asked": self._asked, "looks": self._looks})


def refuse(folder: Path) -> None:
    """UserError where the folder's run is one of `evalkit check`: it must not go on in another order, or to its end."""
    if (folder / LOOKS).is_file():
        raise UserError(f"{folder}: is a run of evalkit check: go on with the same evalkit check command")
