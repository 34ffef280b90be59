"""Questions that a SQL query answers: spider:create, spider:compact, defog:gen, defog:basic:schema=compact.

Each row brings its database along (`evalkit.metrics.sql`): of Spider a SQLite file, of defog's sets one that is made in
memory from the PostgreSQL script of its tables and rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, DataSource
from evalkit.data.mirror import MirrorSource
from evalkit.metrics.sql_running import Database
from evalkit.probes import options, schemas
from evalkit.probes.sqlite_schema import for_sqlite
from evalkit.store import paths
from evalkit.task.definition import Defined, Definition, MetricEntry, load_task
from evalkit.task.native import NativeTask
from evalkit.task.rendering import Item, Reader, Row
from evalkit.text.reading import Malformed, parse_json

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

STYLES = {"create": "create_tables", "compact": "compact_tables"}
"""How a prompt shows the tables, and the field that has it."""
SETS = {
    "gen": ("questions_gen_sqlite", ("date_functions", "group_by", "instruct", "order_by", "ratio", "table_join")),
    "basic": (
        "instruct_basic_sqlite",
        (
            "basic_group_order_limit",
            "basic_join_date_group_order_limit",
            "basic_join_distinct",
            "basic_join_group_order_limit",
            "basic_left_join",
        ),
    ),
    "advanced": (
        "instruct_advanced_sqlite",
        (
            "instructions_cte_join",
            "instructions_cte_window",
            "instructions_date_join",
            "instructions_string_matching",
            "keywords_aggregate",
            "keywords_ratio",
        ),
    ),
}
"""defog's questions for SQLite: their file, and their categories."""
FORMS = {
    "spider:create": "SQL: Spider's questions, judged by execution; the tables as CREATE TABLE statements, or "
    "(spider:compact) as names with their columns",
    "defog:gen:schema=create": "SQL: defog's questions for SQLite (gen, basic or advanced), by category",
}
READERS: Mapping[str, options.Readers] = {
    "spider": {"schema": options.one_of(tuple(STYLES))},
    "defog": {"set": options.one_of(tuple(SETS)), "schema": options.one_of(tuple(STYLES))},
}
FIRST = {"spider": "schema", "defog": "set"}


class OnDatabase(dict[str, Any]):
    """A row with its ``databases``, which are no part of what the row says: where they lie is nobody's business."""

    def __init__(self, row: Mapping[str, Any], databases: tuple[Database, ...]) -> None:
        super().__init__(row)
        self.databases = databases


class QuestionReader(Reader):
    """Rows whose database is not at hand have no score."""

    def item(self, view: Row, where: str) -> Item:
        """See `Reader.item`."""
        item = super().item(view, where)
        if isinstance(view, OnDatabase) and not view.databases:
            return replace(item, problem=f"its database {view['db_id']} is not in the mirror")
        return item


class QueryTask(NativeTask):
    """Questions with databases; their queries are run when they are scored."""

    @property
    def traits(self) -> TaskTraits:
        """Scoring starts a process."""
        return replace(super().traits, scores_early=False)


def _spider(dataset: DatasetRef, split: str, data: DataSource) -> Sequence[Row]:
    folder = _folder(data, dataset.id, "its folders `database` and `tables.json`")
    schema = schemas.of_spider(folder / "tables.json")
    known: dict[str, tuple[Database, ...]] = {}
    found = []
    for row in data.load(dataset, split):
        name = str(row["db_id"])
        if name not in schema or not name.isidentifier():
            raise UserError(f"{folder / 'tables.json'}: has no tables of {name!r}: fetch it again")
        if name not in known:
            # All of a folder, as in the official script: with Spider's test suites there are many.
            paths_of = sorted((folder / "database" / name).glob("*.sqlite"))
            known[name] = tuple(Database(path=str(path.absolute())) for path in paths_of)
        shown = {"db_id": name, "question": row["question"], "query": row["query"], **schema[name].fields()}
        found.append(OnDatabase(shown, known[name]))
    return found


def _defog(dataset: DatasetRef, split: str, data: DataSource) -> Sequence[Row]:
    folder = _folder(data, "defog-ai/defog-data", "a folder for each database, with NAME.sql and NAME.json")
    known: dict[str, tuple[schemas.Schema, Database]] = {}
    found = []
    for row in data.load(dataset, split):
        name = str(row["db_name"])
        if name not in known:
            known[name] = _made(folder, name)
        schema, database = known[name]
        told = row.get("full_instructions") or row.get("instructions") or ""
        shown = {
            "db_id": name,
            "question": row["question"],
            "query": row["query"],
            "query_category": row["query_category"],
            "instructions": told,
            **schema.fields(),
        }
        found.append(OnDatabase(shown, (database,)))
    return found


def _made(folder: Path, name: str) -> tuple[schemas.Schema, Database]:
    if not name.isidentifier():
        raise UserError(f"{folder}: {name!r} is no name of a database")
    home = folder / name
    try:
        described = parse_json((home / f"{name}.json").read_text("utf-8"))
        script = (home / f"{name}.sql").read_text("utf-8")
    except OSError as error:
        raise UserError(f"{home}: cannot be read: {error.strerror}: lay {name}.sql and {name}.json there") from error
    except Malformed as error:
        raise UserError(f"{home / f'{name}.json'}:{error.line or 1}: not valid JSON ({error})") from error
    return schemas.of_defog(described, home / f"{name}.json"), Database(script=for_sqlite(script, name))


def _folder(data: DataSource, id: str, what: str) -> Path:
    """Where a set lies in a mirror. UserError for another source of data: the Hub's copies have no databases."""
    if not isinstance(data, MirrorSource):
        raise UserError(
            f"data set {id}: the Hub's copy has no databases: lay the set's files below DIR/{id} ({what}) and give "
            "--data-dir DIR, or run it with --bundled"
        )
    return data.home(id)


def _definition(one: Definition, name: str, asked: Mapping[str, str]) -> Definition:
    style = STYLES[asked.get("schema", "create")]
    update: dict[str, Any] = {"name": name, "prompt": one.prompt.replace("create_tables", style)}
    if "set" in asked:
        file, categories = SETS[asked["set"]]
        only = [
            MetricEntry(metric="sql_correct", name=category, args={"only": {"query_category": category}})
            for category in categories
        ]
        splits = one.dataset.splits.model_copy(update={"eval": file})
        update |= {
            "dataset": one.dataset.model_copy(update={"splits": splits}),
            "metrics": (*one.metrics, *only),
            "description": f"{one.description} The set {asked['set']}.",
        }
    return one.model_copy(update=update)


ROWS = {"spider": _spider, "defog": _defog}


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError for a parameter that is unknown."""
    prefix = name.partition(":")[0]
    asked = options.parse(name, READERS[prefix], FIRST[prefix])
    if prefix == "defog" and "set" not in asked:
        asked["set"] = "gen"
    template = load_task(paths.share("tasks") / prefix / "one.yaml")
    definition = _definition(template.tasks[0], name, asked)

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        reader = QuestionReader(definition, source)
        return QueryTask(definition, source, chosen, rows=ROWS[prefix], reader=reader)

    return Defined(template.source, (definition,), (), definition.description, build=build)
