"""Generated SQL, judged by what it gives: Spider's execution accuracy, and defog's.

The query is run on the document's database (`evalkit.metrics.sql_running`), which the row brings along as ``database``
or makes by its fields ``create_tables`` and ``rows``; nothing is written, attached or loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import Metric, ScoringInput, restricted, share_metric, shared
from evalkit.metrics.combine import Value
from evalkit.metrics.sql_results import defogs, same_denotation
from evalkit.metrics.sql_running import Database, known, runner
from evalkit.metrics.sql_text import alternatives, query_of, spiders

SPIDER = "Zhong et al. 2020, arXiv 2010.02840; taoyds/test-suite-sql-eval exec_eval.py, on one database an item"
DEFOG = "defog-ai/sql-eval eval/eval.py"


def database_of(document: Mapping[str, Any]) -> Database:
    """The database that a document is about. UserError for a document without one."""
    found = getattr(document, "database", None)
    if isinstance(found, Database):
        return found
    tables, rows = document.get("create_tables"), document.get("rows")
    if isinstance(tables, str) and isinstance(rows, str):
        return Database(script=f"{tables}\n{rows}")
    raise UserError("a metric of SQL: the documents bring no database: it is for the tasks spider:... and defog:...")


def _spider(item: ScoringInput) -> Mapping[str, Value]:
    """A gold query that fails is a fault of the data, told and not counted."""
    database, gold = database_of(item.document), spiders(str(item.target))
    right = known(database, gold)
    if right.error is not None:
        raise UserError(f"the gold query {gold!r:.120} fails on its database: {right.error}")
    found = runner().run(database, spiders(query_of(item.text or "")))
    if found.error is not None:
        return {"right": 0.0, "executed": 0.0}
    # The order of rows counts where the gold query gives one.
    same = same_denotation(right.rows, found.rows, "order by" in gold.lower())
    return {"right": float(same), "executed": 1.0}


def _defog(item: ScoringInput) -> Mapping[str, Value]:
    """The best over the gold queries that stand for the item."""
    database = database_of(item.document)
    category, question = str(item.document["query_category"]), str(item.document["question"])
    found = runner().run(database, query_of(item.text or ""))
    if found.error is not None:
        return {"right": 0.0, "exact": 0.0, "executed": 0.0}
    verdicts = []
    for gold in alternatives(str(item.target)):
        right = known(database, gold)
        if right.error is not None:
            raise UserError(f"the gold query {gold!r:.120} fails on its database: {right.error}")
        verdicts.append(defogs(right, found, category, question))
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
