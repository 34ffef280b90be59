"""Means by category, and who is best: alone, or with others that cannot be told apart."""

from pathlib import Path

from made_entries import entry

from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.categories import categories, column_marks, mean_text
from evalkit.leaderboard.collect import Found
from evalkit.leaderboard.site import build_site
from evalkit.leaderboard.table import Table, build_table

BOARD = Board(
    name="t",
    title="T",
    columns=(
        Column(title="A", task="a", group="One"),
        Column(title="B", task="b", group="Two"),
        Column(title="Speed", counter="throughput.decode_tokens_per_s", group="Three"),
    ),
    score="win_rate",
)


def table(*entries: object) -> Table:
    return build_table(BOARD, [Found(one, Path(one.model.name)) for one in entries])  # type: ignore[attr-defined, arg-type]


def test_the_best_is_alone_or_shares_its_place() -> None:
    found = table(entry("low", 0.3, 0.5), entry("high", 0.6, 0.501), entry("next", 0.59, 0.4))
    names = {row.key: row.entry.model.name for row in found.rows}
    marks = [{names[key]: mark for key, mark in by_row.items()} for by_row in column_marks(found)]
    assert marks == [{"high": "tied", "next": "tied"}, {"low": "tied", "high": "tied"}, {}]
    alone = table(entry("low", 0.3, 0.5), entry("high", 0.9, 0.9))
    assert [set(by_row.values()) for by_row in column_marks(alone)] == [{"best"}, {"best"}, set()]


def test_a_category_is_the_mean_of_its_columns() -> None:
    found = table(entry("low", 0.3, 0.5), entry("high", 0.6, 0.7), entry("half", 0.4, None))
    one, two = categories(found)
    by_name = {row.entry.model.name: row.key for row in found.rows}
    assert (one.title, one.unit, one.columns) == ("One", "%", ("A",))
    assert mean_text(one, by_name["high"]) == "60.0"
    assert mean_text(two, by_name["half"]) == "–"
    assert set(two.marks) == {by_name["high"]}


def test_one_row_is_compared_with_nothing() -> None:
    found = table(entry("m", 0.3, 0.5))
    assert all(not by_row for by_row in column_marks(found))


def test_the_page_shows_both(tmp_path: Path) -> None:
    from evalkit.leaderboard.entry import write_entry

    for one in (entry("low", 0.3, 0.5), entry("high", 0.6, 0.501)):
        write_entry(one, tmp_path / "entries")
    build_site([tmp_path / "entries"], BOARD, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert 'id="categories"' in page
    assert page.count(' best"') >= 2
    assert '"categories"' in (tmp_path / "site" / "board.json").read_text("utf-8")
