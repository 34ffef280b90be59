"""The sandbox of this machine, for tests that run programs in it."""

from __future__ import annotations

import pytest

from evalkit import UserError
from evalkit.sandbox import finding
from evalkit.sandbox.jail import Jail


def jail_or_skip() -> Jail:
    """The jail; where there is none, the tests are skipped and say what is missing."""
    try:
        return finding.find()
    except UserError as error:
        pytest.skip(str(error))
