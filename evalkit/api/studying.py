"""`evalkit study`: experiments of several runs from one configuration, and what is made of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from evalkit.api.running import carry_out
from evalkit.backends import opening
from evalkit.backends.answer_scorer import Scorer
from evalkit.backends.confidence import own_text
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.optional import capabilities
from evalkit.contract.types import Response
from evalkit.engine import answer
from evalkit.render.routing import write_cascade
from evalkit.routing import items as tables
from evalkit.routing.study import Items, Point, Study, study
from evalkit.runner.evaluate import Observer, Unwatched
from evalkit.runner.progress import Silent
from evalkit.spec import config
from evalkit.spec.models import EngineSpec, RunSpec
from evalkit.spec.naming import default_root, model_label
from evalkit.spec.strict import Strict, mistake
from evalkit.store import ResponseCache
from evalkit.store.files import write_json

ANSWERS = "answers"
"""The folder of all answers of a study, below its own."""


class Cascade(Strict):
    """The part ``cascade`` of a configuration of `evalkit study cascade`."""

    prices: tuple[float | tuple[float, float], ...]
    """One a model, of a million tokens; [in, out] tells prompt and output apart."""
    budgets: tuple[float, ...] = ()
    """Mean costs an item, beside those of the curve; each gets a configuration of its own."""
    test_share: float = Field(0.5, gt=0, lt=1)
    seed: int = 1234

    @model_validator(mode="after")
    def _positive(self) -> Cascade:
        flat = [value for price in self.prices for value in (price if isinstance(price, tuple) else (price,))]
        if min(flat, default=0.0) < 0 or min(self.budgets, default=1.0) <= 0:
            raise ValueError("prices are at least 0, budgets above 0")
        return self


@dataclass(frozen=True)
class Studied:
    """A finished study and where it lies."""

    study: Study
    folder: Path
    configurations: tuple[Path, ...]
    """Of the cascades that were chosen: `evalkit run --config FILE` runs one."""

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"


def read_study(file: Path, part: str, settings: Mapping[str, Any]) -> tuple[list[RunSpec], Any]:
    """The runs that ``file`` asks for, with ``settings`` on top, and its own ``part``. Raises UserError that names
    file, line and key.
    """
    written, origin = config.load(file)
    own = written.pop(part, None)
    if not isinstance(own, dict):
        raise UserError(f"{file}: {part}: is missing: a mapping of what to study (docs/studies.md)")
    specs = config.expand(*config.merge(written, settings, origin))
    return specs, own


def cascade(file: Path, settings: Mapping[str, Any], observer: Observer) -> Studied:
    """Run the models of ``file``, train a scorer for each, choose cascades, and report: see docs/studies.md. What is
    there already is not asked again. Raises UserError for bad input; KeyboardInterrupt where the user stopped it.
    """
    specs, chosen, folder = _read(file, settings)
    if find_spec("sklearn") is None:
        raise MissingExtra("training a scorer", "scikit-learn", "routing")
    for spec in specs:
        _run(spec, observer, folder / ANSWERS)
    found = study(_table(specs, chosen, folder, observer), chosen.budgets, chosen.test_share, chosen.seed)
    return Studied(found, folder, tuple(_written(found, folder, specs, chosen)))


def table_of(file: Path, settings: Mapping[str, Any]) -> Items:
    """The items of a study whose runs have finished, for other analyses of them. Raises UserError as `cascade`."""
    return _table(*_read(file, settings), Unwatched(Silent()))


def _read(file: Path, settings: Mapping[str, Any]) -> tuple[list[RunSpec], Cascade, Path]:
    specs, own = read_study(file, "cascade", settings)
    try:
        chosen = Cascade.model_validate(own)
    except ValidationError as error:
        found = mistake(error)
        raise UserError(f"{file}: cascade.{found.where}: {found.message}") from None
    if len(specs) < 2:
        raise UserError(f"{file}: models: a cascade needs at least two")
    if len(chosen.prices) != len(specs):
        count = len(chosen.prices)
        raise UserError(f"{file}: cascade.prices: {count} prices for {len(specs)} models: give one a model")
    return specs, chosen, (specs[0].output or default_root(specs) / "x").parent


def _table(specs: Sequence[RunSpec], chosen: Cascade, folder: Path, observer: Observer) -> Items:
    replies = [tables.replies(spec.output or folder) for spec in specs]
    scored = [_self_scored(spec, mine, folder / ANSWERS, observer) for spec, mine in zip(specs, replies, strict=True)]
    prices = [price if isinstance(price, tuple) else (price, price) for price in chosen.prices]
    return tables.table([model_label(spec.model) for spec in specs], replies, scored, prices)


def _run(spec: RunSpec, observer: Observer, answers: Path) -> None:
    engine = spec.engine.model_copy(update={"cache": spec.engine.cache or answers})
    done = carry_out(spec.model_copy(update={"engine": engine}), observer)
    if done.result.partial:
        raise KeyboardInterrupt


def _self_scored(
    spec: RunSpec, replies: Sequence[tables.Reply], answers: Path, observer: Observer
) -> dict[tables.Key, Response]:
    """What a model says of its own generated texts; nothing of one that can score no text."""
    texts = [reply for reply in replies if reply.text]
    if not texts:
        return {}
    backend = opening.open_backend(spec.model, spec.engine)
    try:
        if "loglikelihood" not in capabilities(backend).answers:
            observer.note(f"{backend.info.name} scores no texts: its scorer sees words alone")
            return {}
        asked = [own_text(reply.request, Response(text=reply.text)) for reply in texts]
        with ResponseCache(answers) as book:
            found = answer(backend, asked, book, EngineSpec())
    finally:
        backend.close()
    return {reply.key: one for reply, one in zip(texts, found, strict=True)}


def _written(found: Study, folder: Path, specs: Sequence[RunSpec], chosen: Cascade) -> list[Path]:
    """study.json, scorer.json, report.html and a configuration for each budget and for the matched quality."""
    write_json(folder / "scorer.json", found.scorer.model_dump(mode="json"))
    write_json(folder / "study.json", as_plain(found))
    write_cascade(found, folder / "report.html")
    wanted: dict[str, Point] = {} if found.matched is None else {"matched": found.matched}
    wanted |= {f"budget-{point.budget:g}": point for point in found.curve if point.budget in chosen.budgets}
    files = []
    for name, point in wanted.items():
        if len(point.policy.order) > 1:
            files.append(folder / f"cascade-{name}.yaml")
            _write_yaml(files[-1], point, folder, specs, chosen)
    return files


def _write_yaml(file: Path, point: Point, folder: Path, specs: Sequence[RunSpec], chosen: Cascade) -> None:
    import yaml

    settings = config.settings_of(specs[0])
    stages = []
    for number in point.policy.order:
        model = specs[number].model.model_dump(mode="json", exclude_defaults=True, exclude={"given"})
        stages.append({**model, "label": model_label(specs[number].model)})
    kept = {
        key: settings[key]
        for key in ("tasks", "num_fewshot", "limit", "bundled", "data_dir", "seed")
        if settings.get(key)
    }
    asked = {
        **kept,
        "model": {
            "name": "cascade:" + ",".join(str(stage["label"]) for stage in stages),
            "label": file.stem,
            "args": {
                "scorer": str((folder / "scorer.json").resolve()),
                "threshold": list(point.policy.thresholds),
                "prices": [chosen.prices[number] for number in point.policy.order],
                "stages": stages,
            },
        },
        "cache": str((folder / ANSWERS).resolve()),
        "output": str((folder / file.stem).resolve()),
    }
    file.write_text(yaml.safe_dump(asked, sort_keys=False, allow_unicode=True), "utf-8")


def as_plain(value: Any) -> Any:
    """A study as JSON has it: dataclasses as mappings, the scorer (a file of its own) left out."""
    from dataclasses import fields, is_dataclass

    if isinstance(value, Scorer):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_plain(getattr(value, one.name)) for one in fields(value) if one.name != "scorer"}
    if isinstance(value, Mapping):
        return {str(key): as_plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(one) for one in value]
    return value
