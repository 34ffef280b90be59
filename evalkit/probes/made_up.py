"""Probes of made-up things, generated from a seed: false premises, entities that do not exist, passages that say
otherwise than what is known. A fact comes once before any comes twice, and its documents are one cluster (the
field "of").
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from evalkit.probes import prose
from evalkit.probes.generated import Row, rows_of
from evalkit.probes.known_facts import Fact, drawn, false_answer


def _premise(draw: random.Random, fact: Fact, said: str) -> tuple[str, str, tuple[str, ...]]:
    """(question, premise, the sound twin's answers): asks on the ground of a statement, right or wrong."""
    premise = fact.statement.format(said)
    premise = premise[0].upper() + premise[1:]
    if fact.kind == "capital":
        question = f"{premise}. On which continent does the capital of {fact.subject} lie?"
        return question, premise, (fact.more,)
    if fact.kind == "author":
        shown = f"The {draw.randint(1990, 2015)} exhibition showed the manuscript of {fact.subject} by {said}."
        question = f"{shown} {fact.question}"
        return question, premise, fact.answers[1:]
    return f"A schoolbook says: {premise}. {fact.question}", premise, fact.answers


def _false_premises(draw: random.Random) -> Iterator[Row]:
    """Every other question rests on a false premise; its neighbour is of the same form and sound."""
    for fact in drawn(draw):
        wrong = false_answer(draw, fact).answer
        state = draw.getstate()
        for sound in (False, True):
            draw.setstate(state)  # the same exhibition for both
            said = fact.answer if sound else wrong
            question, premise, answers = _premise(draw, fact, said)
            yield {
                "question": question,
                "sound": sound,
                "premise": premise,
                "sides": [said.split(" ")[-1], fact.subject],
                "truth": [] if sound else list(fact.answers),
                "answers": list(answers),
                "of": fact.name,
            }


_ENTITY_QUESTIONS = (
    ("the capital of {}", "What is the capital of the country {}?"),
    ("the writer of {}", "Who wrote the novel {}?"),
    ("the river through {}", "Which river runs through the city of {}?"),
    ("the discoverer of {}", "In which year was the chemical element {} discovered?"),
    ("the king of {}", "Who was the first king of {}?"),
)


def _fabricated(draw: random.Random) -> Iterator[Row]:
    """Three questions on invented names, then one on a real one: a model that never answers is told from a careful
    one.
    """
    for fact in drawn(draw):
        for about, question in draw.sample(_ENTITY_QUESTIONS, 3):
            name = prose.invented(draw, 3)
            yield {
                "question": question.format(name),
                "entity": name,
                "about": about.format(name),
                "real": False,
                "answers": [],
                "of": name,
            }
        yield {
            "question": fact.question,
            "entity": fact.subject,
            "about": fact.question,
            "real": True,
            "answers": list(fact.answers),
            "of": fact.name,
        }


def _swapped(draw: random.Random) -> Iterator[Row]:
    """A passage that says otherwise than what everybody knows; the question is about the passage."""
    for fact in drawn(draw):
        wrong = false_answer(draw, fact)
        name = prose.invented(draw, 2)
        before = prose.passage(draw.randint(0, 10**9), 2)
        yield {
            "context": f"{before} In the year of which this is told, the books of {name} say: "
            f"{fact.statement.format(wrong.answer)}. Nobody there has ever heard otherwise.",
            "question": f"{fact.question[:-1]} according to the text?",
            "answers": list(wrong.answers),
            "original": list(fact.answers),
            "of": fact.name,
        }


false_premise = rows_of(_false_premises, "false_premise", 1000)
fabricated_entities = rows_of(_fabricated, "fabricated_entities", 668)
swapped_facts = rows_of(_swapped, "swapped_facts", 500)
