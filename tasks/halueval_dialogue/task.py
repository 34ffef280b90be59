"""HaluEval shows one of two texts, the right one or the made-up one, with equal chance: here by a hash of the row, so
that every run shows the same.
"""

import hashlib


def process(row):
    right, wrong = row["right_response"], row["hallucinated_response"]
    made_up = hashlib.sha256(f"{right}/{wrong}".encode()).digest()[0] % 2 == 1
    return {**row, "shown": wrong if made_up else right, "made_up": made_up, "gold": 0 if made_up else 1}
