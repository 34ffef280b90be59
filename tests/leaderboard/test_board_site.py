"""The site and its commands: files, exports, feed, refusals."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from xml.etree import ElementTree as xml

import made_runs as made
import pandas as pd
import pytest
from made_entries import BOARD, entry
from typer.testing import CliRunner

from evalkit.cli.leaderboard import app
from evalkit.contract.errors import UserError
from evalkit.leaderboard.entry import write_entry
from evalkit.leaderboard.serve import server
from evalkit.leaderboard.site import build_site

runner = CliRunner()


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    folder = tmp_path / "entries"
    for one in (entry("first", 0.8, 0.6), entry("=cmd", 0.4, 0.2), entry("third", 0.5, None, counters={})):
        write_entry(one, folder)
    return folder


def test_exports_hold_the_table_and_no_formula(entries: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_site([entries], BOARD, site)
    rows = json.loads((site / "board.json").read_text())["rows"]
    assert [(row["model"], row["rank"]) for row in rows] == [("first", 1), ("=cmd", 2), ("third", None)]
    assert rows[0]["A"] == 0.8
    assert rows[0]["A low"] == pytest.approx(0.8 - 1.96 * (0.8 * 0.2 / 1000) ** 0.5)
    table = pd.read_csv(site / "board.csv")
    assert list(table["model"]) == ["first", "'=cmd", "third"]
    assert list(pd.read_parquet(site / "board.parquet")["B"][:2]) == [0.6, 0.2]
    assert len(list((site / "models").iterdir())) == 3
    assert len(list((site / "tasks").iterdir())) == 3


def test_the_feed_is_valid_and_links_to_the_address(entries: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    build_site([entries], BOARD, site, url="https://example.org/board")
    root = xml.fromstring((site / "feed.atom").read_text())
    space = "{http://www.w3.org/2005/Atom}"
    assert root.tag == f"{space}feed"
    assert root.find(f"{space}updated").text == "2026-01-02T03:04:05+00:00"  # type: ignore[union-attr]
    links = [one.find(f"{space}link").get("href") for one in root.findall(f"{space}entry")]  # type: ignore[union-attr]
    assert len(links) == 3
    for link in links:
        assert link.startswith("https://example.org/board/models/")  # type: ignore[union-attr]
        assert (site / link.removeprefix("https://example.org/board/")).is_file()  # type: ignore[union-attr]


def test_a_run_brings_its_report_and_a_second_build_leaves_nothing_old(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "run", [made.choice_task("a", [1, 0, 1], num_fewshot=0)], label="own")
    (run / "report.html").write_text("<p>report</p>")
    site = tmp_path / "site"
    table = build_site([run], BOARD, site)
    page = (site / "models" / f"{table.rows[0].key}.html").read_text()
    name = f"reports/{table.rows[0].entry.id}.html"
    assert (site / name).is_file()
    assert f'href="../{name}"' in page
    build_site([run], BOARD, site, with_reports=False)
    assert list((site / "reports").iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(entries: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not empty and no earlier site"):
        build_site([entries], BOARD, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_nothing_that_fits_the_board_is_an_error(entries: Path, tmp_path: Path) -> None:
    board = BOARD.model_copy(update={"columns": BOARD.columns[2:]})
    with pytest.raises(UserError, match="nothing to show"):
        build_site([entries], board, tmp_path / "site")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no finished run and no leaderboard entry"):
        build_site([tmp_path / "empty"], BOARD, tmp_path / "site")


def test_add_validate_import_and_build_from_the_command_line(tmp_path: Path) -> None:
    tasks = [made.choice_task(name, [1, 0, 1], num_fewshot=0) for name in ("a", "b")]
    run = made.write_run(tmp_path / "run", tasks, label="own")
    results = tmp_path / "results"
    added = runner.invoke(app, ["add", str(run), "--to", str(results), "--label", "Renamed", "--type", "fine-tuned"])
    assert added.exit_code == 0, added.output
    content = json.loads(Path(added.stdout.strip()).read_text())
    assert (content["model"]["name"], content["model"]["type"]) == ("Renamed", "fine-tuned")
    csv = tmp_path / "p.csv"
    csv.write_text("model,task,metric,value,unit,source\nbig,a,acc,99,%,a paper\n")
    assert runner.invoke(app, ["import", str(csv), "--to", str(results)]).exit_code == 0
    assert runner.invoke(app, ["validate", str(results)]).stdout == "2 valid, 0 not valid\n"
    edited = next(results.glob("renamed-*.json"))
    edited.write_text(edited.read_text().replace('"value": 0.6', '"value": 0.9'))
    checked = runner.invoke(app, ["validate", str(results)])
    assert checked.exit_code == 1
    assert "not named after its content" in checked.stderr


def test_the_server_serves_this_machine_only(entries: Path, tmp_path: Path) -> None:
    build_site([entries], BOARD, tmp_path / "site")
    running = server(tmp_path / "site", 0)
    host, port = running.server_address[0], running.server_address[1]
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"Test board" in answer.read()
        for path, headers in (("/models/", {}), ("/", {"Host": "evil.example"}), ("/../entries/", {})):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers))
    finally:
        running.shutdown()
        running.server_close()
