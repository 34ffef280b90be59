"""The runner: a RunSpec becomes a run directory."""
