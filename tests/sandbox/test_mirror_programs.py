"""Every solution of HumanEval and MBPP in the mirror passes; mutants of them are judged as by the official way, which
runs a program and its tests as one.
"""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox.jails import jail_or_skip

from evalkit.metrics.base import ScoringInput
from evalkit.metrics.code import checks_of
from evalkit.sandbox.checking import Check, Verdict
from evalkit.sandbox.jail import Jail
from evalkit.sandbox.limits import Limits
from evalkit.sandbox.running import run
from evalkit.sandbox.workers import judge_all
from evalkit.task.rendering import load_code

TASKS = Path(__file__).parents[2] / "tasks"
FILES = (
    "openai/openai_humaneval/openai_humaneval/test.jsonl",
    *(
        f"google-research-datasets/mbpp/{config}/{split}.jsonl"
        for config in ("full", "sanitized")
        for split in ("prompt", "train", "validation", "test")
    ),
)
MUTANTS = 200


def checks(mirror: Path, only: slice = slice(None)) -> Iterator[Check]:
    for file in FILES:
        human = "humaneval" in file
        process = load_code(f"{TASKS / ('humaneval' if human else 'mbpp') / 'task.py'}:process", "test")
        for line in (mirror / file).read_text("utf-8").splitlines()[only]:
            row = process(json.loads(line))
            answer = row["canonical_solution"] if human else row["code"]
            form = "continuation" if human else "solution"
            (check,) = checks_of(ScoringInput(texts=(answer,), document=row, args={"form": form}))
            assert isinstance(check, Check)
            yield check


class Mutation(ast.NodeTransformer):
    """Changes the ``place``-th thing that can be changed."""

    def __init__(self, place: int) -> None:
        self.left = place

    def _due(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        other = {
            ast.Lt: ast.GtE,
            ast.Gt: ast.LtE,
            ast.Eq: ast.NotEq,
            ast.NotEq: ast.Eq,
            ast.LtE: ast.Gt,
            ast.GtE: ast.Lt,
        }
        kind = type(node.ops[0])
        if kind in other and self._due():
            node.ops = [other[kind](), *node.ops[1:]]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        other = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}
        if type(node.op) in other and self._due():
            node.op = other[type(node.op)]()
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bool) and self._due():
            return ast.Constant(not node.value)
        if type(node.value) is int and self._due():
            return ast.Constant(node.value + 1)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        return ast.Return(ast.Constant(None)) if node.value is not None and self._due() else node


def mutant(check: Check, generator: random.Random) -> Check:
    source = check.program.replace("\r\n", "\n")
    tree = ast.parse(source)
    # The functions under test alone: what else a prompt brings is the tests' own.
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in check.names:
            Mutation(generator.randrange(5)).visit(node)
    changed = ast.unparse(ast.fix_missing_locations(tree))
    return Check(changed, check.tests, check.helpers, check.names, check.limits)


def official(jail: Jail, check: Check) -> bool:
    """One program of the solution and its tests, as human-eval and MBPP run them."""
    whole = "\n".join((check.program, *check.tests))
    return run(jail, ["python3", "-I", "/job/a.py"], {"a.py": whole}, limits=Limits(cpu=6, wall=30.0)).code == 0


def test_the_first_solutions_pass(mirror: Path) -> None:
    found = list(judge_all(jail_or_skip(), list(checks(mirror, slice(3)))))
    assert found == [Verdict(True)] * (3 * len(FILES))


@pytest.mark.nightly
def test_every_solution_passes(mirror: Path) -> None:
    every = list(checks(mirror))
    assert len(every) == 99 + 500 + 305
    failed = [
        (check.program, verdict)
        for check, verdict in zip(every, judge_all(jail_or_skip(), every), strict=True)
        if verdict != Verdict(True)
    ]
    assert not failed


@pytest.mark.nightly
def test_mutants_are_judged_as_by_the_official_way(mirror: Path) -> None:
    jail = jail_or_skip()
    generator = random.Random(18)
    mutants = [mutant(check, generator) for check in checks(mirror, slice(0, 160, 2))]
    found = list(judge_all(jail, mutants))
    wrong = 0
    with ThreadPoolExecutor(2) as pool:
        officially = list(pool.map(lambda check: official(jail, check), mutants))
    for check, verdict, right in zip(mutants, found, officially, strict=True):
        assert isinstance(verdict, Verdict)
        assert verdict.passed == right, (check.program, verdict.reason)
        wrong += not right
    assert wrong >= MUTANTS


PLUS = """
import numpy as np

def is_floats(x):
    return isinstance(x, float) or (isinstance(x, (list, tuple)) and all(isinstance(one, float) for one in x))

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        assert np.allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp, f"out: {out}, exp: {exp}"

def check(candidate):
    inputs = [[[1.0, 2.0]], [[0.1, 0.2]], [(5, 6)], [[float("inf")]], [[10**5000]]]
    results = [3.0, 0.3, 11, float("inf"), 10**5000]
    for inp, exp in zip(inputs, results):
        assertion(candidate(*inp), exp, 0)
"""


@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("def total(x):\n    return sum(x)\n", True),
        ("import numpy as np\ndef total(x):\n    return sum(np.array(x, dtype=object))\n", True),
        ("def total(x):\n    return sum(x) + 1e-3\n", False),
        (
            "class T:\n    __eq__ = lambda s, o: True\n    __array__ = lambda s: 3.0\ndef total(x):\n    return T()\n",
            False,
        ),
    ],
)
def test_tests_in_the_form_of_evalplus(program: str, passed: bool) -> None:
    (verdict,) = judge_all(jail_or_skip(), [Check(program, (PLUS, "check(total)"), names=("total",))])
    assert isinstance(verdict, Verdict)
    assert verdict.passed == passed, verdict.reason


@pytest.mark.parametrize(
    "value",
    [
        "[1, 'a', None, True, 2.5, float('inf')]", "(1, (2, [3]))", "{1, 2}", "frozenset({(1, 2)})", "b'\\xff'", "1j",
        "{'a': {1: [2]}, (1, 2): 3}", "range(2, 9, 3)", "'\\ud800'", "__import__('fractions').Fraction(1, 3)",
        "__import__('decimal').Decimal('0.10')", "__import__('datetime').date(2024, 2, 29)", "-10 ** 6000",
        "__import__('collections').OrderedDict(b=1, a=2)", "__import__('collections').deque([1, 2])", "int",
    ],
)  # fmt: skip
def test_values_cross_as_they_are(value: str) -> None:
    tests = (
        f"value = {value}\nassert f(value) == value and type(f(value)) is type(value), f(value)\nassert g() == value"
    )
    program = f"def f(x):\n    assert x == {value}\n    return x\ndef g():\n    return {value}\n"
    (verdict,) = judge_all(jail_or_skip(), [Check(program, (tests,))])
    assert verdict == Verdict(True)
