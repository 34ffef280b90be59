"""Med-HALT's Fake Questions Test: the last option says that one does not know."""

import ast
import string


def _options(raw):
    """The data set keeps options as a mapping, or as that mapping's text; its note of the answer is no option."""
    if isinstance(raw, str):
        raw = ast.literal_eval(raw)
    return [str(raw[key]) for key in sorted(raw, key=lambda key: (len(key), key)) if key != "correct answer"]


def process(row):
    listed = _options(row["options"])
    return {**row, "listed": listed, "letters": list(string.ascii_uppercase[: len(listed)]), "gold": len(listed) - 1}
