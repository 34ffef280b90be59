"""Intervals, paired tests, clusters, sequential designs: pure functions of numbers that know nothing of runs or tasks.

`inference` says what every method gives back; `choice` picks the method for a run's metric and for a paired difference.
docs/statistics.md names the source of each, with the simulated coverage and error rates.
"""
