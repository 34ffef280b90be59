"""Functional correctness: a generated program is right if it passes its tests, run in the sandbox.

A row says how an answer becomes a program and what tests it, by its field ``check`` (a task's ``process`` writes it):
``before`` is what the answer continues and ``after`` what follows it, ``helpers`` code that both the program and the
tests may use, ``tests`` what is run, ``names`` the functions under test. With ``language`` the program is of that
language (`evalkit.metrics.languages`).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics import languages, repeats
from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.metrics.languages import Script
from evalkit.sandbox import finding, permission
from evalkit.sandbox.checking import Check, Verdict
from evalkit.sandbox.limits import Limits
from evalkit.sandbox.running import SandboxFailed
from evalkit.sandbox.workers import judge_all

TIMEOUT = 3
"""Seconds of computing that a program has, as in Chen et al.'s own harness, which counts them by the clock."""
FORMS = ("auto", "continuation", "solution")
KEPT = 100_000
"""Verdicts that are remembered: several metrics of a document ask for the same ones."""
_verdicts: OrderedDict[Check | Script, Verdict] = OrderedDict()


def checks_of(item: ScoringInput) -> list[Check | Script]:
    """A check for each answer. UserError for a row without one."""
    asked = item.document.get("check")
    if not isinstance(asked, Mapping):
        raise UserError("the row has no field check: the task's process says how its answers are tested")
    seconds = int(item.args.get("timeout", TIMEOUT))
    if "language" in asked:
        limits = languages.limits(str(asked["language"]), seconds)
        before, after = str(asked.get("before", "")), str(asked.get("after", ""))
        texts = [languages.cut(text, asked.get("stops", ())) for text in item.texts]
        return [Script(str(asked["language"]), before + text + after, limits) for text in texts]
    limits = Limits(cpu=seconds, wall=4.0 * seconds + 10)
    names = tuple(asked.get("names", ()))
    form = str(item.args.get("form", "auto"))
    return [
        Check(program(asked, text, form), tuple(asked["tests"]), str(asked.get("helpers", "")), names, limits)
        for text in item.texts
    ]


def program(asked: Mapping[str, Any], text: str, form: str = "auto") -> str:
    """The program that an answer stands for: a continuation of ``before``, or (``solution``) whole, behind the
    ``helpers``. By itself it is whole if it defines a function under test at the beginning of a line.
    """
    names = "|".join(map(re.escape, asked.get("names", ())))
    whole = bool(re.search(rf"^(?:async )?(?:def|class) (?:{names})\b", text, re.MULTILINE)) if names else True
    if form == "solution" or (form == "auto" and whole):
        return f"{asked.get('helpers', '')}\n{text}"
    return f"{asked.get('before', '')}{text}{asked.get('after', '')}"


def ahead(items: Sequence[ScoringInput]) -> None:
    """Run the programs of many documents, as many at a time as there are cores, and remember their verdicts."""
    permission.require("this task")
    wanted = dict.fromkeys(check for item in items for check in checks_of(item) if check not in _verdicts)
    for check, verdict in zip(wanted, judge_all(finding.find(), list(wanted)), strict=True):
        if isinstance(verdict, Verdict):
            _verdicts[check] = verdict
            if len(_verdicts) > KEPT:
                _verdicts.popitem(last=False)


def verdicts(item: ScoringInput) -> list[Verdict]:
    """The verdict on each answer. SandboxFailed where the sandbox did not work, twice."""
    asked = checks_of(item)
    if missing := [check for check in asked if check not in _verdicts]:
        permission.require("this task")
        for check, found in zip(missing, judge_all(finding.find(), missing), strict=True):
            if isinstance(found, SandboxFailed):
                raise found
            _verdicts[check] = found
    return [_verdicts[check] for check in asked]


def _pass_at_k(item: ScoringInput) -> float | None:
    """pass@k of a document's answers; None for fewer than k."""
    k = int(item.args.get("k", 1))
    if len(item.texts) < k:
        return None
    found = verdicts(item)
    item.known["extra"] = {"verdicts": [one.reason or "passed" for one in found]}
    return repeats.pass_at_k(len(found), sum(one.passed for one in found), k)


def _prepare(args: Mapping[str, Any]) -> None:
    repeats.prepare(args)
    seconds, form = args.get("timeout", TIMEOUT), args.get("form", "auto")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= 600:
        raise UserError(f"metric code_pass_at_k: timeout is {seconds!r}; give whole seconds from 1 to 600")
    if form not in FORMS:
        raise UserError(f"metric code_pass_at_k: form is {form!r}; choose one of {', '.join(FORMS)}")


def _told(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    return f"timeout:{args.get('timeout', TIMEOUT)}s"


code_pass_at_k = share_metric(
    "code_pass_at_k",
    _pass_at_k,
    source="Chen et al. 2021, arXiv 2107.03374, eq. 1, by tests in a sandbox",
    prepare=_prepare,
    describe=_told,
    executes=True,
    ahead=ahead,
)
