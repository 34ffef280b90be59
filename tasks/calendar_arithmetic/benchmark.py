"""Dates so many days before or after another: written here, so there is nothing to download or to have memorised."""

import random
import re
from datetime import date, timedelta

from evalkit import Benchmark, Metric

SEED = 20260
SIZES = {"test": 80, "train": 20}
DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")


def read_date(reply: str) -> date | None:
    """The first date of a reply, written YYYY-MM-DD; one that no calendar has counts as none."""
    found = DATE.search(reply)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


class CalendarArithmetic(Benchmark):
    """Half the questions count forward, half backward; distances run from a day to more than a year."""

    name = "calendar_arithmetic"
    version = "1.0"
    description = "Name the date that lies a number of days before or after another."
    tags = ("reasoning",)
    fewshot_split = "train"
    until = ("\n",)
    max_tokens = 24
    metrics = (
        Metric(name="correct", kind="text", higher_is_better=True, binary=True),
        Metric(name="read", kind="text", higher_is_better=True, binary=True),
        Metric(name="days_off", kind="text", higher_is_better=False, unit="days", bounds=(0.0, None)),
    )
    random_baseline = 0.0

    def rows(self, split, data):
        """The same rows every time: `random.Random.random` keeps its sequence from one Python to the next."""
        generator = random.Random(f"{SEED}:{split}")
        for index in range(SIZES[split]):
            start = date(1990, 1, 1) + timedelta(days=int(generator.random() * 14_000))
            longest = (10, 45, 120, 400)[index // 2 % 4]
            days = (1 + int(generator.random() * longest)) * (1 if index % 2 == 0 else -1)
            yield {"start": start.isoformat(), "days": days, "date": (start + timedelta(days=days)).isoformat()}

    def prompt(self, row):
        days = abs(row["days"])
        distance = f"{days} day{'s' if days > 1 else ''} {'after' if row['days'] > 0 else 'before'} {row['start']}"
        return f"Question: Which date is {distance}? Write it as YYYY-MM-DD.\nAnswer:"

    def target(self, row):
        return row["date"]

    def score(self, row, reply):
        found = read_date(reply)
        off = None if found is None else abs((found - date.fromisoformat(row["date"])).days)
        return {"correct": float(off == 0), "read": float(found is not None), "days_off": off}
