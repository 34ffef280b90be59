"""What runs inside a sandbox: the standard library alone, no part of evalkit but these files."""
