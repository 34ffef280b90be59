"""Generated SQL, judged by what it gives: Spider's execution accuracy, and defog's.

The query is run on the document's database (`evalkit.metrics.sql_running`), which the row brings along as ``databases``
or makes by its fields ``create_tables`` and ``rows``; nothing is written, attached or loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import Metric, ScoringInput, restricted, share_metric, shared
from evalkit.metrics.combine import Value
from evalkit.metrics.sql_results import defogs, same_denotation
from evalkit.metrics.sql_running import Database, Result, known, runner
from evalkit.metrics.sql_text import alternatives, query_of, spiders

SPIDER = "Zhong et al. 2020, arXiv 2010.02840; taoyds/test-suite-sql-eval exec_eval.py"
DEFOG = "defog-ai/sql-eval eval/eval.py"


def databases_of(document: Mapping[str, Any]) -> tuple[Database, ...]:
    """The databases that a document is about: one, or one structure with several contents. UserError for a document
    without any.
    """
    found = getattr(document, "databases", ())
    if found:
        return tuple(found)
    tables, rows = document.get("create_tables"), document.get("rows")
    if isinstance(tables, str) and isinstance(rows, str):
        return (Database(script=f"{tables}\n{rows}"),)
    raise UserError("a metric of SQL: the documents bring no database: it is for the tasks spider:... and defog:...")


def _spider(item: ScoringInput) -> Mapping[str, Value]:
    """Right on every database. A gold query that fails is a fault of the data, told and not counted."""
    gold, query = spiders(str(item.target)), spiders(query_of(item.text or ""))
    ordered = "order by" in gold.lower()  # then the order of rows counts
    for database in databases_of(item.document):
        right = _gold(database, gold)
        found = runner().run(database, query)
        if found.error is not None:
            return {"right": 0.0, "executed": 0.0}
        if not same_denotation(right.rows, found.rows, ordered):
            return {"right": 0.0, "executed": 1.0}
    return {"right": 1.0, "executed": 1.0}


def _gold(database: Database, query: str) -> Result:
    found = known(database, query)
    if found.error is not None:
        raise UserError(f"the gold query {query!r:.120} fails on its database: {found.error}")
    return found


def _defog(item: ScoringInput) -> Mapping[str, Value]:
    """The best over the gold queries that stand for the item."""
    (database,) = databases_of(item.document)
    category, question = str(item.document["query_category"]), str(item.document["question"])
    found = runner().run(database, query_of(item.text or ""))
    if found.error is not None:
        return {"right": 0.0, "exact": 0.0, "executed": 0.0}
    verdicts = []
    for gold in alternatives(str(item.target)):
        verdicts.append(defogs(_gold(database, gold), found, category, question))
    exact = any(same for same, _ in verdicts)
    return {"right": float(any(part for _, part in verdicts)), "exact": float(exact), "executed": 1.0}


def _share(name: str, compute: Callable[[ScoringInput], Mapping[str, Value]], part: str, source: str) -> Metric:
    """``part`` of what ``compute`` gives."""
    return share_metric(name, restricted(shared(compute, part)), source=source, binary=True)


execution_accuracy = _share("execution_accuracy", _spider, "right", SPIDER)
executed = _share("executed", _spider, "executed", SPIDER)
sql_correct = _share("sql_correct", _defog, "right", DEFOG)
sql_exact = _share("sql_exact", _defog, "exact", DEFOG)
sql_executed = _share("sql_executed", _defog, "executed", DEFOG)
