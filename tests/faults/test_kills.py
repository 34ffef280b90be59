"""kill -9 at random moments of runs on the real model, each resumed: the same numbers, nothing computed twice
beyond what had not been committed.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from lives import Life, journaled

pytestmark = [pytest.mark.model, pytest.mark.slow]

LINE = (
    "run", "--model", "smollm2-135m", "--device", "cpu", "--sample", "--limit", "3", "--batch-size", "2", "--quiet",
    "--tasks", "truthfulqa_mc2,arc_easy,triviaqa", "--gen-kwargs", "max_gen_toks=4", "--output", "run",
)  # fmt: skip


def numbers(run: Path) -> dict:
    """Metrics of every task, and every log-likelihood and text, as they were written."""
    from evalkit.store import RunDir

    results = json.loads((run / "results.json").read_text())
    assert not results["evalkit"]["partial"]
    responses = {
        task: [
            [(response["loglikelihood"], response["is_greedy"], response["text"]) for response in row]
            for row in RunDir.open(run).samples(task)["responses"]
        ]
        for task in RunDir.open(run).tasks()
    }
    return {"results": results["results"], "responses": responses}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, smollm2_folder) -> tuple[dict, float, int]:
    """Numbers of a run that nothing happened to, how long its answers took to begin, and how many there are."""
    folder = tmp_path_factory.mktemp("unbroken")
    started = time.monotonic()
    life = Life(folder, *LINE)
    assert life.wait_for_answers(), life.output()
    begun = time.monotonic() - started
    assert life.end() == 0, life.output()
    return numbers(folder / "run"), begun, len(life.answered())


@pytest.mark.parametrize("wanted", [5, pytest.param(100, marks=pytest.mark.nightly)])
def test_kills_at_random_moments(unbroken, tmp_path, wanted):
    expected, begun, total = unbroken
    draw = random.Random(20)
    kills, runs, lost_in_all = 0, 0, 0
    while kills < wanted:
        runs += 1
        killed, lost = _one_run(tmp_path / f"run-{runs}", draw, begun, wanted - kills, total)
        assert numbers(tmp_path / f"run-{runs}" / "run") == expected
        kills += killed
        lost_in_all += lost
    print(f"{kills} kills over {runs} runs of {total} requests; {lost_in_all} answers were computed again")


def _one_run(folder: Path, draw: random.Random, begun: float, kills: int, total: int) -> tuple[int, int]:
    """Lives until one finishes; how many were killed, and how many answers were lost with them."""
    killed, lost, kept = 0, 0, set()
    puts: list[str] = []
    while True:
        life = Life(folder, *LINE)
        if killed < kills:
            if draw.random() < 0.3:  # while it loads, or just after
                time.sleep(draw.uniform(0, 1.2 * begun))
            else:
                life.wait_for_answers()
                time.sleep(draw.uniform(0, 1.5))
            dead = life.kill()
        else:
            assert life.end() == 0, life.output()
            dead = False
        computed = life.answered()
        assert len(computed) == len(set(computed)), "a life computed a request twice"
        assert kept.isdisjoint(computed), "what the journal held was computed again"
        puts += computed
        if not dead:
            break
        killed += 1
        print(f"{folder.name}: kill {killed} after {len(computed)} answers of this life, {len(kept)} before")
        now = journaled(folder / "run")
        assert kept <= now, "the journal forgot an answer"
        kept_of_life = [key in now for key in computed]
        missing = kept_of_life.count(False)
        assert kept_of_life == [True] * (len(computed) - missing) + [False] * missing, "not the last batch was lost"
        kept, lost = now, lost + missing
    times = Counter(puts)
    assert len(times) == total
    assert sum(times.values()) == total + lost
    return killed, lost
