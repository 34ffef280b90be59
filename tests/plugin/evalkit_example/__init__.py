"""A third party's additions to evalkit."""

from pathlib import Path


def tasks() -> Path:
    """The folder whose sub-folders hold a task.yaml each."""
    return Path(__file__).parent / "tasks"
