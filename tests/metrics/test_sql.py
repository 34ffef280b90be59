"""Queries run safely, and results compared as Spider's and defog's official scripts compare them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.data import rows
from evalkit.metrics import sql
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.sql_results import defogs, same_denotation
from evalkit.metrics.sql_running import Database, Result, Runner, runner
from evalkit.metrics.sql_text import alternatives, query_of, spiders

SHIPS = Database(
    script="CREATE TABLE ship (name TEXT, built INT); INSERT INTO ship VALUES ('Aurora', 1998), ('Curlew', 1974), "
    "('Egret', 2011), ('Bell', 2011);"
)

MUTATIONS = {
    "columns swapped": lambda q: re.sub(r"(?i)^(select )([\w.()*]+) ?, ?([\w.()*]+) ", r"\1\3, \2 ", q, count=1),
    "order dropped": lambda q: re.sub(r"(?i) order by [^)]*?(?= limit|$)", "", q),
    "order turned": lambda q: re.sub(
        r"(?i) (asc|desc)\b", lambda found: " DESC" if found[1].lower() == "asc" else " ASC", q
    ),
    "cut": lambda q: q if re.search(r"(?i)limit", q) else f"{q} LIMIT 2",
    "distinct": lambda q: re.sub(r"(?i)^select (?!distinct)", "SELECT DISTINCT ", q),
    "a number as float": lambda q: re.sub(r"(?i)^select count\(\*\)", "SELECT count(*) + 0.0", q),
    "a column more": lambda q: re.sub(r"(?i)^select ", "SELECT 1, ", q),
    "twice": lambda q: q if re.search(r"(?i)limit|order", q) else f"{q} UNION ALL {q}",
    "bounds": lambda q: re.sub(r" > (?!\()", " >= ", q),
    "within": lambda q: f"SELECT * FROM ({q})",
    "negated": lambda q: re.sub(r"(?i) where ([^()]*)$", r" WHERE NOT (\1)", q),
    "left join": lambda q: re.sub(r"(?i) join ", " LEFT JOIN ", q),
}
"""Ways to miss a gold query by a little."""
VERDICTS = {
    "columns swapped": "111111",
    "order dropped": "001000",
    "order turned": "000000",
    "cut": "100011",
    "distinct": "111111",
    "a number as float": "111101",
    "a column more": "000000",
    "twice": "000000",
    "bounds": "000000",
    "within": "111111",
    "negated": "000000",
    "left join": "111111",
}
"""Of each, what taoyds/test-suite-sql-eval's ``result_eq`` says (1: the same) of the first gold queries that it changes
and that still run; recorded from that script."""
EACH = 6


def near_misses(mirror: Path) -> list[tuple[str, str, Database, str]]:
    """(way, gold query, database, near miss)."""
    gold: dict[tuple[str, str], Database] = {}
    for row in rows.read(mirror / "xlangai" / "spider" / "spider" / "validation.jsonl"):
        path = mirror / "xlangai" / "spider" / "database" / row["db_id"] / f"{row['db_id']}.sqlite"
        if path.is_file():
            gold[row["db_id"], " ".join(row["query"].rstrip("; ").split())] = Database(path=str(path))
    found = []
    for way, change in MUTATIONS.items():
        chosen: list[tuple[str, str, Database, str]] = []
        for (_, query), database in gold.items():
            changed = change(query)
            if len(chosen) < EACH and changed != query and runner().run(database, spiders(changed)).error is None:
                chosen.append((way, query, database, changed))
        found += chosen
    return found


def test_near_misses_are_judged_as_the_official_script_judges_them(mirror):
    found: dict[str, str] = dict.fromkeys(MUTATIONS, "")
    misses = near_misses(mirror)
    assert len(misses) >= 50
    for way, gold, database, changed in misses:
        document = type("Row", (dict,), {"databases": (database,)})()
        item = ScoringInput(target=gold, text=f"```sql\n{changed};\n```", document=document)
        found[way] += f"{sql.execution_accuracy.per_item(item):.0f}"
    assert found == VERDICTS


@pytest.mark.parametrize(
    ("gold", "found", "ordered", "same"),
    [
        ([(1, "a"), (2, "b")], [("b", 2), ("a", 1)], False, True),
        ([(1, "a"), (2, "b")], [("b", 2), ("a", 1)], True, False),
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)], False, False),
        ([(1, 2), (2, 1)], [(1, 1), (2, 2)], False, False),
        ([(1,)], [(1.0,)], False, True),
        ([(10, 9.0)], [(10.0, 9)], False, True),
        ([("1",)], [(1,)], False, False),
        ([(None,)], [(None,)], True, True),
        ([], [], True, True),
        ([], [(1,)], False, False),
        ([(1, 2)], [(1,)], False, False),
        # Nine equal columns: found without going through all their orders.
        ([tuple(range(9)), (5,) * 9], [tuple(range(8, -1, -1)), (5,) * 9], False, True),
    ],
)
def test_results(gold, found, ordered, same):
    assert same_denotation(gold, found, ordered) is same


ATTACKS = {
    "ATTACH '{file}' AS other": "not authorized",
    "PRAGMA query_only=OFF": "not authorized",
    "PRAGMA table_info(ship)": "not authorized",
    "INSERT INTO ship VALUES ('Sunk', 1)": "not authorized",
    "UPDATE ship SET built = 0": "not authorized",
    "DELETE FROM ship": "not authorized",
    "DROP TABLE ship": "not authorized",
    "CREATE TABLE mine (a)": "not authorized",
    "VACUUM INTO '{file}'": "authorization denied",
    "BEGIN": "not authorized",
    "SELECT load_extension('/lib/x.so')": "not authorized",
    "SELECT writefile('{file}', 'x')": "no such function",
    "SELECT readfile('/etc/passwd')": "no such function",
    "SELECT * FROM pragma_database_list": "not authorized",
    "SELECT 1; SELECT 2": "one statement",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n": "0.5 seconds",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n": "more than",
    "SELECT hex(zeroblob(1000000000))": "too big",
    "SELECT '" + "a" * 200_000 + "'": "too large",
    "no query": "syntax error",
}


@pytest.mark.parametrize("file", [True, False], ids=["a file", "in memory"])
def test_a_query_reads_its_database_and_does_nothing_else(tmp_path, file):
    import sqlite3

    database = SHIPS
    if file:
        connection = sqlite3.connect(tmp_path / "ships.sqlite")
        connection.executescript(SHIPS.script or "")
        connection.close()
        database = Database(path=str(tmp_path / "ships.sqlite"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limited = Runner(seconds=0.5, memory=1 << 29)
    for attack, words in ATTACKS.items():
        found = limited.run(database, attack.replace("{file}", str(tmp_path / "out")))
        assert found.error is not None, attack
        assert words in found.error, (attack[:80], found.error)
    assert len(limited.run(database, "SELECT * FROM ship").rows) == 4, "it goes on after each of them"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_database_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"none\.sqlite: cannot be opened"):
        runner().run(Database(path=str(tmp_path / "none.sqlite")), "SELECT 1")
    with pytest.raises(UserError, match="bring no database"):
        sql.execution_accuracy.per_item(ScoringInput(target="SELECT 1", text="SELECT 1"))


@pytest.mark.parametrize(
    ("reply", "query"),
    [
        (" SELECT a FROM b;\nQuestion: more", "SELECT a FROM b"),
        ("Here it is:\n\n```sql\n-- all\nSELECT ';' AS a -- x\nFROM b;\n```\nDone.", "SELECT ';' AS a -- x\nFROM b"),
        (
            "With pleasure.\nWITH t AS (SELECT 1)\nSELECT * FROM t\n\nThis is it.",
            "With pleasure.\nWITH t AS (SELECT 1)",
        ),
        ("```\nselect 1", "select 1"),
        ("The answer is select 2", "select 2"),
        ("I do not know.", "I do not know."),
        ("", ""),
    ],
)
def test_the_query_in_a_reply(reply, query):
    assert query_of(reply).startswith(query)


def test_queries_as_spider_changes_them():
    assert spiders("SELECT DISTINCT a FROM b WHERE c > = 'distinct' AND year(curdate()) > 1") == (
        "SELECT  a FROM b WHERE c >= 'distinct' AND 2020> 1"
    )


def test_defogs_gold_queries_and_their_rules():
    assert alternatives("SELECT {a, b}, c FROM t GROUP BY {};SELECT 1;") == [
        "SELECT a, c FROM t GROUP BY a",
        "SELECT  b, c FROM t GROUP BY  b",
        "SELECT a,  b, c FROM t GROUP BY a,  b",
        "SELECT 1",
    ]
    gold = Result(("name", "n"), (("a", 1), ("b", 2)))
    cases = [
        (gold, (True, True)),
        (Result(("name", "n"), (("b", 2), ("a", 1))), (True, True)),
        (Result(("n", "name"), ((2, "b"), (1, "a"), (1, "a"))), (True, True)),
        (Result(("more", "x", "y"), (("z", "b", 2), ("z", "a", 1))), (False, True)),
        (Result(("name",), (("a",), ("b",))), (False, False)),
        (Result(("name", "n"), (("a", 2), ("b", 1))), (False, False)),
    ]
    for found, verdict in cases:
        assert defogs(gold, found, "group_by", "How many each?") == verdict, found
    turned = Result(("name", "n"), (("b", 2), ("a", 1)))
    assert defogs(gold, turned, "group_by", "Sort them by name") == (False, False)
    assert defogs(Result(("n",), ((3,), (1,), (2,))), Result(("n",), ((2,), (1,), (3,))), "order_by", "") == (
        False,
        False,
    )


def test_a_query_must_be_right_on_every_database_of_its_folder():
    fewer = Database(script=(SHIPS.script or "") + " DELETE FROM ship WHERE built > 2000;")
    row = type("Row", (dict,), {"databases": (fewer, SHIPS)})()
    gold = "SELECT name FROM ship WHERE built < 2000"
    scores = [
        sql.execution_accuracy.per_item(ScoringInput(target=gold, text=text, document=row))
        for text in (gold, "SELECT name FROM ship", "SELECT name FROM ship WHERE NOT built >= 2000")
    ]
    assert scores == [1.0, 0.0, 1.0]
