"""Adapting a model to a task: examples, ways to tune, and a training that goes on after a kill. torch is imported by
the files that need it, and by nobody else.
"""
