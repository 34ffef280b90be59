"""A metric: does the answer begin with the right letter?"""

from evalkit import Metric, ScoringInput


def per_item(one: ScoringInput) -> float | None:
    """1 where the first letters agree, whatever their case."""
    if one.text is None:
        return None
    return float(one.text.strip()[:1].lower() == str(one.target)[:1].lower())


first_letter = Metric(
    name="first_letter",
    kind="text",
    per_item=per_item,
    higher_is_better=True,
    binary=True,
    source="evalkit-example 0.3.0",
)
