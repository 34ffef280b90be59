"""COMET: a trained model's score of every translation, by the package unbabel-comet.

The package holds numpy below 2 and transformers below 5, and so it does not fit into evalkit's own environment. It is
asked in another one: ``args: {python: PATH}``, the run's setting comet_python or the variable EVALKIT_COMET_PYTHON
names that environment's Python.
Where the package can be imported here, it is asked here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics import comet_worker
from evalkit.metrics.base import Metric, ScoringInput
from evalkit.metrics.qa import texts
from evalkit.spec.option import COMET_PYTHON
from evalkit.text.reading import parse_json

MODEL = "Unbabel/wmt22-comet-da"
KIWI = "Unbabel/wmt22-cometkiwi-da"
"""Scores a translation by its source alone."""
_asked: ContextVar[str | None] = ContextVar("comet_python", default=None)
ARGUMENTS = ("model", "source", "gpus", "batch_size", "python")
INSTALL = (
    f"metric comet needs the package unbabel-comet, which does not go with numpy 2: give it an environment of its own "
    f"(python -m venv comet-env, then comet-env/bin/pip install unbabel-comet) and name its Python in {COMET_PYTHON}"
)


@contextmanager
def asked_in(python: str | None) -> Iterator[None]:
    """Within the block the package is asked by this Python, unless the metric's own arguments name one."""
    token = _asked.set(python)
    try:
        yield
    finally:
        _asked.reset(token)


def prepare(args: Mapping[str, Any]) -> None:
    """UserError for arguments that make no sense, and where no environment has the package."""
    if unknown := sorted(set(args) - set(ARGUMENTS)):
        raise UserError(f"metric comet: there is no argument {unknown[0]!r}; it takes {', '.join(ARGUMENTS)}")
    if args.get("gpus", 0) not in (0, 1):
        raise UserError(f"metric comet: gpus is {args['gpus']!r}; give 0 or 1")
    python = _python(args)
    if python is None:
        if find_spec("comet") is None:
            raise UserError(INSTALL)
        return
    done = _run([python, "-c", "import comet"], None)
    if done.returncode:
        raise UserError(f"metric comet: {python} has no package unbabel-comet ({_last(done.stderr)})")


def scores(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> Sequence[float]:
    """A score a sentence against its first reference; ``args``: model, source (a field), batch_size, gpus, python."""
    found = _pairs(samples, args)
    references = [(texts(one.target) or [""])[0] for one in samples]
    return _asked_for([pair | {"ref": told} for pair, told in zip(found, references, strict=True)], args, MODEL)


def kiwi_scores(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> Sequence[float]:
    """A score a sentence by its source, without a reference; ``args`` as of :func:`scores`."""
    return _asked_for(_pairs(samples, args), args, KIWI)


def without_reference(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """COMETkiwi's score of each row's ``target`` as a translation of its ``source``. UserError where no environment has
    the package.
    """
    prepare({})
    return _asked_for([{"src": row["source"], "mt": row["target"]} for row in rows], {}, KIWI)


def _pairs(samples: Sequence[ScoringInput], args: Mapping[str, Any]) -> list[dict[str, str]]:
    field = str(args.get("source", "source"))
    for one in samples:
        if field not in one.document:
            raise UserError(f"metric comet: the documents have no field {field!r} with the source; name it with source")
    return [{"src": str(one.document[field]), "mt": one.text or ""} for one in samples]


def _asked_for(data: list[dict[str, str]], args: Mapping[str, Any], model: str) -> list[float]:
    asked = {
        "model": str(args.get("model", model)),
        "batch_size": int(args.get("batch_size", 8)),
        "gpus": int(args.get("gpus", 0)),
        "data": data,
    }
    python = _python(args)
    found = _elsewhere(python, asked) if python else _here(asked)
    if len(found) != len(data):
        raise UserError(f"metric comet: {len(found)} scores came for {len(data)} sentences")
    return found


def _python(args: Mapping[str, Any]) -> str | None:
    """The other environment's Python, or None for this one. UserError where there is no such file."""
    named = args.get("python") or _asked.get() or os.environ.get(COMET_PYTHON)
    if not named:
        return None
    path = shutil.which(str(Path(str(named)).expanduser()))
    if path is None:
        raise UserError(f"metric comet: {named} is no Python to run; set {COMET_PYTHON} to that of the environment")
    return path


def _here(asked: Mapping[str, Any]) -> list[float]:
    try:
        return comet_worker.predict(asked)
    except Exception as error:  # the package's own errors are of many kinds, some of them plain Exception
        raise UserError(
            f"metric comet: the model {asked['model']} fails: {' '.join(str(error).split())[:300]}"
        ) from error


def _elsewhere(python: str, asked: Mapping[str, Any]) -> list[float]:
    done = _run([python, str(Path(comet_worker.__file__))], json.dumps(asked))
    try:
        found = parse_json(done.stdout.rstrip().rpartition("\n")[2])
    except ValueError:
        found = None
    if done.returncode or not isinstance(found, list):
        raise UserError(f"metric comet: the model {asked['model']} fails in {python}: {_last(done.stderr)}")
    return [float(one) for one in found]


def _run(command: Sequence[str], text: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it says nothing"


def _describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    return f"model:{args.get('model', MODEL)}"


def _describe_kiwi(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    return f"model:{args.get('model', KIWI)}|reference:none"


comet = Metric(
    name="comet",
    kind="text",
    all_items=scores,
    higher_is_better=True,
    source="Rei et al. 2022, WMT, COMET-22; unbabel-comet",
    prepare=prepare,
    describe=_describe,
)
comet_kiwi = Metric(
    name="comet_kiwi",
    kind="text",
    all_items=kiwi_scores,
    higher_is_better=True,
    source="Rei et al. 2022, WMT, COMETkiwi; unbabel-comet",
    prepare=prepare,
    describe=_describe_kiwi,
)
