"""A run's journal: every response, durable within about a second of being computed."""

from __future__ import annotations

from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.store import salvage
from evalkit.store.answers import AnswerFile, Damaged, log
from evalkit.store.codec import unpack


class Journal(AnswerFile):
    """The answers of one run, in its directory; the holder of the run directory's lock is its only user.

    Commits are synced to disk (synchronous=FULL): one sync a second in the writer thread costs the model nothing, and
    a power cut then loses no more than a kill does. A damaged file is set aside as ``journal.sqlite.corrupt-N``, the
    whole rows in it are taken over, and ``notice`` says so.
    """

    def __init__(self, path: Path, spec_digest: str | None = None, interval: float = 1.0) -> None:
        self.notice: str | None = None
        """What was recovered from a damaged file, if there was one."""
        try:
            self._open(path, interval)
        except Damaged as damage:
            aside = salvage.set_aside(path)
            self._open(path, interval)
            self._recover(aside, str(damage))
        self._belong_to(spec_digest)

    def _open(self, path: Path, interval: float) -> None:
        super().__init__(
            path,
            what="journal",
            advice="run the same command again, what is whole in it will be recovered",
            exclusive=True,
            synchronous="FULL",
            interval=interval,
        )

    def _recover(self, aside: Path, damage: str) -> None:
        for key, proof, packed in salvage.rows(aside):
            response = unpack(key, proof, packed)
            if response is not None:
                self.put(key.hex(), response)
        self.flush()
        self.notice = (
            f"{self.path}: the journal was damaged ({damage}): {self.count()} answers recovered, the rest will be "
            f"computed again; the damaged file is kept as {aside.name}"
        )
        log.warning(self.notice)

    def _belong_to(self, spec_digest: str | None) -> None:
        if spec_digest is None:
            return
        known = self.meta("spec")
        if known is None:
            self.set_meta("spec", spec_digest)
        elif known != spec_digest:
            self.close()
            raise UserError(
                f"{self.path}: the journal belongs to another spec than spec.json: "
                "restore the folder as it was, or start a new run with another --output"
            )
