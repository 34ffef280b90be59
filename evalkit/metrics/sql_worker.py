"""The other side of `evalkit.metrics.sql_running`: a process of its own that runs queries on SQLite databases.

It is started by its path and imports nothing of evalkit. A query is a model's text: it may read the one database and
nothing else. The file is opened read-only and as one that nobody changes, the authorizer lets reading and functions
pass and nothing else (no ATTACH, no PRAGMA, no writing, no load_extension), SQLite's own limits and the operating
system's bound what it takes, and the progress handler ends it when its time is over.

The first line of standard input is the limits ({"seconds", "memory", "rows", "bytes"}), every further one a query
({"path" or "script", "query"}); each is answered by one line, {"columns", "rows"} or {"error"}.
"""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import sys
import time
from typing import Any
from urllib.parse import quote

HELD = 16
"""Databases that stay open."""
STEPS = 2000
"""Instructions of SQLite's machine between two looks at the clock."""
ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
REFUSED = frozenset(("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlite_compileoption_get"))
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1 << 22,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 17,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


def _may(action: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:
    if action not in ALLOWED or (action == sqlite3.SQLITE_FUNCTION and str(second).lower() in REFUSED):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def opened(path: str | None, script: str | None) -> sqlite3.Connection:
    """A database of a file, or one in memory that ``script`` makes, closed to everything but reading."""
    name = ":memory:" if path is None else f"file:{quote(path)}?mode=ro&immutable=1"
    found = sqlite3.connect(name, uri=path is not None, isolation_level=None)
    found.text_factory = lambda data: data.decode(errors="ignore")
    found.execute("PRAGMA temp_store=MEMORY")
    found.execute("PRAGMA trusted_schema=OFF")
    if script is not None:
        found.executescript(script)
    for limit, value in LIMITS.items():
        found.setlimit(limit, value)
    found.set_authorizer(_may)
    return found


def _plain(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def answered(database: sqlite3.Connection, query: str, limits: dict[str, Any]) -> dict[str, Any]:
    """The rows of a query, or why there are none."""
    end = time.monotonic() + limits["seconds"]
    database.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        cursor = database.execute(query)
        rows: list[Any] = []
        size = 0
        for row in cursor:
            size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
            if len(rows) >= limits["rows"] or size > limits["bytes"]:
                return {"error": f"it gives more than {limits['rows']:,} rows or {limits['bytes']:,} bytes"}
            rows.append([_plain(value) for value in row])
        return {"columns": [one[0] for one in cursor.description or ()], "rows": rows}
    except MemoryError:
        return {"error": "it takes more memory than a query may"}
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        late = time.monotonic() > end
        return {"error": f"it takes more than {limits['seconds']:g} seconds" if late else str(error)}


def main() -> None:
    """Answer line by line until standard input ends."""
    limits = json.loads(sys.stdin.readline())
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory"], limits["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for whoever asks
    held: dict[tuple[str | None, str | None], sqlite3.Connection] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        key = asked.get("path"), asked.get("script")
        try:
            if key not in held:
                if len(held) >= HELD:
                    held.pop(next(iter(held))).close()
                held[key] = opened(*key)
            answer = answered(held[key], asked["query"], limits)
        except (sqlite3.Error, OSError) as error:
            answer = {"error": str(error), "database": True}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
