"""A judge corrected by a few people: prediction-powered inference in every judging command and in `judge rate`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge.items import Items, rate_of
from evalkit.judge.pairwise import judge_pairs
from evalkit.judge.rates import from_rows, with_labels
from evalkit.statistics.prediction_powered import prediction_powered_mean
from tests.judge.scripted import judge

# ppi-python 0.2.3, ppi_mean_pointestimate and ppi_mean_ci(alpha=0.05) on `draw` of the same numbers.
PEER = {
    (1, 40, 200, 0.1): (0.70402, 0.57817, 0.82987),
    (2, 100, 1000, 0.3): (0.65757, 0.57363, 0.74151),
    (3, 60, 60, 0.5): (0.63333, 0.51140, 0.75527),
    (4, 30, 400, 0.0): (0.59826, 0.55182, 0.64469),
}


def draw(seed: int, n: int, more: int, flips: float) -> tuple[np.ndarray, np.ndarray]:
    """People's labels of all items, and a judge that errs on a share of them."""
    generator = np.random.default_rng(seed)
    people = (generator.random(n + more) < 0.65).astype(float)
    return people, np.where(generator.random(n + more) < flips, 1 - people, people)


@pytest.mark.parametrize("case", PEER)
def test_the_peer_s_numbers(case: tuple[int, int, int, float]) -> None:
    n = case[1]
    people, judged = draw(*case)
    found = prediction_powered_mean(people[:n].tolist(), judged[:n].tolist(), judged[n:].tolist())
    value, low, high = PEER[case]
    # The peer's weight divides by n where ours divides by n - 1.
    assert found.value == pytest.approx(value, abs=2e-3)
    assert found.value - 1.96 * found.stderr == pytest.approx(low, abs=2e-3)
    assert found.value + 1.96 * found.stderr == pytest.approx(high, abs=2e-3)


def test_the_paper_s_formula() -> None:
    people, judged = draw(5, 50, 300, 0.2)
    y, f, rest = people[:50], judged[:50], judged[50:]
    found = prediction_powered_mean(y.tolist(), f.tolist(), rest.tolist())
    weight = np.cov(y, f)[0, 1] / ((1 + 50 / 300) * np.var(judged, ddof=1))
    assert found.weight == pytest.approx(weight)
    assert found.value == pytest.approx(weight * rest.mean() + (y - weight * f).mean())
    assert found.stderr == pytest.approx(
        math.sqrt(weight**2 * rest.var(ddof=1) / 300 + (y - weight * f).var(ddof=1) / 50)
    )


def test_an_item_without_a_verdict_stays_in_the_rate() -> None:
    people, judged = draw(6, 60, 400, 0.1)
    labels = tuple(people[:60].tolist()) + (None,) * 400
    values: list[float | None] = judged.tolist()
    values[5] = values[100] = values[101] = None
    found = rate_of(Items(tuple(map(str, range(460))), tuple(values), labels, (0.0, 1.0)))
    assert found is not None
    assert (found.labelled, found.unlabelled, found.unread) == (60, 400, 3)
    assert found.interval[0] < 0.65 < found.interval[1]


PAIRS = [
    {"id": f"p{n}", "question": f"q{n}", "a": "good" if n % 3 else "bad", "b": "bad" if n % 3 else "good"}
    for n in range(30)
]


def test_some_labels_among_the_rows_are_enough() -> None:
    by_content = judge({"match": r"(?s)\[Answer A\]\s*good", "text": "[[A]]"}, {"text": "[[B]]"})
    # People think that the judge is wrong about every sixth pair.
    labelled = [
        {**row, "human": "b" if n % 6 == 1 else "a" if n % 3 else "b"} if n < 12 else row for n, row in enumerate(PAIRS)
    ]
    found = judge_pairs(by_content, labelled)
    assert found.win_rate == pytest.approx(2 / 3)
    assert found.debiased is not None
    assert (found.debiased.labelled, found.debiased.unlabelled) == (12, 18)
    assert found.debiased.value < 2 / 3
    assert found.debiased.interval[0] < found.debiased.value < found.debiased.interval[1]
    assert judge_pairs(by_content, PAIRS).debiased is None


@pytest.mark.parametrize("label", ["maybe", 7, "A is better"])
def test_a_label_that_makes_no_sense_is_told(label: object) -> None:
    rows = [*PAIRS[:2], {**PAIRS[2], "human": label}]
    with pytest.raises(UserError, match=r"row 3: human is .*; write a, b or tie"):
        judge_pairs(judge(), rows, where="pairs.jsonl")


def test_two_rows_of_one_id_are_told() -> None:
    with pytest.raises(UserError, match="1 ids stand in several rows, such as 'p0'"):
        judge_pairs(judge(), [PAIRS[0], PAIRS[0]])


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["judge", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_on_saved_verdicts(tmp_path: Path) -> None:
    rows, script, out, labels = (tmp_path / name for name in ("p.jsonl", "s.yaml", "v.json", "labels.csv"))
    rows.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    script.write_text(
        json.dumps([{"match": r"(?s)\[Answer A\]\s*good", "text": "[[A]]"}, {"text": "[[B]]"}]), encoding="utf-8"
    )
    run("pairwise", rows, "--model", "mock", "--model-args", f"script={script}", "-o", out)
    people = [f"p{n},{'b' if n in (1, 7) else 'a' if n % 3 else 'b'}" for n in range(12)]
    labels.write_text("\n".join(["id,human", *people, "elsewhere,tie", "p20,"]) + "\n")
    said = run("rate", out, "--human", labels, "-o", tmp_path / "rate.json")
    assert "1 labels of" in said
    found = json.loads((tmp_path / "rate.json").read_text())
    assert (found["labelled"], found["unlabelled"]) == (12, 18)
    expected = prediction_powered_mean(
        [0.0 if n in (1, 7) or n % 3 == 0 else 1.0 for n in range(12)],
        [float(n % 3 > 0) for n in range(12)],
        [float(n % 3 > 0) for n in range(12, 30)],
    )
    assert (found["value"], tuple(found["interval"])) == (expected.value, expected.interval)
    assert found["judge"] == pytest.approx(2 / 3)


def test_the_command_on_rows_of_another_judge(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,judge,human\n" + "".join(f"{n},{n % 9 + 1},{n % 9 + 1 if n < 9 else ''}\n" for n in range(40)))
    assert "5.0" in run("rate", rows, "--span", "1,10")
    done = CliRunner().invoke(app, ["judge", "rate", str(rows)])
    assert done.exit_code == 2
    assert "row 2: judge is 2, beyond 0 to 1; say --span LOW,HIGH" in " ".join(done.output.split())


def test_rows_say_yes_and_no() -> None:
    items = from_rows([{"judge": "yes", "human": True}, {"judge": "No", "human": ""}, {"judge": 0.5}], (0.0, 1.0), "x")
    assert (items.values, items.people, items.ids) == ((1.0, 0.0, 0.5), (1.0, None, None), ("1", "2", "3"))


def test_labels_that_name_nothing_are_told() -> None:
    items = from_rows([{"id": "one", "judge": 1}], (0.0, 1.0), "x")
    with pytest.raises(UserError, match="none of its 1 labels names a judged item; ids are such as 'one'"):
        with_labels(items, "", [{"id": "two", "human": 1}], "labels.csv")
    with pytest.raises(UserError, match="row 1 has no id"):
        with_labels(items, "", [{"human": 1}], "labels.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "holds no verdicts"),
        ('{"kind": "pairwise", "items": {}}', "its items are damaged"),
        (
            '{"kind": "pairwise", "items": {"ids": ["1"], "values": [], "people": [], "span": [0, 1]}}',
            "unequal lengths",
        ),
        ("[", "no JSON"),
    ],
)
def test_other_files_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(text)
    done = CliRunner().invoke(app, ["judge", "rate", str(path)])
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())
