"""Needle in a haystack: what is hidden (puzzles), where it lies (layout), and the task that asks for it."""

from evalkit.probes.needle.family import family

__all__ = ["family"]
