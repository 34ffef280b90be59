"""FaithDial: the reply as it was before people mended it, where they had to, and BEGIN's labels of that one."""


def process(row):
    made_up = any("hallucination" in label.lower() for label in row["BEGIN"])
    return {
        **row,
        "passage": row["knowledge"],
        "said": " / ".join(row["history"][-2:]),
        "reply": row.get("original_response") or row["response"],
        "made_up": made_up,
        "gold": int(made_up),
    }
