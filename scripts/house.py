"""Count rooms and arrows: python scripts/house.py [PACKAGE_FOLDER_PARENT]

A room is a folder of modules, or a file that lies directly in evalkit/. An arrow leads from a room to another one that
it imports, at the top of a file or inside a function; imports for type checkers alone do not count. An upward arrow is
one of those that would have to go so that no room imports, through others, itself: the set that grimp nominates.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import grimp

ROOT = "evalkit"


def room(module: str, folders: set[str]) -> str:
    """The room a module lies in."""
    if module in folders:
        return module
    parent = module.rpartition(".")[0]
    return module if parent == ROOT else parent


def counts(base: Path) -> dict[str, int]:
    """Rooms, arrows, upward arrows, longest way down, circles of files, imports of evalkit inside functions."""
    sys.path.insert(0, str(base))
    graph = grimp.build_graph(ROOT, exclude_type_checking_imports=True, cache_dir=None)
    folders = {module for module in graph.modules if graph.find_children(module)}
    arrows = {
        (room(one, folders), room(other, folders))
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
    }
    arrows = {(one, other) for one, other in arrows if one != other and ROOT not in (one, other)}
    rooms = {name for arrow in arrows for name in arrow}
    flat = grimp.ImportGraph()
    names = {name: f"r.x{number}" for number, name in enumerate(sorted(rooms))}
    flat.add_module("r")
    for one, other in arrows:
        flat.add_import(importer=names[one], imported=names[other])
    upward = flat.nominate_cycle_breakers("r")
    down = [(names[one], names[other]) for one, other in arrows if (names[one], names[other]) not in upward]
    return {
        "rooms": len(rooms),
        "floors": _floors(down),
        "arrows": len(arrows),
        "upward arrows": len(upward),
        "circles of files": _circles(graph),
        "imports of evalkit inside functions": sum(_inside(file) for file in (base / ROOT).rglob("*.py")),
    }


def _floors(arrows: list[tuple[str, str]]) -> int:
    """Rooms on the longest way down."""
    below: dict[str, set[str]] = {}
    for one, other in arrows:
        below.setdefault(one, set()).add(other)
    depth: dict[str, int] = {}

    def measure(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max(map(measure, below.get(name, ())), default=0)
        return depth[name]

    return max(map(measure, {name for arrow in arrows for name in arrow}), default=0)


def _circles(graph: grimp.ImportGraph) -> int:
    """Groups of files that import each other, directly or through others (a package's own file left out)."""
    files = {module for module in graph.modules if not graph.find_children(module)}
    below = {one: graph.find_modules_directly_imported_by(one) & files for one in files}
    reach = {one: _reached(one, below) for one in files}
    left, circles = set(files), 0
    while left:
        one = left.pop()
        circle = {other for other in reach[one] if one in reach[other]} - {one}
        circles += bool(circle)
        left -= circle
    return circles


def _reached(start: str, below: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = list(below[start])
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += below[one]
    return seen


def _inside(file: Path) -> int:
    """Import statements of evalkit inside functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, functions)
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == ROOT)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == ROOT for alias in node.names))
    }
    return len(found)


if __name__ == "__main__":
    for name, value in counts(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1])).items():
        print(f"{value:5} {name}")
