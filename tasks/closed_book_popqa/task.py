"""PopQA: its answers are a list written as JSON, and a subject's page views a month tell how well it is known."""

import json

RARE, POPULAR = 100, 10_000


def process(row):
    answers = row["possible_answers"]
    views = int(row["s_pop"])
    return {
        **row,
        "answers": json.loads(answers) if isinstance(answers, str) else list(answers),
        "popularity": "rare" if views < RARE else "popular" if views >= POPULAR else "middle",
    }
