"""How often the intervals of judged conversations hold the truth, by a judge whose habits are known.

    python benchmarks/chat_simulation.py [--draws 200] [--questions 80]

Three models of qualities 0.8, 0.4 and 0 write answers of 500, 800 and 1,100 characters on average; the judge's verdict
for the answer shown first is drawn with the log-odds place + length tanh(difference / 500) + difference of qualities.
And four models against a baseline, one verdict a question, with a difficulty of the question that they share.
"""

from __future__ import annotations

import argparse
import math
import random
from typing import Any

from evalkit.judge.habits import habits_of
from evalkit.judge.length_control import Preferred, length_controlled

PLACE, LENGTH, SCALE = 0.6, 1.2, 500.0
MODELS = {"short": (0.8, 500), "middle": (0.4, 800), "long": (0.0, 1100)}


def odds(first: tuple[float, int], second: tuple[float, int]) -> float:
    """Of the answer shown first: (quality, length) each."""
    return PLACE + LENGTH * math.tanh((first[1] - second[1]) / SCALE) + first[0] - second[0]


def chance(value: float) -> float:
    """Of log-odds."""
    return 1 / (1 + math.exp(-value))


def judged(rng: random.Random, questions: int) -> list[dict[str, Any]]:
    """Pairs with both verdicts, as `evalkit.judge.chat` has them."""
    rows = []
    for number in range(questions):
        lengths = {name: max(40, int(rng.gauss(mean, 300))) for name, (_, mean) in MODELS.items()}
        for one, other in (("short", "middle"), ("short", "long"), ("middle", "long")):
            a, b = (MODELS[one][0], lengths[one]), (MODELS[other][0], lengths[other])
            forward = "a" if rng.random() < chance(odds(a, b)) else "b"
            backward = "b" if rng.random() < chance(odds(b, a)) else "a"
            points = {("a", "a"): 1.0, ("b", "b"): 0.0}.get((forward, backward), 0.5)
            rows.append(
                {
                    "prompt": str(number), "model_a": one, "model_b": other, "a": "x" * a[1], "b": "x" * b[1],
                    "forward": forward, "backward": backward, "points": points,
                }
            )  # fmt: skip
    return rows


RIVALS = {"a": (0.8, -400), "b": (0.0, 0), "c": (-0.5, 500), "d": (0.3, 200)}
"""Quality and mean difference of lengths, against the baseline."""


def shared_difficulty(rng: random.Random, questions: int) -> list[bool]:
    """Whether each rival's length-controlled interval holds its mean chance at equal lengths."""
    hard = [rng.gauss(0, 1) for _ in range(questions)]
    rows: dict[str, list[Preferred]] = {name: [] for name in RIVALS}
    for number, gamma in enumerate(hard):
        for name, (quality, mean) in RIVALS.items():
            longer = int(rng.gauss(mean, 300))
            won = rng.random() < chance(quality + 1.2 * math.tanh(longer / 400) + gamma)
            rows[name].append(Preferred(str(number), float(won), longer))
    held = []
    for name, found in length_controlled(rows).items():
        truth = sum(chance(RIVALS[name][0] + gamma) for gamma in hard) / len(hard)
        if found is not None and found.interval is not None:
            held.append(found.interval[0] < truth < found.interval[1])
    return held


def main() -> None:
    """Count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--questions", type=int, default=80)
    given = parser.parse_args()
    rng = random.Random(1)
    held = dict.fromkeys(("first place, log-odds", "length, log-odds", "length-controlled", "win rate taken for it"), 0)
    told = 0
    quality = MODELS["short"][0] - MODELS["long"][0]
    truth = (chance(PLACE + quality) + chance(-PLACE + quality)) / 2
    for _ in range(given.draws):
        rows = judged(rng, given.questions)
        habits = habits_of(rows)
        typical = [math.tanh((len(row["a"]) - len(row["b"])) / SCALE) for row in rows]
        effect = LENGTH * math.sqrt(sum(one**2 for one in typical) / len(typical))
        for name, found, right in (
            ("first place, log-odds", habits.place, PLACE),
            ("length, log-odds", habits.length, effect),
        ):
            held[name] += bool(found and found.interval and found.interval[0] < right < found.interval[1])
        against = [row for row in rows if row["model_b"] == "long"]
        by_model = {
            model: [
                Preferred(row["prompt"], row["points"], len(row["a"]) - len(row["b"]))
                for row in against
                if row["model_a"] == model
            ]
            for model in ("short", "middle")
        }
        found = length_controlled(by_model)["short"]
        if found is not None and found.interval is not None:
            told += 1
            held["length-controlled"] += found.interval[0] < truth < found.interval[1]
            held["win rate taken for it"] += abs(found.raw - truth) < (found.interval[1] - found.interval[0]) / 2
    print(f"{given.draws} draws of {given.questions} questions; length-controlled told in {told}")
    shared = [one for _ in range(given.draws // 4) for one in shared_difficulty(rng, 2 * given.questions)]
    print(f"length-controlled, {len(RIVALS)} models and difficulty: {sum(shared) / len(shared):.3f} of {len(shared)}")
    for name, count in held.items():
        print(f"{name}: {count / (told if 'rate' in name or 'controlled' in name else given.draws):.3f}")


if __name__ == "__main__":
    main()
