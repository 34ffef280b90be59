"""Files of rows: what a file says is what a prompt shows, in every format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.data import rows
from evalkit.data.mirror import split_files

ROWS = [{"q": "naïve, “two”\nlines", "a": "7"}, {"q": "x\u2028y", "a": "8"}]
BOM = b"\xef\xbb\xbf"
KINDS = ("jsonl", "json", "csv", "tsv", "txt")


def encoded(name: str, crlf: bool) -> bytes:
    end = "\r\n" if crlf else "\n"
    if name.startswith(("jsonl", "ndjson")):
        return "".join(json.dumps(row, ensure_ascii=False) + end for row in ROWS).encode()
    if name.startswith("json"):
        return json.dumps(ROWS, indent=1).replace("\n", end).encode()
    comma = "\t" if name.startswith("tsv") else ","
    cells = [["q", "a"], *([row["q"].replace("\n", "\n"), row["a"]] for row in ROWS)]
    return "".join(comma.join('"' + cell.replace('"', '""') + '"' for cell in row) + end for row in cells).encode()


def compressed(content: bytes, name: str) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if name.endswith(".zst"):
        import pyarrow

        packed: bytes = pyarrow.compress(content, codec="zstd", asbytes=True)
        return packed
    return content


@pytest.mark.parametrize("bom", [0, 1, 2])
@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize(
    "name", [kind + more for kind in ("jsonl", "ndjson", "json", "csv", "tsv") for more in ("", ".gz", ".zst")]
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, crlf: bool, bom: int) -> None:
    file = tmp_path / f"test.{name}"
    file.write_bytes(compressed(BOM * bom + encoded(name, crlf), name))
    expected = ROWS if name.startswith(("json", "ndjson")) else [{**row, "a": int(row["a"])} for row in ROWS]
    assert rows.read(file) == expected
    assert split_files(tmp_path) == {"test": file}


@pytest.mark.parametrize("more", ["", ".gz", ".zst"])
def test_lines_of_text(tmp_path: Path, more: str) -> None:
    file = tmp_path / f"test.txt{more}"
    file.write_bytes(compressed(BOM + "one\r\n\r\nthree\u2028still".encode(), more))
    assert rows.read(file) == [{"text": "one"}, {"text": ""}, {"text": "three\u2028still"}]


def test_a_key_that_only_some_rows_have_is_none_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text('{"q": 1}\n{"q": 2, "hint": "h"}\n{"source": [], "q": 3}\n')
    found = rows.read(file)
    assert found[0] == {"q": 1, "hint": None, "source": None}
    assert found[1] == {"q": 2, "hint": "h", "source": None}
    assert found[2] == {"q": 3, "hint": None, "source": []}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007", "8"], ["007", "8"]),
        (["7", "-8"], [7, -8]),
        (["1.50", "2.5"], ["1.50", "2.5"]),
        (["0.5", "2.0"], [0.5, 2.0]),
        (["1e5"], ["1e5"]),
        (["1_000"], ["1_000"]),
        ([" 7"], [" 7"]),
        (["true", "false"], ["true", "false"]),
        (["True", "False"], [True, False]),
        (["yes", "no"], ["yes", "no"]),
        (["9" * 400], ["9" * 400]),
        (["", "7"], ["", "7"]),
        (['[""a""]', "[]"], [["a"], []]),
        (["٣"], ["٣"]),
    ],
)
def test_a_cell_is_a_number_only_where_it_reads_back(tmp_path: Path, cells: list[str], expected: list[object]) -> None:
    file = tmp_path / "test.csv"
    file.write_text("id,value\n" + "".join(f'x,"{cell}"\n' for cell in cells), encoding="utf-8")
    assert [row["value"] for row in rows.read(file)] == expected


def test_a_long_article_fits_into_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "test.csv"
    file.write_text('text\n"' + "word " * 100_000 + '"\n')
    assert len(rows.read(file)[0]["text"]) == 500_000


def test_half_a_surrogate_pair_is_replaced_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "test.jsonl"
    file.write_text('{"q": "half \\ud83d", "a": ["\\ude00", "\\ud83d\\ude00"]}\n')
    assert rows.read(file) == [{"q": "half \ufffd", "a": ["\ufffd", "😀"]}]
    assert "2 texts" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("test.jsonl", b'{"a": 1}\n[1]\n', "test.jsonl:2: a row must be a JSON object, not a list"),
        ("test.jsonl", b'{"a": 1}\n' + b"[" * 100_000, "test.jsonl:2: not valid JSON"),
        ("test.jsonl", b'{"a": ' + b"9" * 5000 + b"}", "test.jsonl:1: not valid JSON"),
        ("test.jsonl", b'{"a": "\0"}', "test.jsonl:1: not valid JSON"),
        ("test.jsonl", b'{"a": "\xff"}', "not UTF-8"),
        ("test.jsonl", b'{"a": 1}\n' * 50_000 + b'{"a": "\xe9"}', "test.jsonl:50001: not UTF-8 text"),
        ("test.csv.gz", gzip.compress(b"a,b\n1,\xe9\n", mtime=0), "test.csv.gz:2: not UTF-8 text"),
        *((f"test.{kind}", "a\tb\n1\t2".encode("utf-16"), f"{kind}:1: not UTF-8 text but UTF-16") for kind in KINDS),
        *((f"test.{kind}", "a\n1".encode("utf-16-le"), f"{kind}:1: ") for kind in KINDS),
        *((f"test.{kind}", b"a\nx\0\n", f"{kind}:2: a NUL character") for kind in ("csv", "tsv", "txt")),
        ("test.jsonl.gz", gzip.compress(b'{"a": 1}' * 100, mtime=0)[:-9], "damaged"),
        ("test.jsonl.zst", b"no such thing", "cannot be read"),
        ("test.json", b'{"a": 1}', "list of JSON objects, not an object"),
        ("test.json", b"[1]", "row 1: a row must be a JSON object"),
        ("test.json", b"[", "test.json:1: not valid JSON"),
        ("test.csv", b"a,a\n1,2\n", "stands there twice"),
        ("test.tsv", b"a\tb\n1\n", "1 values for 2 columns"),
        ("test.csv", b'a\n"x', "no valid CSV"),
        ("test.parquet", b"PAR1", "no valid Parquet"),
    ],
)
def test_what_is_no_rows_is_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UserError) as refused:
        rows.read(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["test.json", "test.json.gz"])
def test_json_lines_in_a_file_named_json_are_rows(tmp_path, name):
    text = '{"a": 1, "b": [1, 2]}\r\n\n{"a": 2}\n'
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith("gz") else text.encode())
    assert rows.read(file) == [{"a": 1, "b": [1, 2]}, {"a": 2, "b": None}]
    file = tmp_path / "broken.json"
    file.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match=r"broken.json:2: not valid JSON"):
        rows.read(file)
    file.write_text('{"a": 1,\n "b" 2}\n')  # one object, broken
    with pytest.raises(UserError, match=r"broken.json:2: not valid JSON"):
        rows.read(file)
