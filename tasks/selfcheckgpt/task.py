"""The first words of a person's article: enough to say who is meant."""

WORDS = 12


def process(row):
    words = row["wiki_bio_text"].split()
    return {**row, "beginning": " ".join(words[:WORDS]) + (" ..." if len(words) > WORDS else "")}
