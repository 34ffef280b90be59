"""memo-trap: the classes are a list, or that list's text."""

import ast


def process(row):
    classes = row["classes"]
    listed = ast.literal_eval(classes) if isinstance(classes, str) else list(classes)
    return {**row, "listed": listed, "gold": int(row["answer_index"])}
