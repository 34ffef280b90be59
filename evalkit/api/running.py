"""A run from its spec to its report: what the command line and `evalkit.evaluate` both call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.api.logging import targets
from evalkit.api.run import Run
from evalkit.publish import sinks
from evalkit.render.report import write_report
from evalkit.runner.evaluate import Finished, Live, Observer, evaluate

if TYPE_CHECKING:
    from evalkit.runner.rounds import Schedule
    from evalkit.spec.models import RunSpec

REPORT = "report.html"


@dataclass(frozen=True)
class Reported(Finished):
    """A run's end, with its page."""

    report: Path = Path(REPORT)


def carry_out(
    spec: RunSpec, observer: Observer, resume: bool = False, live: Live = Live(), schedule: Schedule | None = None
) -> Reported:
    """Run ``spec`` and write its report, of an interrupted run too. Raises UserError as `runner.evaluate` does, and
    where something failed behind the last answer, once all else is written. Then the numbers go where ``spec.log_to``
    says; what fails there is said and changes nothing else.
    """
    places = targets(spec.log_to)
    done = evaluate(spec, observer, resume, live, schedule)
    return _ended(done, places, spec.log_samples, observer.note)


def ended(done: Finished, spec: RunSpec, note: Callable[[str], None]) -> Reported:
    """The report of a run that has ended, and its numbers sent where ``spec.log_to`` says."""
    return _ended(done, targets(spec.log_to), spec.log_samples, note)


def _ended(done: Finished, places: Sequence[sinks.Target], samples: bool, note: Callable[[str], None]) -> Reported:
    page = done.path / REPORT
    done.aftermath.attempt("the report", lambda: write_report([done.path], page), lambda reason: page)
    done.aftermath.tell(done.path)
    if places:
        sinks.send(Run(done.path), places, samples, note)
    return Reported(done.result, done.path, done.aftermath, page)
