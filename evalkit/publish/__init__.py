"""A run's numbers for other places: experiment trackers (`--log-to`), the Hub, model cards."""
