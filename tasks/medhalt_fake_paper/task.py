"""Med-HALT as its authors ask it: question and options as a mapping's text; the fields are theirs."""

import ast


def process(row):
    options = row["options"]
    if isinstance(options, str):
        options = ast.literal_eval(options)
    listed = {key: str(value) for key, value in options.items() if key != "correct answer"}
    gold = str(len(listed) - 1)
    return {
        **row,
        "asked": str({"Question": row["question"], "Options": listed}),
        "answers": [listed[gold]],
        "gold_index": gold,
        "listed": listed,
        "abstention": listed[gold],
    }
