"""The tables of verdict_simulation.py, by subject."""
