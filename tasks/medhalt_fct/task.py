"""Med-HALT's False Confidence Test: is the student's answer right?"""

import ast
import string


def _options(raw):
    """The data set keeps options as a mapping, or as that mapping's text; its note of the answer is no option."""
    if isinstance(raw, str):
        raw = ast.literal_eval(raw)
    return [str(raw[key]) for key in sorted(raw, key=lambda key: (len(key), key)) if key != "correct answer"]


def process(row):
    listed = _options(row["options"])
    right = row["student_index"] == row["correct_index"]
    return {
        **row,
        "listed": listed,
        "letters": list(string.ascii_uppercase[: len(listed)]),
        "proposed": listed[row["student_index"]],
        "proposed_is_right": right,
        "agrees": 0,
        "gold": 0 if right else 1,
    }
