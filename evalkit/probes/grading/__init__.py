"""Graders that ship with evalkit: lexical, by embeddings, by a model of entailment; and what each was measured at.

A grader that asks a language model stands in `evalkit.judge.prompted`. All are found by their names (entry points of
the group ``evalkit.graders``).
"""
