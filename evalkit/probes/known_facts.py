"""More than five hundred facts that everybody can check, as the ground of generated probes: capitals, currencies,
authors, symbols and atomic numbers of elements. A false answer is another fact's of the same kind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

_CAPITALS = """
Europe: Albania/Tirana, Austria/Vienna, Belarus/Minsk, Belgium/Brussels, Bosnia and Herzegovina/Sarajevo,
Bulgaria/Sofia, Croatia/Zagreb, Czechia/Prague, Denmark/Copenhagen, Estonia/Tallinn, Finland/Helsinki,
France/Paris, Germany/Berlin, Greece/Athens, Hungary/Budapest, Iceland/Reykjavik, Ireland/Dublin, Italy/Rome,
Latvia/Riga, Liechtenstein/Vaduz, Lithuania/Vilnius, Malta/Valletta, Moldova/Chisinau, Montenegro/Podgorica,
North Macedonia/Skopje, Norway/Oslo, Poland/Warsaw, Portugal/Lisbon, Romania/Bucharest, Serbia/Belgrade,
Slovakia/Bratislava, Slovenia/Ljubljana, Spain/Madrid, Sweden/Stockholm, Switzerland/Bern, Ukraine/Kyiv,
Andorra/Andorra la Vella, Netherlands/Amsterdam
Asia: Afghanistan/Kabul, Bahrain/Manama, Bangladesh/Dhaka, Bhutan/Thimphu, Cambodia/Phnom Penh, China/Beijing,
India/New Delhi, Iran/Tehran, Iraq/Baghdad, Japan/Tokyo, Jordan/Amman, Kyrgyzstan/Bishkek, Laos/Vientiane,
Lebanon/Beirut, Malaysia/Kuala Lumpur, Maldives/Malé, Mongolia/Ulaanbaatar, Myanmar/Naypyidaw, Nepal/Kathmandu,
North Korea/Pyongyang, Oman/Muscat, Pakistan/Islamabad, Philippines/Manila, Qatar/Doha, Saudi Arabia/Riyadh,
South Korea/Seoul, Syria/Damascus, Tajikistan/Dushanbe, Thailand/Bangkok, Turkmenistan/Ashgabat,
United Arab Emirates/Abu Dhabi, Uzbekistan/Tashkent, Vietnam/Hanoi, Brunei/Bandar Seri Begawan
Africa: Algeria/Algiers, Angola/Luanda, Botswana/Gaborone, Burkina Faso/Ouagadougou, Cameroon/Yaoundé,
Cape Verde/Praia, Central African Republic/Bangui, Chad/N'Djamena, Comoros/Moroni, Egypt/Cairo, Eritrea/Asmara,
Ethiopia/Addis Ababa, Gabon/Libreville, Gambia/Banjul, Ghana/Accra, Guinea/Conakry, Guinea-Bissau/Bissau,
Kenya/Nairobi, Lesotho/Maseru, Liberia/Monrovia, Libya/Tripoli, Madagascar/Antananarivo, Malawi/Lilongwe,
Mali/Bamako, Mauritania/Nouakchott, Mauritius/Port Louis, Morocco/Rabat, Mozambique/Maputo, Namibia/Windhoek,
Niger/Niamey, Nigeria/Abuja, Rwanda/Kigali, Senegal/Dakar, Seychelles/Victoria, Sierra Leone/Freetown,
Somalia/Mogadishu, South Sudan/Juba, Sudan/Khartoum, Tanzania/Dodoma, Togo/Lomé, Tunisia/Tunis, Uganda/Kampala,
Zambia/Lusaka, Zimbabwe/Harare
North America: Bahamas/Nassau, Barbados/Bridgetown, Belize/Belmopan, Canada/Ottawa, Costa Rica/San José,
Cuba/Havana, Dominica/Roseau, Dominican Republic/Santo Domingo, El Salvador/San Salvador, Grenada/St. George's,
Haiti/Port-au-Prince, Honduras/Tegucigalpa, Jamaica/Kingston, Nicaragua/Managua, Saint Lucia/Castries,
Saint Kitts and Nevis/Basseterre, Saint Vincent and the Grenadines/Kingstown, Trinidad and Tobago/Port of Spain,
United States/Washington
South America: Argentina/Buenos Aires, Brazil/Brasília, Chile/Santiago, Colombia/Bogotá, Ecuador/Quito,
Guyana/Georgetown, Paraguay/Asunción, Peru/Lima, Suriname/Paramaribo, Uruguay/Montevideo, Venezuela/Caracas
Oceania: Australia/Canberra, Fiji/Suva, Kiribati/Tarawa, Marshall Islands/Majuro, Micronesia/Palikir,
New Zealand/Wellington, Palau/Ngerulmud, Papua New Guinea/Port Moresby, Samoa/Apia, Solomon Islands/Honiara,
Tonga/Nuku'alofa, Tuvalu/Funafuti, Vanuatu/Port Vila
"""
_CURRENCIES = """
Afghanistan/afghani, Albania/lek, Algeria/dinar, Angola/kwanza, Argentina/peso, Armenia/dram, Azerbaijan/manat,
Bangladesh/taka, Bhutan/ngultrum, Bolivia/boliviano, Botswana/pula, Brazil/real, Burundi/franc, Cambodia/riel,
China/renminbi, Costa Rica/colón, Czechia/koruna, Denmark/krone, Eswatini/lilangeni, Ethiopia/birr,
Gambia/dalasi, Georgia/lari, Ghana/cedi, Guatemala/quetzal, Haiti/gourde, Honduras/lempira, Hungary/forint,
Iceland/króna, India/rupee, Indonesia/rupiah, Iran/rial, Israel/shekel, Japan/yen, Kazakhstan/tenge,
Kenya/shilling, Kyrgyzstan/som, Laos/kip, Lesotho/loti, Madagascar/ariary, Malawi/kwacha, Malaysia/ringgit,
Maldives/rufiyaa, Mauritania/ouguiya, Moldova/leu, Mongolia/tögrög, Morocco/dirham, Mozambique/metical,
Myanmar/kyat, Nicaragua/córdoba, Nigeria/naira, North Macedonia/denar, Papua New Guinea/kina, Paraguay/guaraní,
Peru/sol, Poland/złoty, Samoa/tala, Saudi Arabia/riyal, Sierra Leone/leone, South Africa/rand, South Korea/won,
Sweden/krona, Switzerland/franc, Tajikistan/somoni, Thailand/baht, Turkey/lira, Ukraine/hryvnia, Vanuatu/vatu,
Vietnam/dong
"""
_WORKS = """
Hamlet/William Shakespeare, Pride and Prejudice/Jane Austen, War and Peace/Leo Tolstoy,
Don Quixote/Miguel de Cervantes, Faust/Johann Wolfgang von Goethe, Moby-Dick/Herman Melville,
Frankenstein/Mary Shelley, The Metamorphosis/Franz Kafka, Oliver Twist/Charles Dickens,
Crime and Punishment/Fyodor Dostoevsky, Jane Eyre/Charlotte Brontë, Wuthering Heights/Emily Brontë,
A Doll's House/Henrik Ibsen, Les Misérables/Victor Hugo, The Divine Comedy/Dante Alighieri,
Gulliver's Travels/Jonathan Swift, Dracula/Bram Stoker, The Raven/Edgar Allan Poe, Candide/Voltaire,
Ulysses/James Joyce, Little Women/Louisa May Alcott, Treasure Island/Robert Louis Stevenson,
Madame Bovary/Gustave Flaubert, The Cherry Orchard/Anton Chekhov, Robinson Crusoe/Daniel Defoe,
The Scarlet Letter/Nathaniel Hawthorne, Leaves of Grass/Walt Whitman,
The Adventures of Huckleberry Finn/Mark Twain, The Time Machine/H. G. Wells, Heart of Darkness/Joseph Conrad,
The Picture of Dorian Gray/Oscar Wilde, Middlemarch/George Eliot, Vanity Fair/William Makepeace Thackeray,
Alice's Adventures in Wonderland/Lewis Carroll, Peter Pan/J. M. Barrie, The Jungle Book/Rudyard Kipling,
Twenty Thousand Leagues Under the Seas/Jules Verne, The Count of Monte Cristo/Alexandre Dumas,
Germinal/Émile Zola, Bel-Ami/Guy de Maupassant, Tartuffe/Molière, Phèdre/Jean Racine,
Fathers and Sons/Ivan Turgenev, Dead Souls/Nikolai Gogol, Eugene Onegin/Alexander Pushkin,
Doctor Zhivago/Boris Pasternak, The Master and Margarita/Mikhail Bulgakov, Lolita/Vladimir Nabokov,
The Magic Mountain/Thomas Mann, Steppenwolf/Hermann Hesse, All Quiet on the Western Front/Erich Maria Remarque,
The Tin Drum/Günter Grass, Mother Courage and Her Children/Bertolt Brecht, The Robbers/Friedrich Schiller,
Nathan the Wise/Gotthold Ephraim Lessing, Effi Briest/Theodor Fontane, The Stranger/Albert Camus,
Nausea/Jean-Paul Sartre, The Little Prince/Antoine de Saint-Exupéry, In Search of Lost Time/Marcel Proust,
Waiting for Godot/Samuel Beckett, The Name of the Rose/Umberto Eco, The Decameron/Giovanni Boccaccio,
The Prince/Niccolò Machiavelli, Pinocchio/Carlo Collodi, One Hundred Years of Solitude/Gabriel García Márquez,
The House of the Spirits/Isabel Allende, Ficciones/Jorge Luis Borges, Hopscotch/Julio Cortázar,
Blood Wedding/Federico García Lorca, The Aeneid/Virgil, The Odyssey/Homer, Antigone/Sophocles, Medea/Euripides,
The Republic/Plato, The Canterbury Tales/Geoffrey Chaucer, Paradise Lost/John Milton,
Doctor Faustus/Christopher Marlowe, The Rime of the Ancient Mariner/Samuel Taylor Coleridge,
Ivanhoe/Walter Scott, The Great Gatsby/F. Scott Fitzgerald, The Old Man and the Sea/Ernest Hemingway,
The Grapes of Wrath/John Steinbeck, The Sound and the Fury/William Faulkner,
The Catcher in the Rye/J. D. Salinger, To Kill a Mockingbird/Harper Lee, Death of a Salesman/Arthur Miller,
A Streetcar Named Desire/Tennessee Williams, Our Town/Thornton Wilder, Walden/Henry David Thoreau,
The Call of the Wild/Jack London, The Age of Innocence/Edith Wharton, The Portrait of a Lady/Henry James,
Beloved/Toni Morrison, Slaughterhouse-Five/Kurt Vonnegut, Fahrenheit 451/Ray Bradbury, Dune/Frank Herbert,
On the Road/Jack Kerouac, Catch-22/Joseph Heller, Brave New World/Aldous Huxley, Animal Farm/George Orwell,
Lord of the Flies/William Golding, The Hobbit/J. R. R. Tolkien, A Passage to India/E. M. Forster,
Mrs Dalloway/Virginia Woolf, Sons and Lovers/D. H. Lawrence, Brideshead Revisited/Evelyn Waugh,
Rebecca/Daphne du Maurier, Murder on the Orient Express/Agatha Christie, Pygmalion/George Bernard Shaw,
The Waste Land/T. S. Eliot, Things Fall Apart/Chinua Achebe, Midnight's Children/Salman Rushdie,
The God of Small Things/Arundhati Roy, Gitanjali/Rabindranath Tagore, The Tale of Genji/Murasaki Shikibu,
Snow Country/Yasunari Kawabata, Norwegian Wood/Haruki Murakami, Hunger/Knut Hamsun,
Miss Julie/August Strindberg, Pippi Longstocking/Astrid Lindgren, The Snow Queen/Hans Christian Andersen,
Quo Vadis/Henryk Sienkiewicz, Solaris/Stanisław Lem, The Good Soldier Švejk/Jaroslav Hašek,
The Unbearable Lightness of Being/Milan Kundera, Zorba the Greek/Nikos Kazantzakis,
The Handmaid's Tale/Margaret Atwood, Anne of Green Gables/Lucy Maud Montgomery
"""
_ELEMENTS = """
hydrogen/H, helium/He, lithium/Li, beryllium/Be, boron/B, carbon/C, nitrogen/N, oxygen/O, fluorine/F, neon/Ne,
sodium/Na, magnesium/Mg, aluminium/Al, silicon/Si, phosphorus/P, sulfur/S, chlorine/Cl, argon/Ar, potassium/K,
calcium/Ca, scandium/Sc, titanium/Ti, vanadium/V, chromium/Cr, manganese/Mn, iron/Fe, cobalt/Co, nickel/Ni,
copper/Cu, zinc/Zn, gallium/Ga, germanium/Ge, arsenic/As, selenium/Se, bromine/Br, krypton/Kr, rubidium/Rb,
strontium/Sr, yttrium/Y, zirconium/Zr, niobium/Nb, molybdenum/Mo, technetium/Tc, ruthenium/Ru, rhodium/Rh,
palladium/Pd, silver/Ag, cadmium/Cd, indium/In, tin/Sn, antimony/Sb, tellurium/Te, iodine/I, xenon/Xe,
caesium/Cs, barium/Ba, lanthanum/La, cerium/Ce, praseodymium/Pr, neodymium/Nd, promethium/Pm, samarium/Sm,
europium/Eu, gadolinium/Gd, terbium/Tb, dysprosium/Dy, holmium/Ho, erbium/Er, thulium/Tm, ytterbium/Yb,
lutetium/Lu, hafnium/Hf, tantalum/Ta, tungsten/W, rhenium/Re, osmium/Os, iridium/Ir, platinum/Pt, gold/Au,
mercury/Hg, thallium/Tl, lead/Pb, bismuth/Bi, polonium/Po, astatine/At, radon/Rn, francium/Fr, radium/Ra,
actinium/Ac, thorium/Th, protactinium/Pa, uranium/U, neptunium/Np, plutonium/Pu, americium/Am, curium/Cm,
berkelium/Bk, californium/Cf, einsteinium/Es, fermium/Fm, mendelevium/Md, nobelium/No, lawrencium/Lr,
rutherfordium/Rf, dubnium/Db, seaborgium/Sg, bohrium/Bh, hassium/Hs, meitnerium/Mt, darmstadtium/Ds,
roentgenium/Rg, copernicium/Cn, nihonium/Nh, flerovium/Fl, moscovium/Mc, livermorium/Lv, tennessine/Ts,
oganesson/Og
"""
_WORDS = frozenset(
    ["He", "Be", "In", "As", "At", "No", "Am", "Ho", "Pa", "Os", "Es", "La", "Er", "Po", "Mo", "Lu", "Ne", "Al"]
)
"""Symbols that are words, or too near one, to be told in a sentence."""


@dataclass(frozen=True, slots=True)
class Fact:
    """``statement`` has {} where the answer stands; ``question`` asks for it. ``answers`` are the ways to say it."""

    kind: str
    subject: str
    answer: str
    answers: tuple[str, ...]
    statement: str
    question: str
    more: str = ""
    """Of capitals: the continent."""

    @property
    def name(self) -> str:
        """What names the fact among all."""
        return f"{self.kind}/{self.subject}"


def _pairs(table: str) -> list[tuple[str, str]]:
    rows = [row.strip().rstrip(",") for row in table.replace(",\n", ", ").split(", ")]
    return [(one, other) for one, _, other in (row.partition("/") for row in rows if row)]


def _capitals() -> Iterator[Fact]:
    for line in _CAPITALS.strip().replace(",\n", ", ").split("\n"):
        continent, _, rest = line.partition(": ")
        for country, city in _pairs(rest):
            yield Fact("capital", country, city, (city,), f"{{}} is the capital of {country}",
                       f"What is the capital of {country}?", continent)  # fmt: skip


def _made() -> Iterator[Fact]:
    yield from _capitals()
    for country, currency in _pairs(_CURRENCIES):
        yield Fact("currency", country, currency, (currency,), f"the {{}} is the currency of {country}",
                   f"What is the currency of {country} called?")  # fmt: skip
    for title, maker in _pairs(_WORKS):
        surname = maker.split(" ")[-1]
        yield Fact("author", title, maker, (maker, surname), f"{{}} wrote {title}",
                   f"What is the surname of the person who wrote {title}?")  # fmt: skip
    for number, (element, symbol) in enumerate(_pairs(_ELEMENTS), 1):
        if len(symbol) == 2 and symbol not in _WORDS:
            yield Fact("symbol", element, symbol, (symbol,), f"{{}} is the chemical symbol of {element}",
                       f"What is the chemical symbol of {element}?")  # fmt: skip
        yield Fact("number", element, str(number), (str(number),), f"{{}} is the atomic number of {element}",
                   f"What is the atomic number of {element}?")  # fmt: skip


FACTS = tuple(_made())


def drawn(draw: random.Random) -> Iterator[Fact]:
    """All facts in a random order, again and again: none comes a second time before all have come once."""
    while True:
        yield from draw.sample(FACTS, len(FACTS))


def false_answer(draw: random.Random, fact: Fact) -> Fact:
    """Another fact of the kind, with another answer; of capitals, on another continent."""
    return draw.choice(
        [
            one
            for one in FACTS
            if one.kind == fact.kind and one.answer != fact.answer and (not fact.more or one.more != fact.more)
        ]
    )
