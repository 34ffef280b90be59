"""An evalkit import inside a function stands there because it brings a heavy package, and for no other reason.

For a module X that imports M inside a function, all that M imports at its top, directly and through others, must bring
a heavy package that X's own top does not bring.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEAVY = {
    "accelerate", "bitsandbytes", "datasets", "duckdb", "evaluate", "fastapi", "httpx2", "ir_measures", "jinja2",
    "langdetect", "llama_cpp", "lm_eval", "lxml", "mteb", "nltk", "numpy", "pandas", "peft", "plotly",
    "portalocker", "psutil", "pyarrow", "pydantic", "ray", "rouge_score", "sacrebleu", "safetensors", "scipy",
    "sentence_transformers", "sklearn", "starlette", "statsmodels", "tenacity", "tokenizers", "torch", "torchao",
    "transformers", "uvicorn", "vllm", "wordllama", "yaml",
}  # fmt: skip
"""Third-party packages whose import takes tens of milliseconds or more."""


def _name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {_name(file): file for file in sorted((ROOT / "evalkit").rglob("*.py"))}


def _type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import that runs, and whether it stands in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside
        elif not _type_checking(child):
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, inside or function)


def _modules(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif statement.module and not statement.level:
        for alias in statement.names:
            full = f"{statement.module}.{alias.name}"
            yield full if full in FILES else statement.module


@cache
def _found(module: str) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]]:
    """What a module imports at its top, and the evalkit modules of each import inside its functions."""
    tree = ast.parse(FILES[module].read_text("utf-8"))
    top: set[str] = set()
    inside: list[tuple[str, ...]] = []
    for statement, in_function in _imports(tree):
        names = tuple(_modules(statement))
        if not in_function:
            top.update(names)
        elif any(name.split(".")[0] == "evalkit" for name in names):
            inside.append(names)
    return frozenset(top), tuple(inside)


def heavy(modules: Iterable[str]) -> set[str]:
    """The heavy packages that importing these modules brings, with all that they import at their tops."""
    seen: set[str] = set()
    brought: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.split(".")[0] == "evalkit" and name not in FILES:
            name = name.rpartition(".")[0]
        if name in FILES:
            parts = name.split(".")
            waiting += [".".join(parts[:n]) for n in range(1, len(parts))] + list(_found(name)[0])
        elif name.split(".")[0] in HEAVY:
            brought.add(name.split(".")[0])
    return brought


def function_imports() -> list[tuple[str, tuple[str, ...], set[str]]]:
    """(module, what it imports inside a function, the heavy packages that this and not its own top brings)."""
    return [(module, names, heavy(names) - heavy([module])) for module in FILES for names in _found(module)[1]]


def test_every_import_inside_a_function_is_there_for_a_heavy_package() -> None:
    every = function_imports()
    assert len(every) > 20, "the test finds hardly any: is it still looking in the right place?"
    without = [f"{module}: {', '.join(names)}: import it at the top" for module, names, brought in every if not brought]
    assert not without, "\n".join(without)
