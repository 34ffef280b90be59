"""RULER's thirteen tasks (Hsieh et al. 2024, arXiv 2404.06654): what they hide, and what asks for it."""
