"""Measuring how fast a model or a server is, and estimating what it needs."""
