"""What a program calls, and the command line first of all; `evalkit` itself shows these names (see docs/python.md)."""
