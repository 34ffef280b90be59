"""A model as judge: of pairs, of single answers, of summaries against their source, of retrieval; and ratings of
models.

A judge is any backend. Its model, its prompts and its settings stand in every record.
"""

from evalkit.judge.asking import Judge, opened

__all__ = ["Judge", "opened"]
