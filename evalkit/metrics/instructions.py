"""Instructions whose following a program can check: the 25 kinds of IFEval, each by its name in the data.

The rules are those of Zhou et al. 2023 (arXiv 2311.07911) as lm-evaluation-harness 0.4.13 has them, odd corners
included (what counts as a bullet, a highlight, a paragraph), and tests hold them to its verdicts. Keywords, names of
sections and postscript marks are regular expressions there, and so they are here. One rule differs: where the data ask
for the count of a sign that is no letter from a to z, that sign is counted; the others count a letter drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.splitting import language, require_languages, sentence_splitter, sentences, words
from evalkit.text.patterns import compiled
from evalkit.text.reading import Malformed, parse_json

Args = Mapping[str, Any]
_WORD = re.compile(r"\w+")
_HIGHLIGHT = re.compile(r"\*[^\n*]*\*")
_STRONG = re.compile(r"\*\*[^\n*]*\*\*")
_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s"}
_FIXED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")
_ENDS_WORD = frozenset(".,?!'\"")


def follows(kind: str, text: str, args: Args) -> bool:
    """Whether a text follows an instruction of ``kind`` ("punctuation:no_comma") with the data's ``args``; an empty
    text follows none. UserError for a kind that is not known, and for arguments that it lacks or that make no sense.
    """
    check = KINDS.get(kind)
    if check is None:
        raise UserError(f"IFEval knows no instruction {str(kind)[:60]!r}; it knows {', '.join(sorted(KINDS))}")
    if not text.strip():
        return False
    try:
        return check(text, args)
    except (KeyError, AttributeError, TypeError, re.error) as error:
        raise UserError(f"IFEval's instruction {kind}: arguments {dict(args)!r} do not fit ({error})") from None


def require() -> None:
    """UserError where a package, or nltk's sentence splitter, is missing that some kinds need."""
    sentence_splitter()
    require_languages()


def _compared(count: int, relation: str, limit: int) -> bool:
    if relation not in ("less than", "at least"):
        raise TypeError(f"the relation is {relation!r}, not 'less than' or 'at least'")
    return count < limit if relation == "less than" else count >= limit


# -- words and letters ---------------------------------------------------------------------------------------------


def _keywords(text: str, args: Args) -> bool:
    return all(compiled(f"(?i:{one})").search(text) for one in args["keywords"])


def _keyword_frequency(text: str, args: Args) -> bool:
    found = compiled(f"(?i:{args['keyword'].strip()})").findall(text)
    return _compared(len(found), args["relation"], args["frequency"])


def _forbidden(text: str, args: Args) -> bool:
    return not any(compiled(rf"(?i:\b{one}\b)").search(text) for one in args["forbidden_words"])


def _letter_frequency(text: str, args: Args) -> bool:
    return _compared(text.lower().count(args["letter"].lower()), args["let_relation"], args["let_frequency"])


def _capital_words(text: str, args: Args) -> bool:
    count = sum(word.isupper() for word in words(text))
    return _compared(count, args["capital_relation"], args["capital_frequency"])


def _no_comma(text: str, args: Args) -> bool:
    return "," not in text


# -- language and case ---------------------------------------------------------------------------------------------


def _language(text: str, args: Args) -> bool:
    """What gives nothing to go by counts as followed."""
    return language(text) in (args["language"], None)


def _upper(text: str, args: Args) -> bool:
    return text.isupper() and language(text) in ("en", None)


def _lower(text: str, args: Args) -> bool:
    return text.islower() and language(text) in ("en", None)


# -- lengths -------------------------------------------------------------------------------------------------------


def _sentences(text: str, args: Args) -> bool:
    return _compared(len(sentences(text)), args["relation"], args["num_sentences"])


def _words(text: str, args: Args) -> bool:
    return _compared(len(_WORD.findall(text)), args["relation"], args["num_words"])


def _paragraphs(text: str, args: Args) -> bool:
    """Between dividers of three asterisks; an empty one may only stand first or last."""
    parts = [bool(part.strip()) for part in _DIVIDER.split(text)]
    return all(parts[1:-1]) and sum(parts) == args["num_paragraphs"]


def _first_word(text: str, args: Args) -> bool:
    """Paragraphs between blank lines; the n-th of all parts, empty ones counted, begins with the word."""
    parts = text.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    place = args["nth_paragraph"]
    if not 1 <= place <= count or not (paragraph := parts[place - 1].strip()):
        return False
    word = paragraph.split()[0].lstrip("'").lstrip('"').lower()
    end = next((at for at, letter in enumerate(word) if letter in _ENDS_WORD), len(word))
    return count == args["num_paragraphs"] and word[:end] == args["first_word"].lower()


# -- contents and format -------------------------------------------------------------------------------------------


def _placeholders(text: str, args: Args) -> bool:
    return sum(_brackets(line) for line in text.split("\n")) >= args["num_placeholders"]


def _brackets(line: str) -> int:
    """How many [...] stand one behind the other in a line."""
    count, at = 0, 0
    while (start := line.find("[", at)) >= 0 and (end := line.find("]", start + 1)) >= 0:
        count, at = count + 1, end + 1
    return count


def _postscript(text: str, args: Args) -> bool:
    mark = args["postscript_marker"].strip()
    return compiled(_POSTSCRIPTS.get(mark, mark.lower())).search(text.lower())


def _bullets(text: str, args: Args) -> bool:
    return _lines_of(text, "*") + _lines_of(text, "-") == args["num_bullets"]


def _lines_of(text: str, sign: str) -> int:
    """Lines that begin with a bullet, read once: blank space goes before it; behind "*" stands a character other than
    "*", which may be the line's end, and then the next line belongs to the bullet.
    """
    count, at, size = 0, 0, len(text)
    while at < size:
        while at < size and text[at].isspace():
            at += 1
        if text[at : at + 1] == sign and (sign == "-" or text[at + 1 : at + 2] not in ("", "*")):
            count += 1
            at += 1 if sign == "-" else 2
        line_end = text.find("\n", at)
        at = size if line_end < 0 else line_end + 1
    return count


def _fixed_answer(text: str, args: Args) -> bool:
    return any(one in text for one in _FIXED_ANSWERS)


def _highlights(text: str, args: Args) -> bool:
    found = [one.strip("*") for one in _HIGHLIGHT.findall(text)]
    found += [one[2:-2] for one in _STRONG.findall(text)]
    return sum(bool(one.strip()) for one in found) >= args["num_highlights"]


def _sections(text: str, args: Args) -> bool:
    mark = args["section_spliter"].strip()  # the data's spelling
    return len(compiled(rf"\s?{mark}\s?\d+\s?").findall(text)) >= args["num_sections"]


def _json(text: str, args: Args) -> bool:
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        parse_json(text.removesuffix("```").strip())
    except Malformed:
        return False
    return True


def _title(text: str, args: Args) -> bool:
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if start >= 0 and start + 3 <= end and line[start:end].lstrip("<").rstrip(">").strip():
            return True
    return False


# -- the whole answer ----------------------------------------------------------------------------------------------


def _two_responses(text: str, args: Args) -> bool:
    parts = [part.strip() for part in text.split("******")]
    said = [part for part in parts if part]
    return all(parts[1:-1]) and len(said) == 2 and said[0] != said[1]


def _repeats_prompt(text: str, args: Args) -> bool:
    return text.strip().lower().startswith(args["prompt_to_repeat"].strip().lower())


def _ends_with(text: str, args: Args) -> bool:
    return text.strip().strip('"').lower().endswith(args["end_phrase"].strip().lower())


def _quoted(text: str, args: Args) -> bool:
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


KINDS: Mapping[str, Callable[[str, Args], bool]] = {
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _upper,
    "change_case:english_lowercase": _lower,
    "combination:repeat_prompt": _repeats_prompt,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _fixed_answer,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _keywords,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _keyword_frequency,
    "keywords:letter_frequency": _letter_frequency,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_words": _words,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _ends_with,
    "startend:quotation": _quoted,
}
"""By the data's names: whether a text, not empty, follows the instruction."""
