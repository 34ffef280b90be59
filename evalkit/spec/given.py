"""The record of what was handed over as a Python object."""

from __future__ import annotations

from evalkit.spec.strict import Strict


class Given(Strict):
    """The record of a model or task that was handed over as a Python object: it cannot be found again by its name."""

    type: str
    """The object's class, "module.Class"."""
    fingerprint: str | None = None
    """Of a model: all that can change an answer, by its own word (`ModelInfo.fingerprint`)."""

    def missing(self, what: str) -> str:
        """The line for those who have the record and not the object."""
        return (
            f"{what} of this run was given as an object ({self.type}): only a program that has it can go on: "
            "evalkit.evaluate(model, tasks, output=..., resume=True)"
        )
