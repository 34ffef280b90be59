"""NQ-Swap: the answer that was put into the passage, and the one that stood there."""


def _listed(answers):
    return [answers] if isinstance(answers, str) else list(answers)


def process(row):
    return {
        **row,
        "passage": row["sub_context"],
        "answers": _listed(row["sub_answer"]),
        "original": _listed(row["org_answer"]),
    }
