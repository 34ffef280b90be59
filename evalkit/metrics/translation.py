"""BLEU, chrF, chrF++ and TER as sacrebleu computes them, kept as sufficient statistics a sentence; METEOR.

Statistics add up over sentences, and BLEU, chrF and TER are functions of the sums, so that intervals and paired tests
draw sentences jointly (Koehn 2004, "Statistical significance tests for machine translation evaluation"). The statistics
of one sentence are computed once, however many entries of a task ask for them, and chrF's with chrF++'s.

The tokenizer of BLEU follows the target language (``args: {target_language: zh}``) unless ``args: {tokenize: NAME}``
names one of sacrebleu's; TER splits Chinese and Japanese by sacrebleu's Asian support. Every result carries sacrebleu's
own signature. Statistics end with the number of references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.metrics.base import Metric, ScoringInput, share_metric, shared
from evalkit.metrics.qa import texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums = NDArray[np.float64]

TOKENIZERS: Mapping[str, str] = {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}
"""By target language; 13a for all others, as sacrebleu chooses."""
_LANGUAGES: Mapping[str, str] = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue", "wuu", "hak", "gan", "hsn", "nan", "lzh", "chinese"), "zh"),
    **dict.fromkeys(("ja", "jpn", "jp", "japanese"), "ja"),
    **dict.fromkeys(("ko", "kor", "korean"), "ko"),
}
"""Codes of ISO 639 and English names, for what sacrebleu has a tokenizer for; the Chinese languages count as one."""
BY_LANGUAGE = ("bleu", "ter")
"""Metrics whose tokenizer follows ``args: {target_language: ...}``."""
KNOWN = ("13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spm", "spBLEU-1K")
_PACKAGES = {"ja-mecab": "mecab-python3 with ipadic", "ko-mecab": "mecab-ko"}
EXTRA = "translation"
BLEU_STATISTICS = 10
"""System length, reference length, 4 counts of matching n-grams, 4 counts of the system's n-grams."""
CHRF_ORDER = 6


def language_of(args: Mapping[str, Any]) -> str:
    """``target_language`` as "zh", "ja" or "ko"; "" for all others. Of "zh-CN", "cmn" or "zho_Hans" it is "zh"; what is
    written in Latin letters ("nan_Latn") is split as Latin letters are.
    """
    code, *tags = str(args.get("target_language") or "").replace("_", "-").lower().split("-")
    return "" if "latn" in tags else _LANGUAGES.get(code, "")


def tokenizer_of(args: Mapping[str, Any]) -> str:
    """The name of BLEU's tokenizer: as ``tokenize`` says, else by ``target_language``, else 13a."""
    if chosen := args.get("tokenize"):
        if chosen not in KNOWN:
            raise UserError(f"metric bleu: unknown tokenizer {chosen!r}; choose one of {', '.join(KNOWN)}")
        return str(chosen)
    return TOKENIZERS.get(language_of(args), "13a")


@lru_cache(maxsize=32)
def _metric(name: str, tokenize: str, lowercase: bool) -> Any:
    """sacrebleu's object. MissingExtra where the tokenizer's package is absent, UserError where its model is."""
    from sacrebleu.metrics import BLEU, CHRF, TER

    if name == "ter":
        # sacrebleu's Asian support works on normalised texts only.
        asian = tokenize == "asian"
        return TER(case_sensitive=not lowercase, normalized=asian, asian_support=asian)
    if name != "bleu":
        return CHRF(word_order=2 if name == "chrf++" else 0, lowercase=lowercase)
    try:
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except (ImportError, RuntimeError) as error:
        raise MissingExtra(f"BLEU's tokenizer {tokenize}", _PACKAGES.get(tokenize, "sentencepiece"), EXTRA) from error
    except (OSError, EOFError) as error:
        raise UserError(
            f"BLEU's tokenizer {tokenize}: its model cannot be fetched ({error}); fetch it once on a connected machine "
            "and copy ~/.sacrebleu (or set SACREBLEU), or choose another with args: {tokenize: 13a}"
        ) from error


def _of(name: str, args: Mapping[str, Any]) -> Any:
    # TER ignores case by default, as sacrebleu's does.
    lowercase = bool(args.get("lowercase", name == "ter"))
    asian = "asian" if language_of(args) in ("zh", "ja") else ""
    return _metric(name, tokenizer_of(args) if name == "bleu" else asian if name == "ter" else "", lowercase)


Statistics = Mapping[str, tuple[float, ...]]


def _extracted(name: str, item: ScoringInput, references: Sequence[str]) -> tuple[float, ...]:
    # The statistics of one sentence have no public name in sacrebleu; its own significance tests use this one.
    found = _of(name, item.args)._extract_corpus_statistics([item.text], [[one] for one in references])[0]
    return tuple(float(value) for value in found)


def _statistics(name: str) -> Callable[[ScoringInput], Statistics | None]:
    def statistics(item: ScoringInput) -> Statistics | None:
        references = texts(item.target)
        if item.text is None or not references:
            return None
        return {name: (*_extracted(name, item, references), float(len(references)))}

    return statistics


def chrfs(item: ScoringInput) -> Statistics | None:
    """Of chrF and chrF++ together: chrF++'s begin with chrF's. Among several references each takes its own best."""
    references = texts(item.target)
    if item.text is None or not references:
        return None
    whole = _extracted("chrf++", item, references)
    alone = whole[: 3 * CHRF_ORDER] if len(references) == 1 else _extracted("chrf", item, references)
    n = float(len(references))
    return {"chrf": (*alone, n), "chrf++": (*whole, n)}


def _prepare(name: str) -> Callable[[Mapping[str, Any]], None]:
    def prepare(args: Mapping[str, Any]) -> None:
        _of(name, args)

    return prepare


def _describe(name: str) -> Callable[[Mapping[str, Any], Sequence[Any]], str]:
    """sacrebleu's signature of this metric: "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"."""

    def describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
        metric = _of(name, args)
        counts = {int(value[-1]) for value in values}
        metric.num_refs = counts.pop() if len(counts) == 1 else -1
        return str(metric.get_signature())

    return describe


def bleu_of(sums: Sums | Sequence[float]) -> float:
    """BLEU (0 to 100) of summed (system length, reference length, 4 matches, 4 totals), exponential smoothing."""
    from sacrebleu.metrics import BLEU

    whole = [round(float(value)) for value in sums[:BLEU_STATISTICS]]
    return float(BLEU.compute_bleu(whole[2:6], whole[6:10], whole[0], whole[1], smooth_method="exp").score)


def chrf_of(sums: Sums | Sequence[float]) -> float:
    """chrF2 (0 to 100) of summed (system, reference, matching) counts for each of the 6 character orders."""
    return _chrf(sums, 0)


def chrf_plus_plus_of(sums: Sums | Sequence[float]) -> float:
    """chrF2++ (0 to 100): 6 character orders and 2 word orders."""
    return _chrf(sums, 2)


def _chrf(sums: Sums | Sequence[float], words: int) -> float:
    whole = [round(float(value)) for value in sums[: 3 * (CHRF_ORDER + words)]]
    return float(_chrf_metric(words)._compute_score_from_stats(whole).score)


@lru_cache(maxsize=4)
def _chrf_metric(words: int) -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF(char_order=CHRF_ORDER, word_order=words)


def ter_of(sums: Sums | Sequence[float]) -> float:
    """TER in percent of summed (edits, reference length); without reference words 100 if there are edits, else 0."""
    edits, length = float(sums[0]), float(sums[1])
    if length > 0:
        return 100 * edits / length
    return 100.0 if edits > 0 else 0.0


def _defined(
    name: str,
    combine: Callable[[Any], float],
    source: str,
    higher_is_better: bool = True,
    unit: str = "",
    registered: str = "",
) -> Metric:
    return Metric(
        name=name,
        kind="text",
        per_item=shared(chrfs if name.startswith("chrf") else _statistics(name), name),
        combine=combine,
        unit=unit,
        bounds=(0.0, None if unit else 100.0),
        higher_is_better=higher_is_better,
        source=source,
        prepare=_prepare(name),
        describe=_describe(name),
        registered=registered,
    )


bleu = _defined("bleu", bleu_of, "Papineni et al. 2002; sacrebleu (Post 2018, arXiv 1804.08771)")
chrf = _defined("chrf", chrf_of, "Popovic 2015, WMT, chrF; sacrebleu")
chrf_plus_plus = _defined(
    "chrf++", chrf_plus_plus_of, "Popovic 2017, WMT, chrF++; sacrebleu", registered="chrf_plus_plus"
)
ter = _defined("ter", ter_of, "Snover et al. 2006, AMTA, TER (tercom); sacrebleu", False, "percent")


def meteor_prepare(args: Mapping[str, Any]) -> None:
    """UserError unless nltk's WordNet is there, for METEOR matches synonyms, and what splits sentences."""
    from nltk import word_tokenize
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
        word_tokenize("One. Two.")
    except (LookupError, OSError) as error:
        raise UserError(
            "metric meteor: nltk's WordNet or its sentence splitter is not there; fetch them with: "
            "python -m nltk.downloader wordnet punkt_tab (elsewhere: copy ~/nltk_data, or name its folder in NLTK_DATA)"
        ) from error


def meteor_sample(sample: ScoringInput) -> float | None:
    """METEOR (0 to 1), the best over the references; words by nltk's ``word_tokenize``, sentence by sentence."""
    if sample.text is None:
        return None
    from nltk import word_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    words = word_tokenize(sample.text)
    return max((float(single_meteor_score(word_tokenize(one), words)) for one in texts(sample.target)), default=None)


def _meteor_describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    from importlib.metadata import version

    return f"tok:word_tokenize|nltk:{version('nltk')}"


meteor = share_metric(
    "meteor",
    meteor_sample,
    source="Banerjee and Lavie 2005, METEOR; nltk",
    prepare=meteor_prepare,
    describe=_meteor_describe,
)
