"""A `Benchmark` that is a Python object or class: given to `evalkit.evaluate`, or registered by a name.

What `evalkit.task.declared` reads from a file's text is here read from the class itself, so that its attributes need
not be written out, may be inherited, and may be set by its constructor.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Shots
from evalkit.metrics import base
from evalkit.task import declared
from evalkit.task.benchmark import Benchmark, BenchmarkTask
from evalkit.task.native import Options

METHODS = ("rows", "prompt", "target", "choices", "score")


class Maker:
    """Makes the task of a benchmark with a run's settings. UserError for a class that is no whole benchmark."""

    def __init__(self, benchmark: Benchmark | type[Benchmark]) -> None:
        if isinstance(benchmark, type):
            kind = benchmark
            try:
                benchmark = kind()
            except Exception as error:
                raise UserError(f"{kind.__name__}() fails: {type(error).__name__}: {error}") from error
        self._benchmark = benchmark
        self._home = type(benchmark).__name__
        self._file, one = _written(type(benchmark))
        declared.check(one, self._file)
        values = {key: value for key in declared.KEYS if (value := getattr(benchmark, key)) != getattr(Benchmark, key)}
        if "metrics" in values:
            values["metrics"] = [self._entry(metric) for metric in values["metrics"]]
        for key in ("tags", "until"):
            if isinstance(values.get(key), tuple):
                values[key] = list(values[key])
        self._defined = declared.defined(one, values, self._file, self._home)
        self.name = str(benchmark.name)
        self.type = f"{type(benchmark).__module__}.{type(benchmark).__qualname__}"

    def _entry(self, metric: Any) -> dict[str, Any]:
        if isinstance(metric, base.Metric):
            return {"metric": f"{self._home}:{metric.name}"}
        if isinstance(metric, str):
            return {"metric": metric}
        raise UserError(
            f"{self._file}: {self._home}: metrics holds {metric!r:.60}; give names of metrics and Metric objects"
        )

    def __call__(
        self,
        num_fewshot: int | None = None,
        sample: bool = False,
        seed: int = 1234,
        gen_kwargs: Mapping[str, Any] | None = None,
        metrics: Sequence[str] = (),
        shots: Shots | None = None,
    ) -> BenchmarkTask:
        """The task. ``shots`` says more than ``num_fewshot``: what decided the number."""
        if shots is None and num_fewshot is not None:
            shots = Shots(num_fewshot, "entry", "num_fewshot")
        options = Options(shots, seed, gen_kwargs, sample, tuple(metrics))
        (definition,) = self._defined.tasks
        written = {"class": self.type, "sha256": _source_hash(type(self._benchmark))}
        return BenchmarkTask(self._benchmark, definition, self._defined.source, options, self._home, written)


def maker(value: Any) -> Maker | None:
    """The maker of a benchmark, class or object; None for anything else."""
    if isinstance(value, Benchmark) or (inspect.isclass(value) and issubclass(value, Benchmark)):
        return Maker(value)
    return None


def _own_classes(found: type[Benchmark]) -> list[type]:
    """The class and those above it that are not evalkit's, the outermost first."""
    return [one for one in reversed(found.__mro__) if one not in Benchmark.__mro__]


def _written(found: type[Benchmark]) -> tuple[Path, declared.Written]:
    """The file that the class stands in, and what it declares; lines are those of the class where no source is kept."""
    lines: dict[str, int] = {}
    file, first = Path(f"{found.__name__}.py"), 1
    for one in _own_classes(found):
        try:
            file = Path(inspect.getsourcefile(one) or file)
            text, first = inspect.getsourcelines(one)
            (node,) = ast.parse(textwrap.dedent("".join(text))).body
        except (OSError, TypeError, ValueError, SyntaxError):  # no source, as in an interactive session
            continue
        for part in getattr(node, "body", ()):
            targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", part)]
            for target in targets:
                name = getattr(target, "id", getattr(target, "name", None))
                if isinstance(name, str):
                    lines[name] = first + part.lineno - 1
    attributes = {key: ast.expr() for one in _own_classes(found) for key in vars(one) if not key.startswith("__")}
    methods = {name for name in METHODS if getattr(found, name, None) is not getattr(Benchmark, name, None)}
    values = {key: value for key, value in attributes.items() if not callable(getattr(found, key))}
    every = dict.fromkeys((*values, *methods), first)
    return file, declared.Written(found.__name__, first, values, every | lines, methods)


def _source_hash(found: type[Benchmark]) -> str | None:
    """SHA-256 over the text of the class and of those it derives from; None where no source is kept."""
    try:
        text = "".join(inspect.getsource(one) for one in _own_classes(found))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
