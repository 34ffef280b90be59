"""Studies of who should answer: cascades of models with a learned scorer, and caches that answer what is like a known
question.
"""
