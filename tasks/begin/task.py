"""BEGIN's labels: a reply with any hallucination is not supported; an entailed one is, also where it is uncooperative.
Generic replies and those without a label have no answer and are not scored.
"""

REPLIES = ("ctrl", "doha", "gpt2", "response")


def process(row):
    label = str(row.get("begin_label") or row.get("BEGIN") or "").lower()
    made_up = "hallucinat" in label
    known = made_up or label.startswith("entailment")
    return {
        **row,
        "passage": row.get("knowledge") or row.get("evidence"),
        "said": "" if row["history"] in ("", "[]") else row["history"],
        "reply": next(row[name] for name in REPLIES if name in row).strip(),
        "made_up": made_up,
        "gold": int(made_up) if known else None,
    }
