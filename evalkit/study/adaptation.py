"""The study of adaptation: a model tuned in many ways on a task, and what that gains there and costs elsewhere.

A part is one training: a task, a method, a seed. It goes on from its checkpoint where it was killed, and its runs from
their journals; a part that is done is a file. The base model is a part without a training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.study import scoring
from evalkit.study.config import Adaptation, written
from evalkit.study.folder import Folder, opened
from evalkit.study.scoring import Changes, Scored, Scores
from evalkit.study.splitting import Split, splits
from evalkit.training.examples import examples_of
from evalkit.training.recipe import Method

if TYPE_CHECKING:
    from evalkit.backends.hf.loading import Parts

KIND = "adaptation"
Note = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One training, or (``method`` "") the base model. ``curve``: held-out scores of the trained task by step.
    ``scores``: of all tasks' held-out items after the last step; ``on_training``: of the items it was trained on (of
    the base model: of all tasks' training items). ``against``: of all tasks' held-out items, what differs from the base
    model (empty in studies of earlier versions).

    ``trainable`` numbers were tuned, ``share`` of all; ``tokens`` were read in training, in ``seconds``; ``scoring``
    took the other tokens and seconds. ``cut``: training examples that lost the beginning of their prompt.
    """

    task: str
    method: str
    seed: int
    scores: Scores
    on_training: Scores
    curve: Mapping[int, Scores]
    trainable: int = 0
    share: float = 0.0
    parameters: int = 0
    tokens: int = 0
    seconds: float = 0.0
    scoring_tokens: int = 0
    scoring_seconds: float = 0.0
    losses: tuple[float, ...] = ()
    cut: int = 0
    note: str = ""
    against: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A whole study: its configuration, the base model's scores, and every training."""

    study: Adaptation
    base: Part
    parts: tuple[Part, ...]
    names: Mapping[str, str]
    """What runs call the tasks of the configuration."""


def run(study: Adaptation, output: Path, note: Note = lambda _: None) -> Outcome:
    """Carry the study out in the folder ``output``, or what is left of it. Raises UserError for bad input, before the
    model is loaded wherever that can be known.
    """
    with opened(output, KIND, written(study)) as folder:
        trained = splits(study, study.train, study.train_items, study.eval_items)
        untouched = splits(study, study.untouched, 0, study.untouched_items)
        for one in trained:
            examples_of(one.task, one.training()[:1])
        held: list[Parts] = []

        def parts() -> Parts:
            """Loaded once, and only where something is left to do."""
            if not held:
                note(f"loading {study.model}")
                held.append(scoring.load(study))
            return held[0]

        work = _Work(study, folder, trained, untouched, parts, note)
        base = work.base()
        done = tuple(work.part(*one) for one in plan(study, trained))
    names = dict(zip((*study.train, *study.untouched), (one.name for one in (*trained, *untouched)), strict=True))
    return Outcome(study, base, done, names)


def plan(study: Adaptation, trained: Sequence[Split]) -> Iterator[tuple[Split, Method, int]]:
    """Every training; seeds go round last, so that an interrupted study has every method once."""
    for seed in study.seeds:
        for split in trained:
            for method in study.methods:
                yield split, method, seed


@dataclass(frozen=True)
class _Work:
    study: Adaptation
    folder: Folder
    trained: Sequence[Split]
    untouched: Sequence[Split]
    parts: Callable[[], Parts]
    note: Note

    @property
    def everything(self) -> dict[str, Sequence[int]]:
        return {one.name: one.held_out for one in (*self.trained, *self.untouched)}

    def score(self, model: Any, identity: Any, label: str, places: Mapping[str, Sequence[int]], folder: Path) -> Scored:
        every = (*self.trained, *self.untouched)
        return scoring.score(self.study, self.parts(), model, identity, label, places, every, folder)

    def base(self) -> Part:
        place = self.folder.part("base")

        def make() -> dict[str, Any]:
            self.note("base: scoring")
            model = self.parts().model
            final = self.score(model, None, "base", self.everything, place / "final")
            taught = {one.name: one.trained for one in self.trained}
            on_training = self.score(model, None, "base", taught, place / "training")
            return {
                "final": scoring.as_json(final),
                "on_training": scoring.as_json(on_training),
                "parameters": int(model.num_parameters()),
            }

        found = self.folder.done(place, make)
        return _part("", "", 0, found, {})

    def part(self, split: Split, method: Method, seed: int) -> Part:
        name = f"{method.label} on {split.name}, seed {seed}"
        place = self.folder.part(split.name, method.label, f"seed{seed}")
        found = self.folder.done(place, lambda: self._train(split, method, seed, name, place))
        curve = {int(step): scoring.from_json(one).scores for step, one in found["curve"].items()}
        return _part(split.name, method.label, seed, found, curve)

    def _train(self, split: Split, method: Method, seed: int, name: str, place: Path) -> dict[str, Any]:
        from evalkit.training.attaching import attach
        from evalkit.training.trainer import Spent, Training, encoded

        study, parts = self.study, self.parts()
        examples = examples_of(split.task, split.training())
        items, cut = encoded(parts.tokenizer, examples, study.max_length)
        tunable = attach(copy.deepcopy(parts.model), method, seed)
        training = Training(tunable, items, method, study.steps, study.batch_size, seed, place)
        if training.spent.step:
            self.note(f"{name}: going on from step {training.spent.step}")

        def tell(spent: Spent) -> None:
            if spent.step in (1, study.steps) or spent.step % 10 == 0:
                self.note(f"{name}: step {spent.step} of {study.steps}, loss {spent.losses[-1]:.3f}")

        curve: dict[int, Scored] = {}
        for step in study.stops[:-1]:
            # A training that went on from behind a stop does not go back: its run is there, for it was made before.
            if training.spent.step <= step:
                training.to(step, tell)
                places = {split.name: split.held_out}
                found = self.score(tunable.inner, training.fingerprint(), name, places, place / f"step-{step}")
                self.folder.done(place / f"step-{step}" / "kept", lambda found=found: scoring.as_json(found))  # type: ignore[misc]
            curve[step] = scoring.from_json(self.folder.done(place / f"step-{step}" / "kept", dict))
        training.to(study.steps, tell)
        self.note(f"{name}: scoring")
        identity = training.fingerprint()
        final = self.score(tunable.inner, identity, name, self.everything, place / "final")
        on_training = self.score(tunable.inner, identity, name, {split.name: split.trained}, place / "training")
        if hasattr(tunable.model, "peft_config"):
            save_adapter(tunable.model, study.model, place / "adapter")
        against = scoring.changes(self.folder.part("base") / "final", place / "final")
        training.forget()  # last: what goes wrong before it costs no training
        spent = training.spent
        return {
            "final": scoring.as_json(final),
            "on_training": scoring.as_json(on_training),
            "against": {task: asdict(one) for task, one in against.items()},
            "curve": {str(step): scoring.as_json(one) for step, one in curve.items()},
            "trainable": tunable.trainable,
            "share": tunable.share,
            "parameters": tunable.base_parameters,
            "tokens": spent.tokens,
            "seconds": spent.seconds,
            "losses": spent.losses,
            "cut": cut,
            "note": tunable.note,
        }


def save_adapter(model: Any, name: str, folder: Path) -> None:
    """For `evalkit run --peft`: with the user's name for the base model, never a machine's path."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = name
    model.save_pretrained(folder, save_embedding_layers=False, safe_serialization=True)


def _part(task: str, method: str, seed: int, found: Mapping[str, Any], curve: Mapping[int, Scores]) -> Part:
    final, on_training = scoring.from_json(found["final"]), scoring.from_json(found["on_training"])
    between = [scoring.from_json(one) for one in found.get("curve", {}).values()]
    runs = [final, on_training, *between]
    last = found.get("losses", ())
    return Part(
        task,
        method,
        seed,
        final.scores,
        on_training.scores,
        {**curve, len(last): final.scores} if last else {},
        int(found.get("trainable", 0)),
        float(found.get("share", 0.0)),
        int(found.get("parameters", 0)),
        int(found.get("tokens", 0)),
        float(found.get("seconds", 0.0)),
        sum(one.tokens for one in runs),
        sum(one.seconds for one in runs),
        tuple(last),
        int(found.get("cut", 0)),
        str(found.get("note", "")),
        scoring.changes_from_json(found.get("against", {})),
    )
