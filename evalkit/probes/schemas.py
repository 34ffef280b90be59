"""The tables of a database as a prompt shows them: CREATE TABLE statements, or names with their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.data import rows

_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``note`` stands behind it as a comment."""

    name: str
    type: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the names of its primary key, and what its foreign keys refer to: (column, table, column)."""

    name: str
    columns: tuple[Column, ...]
    primary: tuple[str, ...] = ()
    foreign: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one database."""

    tables: tuple[Table, ...] = field(default=())

    def fields(self) -> dict[str, str]:
        """Both styles, by the fields of a row."""
        return {
            "create_tables": "\n\n".join(map(_created, self.tables)),
            "compact_tables": "\n".join(map(_compact, self.tables)),
        }


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _created(table: Table) -> str:
    lines = [(f"{_quoted(one.name)} {one.type}", one.note) for one in table.columns]
    if table.primary:
        lines.append((f"PRIMARY KEY ({', '.join(map(_quoted, table.primary))})", ""))
    for column, other, there in table.foreign:
        lines.append((f"FOREIGN KEY ({_quoted(column)}) REFERENCES {_quoted(other)}({_quoted(there)})", ""))
    written = [
        f"  {line}{',' if number < len(lines) else ''}{f' -- {note}' if note else ''}"
        for number, (line, note) in enumerate(lines, 1)
    ]
    return "\n".join([f"CREATE TABLE {_quoted(table.name)} (", *written, ");"])


def _compact(table: Table) -> str:
    return f"{table.name}({', '.join(one.name for one in table.columns)})"


def of_spider(path: Path) -> dict[str, Schema]:
    """The databases of Spider's tables.json, by name. UserError for a file of another form."""
    found = {}
    for entry in rows.read(path):
        try:
            found[str(entry["db_id"])] = Schema(tuple(_spider_tables(entry)))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(f"{path}: an entry is not of Spider's form ({error}): fetch it again") from error
    return found


def _spider_tables(entry: Mapping[str, Any]) -> Sequence[Table]:
    columns, types = entry["column_names_original"], entry["column_types"]
    names = entry["table_names_original"]
    keys: set[int] = {int(one) for key in entry["primary_keys"] for one in (key if isinstance(key, list) else [key])}
    links = [(int(one), int(other)) for one, other in entry["foreign_keys"]]
    made = []
    for number, name in enumerate(names):
        own = [place for place, (table, _) in enumerate(columns) if table == number]
        foreign = [
            (str(columns[one][1]), str(names[columns[other][0]]), str(columns[other][1]))
            for one, other in links
            if one in own
        ]
        made.append(
            Table(
                str(name),
                tuple(Column(str(columns[place][1]), str(types[place])) for place in own),
                tuple(str(columns[place][1]) for place in own if place in keys),
                tuple(foreign),
            )
        )
    return made


def of_defog(described: Any, path: Path) -> Schema:
    """The tables of one of defog's descriptions: ``table_metadata`` with column names, types and descriptions."""
    try:
        tables = [
            Table(
                str(name),
                tuple(
                    Column(
                        str(one["column_name"]),
                        str(one["data_type"]),
                        " ".join(str(one.get("column_description") or "").split()),
                    )
                    for one in columns
                ),
            )
            for name, columns in described["table_metadata"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not of defog's form ({error}): fetch it again") from error
    return Schema(tuple(tables))
