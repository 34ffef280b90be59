"""CrowS-Pairs' rows. The first publishers' copy has numbers for the kinds of bias, the copy with translations names."""

KINDS = (
    "race-color",
    "socioeconomic",
    "gender",
    "disability",
    "nationality",
    "sexual-orientation",
    "physical-appearance",
    "religion",
    "age",
)


def process(row):
    kind = row["bias_type"]
    return {**row, "bias_type": KINDS[kind] if isinstance(kind, int) else kind}
