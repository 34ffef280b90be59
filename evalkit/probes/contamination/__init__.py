"""Has a benchmark been seen, and is it clean? Overlap with a text folder, a model's own probabilities, and near-copies
between the evaluated items and those that examples are drawn from.
"""
