"""What tests need beyond evalkit's core: found from their imports, so that no test has to say it twice.

A test file whose imports (its own, its helpers', or those of the evalkit modules it uses) need a package that is not
installed is skipped with that reason; so is a test function that imports one. `--fast` leaves out whatever needs a
model, a browser or lm-eval. Long loops are marked `nightly` and run with `--nightly` alone.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
OPTIONAL = {
    "torch": "hf",
    "transformers": "hf",
    "tokenizers": "hf",
    "safetensors": "hf",
    "accelerate": "hf",
    "lm_eval": "lm-eval",
    "ray": "ray",
    "peft": "peft",
    "bitsandbytes": "quant",
    "torchao": "quant",
    "llama_cpp": "gguf",
    "sklearn": "routing",
    "datasketch": "contamination",
    "httpx2": "openai",
    "aiohttp": "openai",
    "tenacity": "openai",
    "sentencepiece": "translation",
    "lxml": "translation",
    "evaluate": "evaluate",
    "pycocoevalcap": "captions",
    "PIL": "vision",
    "starlette": "view",
    "uvicorn": "view",
    "gguf": "smollm2",
    "vllm": "vllm",
    "wordllama": "embedding",
    "ir_measures": "embedding",
    "sentence_transformers": "embedding",
    "mteb": "mteb",
    "wonderwords": "ruler",
    "sqlglot": "sql",
    "langdetect": "ifeval",
    "immutabledict": "dev",
    "tree_sitter": "tools",
    "playwright": "dev",
    "grimp": "dev",
    "mypy": "dev",
    "nbclient": "dev",
    "nbformat": "dev",
}
"""Packages that evalkit runs without, and the extra that brings each."""
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "lm_eval",
    "ray",
    "peft",
    "bitsandbytes",
    "torchao",
    "llama_cpp",
    "playwright",
    "vllm",
}
"""What `--fast` does without."""
LEFT_OUT = {"model", "lm_eval", "slow"}
"""Markers of tests that `--fast` leaves out."""


def top_level(tree: ast.AST) -> Iterable[str]:
    """Modules that are imported when the code runs: at its top, in conditions and attempts, not inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "importorskip":
            yield str(getattr(node.args[0], "value", ""))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from top_level(node)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Modules that a file imports when it is imported itself."""
    return tuple(dict.fromkeys(top_level(ast.parse(path.read_text(encoding="utf-8")))))


@cache
def needs(path: Path) -> frozenset[str]:
    """Optional packages without which the file cannot be imported."""
    found: set[str] = set()
    seen: set[Path] = set()
    left = [path]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        packages, files = _reached(one)
        found |= packages
        left += files
    return frozenset(found)


@cache
def _reached(path: Path) -> tuple[frozenset[str], tuple[Path, ...]]:
    """Optional packages that a file imports itself, and the files of ours that it does."""
    packages, files = set(), dict[Path, None]()
    for module in _imports(path):
        name = module.partition(".")[0]
        if name in OPTIONAL:
            packages.add(name)
        else:
            files |= dict.fromkeys(_files(module, path.parent))
    return frozenset(packages), tuple(files)


def _files(module: str, folder: Path) -> list[Path]:
    """The files of ours behind a module's name: of evalkit (its packages too), or a helper beside the test."""
    parts = module.split(".")
    if parts[0] == "evalkit":
        return list(_own(module))
    if parts[0] in sys.stdlib_module_names:
        return []
    return [file for base in (folder, TESTS) for file in _there(base.joinpath(*parts))]


@cache
def _own(module: str) -> tuple[Path, ...]:
    parts = module.split(".")
    return tuple(file for end in range(1, len(parts) + 1) for file in _there(ROOT.joinpath(*parts[:end])))


def _there(step: Path) -> list[Path]:
    return [file for file in (step / "__init__.py", step.with_suffix(".py")) if file.is_file()]


def missing(packages: Iterable[str]) -> str:
    """Why tests that need ``packages`` cannot run here; empty where they can."""
    absent = sorted(name for name in packages if importlib.util.find_spec(name) is None)
    return ", ".join(f"needs {name} (pip install 'evalkit-harness[{OPTIONAL[name]}]')" for name in absent)


class _Skipped(pytest.Module):
    """A test file that is not imported."""

    reason = ""

    def collect(self) -> Any:
        pytest.skip(self.reason, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Skip a file for what it needs and is not there."""
    if reason := missing(needs(module_path)):
        module: _Skipped = _Skipped.from_parent(parent, path=module_path)
        module.reason = reason
        return module
    return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests that need no model, no browser and no lm-eval")
    parser.addoption("--nightly", action="store_true", help="run the long loops too (only these: -m nightly)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --fast, files that need something heavy are not even imported."""
    if config.getoption("--fast") and collection_path.suffix == ".py" and collection_path.name.startswith("test_"):
        return True if needs(collection_path) & HEAVY else None
    return None


@cache
def _inside(path: Path) -> dict[str, frozenset[str]]:
    """Optional packages that each function of a file imports when it runs."""
    functions = [one for one in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(one, ast.FunctionDef)]
    return {one.name: frozenset(name.partition(".")[0] for name in top_level(one)) & set(OPTIONAL) for one in functions}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, skip those whose imports are not there, drop long loops and what --fast drops."""
    kept, dropped = [], []
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "smollm2_folder" in fixtures:
            item.add_marker("model")
        if "mirror" in fixtures:
            item.add_marker("mirror")
        wanted = set(_inside(item.path).get(getattr(item, "originalname", item.name), ()))
        if item.get_closest_marker("lm_eval"):
            wanted.add("lm_eval")
        if reason := missing(wanted):
            item.add_marker(pytest.mark.skip(reason=reason))
        heavy = wanted & HEAVY or any(item.get_closest_marker(marker) for marker in LEFT_OUT)
        long = item.get_closest_marker("nightly") and not config.getoption("--nightly")
        (dropped if long or (heavy and config.getoption("--fast")) else kept).append(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)


def seeds(few: int, many: int) -> list[Any]:
    """Seeds of a loop: a ``few`` always, up to ``many`` at night."""
    return [*range(few), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(few, many))]
