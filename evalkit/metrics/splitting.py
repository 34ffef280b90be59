"""Sentences and words as nltk splits them, and the language of a text by langdetect: what some rules are made with."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError

FETCH = "python -m nltk.downloader punkt_tab"
_CARRIER, _INSIDE = "llama_index.core", Path("_static", "nltk_cache")
"""A package that carries nltk's sentence splitter, for machines that cannot fetch it."""


@cache
def sentence_splitter() -> Any:
    """nltk's Punkt for English, as its ``punkt_tab`` data taught it: from nltk's folders, else from the package
    llama-index-core where that is installed (its folder is added to nltk's). UserError where it is in neither.
    """
    try:
        import nltk
        from nltk.tokenize.punkt import PunktTokenizer
    except ImportError as error:
        raise MissingExtra("a rule on sentences", "nltk", "ifeval") from error
    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        if (folder := _carried()) is None:
            raise UserError(
                f"nltk's sentence splitter is not there; fetch it with: {FETCH} (without a network: copy ~/nltk_data, "
                "name its folder in NLTK_DATA, or pip install --no-deps llama-index-core, which carries it)"
            ) from None
        nltk.data.path.append(str(folder))
    return PunktTokenizer("english")


def _carried() -> Path | None:
    try:
        spec = find_spec(_CARRIER)
    except ModuleNotFoundError:
        return None
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    found = [Path(one) / _INSIDE for one in folders]
    return next((one for one in found if (one / "tokenizers" / "punkt_tab" / "english").is_dir()), None)


def sentences(text: str) -> list[str]:
    """A text's sentences."""
    return list(sentence_splitter().tokenize(text))


def words(text: str) -> list[str]:
    """A text's words and signs by nltk's ``word_tokenize``, sentence by sentence."""
    sentence_splitter()
    from nltk import word_tokenize

    return list(word_tokenize(text))


@cache
def _languages() -> Any:
    try:
        from langdetect import PROFILES_DIRECTORY
        from langdetect.detector_factory import DetectorFactory
    except ImportError as error:
        raise MissingExtra("a rule on languages", "langdetect", "ifeval") from error
    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    # langdetect draws at random; of one seed it says the same of a text each time.
    factory.set_seed(0)
    return factory


def require_languages() -> None:
    """MissingExtra without langdetect."""
    _languages()


def language(text: str) -> str | None:
    """A text's language by langdetect, such as "en", its draws from seed 0; None where it finds nothing to go by."""
    from langdetect.lang_detect_exception import LangDetectException

    detector = _languages().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


def versions() -> str:
    """What sentences and languages were found by, for signatures."""
    from importlib.metadata import version

    return f"sent:nltk-{version('nltk')}|lang:langdetect-{version('langdetect')}"
