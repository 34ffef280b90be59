"""A few facts that everybody can check, as the ground of generated probes: capitals, makers, symbols."""

from __future__ import annotations

from typing import NamedTuple


class Capital(NamedTuple):
    """A country, its capital and its continent."""

    country: str
    city: str
    continent: str


class Work(NamedTuple):
    """A work or invention and who made it."""

    title: str
    kind: str
    maker: str
    surname: str


CAPITALS = tuple(
    Capital(*row.split("/"))
    for row in (
        "France/Paris/Europe",
        "Japan/Tokyo/Asia",
        "Egypt/Cairo/Africa",
        "Peru/Lima/South America",
        "Canada/Ottawa/North America",
        "Kenya/Nairobi/Africa",
        "Norway/Oslo/Europe",
        "Thailand/Bangkok/Asia",
        "Chile/Santiago/South America",
        "Cuba/Havana/North America",
        "Portugal/Lisbon/Europe",
        "Vietnam/Hanoi/Asia",
        "Ghana/Accra/Africa",
        "Uruguay/Montevideo/South America",
        "Jamaica/Kingston/North America",
        "Finland/Helsinki/Europe",
        "Nepal/Kathmandu/Asia",
        "Senegal/Dakar/Africa",
        "Ecuador/Quito/South America",
        "Poland/Warsaw/Europe",
        "Mongolia/Ulaanbaatar/Asia",
        "Tunisia/Tunis/Africa",
        "Venezuela/Caracas/South America",
        "Ireland/Dublin/Europe",
    )
)
WORKS = tuple(
    Work(*row.split("/"))
    for row in (
        "Hamlet/the play/William Shakespeare/Shakespeare",
        "Pride and Prejudice/the novel/Jane Austen/Austen",
        "War and Peace/the novel/Leo Tolstoy/Tolstoy",
        "Don Quixote/the novel/Miguel de Cervantes/Cervantes",
        "Faust/the play/Johann Wolfgang von Goethe/Goethe",
        "Moby-Dick/the novel/Herman Melville/Melville",
        "Frankenstein/the novel/Mary Shelley/Shelley",
        "The Metamorphosis/the story/Franz Kafka/Kafka",
        "Oliver Twist/the novel/Charles Dickens/Dickens",
        "The Odyssey/the poem/Homer/Homer",
        "Crime and Punishment/the novel/Fyodor Dostoevsky/Dostoevsky",
        "Jane Eyre/the novel/Charlotte Brontë/Brontë",
        "A Doll's House/the play/Henrik Ibsen/Ibsen",
        "Les Misérables/the novel/Victor Hugo/Hugo",
        "The Divine Comedy/the poem/Dante Alighieri/Dante",
        "Gulliver's Travels/the novel/Jonathan Swift/Swift",
        "Dracula/the novel/Bram Stoker/Stoker",
        "The Raven/the poem/Edgar Allan Poe/Poe",
        "Candide/the story/Voltaire/Voltaire",
        "Ulysses/the novel/James Joyce/Joyce",
        "Little Women/the novel/Louisa May Alcott/Alcott",
        "Treasure Island/the novel/Robert Louis Stevenson/Stevenson",
        "Madame Bovary/the novel/Gustave Flaubert/Flaubert",
        "The Cherry Orchard/the play/Anton Chekhov/Chekhov",
    )
)
