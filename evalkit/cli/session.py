"""From asked-for runs to an exit code: what the user sees of each run from its plan to its table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.cost import bill, expectation
from evalkit.render.terminal import folded, plain, plan_table, results_table, warnings
from evalkit.runner.interruption import Stop, Stoppable, as_interrupts, at_once, two_step
from evalkit.runner.progress import for_console
from evalkit.spec import config
from evalkit.text.reading import parse_json

if TYPE_CHECKING:
    from evalkit.api.running import Reported
    from evalkit.contract.store import Progress
    from evalkit.runner.evaluate import Plan
    from evalkit.spec.models import RunSpec

FAILED, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Asked:
    """What the command line asked for."""

    flags: Mapping[str, Any]
    config: Path | None
    resume: Path | None


@dataclass(frozen=True)
class Job:
    """One run to carry out; ``must_exist``: its directory has to be there already."""

    spec: RunSpec
    must_exist: bool


class Shown(Exception):
    """The plan was shown, and nothing more is wanted."""


def run(asked: Asked, *, as_json: bool, quiet: bool, every: bool = False, dry: bool = False) -> int:
    """Carry out every run in turn; the exit code. ``dry``: no more than each plan. Raises UserError for bad input."""
    screen = Screen(quiet=quiet and not dry, as_json=as_json, every=every, dry=dry)
    worst = 0
    finished: list[Reported] = []
    for job in _jobs(asked):
        with as_interrupts():
            code = _carry_out(job, screen, finished)
        if code == INTERRUPTED:
            return code
        worst = max(worst, code)
    if as_json and not dry:
        _print_json(finished)
    return worst


def _jobs(asked: Asked) -> list[Job]:
    if asked.resume is not None:
        return [Job(_resumed(asked, asked.resume), must_exist=True)]
    settings, origin = config.load(asked.config) if asked.config else ({}, config.Origin())
    return [Job(spec, must_exist=False) for spec in config.expand(*config.merge(settings, asked.flags, origin))]


def _resumed(asked: Asked, run_dir: Path) -> RunSpec:
    """The run's own spec, with this command's flags and file on top (a real change is refused by the store)."""
    from evalkit.store import RunDir

    # What a directory says of permission, anybody may have written.
    written = RunDir.open(run_dir).spec().model_copy(update={"allow_code_execution": False})
    if not asked.flags and not asked.config:
        return written.model_copy(update={"output": run_dir})
    settings, origin = config.load(asked.config) if asked.config else (config.settings_of(written), config.Origin())
    flags = {**asked.flags, "output": run_dir}
    for name in ("data_dir", "comet_python"):  # what the environment's variables said when the run began
        if name not in settings and name not in flags and (value := getattr(written, name)) is not None:
            flags[name] = value
    specs = config.expand(*config.merge(settings, flags, origin))
    if len(specs) != 1:
        raise UserError(f"--resume {run_dir}: continues one run, but the configuration asks for {len(specs)} models")
    return specs[0]


def _carry_out(job: Job, screen: Screen, finished: list[Reported]) -> int:
    from evalkit.api.running import carry_out

    try:
        done = carry_out(job.spec, screen, resume=job.must_exist)
    except Shown:
        return 0
    except KeyboardInterrupt:
        screen.note("stopped at once; what was answered is kept" if screen.output else "stopped")
        screen.say_resume()
        return INTERRUPTED
    except UserError:
        if screen.asked:
            screen.say_resume()
        raise
    finally:
        screen.ready()
    finished.append(done)
    screen.finish(done)
    if done.result.partial:
        screen.say_resume()
        return INTERRUPTED
    if done.error_rate > job.spec.max_error_rate:
        screen.note(
            f"failed: {done.error_rate:.2%} of the items ended in an error, above --max-error-rate "
            f"{job.spec.max_error_rate:g}; see {done.path}; ask again for them: evalkit retry {done.path}"
        )
        return FAILED
    return 0


def _print_json(finished: Sequence[Reported]) -> None:
    documents = [{"run": str(done.path), **parse_json((done.path / "results.json").read_bytes())} for done in finished]
    typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, ensure_ascii=False))


class Screen:
    """A `evalkit.runner.evaluate.Observer` on the terminal: plan, notes and progress on stderr, the table on stdout."""

    def __init__(self, quiet: bool, as_json: bool, every: bool = False, dry: bool = False) -> None:
        self._quiet = quiet
        self._dry = dry
        self._every = every
        self._as_json = as_json
        self._err = console(stderr=True)
        self._out = console()
        self.output: Path | None = None
        self.asked = False
        """Whether the model was asked something: then the run can be resumed."""
        self._loading = ExitStack()

    def plan(self, plan: Plan) -> None:
        """Show what is about to run."""

        self.output = plan.output
        self._loading.enter_context(at_once(self._stopped, INTERRUPTED))
        if not self._quiet:
            self._err.print(plan_table(plan))
            self._err.print(plain(f"into {plan.output}"), soft_wrap=True)
            if plan.cost is not None:
                for line in expectation(plan.cost):
                    self._err.print(plain(line), soft_wrap=True)
            if self._dry:
                self._err.print(plain("dry run: nothing was asked and nothing written"))
                raise Shown
            if plan.dtype:
                self._err.print(
                    plain(f"loading {plan.model} (dtype {plan.dtype}, device {plan.device})"), soft_wrap=True
                )

    def note(self, text: str) -> None:
        """One line beside the tables."""

        self._err.print(plain(f"evalkit: {text}"), soft_wrap=True)

    @contextmanager
    def answering(self) -> Iterator[Progress]:
        """The progress display; within it Ctrl-C works in two steps."""
        self.ready()
        self.asked = True
        stop = Stop()
        progress = for_console(self._err, self._quiet)
        announce = "stopping after the batch at work and writing partial results; Ctrl-C again stops at once"
        try:
            with two_step(stop, announce):
                yield Stoppable(progress, stop)
        finally:
            progress.end()

    def ready(self) -> None:
        """The model is loaded, or will not be: a signal does no more than the phase that comes says."""
        self._loading.close()

    def _stopped(self) -> str:
        lines = ["evalkit: stopped while the model was loading", *self._resuming("evalkit: ")]
        return "\n".join(lines)

    def finish(self, done: Reported) -> None:
        """Show the numbers and where they lie."""

        if not self._as_json:
            self._out.print(results_table(done.result, self._every))
        target = self._err if self._as_json else self._out
        if not self._every and (line := folded(done.result)):
            target.print(plain(line), soft_wrap=True)
        for line in warnings(done.result):
            target.print(plain(line), soft_wrap=True)
        if line := bill(done.result):
            target.print(plain(line), soft_wrap=True)
        target.print(plain(f"results: {done.path / 'results.json'}"), soft_wrap=True)
        target.print(plain(f"report:  {done.report}"), soft_wrap=True)

    def say_resume(self) -> None:
        """How to go on after an interruption."""
        for line in self._resuming():
            self.note(line)

    def _resuming(self, before: str = "") -> list[str]:
        there = self.output is not None and (self.output / "spec.json").exists()
        return [f"{before}continue with: evalkit run --resume {self.output}"] if there else []
