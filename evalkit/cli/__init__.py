"""The command line: one small file a command; each builds a value and calls one function."""
