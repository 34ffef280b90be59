"""A PostgreSQL script with tables and rows (defog-ai/defog-data) as one for SQLite."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from evalkit.contract.errors import MissingExtra, UserError

if TYPE_CHECKING:
    from sqlglot import exp

_UNITS = {
    "DAY": "days",
    "MONTH": "months",
    "YEAR": "years",
    "HOUR": "hours",
    "MIN": "minutes",
    "MINUTE": "minutes",
    "SEC": "seconds",
    "SECOND": "seconds",
}
_TRUNCATED = {
    "day": ("start of day",),
    "week": ("start of day", "-6 days", "weekday 1"),  # PostgreSQL's weeks begin on Mondays
    "month": ("start of month",),
    "year": ("start of year",),
}
_PARTS = {"YEAR": "%Y", "MONTH": "%m", "DAY": "%d", "HOUR": "%H", "MINUTE": "%M", "EPOCH": "%s"}


@lru_cache(maxsize=64)
def for_sqlite(script: str, where: str) -> str:
    """The statements that make tables and rows, in SQLite's words: without schemas, dates as ISO texts, what counts
    from the present day counted by SQLite's clock. UserError for a script that holds what SQLite has no words for.
    """
    try:
        import sqlglot
        from sqlglot import exp
    except ImportError as error:
        raise MissingExtra(f"the SQL questions of {where}", error.name or "sqlglot", "sql") from error

    made = []
    try:
        for one in sqlglot.parse(script, read="postgres"):
            if isinstance(one, exp.Insert) or (isinstance(one, exp.Create) and one.kind == "TABLE"):
                for table in one.find_all(exp.Table):
                    table.set("db", None)
                made.append(one.transform(_translated, copy=False).sql("sqlite", comments=False))
    except sqlglot.errors.SqlglotError as error:
        raise UserError(f"{where}: is no PostgreSQL script that can be read: {str(error).splitlines()[0]}") from error
    return ";\n".join([*made, ""])


def _translated(node: exp.Expression) -> exp.Expression:
    """Dates that count from now, and seconds since 1970, as SQLite's functions; the type of a default is left out."""
    from sqlglot import exp

    if isinstance(node, exp.Sub | exp.Add) and isinstance(node.expression, exp.Interval):
        sign = "-" if isinstance(node, exp.Sub) else "+"
        return _moved(node.this.transform(_translated), sign + _span(node.expression))
    if isinstance(node, exp.Extract) and (part := _PARTS.get(node.name.upper())):
        text = _call("STRFTIME", exp.Literal.string(part), node.expression.transform(_translated))
        return exp.cast(text, "integer")
    if isinstance(node, exp.TimestampTrunc | exp.DateTrunc):
        unit = str(node.args["unit"].name).lower()
        if unit not in _TRUNCATED:
            raise UserError(f"date_trunc to a {unit} has no form in SQLite")
        return _moved(node.this.transform(_translated), *_TRUNCATED[unit])
    if isinstance(node, exp.CurrentTimestamp):
        return _call("DATETIME", exp.Literal.string("now"))
    if isinstance(node, exp.CurrentDate):
        return _call("DATE", exp.Literal.string("now"))
    if isinstance(node, exp.DefaultColumnConstraint):
        bare = node.this.this if isinstance(node.this, exp.Cast) else node.this.transform(_translated)
        return exp.DefaultColumnConstraint(this=exp.paren(bare))
    if isinstance(node, exp.DataType) and node.this in (exp.DType.SERIAL, exp.DType.BIGSERIAL):
        return exp.DataType.build("integer")
    if isinstance(node, exp.Cast) and node.is_type("date", "timestamp"):
        return _call("DATE" if node.is_type("date") else "DATETIME", node.this)
    return node


def _call(name: str, *args: exp.Expression) -> exp.Expression:
    from sqlglot import exp

    return exp.Anonymous(this=name, expressions=list(args))


def _span(interval: exp.Interval) -> str:
    """ "7 days"."""
    unit = str(interval.args["unit"].name).upper().removesuffix("S") if interval.args.get("unit") else ""
    number = str(interval.this.name) if interval.this is not None else ""
    if unit not in (*_UNITS, "WEEK") or not re.fullmatch(r"\d+", number):
        raise UserError(f"the interval {interval.sql('postgres')} has no form in SQLite")
    return f"{7 * int(number)} days" if unit == "WEEK" else f"{number} {_UNITS[unit]}"


def _moved(moment: exp.Expression, *by: str) -> exp.Expression:
    """A moment with more modifiers; one that is a date stays a date."""
    from sqlglot import exp

    own = isinstance(moment, exp.Anonymous) and str(moment.this) in ("DATE", "DATETIME")
    name, args = (str(moment.this), moment.expressions) if own else ("DATETIME", [moment])
    return _call(name, *args, *map(exp.Literal.string, by))
