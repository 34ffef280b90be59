"""`evalkit view` as a browser's requests see it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import made_runs as made
import pytest
from planted_run import planted_run
from served import Client, served
from typer.testing import CliRunner

import evalkit
from evalkit.analysis.compare import compare
from evalkit.cli.app import app
from evalkit.render.comparison import cells
from evalkit.store import RunDir

GOLDEN = Path(__file__).parents[1] / "golden" / "runs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    base = made.answers(600, 0.5, 1)
    other = [not right if number < 30 else right for number, right in enumerate(base)]
    for label, outcomes in (("first", base), ("second", other)):
        made.write_run(root / "deep" / label, [made.choice_task("solo", outcomes)], label=label)
    shutil.copytree(GOLDEN, root / "golden")
    planted_run(root / "planted")
    (root / "half").mkdir()
    (root / "half" / "spec.json").write_text('{"model": {"name": "lost"}}')
    (root / "broken").mkdir()
    (root / "broken" / "spec.json").write_text("[1")
    (root / "broken" / "results.json").write_text('{"evalkit": {"schema": 1, ')
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    with served(folder) as found:
        yield found


def test_every_run_is_listed_as_it_stands(client: Client) -> None:
    page = client.page("/")
    for word in ("deep/first", "golden/whole", "golden/bundled", "lost", "not finished", "cannot be read", "partial"):
        assert word in page
    assert "not valid JSON" in page
    assert "golden/cache" not in page
    found = client.page("/", ("q", "DEEP second"))
    assert "deep/second" in found
    assert "deep/first" not in found
    assert "No run has all" in client.page("/", ("q", "nothing of that name"))
    assert client.ask("/?page=999999999999999999999")[0] == client.ask("/?page=x")[0] == 200


def test_every_run_has_a_page(client: Client, folder: Path) -> None:
    for path in [path.parent for path in sorted(folder.rglob("spec.json"))]:
        page = client.page("/run", ("id", path.relative_to(folder).as_posix()))
        assert "Samples" in page
    assert "evalkit run --resume" in client.page("/run", ("id", "golden/killed"))


def test_what_a_run_holds_is_no_markup(client: Client) -> None:
    for path, pairs in (("/", ()), ("/run", (("id", "planted"),)), ("/boards", ())):
        page = client.page(path, *pairs)
        assert "<img" not in page
        assert page.count("<script") == page.count("</script>") <= 3
    status, _, headers = client.ask("/run?id=planted")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_only_a_browser_of_this_machine_with_the_token_reads(client: Client) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(client.base)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{client.base}/?token=guess")
    assert client.ask("/", Host="evil.example")[0] == 403
    assert client.ask("/", Host="localhost.evil.example:80")[0] == 403
    assert client.ask("/", Host="localhost:1234")[0] == 200  # a port that ssh forwards
    assert client.ask("/items?run=deep/first&task=solo", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors")[0] == 403
    assert client.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    request = urllib.request.Request(client.base, data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)


@pytest.mark.parametrize(
    "path",
    [
        "/run?id=../../etc",
        "/run?id=/etc",
        "/run?id=",
        "/run?id=golden/cache",
        "/report?run=..",
        "/items?run=deep/first&task=../../solo",
        "/items?run=deep/first&task=solo&chunk=99",
        "/items?run=deep/first&task=solo&chunk=-1",
        "/events?id=nothing",
        "/board/runs/%2e%2e/%2e%2e/etc/passwd",
        "/board/..%2f..%2fetc/passwd",
        "/board/unknown/",
        "/compare?run=deep/first",
        "/etc/passwd",
    ],
)
def test_nothing_outside_the_folder_is_served(client: Client, path: str) -> None:
    status, text, _ = client.ask(path)
    assert status == 404
    assert "root:x:" not in text


def test_items_come_in_chunks(client: Client, folder: Path) -> None:
    one = (("run", "deep/first"), ("task", "solo"))
    codes = client.json("/items", *one)["codes"]
    assert len(codes) == 600
    assert set(codes) == {"r", "w"}
    chunk = client.json("/items", *one, ("chunk", "2"))
    assert len(chunk["items"]) == 100
    assert chunk["items"][0]["n"] == "Which colour has number 500?"
    assert chunk["items"][0]["r"][0]["m"] == {"acc,none": 1.0 if codes[500] == "r" else 0.0}
    assert client.json("/items", *one, ("find", "HAS NUMBER 599?")) == [599]
    both = client.json("/items", *one, ("run", "deep/second"))["codes"]
    assert sum(code[0] != code[1] for code in both) == 30
    run = RunDir.open(folder / "deep" / "first")
    assert [row["doc_id"] for row in run.sample_rows("solo", [599, 0, 300])] == [599, 0, 300]
    assert run.samples_holding("solo", " WHITE") == list(range(600))


def test_items_that_may_harm_are_marked_for_folding(tmp_path: Path) -> None:
    evalkit.evaluate("mock", ["xstest", "boolq"], bundled=True, limit=3, output=tmp_path / "r", progress=False)
    with served(tmp_path) as client:
        page = client.page("/run", ("id", "r")).replace(": ", ":")
    assert page.count('"folded":true') == 1
    assert "no longer answers" not in page  # the first prompt


def test_two_runs_are_compared_by_the_rules_of_compare(client: Client, folder: Path) -> None:
    page = client.page("/compare", ("run", "deep/first"), ("run", "deep/second"))
    found = compare(folder / "deep" / "first", [folder / "deep" / "second"])
    for row in found.candidates[0].metrics:
        for text in cells(row)[2:]:
            assert text.replace("+", "&#43;") in page or text in page
    assert "share no task" in client.page("/compare", ("run", "deep/first"), ("run", "golden/whole"))
    other = client.page("/compare", ("run", "golden/whole"), ("run", "golden/skipped"))
    assert "allow_mismatch=1" in other or "Primary metrics" in other


def test_report_and_boards(client: Client) -> None:
    report = client.page("/report", ("run", "deep/first"), ("run", "deep/second"))
    assert "2 runs side by side" in report
    assert "These runs" in client.page("/boards")
    assert "solo" in client.page("/board/runs/")
    assert '"rows"' in client.page("/board/runs/board.json")


def test_a_report_that_lies_in_a_run_is_not_shown(client: Client, folder: Path) -> None:
    (folder / "deep" / "first" / "report.html").write_text("<script>evil()</script>")
    assert "evil()" not in client.page("/report", ("run", "deep/first"))


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["view", str(tmp_path), "--port", str(port), "--no-open"])
    assert done.exit_code == 2
    assert (
        done.stderr
        == f"evalkit: error: view: port {port}: Address already in use: give another --port (0: any free one)\n"
    )
    done = CliRunner().invoke(app, ["view", str(tmp_path / "nothing")])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


def documented() -> str:
    """The Python example of docs/view.md."""
    page = (Path(__file__).parents[2] / "docs" / "view.md").read_text("utf-8")
    return page.partition("```python\n")[2].partition("```")[0]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal as a terminal does")
@pytest.mark.parametrize("line", [["-m", "evalkit", "view", "--port", "0", "--no-open"], ["-c", documented()]])
def test_ctrl_c_ends_it_quietly_with_a_page_open(tmp_path: Path, line: list[str]) -> None:
    shutil.copytree(GOLDEN / "bundled", tmp_path / "runs" / "one")
    command = [sys.executable, *line]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=unbuffered()
    ) as process:
        assert process.stdout is not None
        client = Client(process.stdout.readline().strip())
        request = urllib.request.Request(f"{client.base}/events", headers={"Cookie": cookie_of(client)})
        with urllib.request.urlopen(request, timeout=30) as stream:
            assert stream.readline() == b"retry: 2000\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (out, err) == ("", "")


def unbuffered() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


def cookie_of(client: Client) -> str:
    port = client.base.rpartition(":")[2]
    return f"evalkit-view-{port}={client.url.partition('token=')[2]}"
