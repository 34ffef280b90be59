"""`evalkit study cache`: what a semantic cache would save, and how often it would answer another question."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from evalkit.api.studying import as_plain
from evalkit.backends import opening
from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, Generate
from evalkit.data import open_source, rows
from evalkit.engine import answer
from evalkit.render.caching import write_cache
from evalkit.routing.semantic_cache import CacheStudy, Pair, SemanticCache, study_cache
from evalkit.spec import config
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.spec.naming import default_root
from evalkit.spec.strict import Strict, mistake
from evalkit.store.files import replacing, write_json
from evalkit.text.reading import json_lines, read_text

TIMES = "times.jsonl"


class Pairs(Strict):
    """Labelled pairs: a data set by ``id``, ``config`` and ``split``, or a file by ``path``; ``first``, ``second`` and
    ``same`` name its fields. Two questions mean the same where ``same`` is at least ``at_least``.
    """

    id: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    path: Path | None = None
    first: str = "first"
    second: str = "second"
    same: str = "same"
    at_least: float = 1.0


class Cache(Strict):
    """The part ``cache`` of a configuration of `evalkit study cache`."""

    pairs: Pairs
    embedder: str = "wordllama"
    most_false: float = Field(0.05, ge=0, lt=1)
    """The largest share of false hits among the hits."""
    requests: int = Field(16, ge=1)
    """Questions that the model answers one by one, to learn how long that takes."""
    max_tokens: int = Field(32, ge=1)
    seed: int = 1234


@dataclass(frozen=True)
class Latencies:
    """Medians in seconds of one question at a time: the model's answer, and the cache's embedding and look-up."""

    model: float
    cache: float
    requests: int
    stored: int
    """Questions in the cache while it was measured."""


@dataclass(frozen=True)
class Cached:
    """A finished study and where it lies."""

    study: CacheStudy
    latencies: Latencies
    embedder: str
    model: str
    folder: Path

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"


def cache(file: Path, settings: Mapping[str, Any], note: Callable[[str], None]) -> Cached:
    """Study the cache that ``file`` describes. Times that an earlier, interrupted call measured are kept. Raises
    UserError for bad input.
    """
    spec, chosen = _read(file, settings)
    folder = spec.output or default_root([spec])
    folder.mkdir(parents=True, exist_ok=True)
    pairs = _pairs(chosen.pairs, spec, file)
    embedder: Any = _embedder(chosen.embedder, file)
    try:
        note(f"{len(pairs):,} labelled pairs, embedded by {chosen.embedder}")
        found = study_cache(pairs, embedder.embed, chosen.most_false, chosen.seed)
        threshold = 0.9 if found.chosen is None else found.chosen.threshold
        lookup = _look_up(pairs, embedder.embed, threshold)
    finally:
        embedder.close()
    seconds = _model_seconds(spec, chosen, [one.second for one in pairs], folder / TIMES, note)
    times = Latencies(_median(seconds), _median(lookup), len(seconds), len(pairs))
    done = Cached(found, times, chosen.embedder, spec.model.label or spec.model.name, folder)
    write_json(folder / "study.json", as_plain(done.study) | {"latencies": as_plain(times)})
    write_cache(found, times.model, times.cache, done.model, done.embedder, done.report)
    return done


def _read(file: Path, settings: Mapping[str, Any]) -> tuple[RunSpec, Cache]:
    written, origin = config.load(file)
    own = written.pop("cache", None)
    if not isinstance(own, dict):
        raise UserError(f"{file}: cache: is missing: a mapping of what to study (docs/studies.md)")
    specs = config.expand(*config.merge({**written, "tasks": "none"}, settings, origin))
    if len(specs) != 1:
        raise UserError(f"{file}: models: a cache stands before one model: write model: NAME")
    try:
        chosen = Cache.model_validate(own)
    except ValidationError as error:
        found = mistake(error)
        raise UserError(f"{file}: cache.{found.where}: {found.message}") from None
    if (chosen.pairs.id is None) == (chosen.pairs.path is None):
        raise UserError(f"{file}: cache.pairs: give either id (a data set) or path (a file)")
    return specs[0], chosen


def _pairs(wanted: Pairs, spec: RunSpec, file: Path) -> list[Pair]:
    if wanted.path is not None:
        found: Sequence[Mapping[str, Any]] = rows.read(file.parent / wanted.path)
    else:
        dataset = DatasetRef(wanted.id or "", wanted.config, wanted.revision)
        found = open_source(spec.data_dir).load(dataset, wanted.split)
    pairs = []
    for number, row in enumerate(found):
        try:
            pairs.append(
                Pair(str(row[wanted.first]), str(row[wanted.second]), float(row[wanted.same]) >= wanted.at_least)
            )
        except KeyError as error:
            raise UserError(
                f"{file}: cache.pairs: row {number} has no field {error}: it has {', '.join(map(str, row))}"
            ) from None
        except (TypeError, ValueError):
            raise UserError(f"{file}: cache.pairs: row {number}: {wanted.same} is no number") from None
    return pairs


def _embedder(name: str, file: Path) -> Any:
    model = opening.resolve(ModelSpec(name=name))
    if opening.capabilities_of(model).architecture != "embedder":
        raise UserError(f"{file}: cache.embedder: {name} is no embedder: wordllama, embed:MODEL, st:MODEL")
    return opening.open_backend(model, EngineSpec())


def _look_up(pairs: Sequence[Pair], embed: Any, threshold: float) -> list[float]:
    """Seconds of each question through a cache that holds the first of every pair."""
    kept = SemanticCache(embed, threshold)
    for one in pairs:
        kept.put(one.first, "")
    found = []
    for one in pairs:
        began = time.perf_counter()
        kept.get(one.second)
        found.append(time.perf_counter() - began)
    return found


def _model_seconds(
    spec: RunSpec, chosen: Cache, questions: Sequence[str], journal: Path, note: Callable[[str], None]
) -> list[float]:
    """Seconds of each of the first questions, asked one by one; what ``journal`` has is not asked again."""
    wanted = list(questions[: chosen.requests])
    whole = read_text(journal).rpartition("\n")[0].split("\n") if journal.exists() else []
    known = {str(one["question"]): float(one["seconds"]) for _, one in json_lines(journal, whole) if one}
    if missing := [one for one in dict.fromkeys(wanted) if one not in known]:
        note(f"{spec.model.name} answers {len(missing)} questions, {len(wanted) - len(missing)} are measured already")
        backend = opening.open_backend(spec.model, spec.engine)
        try:
            with replacing(journal) as draft:  # without the line that a kill cut
                draft.write_text("".join(_line(*one) for one in known.items()), "utf-8")
            with journal.open("a", encoding="utf-8") as file:
                for question in missing:
                    began = time.perf_counter()
                    (one,) = answer(backend, [Generate(question, max_tokens=chosen.max_tokens)], None, spec.engine)
                    if one.status != "ok":
                        raise UserError(f"{spec.model.name}: a question was not answered: {one.error}")
                    known[question] = time.perf_counter() - began
                    file.write(_line(question, known[question]))
                    file.flush()
        finally:
            backend.close()
    return [known[one] for one in wanted]


def _line(question: str, seconds: float) -> str:
    return json.dumps({"question": question, "seconds": seconds}) + "\n"


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
