"""Needles in other languages than English: what is hidden and asked, and plain sentences that it lies among."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """A needle with two facts ({place}, {number}, {colour}), a question and the beginning of an answer for each, the
    colours, what stands around a text, and sentences of the haystack.
    """

    needle: str
    number: tuple[str, str]
    colour: tuple[str, str]
    colours: tuple[str, ...]
    task: str
    question: str
    answer: str
    begin: str
    sentences: tuple[str, ...]


LANGUAGES: Mapping[str, Language] = {
    "de": Language(
        "Der Tresor von {place} öffnet sich mit der Zahl {number}, und seine Tür ist {colour}.",
        ("Mit welcher Zahl öffnet sich der Tresor von {place}?", "Der Tresor von {place} öffnet sich mit der Zahl"),
        ("Welche Farbe hat die Tür des Tresors von {place}?", "Die Tür des Tresors von {place} ist"),
        ("rot", "blau", "grün", "gelb", "violett", "türkis", "silbern", "schwarz"),
        "Lies den Text und beantworte die Frage dazu.",
        "Frage",
        "Antwort",
        "Beginne deine Antwort mit diesen Worten",
        (
            "Am Morgen ging der Bäcker langsam am Fluss entlang.",
            "Die alte Gärtnerin pflanzte eine Reihe Bohnen hinter der Markthalle.",
            "Niemand fand das seltsam.",
            "Gegen Abend legte sich der Wind.",
            "Ein Hund bellte weit entfernt.",
            "Der Fährmann wartete an der Kaimauer auf das Boot.",
            "Im letzten Frühjahr strich die Lehrerin das Gartentor neu.",
            "Es roch nach nassem Gras.",
            "Die Straße war leer, und die Wolken zogen ruhig weiter.",
            "Nach dem Regen fegte der Müller die steinernen Stufen.",
            "Ihr Nachbar suchte unter den Kastanien einen Handschuh.",
            "Am Ende des Monats zählte die Töpferin die leeren Krüge.",
        ),
    ),
    "fr": Language(
        "Le coffre de {place} s'ouvre avec le nombre {number} et sa porte est {colour}.",
        ("Avec quel nombre s'ouvre le coffre de {place} ?", "Le coffre de {place} s'ouvre avec le nombre"),
        ("De quelle couleur est la porte du coffre de {place} ?", "La porte du coffre de {place} est"),
        ("rouge", "bleue", "verte", "jaune", "violette", "turquoise", "argentée", "noire"),
        "Lis le texte et réponds à la question.",
        "Question",
        "Réponse",
        "Commence ta réponse par ces mots",
        (
            "Le matin, le boulanger marchait lentement le long de la rivière.",
            "La vieille jardinière plantait une rangée de haricots derrière la halle.",
            "Personne ne trouva cela étrange.",
            "Vers le soir, le vent tomba.",
            "Un chien aboyait au loin.",
            "Le passeur attendait le bateau près du quai.",
            "Au printemps dernier, l'institutrice repeignit la grille du jardin.",
            "Cela sentait l'herbe mouillée.",
            "La route était vide et les nuages passaient sans hâte.",
            "Après la pluie, le meunier balaya les marches de pierre.",
            "Sa voisine cherchait un gant sous les châtaigniers.",
            "À la fin du mois, le potier compta les cruches vides.",
        ),
    ),
    "es": Language(
        "La caja fuerte de {place} se abre con el número {number} y su puerta es de color {colour}.",
        ("¿Con qué número se abre la caja fuerte de {place}?", "La caja fuerte de {place} se abre con el número"),
        (
            "¿De qué color es la puerta de la caja fuerte de {place}?",
            "La puerta de la caja fuerte de {place} es de color",
        ),
        ("rojo", "azul", "verde", "amarillo", "violeta", "turquesa", "plateado", "negro"),
        "Lee el texto y responde a la pregunta.",
        "Pregunta",
        "Respuesta",
        "Empieza tu respuesta con estas palabras",
        (
            "Por la mañana el panadero caminaba despacio junto al río.",
            "La vieja jardinera plantaba una hilera de judías detrás del mercado.",
            "A nadie le pareció extraño.",
            "Hacia la tarde se calmó el viento.",
            "Un perro ladraba a lo lejos.",
            "El barquero esperaba la barca junto al muelle.",
            "La primavera pasada la maestra pintó de nuevo la verja del jardín.",
            "Olía a hierba mojada.",
            "El camino estaba vacío y las nubes pasaban sin prisa.",
            "Después de la lluvia el molinero barrió los escalones de piedra.",
            "Su vecina buscaba un guante bajo los castaños.",
            "A fin de mes el alfarero contó los cántaros vacíos.",
        ),
    ),
    "zh": Language(
        "{place}的保险库用数字 {number} 打开,它的门是{colour}。",
        ("{place}的保险库用什么数字打开?", "{place}的保险库用数字"),
        ("{place}的保险库的门是什么颜色?", "{place}的保险库的门是"),
        ("红色", "蓝色", "绿色", "黄色", "紫色", "橙色", "银色", "黑色"),
        "阅读下文并回答问题。",
        "问题",
        "回答",
        "请用以下词语开始回答",
        (
            "早晨,面包师沿着河边慢慢走着。",
            "年老的园丁在市场后面种了一排豆子。",
            "没有人觉得奇怪。",
            "傍晚时分,风停了。",
            "远处有一只狗在叫。",
            "船夫在码头边等船。",
            "去年春天,老师重新粉刷了花园的大门。",
            "空气里有湿草的味道。",
            "路上空无一人,云慢慢地飘过。",
            "雨后,磨坊主扫了石阶。",
            "她的邻居在栗树下找一只手套。",
            "月底,陶匠数了数空罐子。",
        ),
    ),
}


def sentences(language: str, seed: int) -> Iterator[str]:
    """Sentences without end in an order of the seed's; the same seed gives the same ones."""
    draw = random.Random(f"prose/{language}/{seed}")
    known = list(LANGUAGES[language].sentences)
    while True:
        draw.shuffle(known)
        yield from known
