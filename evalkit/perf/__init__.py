"""Instruments: clocks, memory, energy, counters of a run; `evalkit bench` and `evalkit estimate`."""
