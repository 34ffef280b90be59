"""Backends: token sequences in, log-probabilities or tokens out. They know nothing of tasks or files."""
