"""Needle in a haystack: what is hidden (puzzles), where it lies (layout), and the task that asks for it."""
