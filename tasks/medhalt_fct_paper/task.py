"""Med-HALT as its authors ask it: question and options as a mapping's text; the fields are theirs."""

import ast


def process(row):
    options = row["options"]
    if isinstance(options, str):
        options = ast.literal_eval(options)
    listed = {key: str(value) for key, value in options.items() if key != "correct answer"}
    right = row["student_index"] == row["correct_index"]
    shown = {**listed, "correct answer": listed[str(row["student_index"])]}
    return {
        **row,
        "asked": str({"Question": row["question"], "Options": shown}),
        "answers": ["yes" if right else "no"],
        "proposed_is_right": right,
    }
