"""Run directories to comparisons, verdicts and baselines."""
