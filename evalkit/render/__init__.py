"""Runs and comparisons as terminal text, Markdown and HTML."""
