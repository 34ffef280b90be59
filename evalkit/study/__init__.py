"""Studies: many trainings and runs by one configuration, with one report. Each keeps its parts in a folder and goes on
from there.
"""
