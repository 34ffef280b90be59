"""No pattern on what a model wrote takes longer than in proportion to its length.

The texts are so long that a pattern which reads them squared would take minutes; then the watchdog ends the test.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Callable, Iterator

import pytest

from evalkit.contract.types import Response
from evalkit.judge import reading
from evalkit.metrics import filters, qa
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.entities import entities
from evalkit.probes import phrases
from evalkit.probes.hallucination import abstains
from evalkit.task.generative_choice import read
from evalkit.text.patterns import Pattern, TooSlow, compiled
from evalkit.text.secrets import mask_text

pytestmark = pytest.mark.slow

LENGTH = 100_000
PIECES = (
    " ", "\n", " \n", "\t", "a", "A", "A ", "aB", "é", "0", "1,", "1.", ".", ",", "-", "$", "#", "#### ", "(", "((A",
    "[",
    "[[", "[[ ", "]]", "[](", "{}", "'", '"', "*_`", ":", ":\n", ": a", "a, ", "a b:", "<think>", "</think>", "<",
    "answer ",
    "answer is ", "Answer: ", "\\boxed{", "option ", "The answer is ", "The answer is 1", "i do not ", "not ", "no ",
    "yes", "is not ", "unknown", "n/", "the ", "The ", "[[A]] ",
    "A is ", "is much ", "verdict: ", "the first answer ", "I prefer ", "better ", "1. a ", "8/", "grade ", "1 to ",
    "api_key=", "Bearer ", "eyJ", "a://", "?key=", "\u3000",
)  # fmt: skip
TEXTS = [(piece * LENGTH)[:LENGTH] for piece in PIECES]
TEXTS += ["answer" + " " * LENGTH + "x", "[[" + " " * LENGTH + "]", "\n" * LENGTH + "b", "A" + " " * LENGTH + "1"]


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """A hang shows where it hangs, and ends."""
    faulthandler.dump_traceback_later(240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def shipped() -> list[str]:
    """Every pattern of a task that ships."""
    found: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                if key == "regex_pattern":
                    found.add(str(one))
                elif key == "regexes_to_ignore":
                    found.update(map(str, one))
                else:
                    look(one)
        elif isinstance(value, list | tuple):
            for one in value:
                look(one)

    from evalkit.store.paths import share
    from evalkit.text.reading import read_yaml

    for file in share("tasks").rglob("*.yaml"):
        look(read_yaml(file).data)
    return sorted(found)


RULES: dict[str, Callable[[str], object]] = {
    "letter_or_text": lambda text: read(text, ["one", "two", "three", "four"]),
    "strip_thinking": filters.strip_thinking(),
    "first_paragraph": filters.first_paragraph,
    "regex": filters.regex(),
    "preference": lambda text: reading.preference(Response(text=text)),
    "grade": lambda text: reading.grade(Response(text=text)),
    "yes_or_no": lambda text: reading.yes_or_no(Response(text=text)),
    "abstains": abstains,
    "negated": phrases.negated,
    "not_there": phrases.not_there,
    "refutes": lambda text: phrases.refutes(text, "Tokyo is the capital of Norway"),
    "affirms": lambda text: phrases.affirms(text, ["no", "A"]),
    "corrects_to_another": lambda text: phrases.corrects_to_another(text, "Who wrote Hamlet?"),
    "entities": entities,
    "squad": qa.normalize_squad,
    "triviaqa": qa.normalize_triviaqa,
    "mask_text": mask_text,
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_of_ours_reads_each_text_once(name: str) -> None:
    for text in TEXTS:
        RULES[name](text)


def test_there_are_patterns_to_look_at() -> None:
    assert len(shipped()) > 10


@pytest.mark.parametrize("pattern", shipped())
def test_a_task_s_pattern_needs_no_more_than_a_second(pattern: str) -> None:
    quick = Pattern(pattern, limit=1.0)  # seconds of the package regex itself; no clock of the test's
    for text in TEXTS:
        quick.findall(text)
        quick.sub("", text)


def test_a_pattern_of_the_user_s_is_stopped() -> None:
    slow = Pattern(r"(a|aa)+$", limit=0.2)
    with pytest.raises(TooSlow, match="on a text of 5001 characters"):
        slow.findall("a" * 5000 + "b")
    with pytest.raises(TooSlow):
        slow.sub("", "a" * 5000 + "b")


def test_a_slow_pattern_costs_its_item_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.text.patterns.LIMIT_SECONDS", 0.2)
    one = ScoringInput(target="x", text="a" * 5000 + "b", args={"regexes_to_ignore": [r"(a|aa)+$"]})
    monkeypatch.setattr("evalkit.metrics.qa.compiled", lambda source: Pattern(source, 0.2))
    with pytest.raises(ValueError, match="takes more than"):
        qa.exact_match_sample(one)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"#### (\-?[0-9\.\,]+)", "x #### 1,234.5 y"),
        (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "cost $29.00. or 7, -3"),
        (r"", "ab"),
        (r"\b", "a b"),
        (r"(?i)yes|(?P<n>no)", "Yes NO no"),
        (r"[][(){}<>]", "([a]) <b>"),
        (r"(a)(b)?", "ab a"),
        (r"^x$|\Z", "x\n"),
        (r"[a&&b]", "a&b"),
    ],
)
def test_patterns_mean_what_they_mean_to_python(pattern: str, text: str) -> None:
    import re

    assert compiled(pattern).findall(text) == re.findall(pattern, text)
    assert compiled(pattern).sub("_", text) == re.sub(pattern, "_", text)


@pytest.mark.parametrize("pattern", ["(", "*a", "(?P<n>a)(?P<n>b)", r"\p{L}", "[[:alpha:]"])
def test_what_python_refuses_is_refused(pattern: str) -> None:
    import re

    try:
        re.compile(pattern)
    except re.error:
        with pytest.raises(re.error):
            Pattern(pattern)


def test_word_sorting_finds_the_same_words_as_before() -> None:
    import re

    (found,) = [one for one in shipped() if "[ ,]+[a-z]+" in one]
    before = re.compile(r"(?:^|[\n:])\s*([a-z]+(?:[ ,]+[a-z]+)+)")
    now = compiled(found)
    for text in (
        "b a c",
        "Sorted: a b",
        "x\n\n a, b",
        "1:\n\n\n a b:c d",
        " \n a b",
        "A b c",
        "::a b",
        "a\nb c",
        ":\n:\n d e",
    ):
        assert now.findall(text) == before.findall(text), text
