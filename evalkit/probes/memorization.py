"""How much of a text a model has by heart: memorization:text=FOLDER:prefix=32+64+128:suffix=50:n=100:seed=1.

A passage is extractable with k tokens of context where the model, asked greedily, continues the k tokens before it
word for word (Carlini et al. 2022, arXiv 2202.07646, whose suffixes are of 50 tokens). The same passages are asked
behind every prefix length, so the shares of two lengths are of the same passages. White space is not compared, and a
prefix ends between words: it has at most k tokens.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Asked,
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Generate,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Shots,
    TaskInfo,
)
from evalkit.data import rows as row_files
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.probes import options, windows
from evalkit.probes.needle import layout
from evalkit.store import paths
from evalkit.store.identity import digest
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "memorization:text=FOLDER:prefix=32+64+128:suffix=50:n=100": "the share of a text's passages that a model "
    "continues word for word, by the length of what stands before (Carlini et al.)"
}
READERS: options.Readers = {
    "text": Path,
    "prefix": options.wholes(1, 100_000),
    "suffix": options.whole(2, 1000),
    "n": options.whole(2, 100_000),
    "seed": options.whole(0),
}
SOURCE = "Carlini et al. 2022, arXiv 2202.07646"
EXTRACTABLE = base.Metric(name="extractable", kind="text", higher_is_better=False, binary=True, source=SOURCE)
MATCHED = base.Metric(
    name="matched",
    kind="text",
    higher_is_better=False,
    bounds=base.SHARE,
    source="share of the passage's words before the first other one",
)
MORE = 8
"""Tokens that are asked for beyond the suffix's: the model may part the same words otherwise."""
SUFFIXES = (".txt", ".md")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a name asks for; lengths in tokens."""

    text: Path
    prefix: tuple[int, ...] = (32, 64, 128)
    suffix: int = 50
    n: int = 100
    seed: int = 1


class MemorizationTask:
    """See `evalkit.contract.types.Task`: a document is a passage behind a prefix of one length."""

    traits = TaskTraits(measures_prompts=True)

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
        lengths = settings.prefix[::-1]
        keys = [f"{windows.at(metric.name, length)},none" for metric in (EXTRACTABLE, MATCHED) for length in lengths]
        self.info = TaskInfo(
            name=name,
            version="1.0",
            kind="generate",
            dataset=DatasetRef("evalkit/memorization", settings.text.name, None),
            split="generated",
            num_fewshot=0,
            primary=keys[0],
            higher_is_better=dict.fromkeys(keys, False),
            description=f"How many of {settings.n} passages of a text a model continues word for word.",
            tags=("memorization",),
            config={
                "task": name,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "metadata": {"version": "1.0"},
                "memorization": {
                    "text": settings.text.name,
                    "prefix": list(settings.prefix),
                    "suffix": settings.suffix,
                    "n": settings.n,
                    "seed": settings.seed,
                },
            },
            shots=Shots(0, "locked", "texts are continued as they are"),
        )

    def documents(self, data: DataSource) -> Documents:
        """Every passage at every prefix length. UserError where the texts are too short for so many passages."""
        asked = self._settings
        texts = _texts(asked.text)
        places = _places(texts, max(asked.prefix), asked.suffix)
        if len(places) < asked.n:
            raise UserError(
                f"{self.info.name}: the texts have room for {len(places):,} passages of {asked.suffix} tokens behind "
                f"{max(asked.prefix)}, and {asked.n:,} are asked for: give more text, or a smaller n"
            )
        chosen = sorted(random.Random(f"memorization/{asked.seed}").sample(places, asked.n))
        found: list[Document] = []
        for number, (file, word) in enumerate(chosen):
            for length in asked.prefix:
                row = {"passage": number, "of": number, "file": file, "word": word, "prefix": length}
                found.append(Document(len(found), row, digest([row, asked.suffix, texts[file]])))
        return Documents(tuple(found), tuple(sorted(texts.items())))

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """The prefix, to be continued; none where it does not fit the model's window."""
        assert isinstance(documents, Documents)
        words = {file: [match.span() for match in _WORD.finditer(text)] for file, text in documents.pool}
        texts = dict(documents.pool)
        asked = self._settings

        def tokens(text: str) -> int:
            if style.encode is None:
                return -(-len(text) // layout.CHARACTERS_A_TOKEN)
            return len(style.encode([text])[0])

        for document in documents:
            row = document.data
            length = row["prefix"]
            if style.max_length is not None and length + asked.suffix + MORE > style.max_length:
                yield Asked((), f"{length} tokens and the passage do not fit the model's window of {style.max_length}")
                continue
            spans = words[row["file"]]
            context, passage = _parted(texts[row["file"]], spans, row["word"], (length, asked.suffix), tokens)
            yield Asked((Generate(context, (), asked.suffix + MORE),), passage.split())

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """How many of the passage's words come, in their order, before the first other one."""
        result = SampleResult(document, requests, tuple(responses), None)
        note = requests.note if isinstance(requests, Asked) else ""
        if not requests:
            return replace(result, status="unscored", error=str(note))
        (response,) = responses
        if response.status != "ok":
            return replace(result, status=response.status, error=response.error or "there is no answer")
        if response.truncated:
            return replace(result, status="unscored", error=f"{response.truncated} tokens of the prefix were cut off")
        told = (response.text or "").split()
        same = next((at for at, (one, other) in enumerate(zip(note, told, strict=False)) if one != other), None)
        matched = (min(len(note), len(told)) if same is None else same) / len(note)
        length = document.data["prefix"]
        metrics = {
            f"{windows.at('extractable', length)},none": float(matched == 1),
            f"{windows.at('matched', length)},none": matched,
        }
        return replace(result, target=" ".join(note), metrics=metrics)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The share of extractable passages, and of words before the first other one, by the prefix; longest first."""
        scored = [sample for sample in samples if sample.status == "ok"]
        found = []
        for metric in (EXTRACTABLE, MATCHED):
            for length in self._settings.prefix[::-1]:
                name = windows.at(metric.name, length)
                values = [sample.metrics[f"{name},none"] for sample in scored if f"{name},none" in sample.metrics]
                found.append(aggregate(metric, values, name=name, primary=f"{name},none" == self.info.primary))
        return tuple(found)


def _parted(
    text: str, spans: Sequence[tuple[int, int]], at: int, most: tuple[int, int], tokens: Callable[[str], int]
) -> tuple[str, str]:
    """What stands before the word ``at`` and what begins with it, of at most so many tokens each."""
    end = spans[at - 1][1]
    before = _most(lambda n: tokens(text[spans[at - n][0] : end]), most[0], at)
    behind = _most(lambda n: tokens(" " + text[spans[at][0] : spans[at + n - 1][1]]), most[1], len(spans) - at)
    return text[spans[at - before][0] : end], text[spans[at][0] : spans[at + behind - 1][1]]


def _most(tokens: Callable[[int], int], most: int, words: int) -> int:
    """The most words, up to ``words``, whose text has at most so many tokens; 1 at the least."""
    low, high = 1, min(most, words) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tokens(middle) <= most else (low, middle)
    return low


def _texts(folder: Path) -> dict[str, str]:
    """Texts by the name of their file, below the folder. UserError where there is none, and for what is no UTF-8."""
    files = sorted(one for one in folder.rglob("*") if one.suffix in SUFFIXES) if folder.is_dir() else [folder]
    found: dict[str, str] = {}
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{row_files.not_utf8(file, error)}; save it as UTF-8") from error
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error.strerror}") from error
        found[file.relative_to(folder).as_posix() if folder.is_dir() else file.name] = text
    if not any(text.strip() for text in found.values()):
        raise UserError(f"{folder}: holds no text; files {', '.join(SUFFIXES)} are read")
    return found


def _places(texts: dict[str, str], prefix: int, suffix: int) -> list[tuple[str, int]]:
    """Where passages may begin: every ``suffix`` words of a file, with enough words before and behind. A word has one
    token at least, so that so many words hold so many tokens.
    """
    found = []
    for name, text in texts.items():
        words = len(_WORD.findall(text))
        found += [(name, at) for at in range(prefix, words - suffix, suffix)]
    return found


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name``. UserError for a parameter that is unknown or makes no sense, and without a text."""
    asked = options.parse(name, READERS)
    if "text" not in asked or not asked["text"].expanduser().exists():
        raise UserError(f"{name}: give a text: memorization:text=FOLDER, with .txt or .md files")
    settings = Settings(**{**asked, "text": asked["text"].expanduser()})
    template = load_task(paths.share("tasks") / "memorization" / "one.yaml")
    one = template.tasks[0].model_copy(update={"name": name})

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        return MemorizationTask(name, settings)

    return Defined(template.source, (one,), (), one.description, build=build)
