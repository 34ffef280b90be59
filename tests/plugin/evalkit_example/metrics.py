"""A metric: does the answer begin with the right letter?"""

from evalkit import MetricDef, ScoringInput


def sample(one: ScoringInput) -> float | None:
    """1 where the first letters agree, whatever their case."""
    if one.text is None:
        return None
    return float(one.text.strip()[:1].lower() == str(one.target)[:1].lower())


first_letter = MetricDef("first_letter", "text", sample, "mean", True, True, "evalkit-example 0.3.0")
