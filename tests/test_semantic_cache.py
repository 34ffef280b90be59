"""Semantic caches: what is a hit, which hits are false, and the threshold that keeps them few."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.routing.semantic_cache import Pair, SemanticCache, study_cache


def on_a_circle(texts: Sequence[str]) -> np.ndarray:
    """The number in a text is an angle in degrees: the cosine of two texts is known."""
    angles = np.radians([float(text.split()[-1]) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_hit_is_the_most_similar_question_that_is_similar_enough() -> None:
    cache = SemanticCache(on_a_circle, threshold=np.cos(np.radians(10)))
    assert cache.get("at 0") is None
    cache.put("at 0", "east")
    cache.put("at 90", "north")
    found = cache.get("at 8")
    assert found is not None
    assert (found.answer, found.question) == ("east", "at 0")
    assert found.similarity == pytest.approx(np.cos(np.radians(8)), abs=1e-6)
    assert cache.get("at 45") is None
    assert len(cache) == 2


def pairs(n: int = 60) -> list[Pair]:
    """Stored every 6 degrees; asked 1 degree beside where the two mean the same, 2.5 where not."""
    found = []
    for number in range(n):
        same = number % 2 == 0
        beside = 1.0 if same else 2.5
        found.append(Pair(f"q {6 * number}", f"q {6 * number + beside}", same))
    return found


def test_rates_are_those_of_the_made_pairs() -> None:
    fine = SemanticCache(on_a_circle, 0.0)
    fine.put("q 0", "a")
    found = study_cache(
        [Pair(f"q {6 * i}", f"q {6 * i + (0 if i % 2 else 90)}", i % 2 == 1) for i in range(15)] * 2, on_a_circle
    )
    assert found.n_train == found.n_test == 15
    (whole,) = [one for one in found.curve if one.threshold == 1.0]
    assert whole.found is not None
    assert whole.found.value == 1.0
    done = study_cache(pairs(), on_a_circle, most_false=1.0)
    assert done.chosen is not None
    assert done.chosen.threshold == 0.5
    low = done.chosen
    assert low.hit_rate.value == 1.0
    assert low.false_share is not None
    assert low.false_share.value == pytest.approx(1 - done.n_same / done.n_test)


def test_no_threshold_is_chosen_where_none_keeps_false_hits_few() -> None:
    same_place = [Pair(f"q {6 * i}", f"q {6 * i}", i % 2 == 0) for i in range(40)]
    found = study_cache(same_place, on_a_circle, most_false=0.1)
    assert found.chosen is None
    assert found.curve[-1].hit_rate.value == 1.0


def test_too_few_pairs_are_told() -> None:
    with pytest.raises(UserError, match="at least 20, of both kinds"):
        study_cache(pairs(10), on_a_circle)


def config(folder: Path, **changes: object) -> Path:
    rows = [
        {
            "a": f"Who wrote the book number {i} of the long row?",
            "b": f"The book number {i} of the long row: who wrote it?",
            "same": 1,
        }
        if i % 2
        else {
            "a": f"How far is town number {i} from here?",
            "b": f"Is there a cheap red bicycle {i * 7} for sale?",
            "same": 0,
        }
        for i in range(40)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    own = {"pairs": {"path": "pairs.jsonl", "first": "a", "second": "b"}, "requests": 3, **changes}
    file = folder / "cache.yaml"
    file.write_text(json.dumps({"model": "mock", "cache": own}), "utf-8")
    return file


def test_the_command_measures_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    line = ["study", "cache", str(config(tmp_path)), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert "of the questions are hits" in done.output
    study = json.loads((tmp_path / "out" / "study.json").read_text("utf-8"))
    assert study["n_test"] == 20
    assert study["latencies"]["requests"] == 3
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Content-Security-Policy" in page
    times = tmp_path / "out" / "times.jsonl"
    whole = times.read_text("utf-8")
    times.write_text(whole.splitlines()[0] + "\n" + whole.splitlines()[1][:9], "utf-8")  # killed within a line
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 0, again.output
    assert times.read_text("utf-8").splitlines()[0] == whole.splitlines()[0]
    assert len(times.read_text("utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pairs": {"path": "pairs.jsonl"}}, "has no field 'first'"),
        ({"pairs": {}}, "either id"),
        ({"embedder": "mock"}, "is no embedder"),
        ({"most_false": 2}, "cache.most_false"),
        ({"shape": 1}, "cache.shape"),
        ({"pairs": {"path": "pairs.jsonl", "first": "a", "second": "b", "same": "a"}}, "is no number"),
    ],
)
def test_bad_configurations_are_told_in_one_line(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    line = ["study", "cache", str(config(tmp_path, **changes)), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert "Traceback" not in done.output
