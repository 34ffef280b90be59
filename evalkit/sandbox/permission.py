"""Whether generated programs may run: a setting of the run (``--allow-code-execution``), asked for where they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from evalkit.contract.errors import UserError

_GIVEN: ContextVar[bool] = ContextVar("code_execution", default=False)


@contextmanager
def given(allowed: bool) -> Iterator[None]:
    """Within, programs may run if ``allowed``."""
    before = _GIVEN.set(allowed)
    try:
        yield
    finally:
        _GIVEN.reset(before)


def is_given() -> bool:
    """Whether programs may run."""
    return _GIVEN.get()


def require(who: str) -> None:
    """UserError unless programs may run."""
    if not _GIVEN.get():
        raise UserError(
            f"{who} runs programs that the model writes: give --allow-code-execution (allow_code_execution=True), and "
            "they run in a sandbox without network and files (docs/security.md); or --predict-only to keep the answers"
        )
