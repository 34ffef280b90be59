"""Tests use what evalkit offers: a private name in a test would be a promise that nobody made."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(path for path in TESTS.rglob("*.py") if "plugin" not in path.relative_to(TESTS).parts)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def ours(tree: ast.Module) -> set[str]:
    """Names that a test file takes from evalkit."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evalkit"
        for alias in node.names
    }


def reaches(tree: ast.Module) -> list[str]:
    """Private names of evalkit that a test file imports, reads, sets or patches."""
    names, found = ours(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evalkit":
            found += [alias.name for alias in node.names if private(alias.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            root: ast.expr = node.value
            while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
                root = root.func if isinstance(root, ast.Call) else root.value
            if isinstance(root, ast.Name) and root.id in names:
                found.append(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            target = node.args[0]
            if isinstance(target, ast.Name) and target.id in names:
                found += [text for text in texts if private(text)]
            found += [text for text in texts if text.startswith("evalkit.") and any(map(private, text.split(".")))]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_reaches_into_a_private_name(path: Path) -> None:
    assert not reaches(ast.parse(path.read_text(encoding="utf-8")))


def test_the_check_sees_what_it_looks_for() -> None:
    code = (
        "from evalkit.a import B, _c\nB._d\nB(1).e._f\n"
        "monkeypatch.setattr(B, '_g', 1)\nmonkeypatch.setattr('evalkit.a._h', 1)"
    )
    assert sorted(reaches(ast.parse(code))) == ["_c", "_d", "_f", "_g", "evalkit.a._h"]
