"""Planted contamination is found, by each rule; what is clean is not."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.data.rows import read
from evalkit.probes.contamination import copies, overlap
from evalkit.probes.contamination.texts import Document, Text, corpus, corpus_files
from evalkit.statistics.area import area_under_curve
from evalkit.task.catalog import builtin_tasks

pytest.importorskip("datasketch")

PAGE = Path(__file__).parents[2] / "docs" / "data_quality.md"
WORDS = [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in ("n", "r", "st", "lo", "ma")]


def sentence(seed: int, length: int = 30) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(length)).capitalize() + "."


def text(key: str, whole: str) -> Text:
    return Text(key, whole, whole)


def test_each_rule_finds_what_was_planted_for_it_and_nothing_else() -> None:
    items = [text(str(number), sentence(number)) for number in range(40)]
    words = [item.whole.split() for item in items]
    planted = [
        Document("whole", f"Before. {items[0].whole} Behind."),
        Document("other case", "before " + " ,".join(items[1].whole.upper().split())),  # words, but other letters
        Document("thirteen", "x " + " ".join(words[2][4:17]) + " y"),
        Document("twelve", "x " + " ".join(words[3][4:16]) + " y"),
        Document("most", " ".join(words[4][:25]) + " " + sentence(99, 5)),
    ]
    clean = [Document(f"clean {number}", sentence(1000 + number, 400)) for number in range(20)]
    (found,) = overlap.overlaps([("t", items)], [*clean, *planted], seed=1)
    by_rule = {rule: {one.key: one.place for one in found if one.rule == rule} for rule in ("gpt3", "palm", "gpt4")}
    assert by_rule["gpt3"] == {"0": "whole", "1": "other case", "2": "thirteen", "4": "most"}
    assert by_rule["palm"] == {"0": "whole", "1": "other case", "4": "most"}
    assert set(by_rule["gpt4"]) >= {"0"}
    assert "1" not in by_rule["gpt4"]
    assert not {one.place for one in found} & {one.place for one in clean}


def test_what_stands_in_more_than_ten_documents_is_no_sign_by_the_first_rule() -> None:
    items = [text("a", sentence(1)), text("b", sentence(2))]
    common = [Document(str(number), items[0].whole) for number in range(11)]
    rare = [Document(str(number), items[1].whole) for number in range(10)]
    (found,) = overlap.overlaps([("t", items)], [*common, *rare], seed=1)
    assert {one.key for one in found if one.rule == "gpt3"} == {"b"}
    assert {one.key for one in found if one.rule == "palm"} == {"a", "b"}


def test_short_items_are_looked_for_whole_and_shorter_ones_not_at_all() -> None:
    items = [text("short", "Where is Ulan Bator now?"), text("word", "yes"), text("none", "")]
    (found,) = overlap.overlaps([("t", items)], [Document("d", "yes! where is ulan bator now, yes")], seed=1)
    assert {(one.key, one.rule) for one in found} == {("short", "gpt3"), ("short", "palm")}


def test_near_duplicates_have_the_similarity_of_their_shingles() -> None:
    base = sentence(5, 100).split()
    near = [*base[:50], "changed", *base[51:]]
    far = [*base[:40], *sentence(6, 60).split()]
    pool = [text("base", " ".join(base)), *(text(f"p{number}", sentence(number, 100)) for number in range(100, 150))]
    items = [text("near", " ".join(near)), text("far", " ".join(far)), text("same", " ".join(base).upper())]
    found = {one.key: one for one in copies.near(items, pool)}
    assert set(found) == {"near", "same"}
    assert found["near"].value == pytest.approx(91 / 101)  # of 96 shingles five are others
    assert (found["near"].other, found["near"].kind) == ("base", "near")
    assert found["same"].kind == "same"
    again = text("again", items[0].whole.lower())
    assert [(one.key, one.other) for one in copies.repeated([items[0], items[1], again])] == [("again", "near")]


def test_likeness_is_rouge_l_of_every_pair() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    draw = random.Random(3)
    few = WORDS[:4]
    pool = [text(f"p{n}", " ".join(draw.choice(few) for _ in range(draw.randint(3, 9)))) for n in range(40)]
    items = [text(f"i{n}", " ".join(draw.choice(few) for _ in range(draw.randint(3, 9)))) for n in range(40)]
    scorer = RougeScorer(["rougeL"])
    expected = {}
    for item in items:
        best = max(scorer.score(other.whole, item.whole)["rougeL"].fmeasure for other in pool)
        if best >= 0.7:
            expected[item.key] = best
    assert len(expected) > 3
    assert {one.key: one.value for one in copies.like(items, pool)} == pytest.approx(expected)


def test_a_folder_is_read_by_file_and_by_row(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.txt").write_bytes(b"plain \xff text")
    (tmp_path / "b.jsonl").write_text('{"text": "first", "meta": {"t": ["in"]}}\n{"text": "second"}\n', "utf-8")
    (tmp_path / "c.bin").write_bytes(b"\0")
    files = corpus_files(tmp_path)
    assert [(Path(one.place).name, one.text) for one in corpus(files)] == [
        ("b.jsonl:1", "first\nin"),
        ("b.jsonl:2", "second"),
        ("a.txt", "plain � text"),
    ]
    with pytest.raises(UserError, match="no such folder"):
        corpus_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no text"):
        corpus_files(tmp_path / "empty")


def test_the_command_finds_a_planted_item_and_says_where(tmp_path: Path) -> None:
    row = [one for one in read(builtin_tasks() / "boolq" / "sample.jsonl") if one["_split"] == "validation"][3]
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "novel.txt").write_text(sentence(1, 500), "utf-8")
    out = tmp_path / "found.json"
    (page,) = re.findall(r"^    evalkit (data check .*--corpus.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    line = [{"texts/": str(folder), "found.json": str(out)}.get(word, word) for word in page.split()]
    clean = CliRunner().invoke(app, [*line, "--fail-above", "0.0"])
    assert clean.exit_code == 0, clean.output
    (folder / "leak.jsonl").write_text(json.dumps({"page": f"{row['passage']} {row['question']}"}), "utf-8")
    done = CliRunner().invoke(app, [*line, "--fail-above", "0.01"])
    assert done.exit_code == 1, done.output
    assert "above --fail-above 0.01: boolq" in done.output
    (task,) = json.loads(out.read_text("utf-8"))
    assert (task["gpt3"]["count"], task["palm"]["count"], task["gpt4"]["count"]) == (1, 1, 1)
    assert task["found"][0]["place"].endswith("leak.jsonl:1")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--corpus", "nowhere"], "no such folder"),
        (["--unseen", "x.txt"], "give --model too"),
        (["--dtype", "float32"], "give --model too"),
        (["--model", "mock", "--unseen", "UNSEEN"], "shows no probabilities"),
    ],
)
def test_bad_input_is_told_in_one_line(more: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text("text", "utf-8")
    more = [str(tmp_path / "u.txt") if one == "UNSEEN" else one for one in more]
    done = CliRunner().invoke(app, ["data", "check", "--tasks", "boolq", "--bundled", *more])
    assert done.exit_code == 2, done.output
    assert words in done.output


def test_the_area_is_that_of_a_peer() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(1)
    kinds = draw.uniform(size=200) < 0.4
    values = np.round(draw.normal(size=200) + kinds, 1)
    found = area_under_curve(values, kinds)
    assert found is not None
    assert found[0] == pytest.approx(metrics.roc_auc_score(kinds, values))
    assert found[1][0] < found[0] < found[1][1]
    assert area_under_curve([1.0], [True]) is None
