"""Tasks of embedders: how alike two texts are, what is found for a query, classes told apart by vectors, MTEB's own."""
