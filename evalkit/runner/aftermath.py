"""What may go wrong behind the last answer: noted and told at the end, never a reason to lose the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from evalkit.contract.errors import UserError

T = TypeVar("T")


class Aftermath:
    """Steps that each fail for themselves. The answers are in the journal by then, so a resumed run makes up for it."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def attempt(self, what: str, step: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        """What ``step`` gives or, where it fails, what ``otherwise`` makes of the reason."""
        try:
            return step()
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())[:500]
            self._problems.setdefault(what, reason)
            return otherwise(reason)

    def tell(self, path: Path) -> None:
        """Raise UserError that names the first thing that failed, if anything did."""
        if not self._problems:
            return
        what, reason = next(iter(self._problems.items()))
        more = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
        raise UserError(
            f"{what}: {reason}{more}: the rest is saved in {path}; when that is mended, finish without asking the "
            f"model again: evalkit run --resume {path}"
        )
