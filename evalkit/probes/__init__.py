"""Probes: does a model make things up, find what it was told, and answer the same when the question looks different?

See docs/probes.md for what each measures and how to read it.
"""
