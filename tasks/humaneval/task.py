"""HumanEval: what an answer continues, and how it is tested."""


def process(row):
    helpers = f"{row['prompt']}\n    pass\n"
    check = {
        "before": row["prompt"],
        "helpers": helpers,
        "tests": [row["test"], f"check({row['entry_point']})"],
        "names": [row["entry_point"]],
    }
    return {**row, "check": check}
