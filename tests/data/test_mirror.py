"""The mirror folder: what it finds, in which forms, and what it says of everything that is wrong."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef
from evalkit.data import MirrorSource, open_source
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve

SET = DatasetRef("org/quiz", "easy")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "org" / "quiz" / "easy"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> MirrorSource:
    return MirrorSource(tmp_path)


def test_json_lines(home: Path, source: MirrorSource) -> None:
    (home / "test.jsonl").write_text('{"q": "Größe?", "n": 1}\n\n{"q": "a\u2028b", "n": 2}\n', encoding="utf-8")
    assert source.load(SET, "test") == [{"q": "Größe?", "n": 1}, {"q": "a\u2028b", "n": 2}]
    digest = hashlib.sha256((home / "test.jsonl").read_bytes()).hexdigest()
    assert source.provenance(SET, "test") == f"mirror:sha256={digest[:12]}"


def test_gzipped_csv_and_parquet_give_the_same_rows(home: Path, source: MirrorSource) -> None:
    import pandas as pd

    rows = [{"q": "one, two", "n": 1, "choices": ["a", "b"]}, {"q": 'say "x"', "n": 2, "choices": ["c", "d"]}]
    with gzip.open(home / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(
            '{"q": "one, two", "n": 1, "choices": ["a", "b"]}\n{"q": "say \\"x\\"", "n": 2, "choices": ["c", "d"]}\n'
        )
    (home / "b.csv").write_text('q,n,choices\n"one, two",1,"[""a"",""b""]"\n"say ""x""",2,"[""c"",""d""]"\n')
    pd.DataFrame(rows).to_parquet(home / "c.parquet")
    assert [list(source.load(SET, split)) for split in "abc"] == [rows, rows, rows]


def test_csv_types_hold_for_whole_columns(home: Path, source: MirrorSource) -> None:
    (home / "t.csv").write_text("code,share,yes\n7,0.5,True\nx7,2,False\n")
    assert source.load(SET, "t") == [
        {"code": "7", "share": 0.5, "yes": True},
        {"code": "x7", "share": 2, "yes": False},
    ]


def test_no_config_means_default_or_the_only_one(tmp_path: Path, home: Path, source: MirrorSource) -> None:
    (home / "test.jsonl").write_text('{"a": 1}\n')
    assert source.load(DatasetRef("org/quiz"), "test") == [{"a": 1}]
    (tmp_path / "org" / "quiz" / "default").mkdir()
    (tmp_path / "org" / "quiz" / "default" / "test.jsonl").write_text('{"a": 2}\n')
    assert source.load(DatasetRef("org/quiz"), "test") == [{"a": 2}]


def test_a_moved_data_set_is_found_under_its_new_id(tmp_path: Path) -> None:
    folder = tmp_path / "ybisk" / "piqa" / "plain_text"
    folder.mkdir(parents=True)
    (folder / "validation.jsonl").write_text('{"goal": "x"}\n')
    assert MirrorSource(tmp_path).load(DatasetRef("baber/piqa"), "validation") == [{"goal": "x"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}\n{"a": \n', r"test\.jsonl:2: not valid JSON"),
        ('{"a": 1}\n[1]\n', r"test\.jsonl:2: a row must be a JSON object, not a list"),
        ("", r"the split 'test' is empty"),
        ("\n\n", r"the split 'test' is empty"),
        ("[" * 100_000 + "\n", r"test\.jsonl:1: "),
    ],
)
def test_broken_lines_are_named(home: Path, source: MirrorSource, content: str, words: str) -> None:
    (home / "test.jsonl").write_text(content)
    with pytest.raises(UserError, match=words):
        source.load(SET, "test")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.jsonl", b'{"a": "\xff"}\n', "not UTF-8 text"),
        ("t.jsonl.gz", b"plain text", "compressed file is damaged"),
        ("t.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99, mtime=0)[:-12], "compressed file is damaged"),
        ("t.parquet", b"PAR1 nothing", "no valid Parquet"),
        ("t.csv", b"a,b\n1,2\n3\n", "line 3: 1 values for 2 columns"),
        ("t.csv", b"a,a\n1,2\n", "name stands there twice"),
        ("t.csv", b'a,b\n"1,2\n', "no valid CSV"),
        ("t.csv", b"", "is empty"),
    ],
)
def test_broken_files_are_named(home: Path, source: MirrorSource, name: str, content: bytes, words: str) -> None:
    (home / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        source.load(SET, "t")


def test_what_is_absent_is_named_with_what_is_near(home: Path, source: MirrorSource, tmp_path: Path) -> None:
    (home / "test.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="no such folder"):
        MirrorSource(tmp_path / "nowhere")
    with pytest.raises(UserError, match="org/quizz is not there; did you mean org/quiz"):
        source.load(DatasetRef("org/quizz"), "test")
    with pytest.raises(UserError, match="no config 'eazy' in the mirror; did you mean easy"):
        source.load(DatasetRef("org/quiz", "eazy"), "test")
    with pytest.raises(UserError, match="no split 'train', only test"):
        source.load(SET, "train")
    (tmp_path / "org" / "quiz" / "hard").mkdir()
    (tmp_path / "org" / "quiz" / "hard" / "test.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="needs a config: one of easy, hard"):
        source.load(DatasetRef("org/quiz"), "test")


@pytest.mark.parametrize("ref", [DatasetRef("../quiz"), DatasetRef("org/.."), DatasetRef("org/quiz", "../easy")])
def test_names_stay_inside_the_folder(tmp_path: Path, home: Path, ref: DatasetRef) -> None:
    (home / "test.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UserError, match="not a name that a mirror can hold"):
        MirrorSource(tmp_path).load(ref, "test")


def test_open_source_prefers_the_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_DATA_DIR", str(tmp_path))
    assert open_source(None).name == "mirror"
    with pytest.raises(UserError, match="no such folder"):
        open_source(tmp_path / "other")
    monkeypatch.delenv("EVALKIT_DATA_DIR")
    assert open_source(None).name == "hub"


NO_ROWS = {
    "defog-ai/defog-data",  # schemas of databases
    "gorilla-llm",  # JSON lines in files that end in .json
    "gorilla-llm/Berkeley-Function-Calling-Leaderboard",
    "xlangai/spider",  # databases beside the rows
}
"""Folders of the mirror that no task reads as rows."""


@pytest.mark.mirror
@pytest.mark.skipif("EVALKIT_DATA_DIR" not in os.environ, reason="EVALKIT_DATA_DIR names no mirror")
def test_every_file_of_the_mirror_reads() -> None:
    source = MirrorSource(Path(os.environ["EVALKIT_DATA_DIR"]))
    ids = source.ids()
    assert {"Rowan/hellaswag", "cais/mmlu", "mandarjoshi/trivia_qa"} <= set(ids)
    for id in sorted(set(ids) - NO_ROWS):
        for config in sorted(one for one in (source.folder / id).iterdir() if one.is_dir())[:5]:
            ref = DatasetRef(id, config.name)
            for split in source.splits(ref):
                assert len(source.load(ref, split)) >= 5


def test_race_is_found_in_either_layout(tmp_path: Path) -> None:
    asked = [("one", "Who came  _  ."), ("two", "Why?"), ("one", "Where?")]
    rows = [
        {
            "example_id": f"{article}.txt",
            "article": article,
            "question": question,
            "answer": "B",
            "options": list("wxyz"),
        }
        for article, question in asked
    ]
    folder = tmp_path / "ehovy" / "race" / "high"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    wanted = DatasetRef("EleutherAI/race", "high", "main")
    one, two = MirrorSource(tmp_path).load(wanted, "test")
    assert (one["article"], two["article"]) == ("one", "two")
    assert [problem["question"] for problem in ast.literal_eval(one["problems"])] == ["Who came  _  .", "Where?"]
    (task,) = resolve(RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": "race"}]})).tasks
    first = task.item(task.documents(MirrorSource(tmp_path))[0])
    assert first.question == "Article: one\n\nWho came x\nWhere?"
    assert (first.choices, first.target) == (("w", "x", "y", "z"), 1)
    own = tmp_path / "EleutherAI" / "race" / "high"
    own.mkdir(parents=True)
    (own / "test.jsonl").write_text(json.dumps({"article": "own", "problems": "[]"}) + "\n", "utf-8")
    assert [row["article"] for row in MirrorSource(tmp_path).load(wanted, "test")] == ["own"]


def test_crows_pairs_is_found_in_either_layout(tmp_path: Path) -> None:
    folder = tmp_path / "nyu-mll" / "crows_pairs" / "crows_pairs"
    folder.mkdir(parents=True)
    row = {"sent_more": "a", "sent_less": "b", "stereo_antistereo": 0, "bias_type": 6}
    (folder / "test.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    (task,) = resolve(RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": "crows_pairs"}]})).tasks
    assert task.item(task.documents(MirrorSource(tmp_path))[0]).row["bias_type"] == "physical-appearance"
