"""Leaderboards: runs become entries (one JSON file each), entries become a static site."""
