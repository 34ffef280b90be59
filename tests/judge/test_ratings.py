"""Ratings with intervals by prompts, the looks of answers held equal, and what Elo cannot say."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge.battles import read_battles, read_controls
from evalkit.judge.ratings import Battle, Ratings, bradley_terry, elo
from evalkit.judge.style import Style, controlled, style_of


def width(found: Ratings) -> float:
    interval = found.ratings[0].interval
    assert interval is not None
    return interval[1] - interval[0]


def test_ten_of_ten_are_no_certainty() -> None:
    found = bradley_terry([Battle("x", "y", 1.0)] * 10, resamples=50)
    assert [one.model for one in found.ratings] == ["x", "y"]
    assert width(found) > 300
    assert found.notes == ("no prompts are given: battles are taken to be independent",)


def test_battles_of_one_prompt_are_drawn_together() -> None:
    rng = random.Random(1)
    battles = [Battle("x", "y", float(wins), f"prompt {n}") for n in range(30) for wins in [rng.random() < 0.6] * 8]
    together = bradley_terry(battles)
    apart = bradley_terry([Battle(one.a, one.b, one.points) for one in battles])
    assert (together.clusters, apart.clusters) == (30, 0)
    assert together.ratings[0].rating == apart.ratings[0].rating
    assert width(together) > 2 * width(apart)


def long_wins(seed: int, n: int) -> list[Battle]:
    """Models m0 to m2 are alike, but m2 writes long, and the judge likes length; m0 is better at equal lengths."""
    rng = random.Random(seed)
    strength, mean = (0.8, 0.0, 0.0), (400, 600, 1400)
    battles = []
    for number in range(n):
        one, other = rng.sample(range(3), 2)
        lengths = [max(20, int(rng.gauss(mean[model], 300))) for model in (one, other)]
        gain = strength[one] - strength[other] + 2.0 * math.tanh((lengths[0] - lengths[1]) / 800)
        style = (Style(lengths[0], 0, 0, 0), Style(lengths[1], 0, 0, 0))
        won = float(rng.random() < 1 / (1 + math.exp(-gain)))
        battles.append(Battle(f"m{one}", f"m{other}", won, f"q{number % 200}", style))
    return battles


def test_length_held_equal_puts_the_better_model_first() -> None:
    battles = long_wins(2, 600)
    assert bradley_terry(battles, resamples=20).ratings[0].model == "m2"
    found = bradley_terry(battles, resamples=50, controls=("length", "markdown"))
    assert found.ratings[0].model == "m0"
    (effect,) = found.effects
    assert effect.name == "length"
    assert effect.interval is not None
    assert 0 < effect.interval[0] < effect.value < effect.interval[1]
    assert found.notes == ("no difference in markdown between any two answers: left out",)


def test_style_is_asked_of_battles_that_have_none() -> None:
    with pytest.raises(UserError, match="2 battles have no answers to see their style in"):
        bradley_terry([Battle("x", "y", 1.0), Battle("x", "y", 0.0)], controls=("length",))


def test_statsmodels_gives_the_same_maximum() -> None:
    import numpy as np
    import statsmodels.api as sm

    battles = long_wins(3, 400)
    models = ("m0", "m1", "m2")
    rows = [[float(one.a == m) - float(one.b == m) for m in models] for one in battles]
    # half a win each way for each pair that met
    rows += [[1.0, -1.0, 0.0], [1.0, 0.0, -1.0], [0.0, 1.0, -1.0]]
    table = np.array(rows)[:, :2] - np.array(rows)[:, 2:]
    # theta_2 = -theta_0 - theta_1: strengths that sum to zero
    design = np.column_stack([np.array(rows)[:, 0] - np.array(rows)[:, 2], np.array(rows)[:, 1] - np.array(rows)[:, 2]])
    assert table.shape == design.shape
    fit = sm.GLM(np.array([one.points for one in battles] + [0.5] * 3), design, family=sm.families.Binomial()).fit()
    found = {one.model: one.rating for one in bradley_terry(battles, resamples=2).ratings}
    for model, strength in zip(models, fit.params, strict=False):
        assert found[model] == pytest.approx(1000 + 400 / math.log(10) * strength, abs=1e-5)


def test_elo_says_when_it_has_not_converged() -> None:
    few = elo([Battle("x", "y", 1.0)] * 30 + [Battle("x", "y", 0.0)] * 10)
    assert not few.converged
    assert few.notes[0].startswith("Elo has not converged: 40 battles, at least 40 a model, where it takes about 1,000")
    assert [one.interval for one in few.ratings] == [None, None]
    rng = random.Random(4)
    many = elo([Battle("x", "y", float(rng.random() < 0.7), str(n)) for n in range(1200)], resamples=5)
    assert many.converged
    assert many.ratings[0].interval is not None
    assert many.ratings[0].rating - many.ratings[1].rating == pytest.approx(400 * math.log10(7 / 3), abs=40)
    # enough battles, but one model has few of them
    lonely = [Battle("x", "y", float(n % 2), str(n)) for n in range(1000)] + [Battle("z", "x", 1.0, "last")]
    assert not elo(lonely, resamples=2).converged


def test_styles_are_counted_outside_of_code() -> None:
    text = "# Title\n\n- one\n- two\n1. three\n\n**bold** and __too__\n\n```\n# no header\n- no item\n```\n"
    assert style_of(text) == Style(len(text), headers=1, lists=3, bold=2)
    assert style_of("plain - text, 2 * 3 ** 4") == Style(24, 0, 0, 0)


def test_a_style_that_decides_everything_says_nothing_of_equal_ones() -> None:
    pairs = [(Style(100 + d, 0, 0, 0), Style(100, 0, 0, 0)) for d in (-9, -5, -3, 3, 5, 9)]
    assert controlled(pairs, [0, 0, 0, 1, 1, 1], list("abcdef"), ("length",)) is None
    assert controlled(pairs[:3], [0, 0, 1], list("abc"), ("length",)) is None


def test_sides_that_always_differ_alike_say_nothing_of_equal_ones() -> None:
    listed = [(Style(100, 0, n % 3 + 1, 0), Style(100, 0, 0, 0)) for n in range(12)]
    assert controlled(listed, [1, 0, 1, 1] * 3, list("abcdefghijkl"), ("markdown",)) is None
    # where sides change, as in battles of several models, it can be told
    battles = [
        Battle(*(("x", "y") if n % 2 else ("y", "x")), float(n % 3 > 0), str(n), pair) for n, pair in enumerate(listed)
    ]
    assert [one.name for one in bradley_terry(battles, resamples=5, controls=("markdown",)).effects] == ["lists"]


def test_an_interval_at_equal_lengths() -> None:
    rng = random.Random(7)
    pairs, points = [], []
    for _ in range(200):
        d = rng.gauss(200, 300)
        pairs.append((Style(int(1500 + d), 0, 0, 0), Style(1500, 0, 0, 0)))
        points.append(float(rng.random() < 1 / (1 + math.exp(-(0.5 + math.tanh(d / 300))))))
    found = controlled(pairs, points, [str(n % 100) for n in range(200)], ("length", "markdown"))
    assert found is not None
    assert found.covariates == ("length",)
    assert found.interval is not None
    assert found.interval[0] < 1 / (1 + math.exp(-0.5)) < found.interval[1]
    assert 0.1 < found.interval[1] - found.interval[0] < 0.3
    assert found.rate < sum(points) / 200  # a's answers are longer


def test_arenas_words_are_read() -> None:
    rows = [
        {"model_a": "x", "model_b": "y", "winner": "model_a", "question_id": 7, "a": "# one", "b": "two"},
        {"model_a": "x", "model_b": "y", "winner": "tie (bothbad)", "question_id": 7},
    ]
    first, second = read_battles(rows, "arena.jsonl")
    assert (first.points, first.prompt, second.points, second.style) == (1.0, "7", 0.5, None)
    assert first.style == (Style(5, 1, 0, 0), Style(3, 0, 0, 0))
    with pytest.raises(UserError, match=r"arena.jsonl: row 1: write model_a, model_b, and winner"):
        read_battles([{"model_a": "x", "model_b": "y", "winner": "x"}], "arena.jsonl")
    assert read_controls("length, markdown") == ("length", "markdown")
    with pytest.raises(UserError, match="--control tone: choose one of length, markdown"):
        read_controls("tone")


def test_the_command(tmp_path: Path) -> None:
    rows = tmp_path / "battles.jsonl"
    table = [
        {
            "model_a": one.a, "model_b": one.b, "winner": "a" if one.points else "b", "prompt": one.prompt,
            "a": "x" * one.style[0].length, "b": "x" * one.style[1].length,
        }
        for one in long_wins(5, 300) if one.style
    ]  # fmt: skip
    rows.write_text("".join(json.dumps(row) + "\n" for row in table))
    out = tmp_path / "ratings.json"
    asked = ["judge", "ratings", str(rows), "--control", "length,markdown", "-o", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "no difference in markdown" in done.output
    found = json.loads(out.read_text())
    assert (found["ratings"][0]["model"], found["effects"][0]["name"], found["clusters"]) == ("m0", "length", 200)
    done = CliRunner().invoke(app, ["judge", "ratings", str(rows), "--by", "elo", "--control", "length"])
    assert done.exit_code == 2
    assert "Elo knows no style" in done.output
