"""LoraHub (Huang et al. 2023, arXiv 2307.13269): LoRAs of some tasks, composed for others from a few examples.

For each task and seed a few items are drawn; the weights of the LoRAs are searched on them without gradients, and the
sum answers the held-out items. Beside it: the model as it is, the same items shown in the prompt, and the LoRA that is
best on these items alone.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.backends.hf import peft_adapters
from evalkit.backends.hf.compose import Composition, Mixture, compose_with
from evalkit.backends.hf.fingerprint import folder_hashes
from evalkit.contract.types import Score as Asked
from evalkit.spec.given import Given
from evalkit.store.identity import digest
from evalkit.study import scoring
from evalkit.study.adaptation import Note, save_adapter
from evalkit.study.config import LoraHub, written
from evalkit.study.folder import Folder, opened
from evalkit.study.in_context import InContext
from evalkit.study.scoring import Scored
from evalkit.study.splitting import Split, splits
from evalkit.task.native import NativeTask
from evalkit.training.examples import Example, examples_of

KIND = "lorahub"
POOL = 2
"""The items that seeds draw their examples from are so many times as many."""


@dataclass(frozen=True)
class Composed:
    """One task with one seed. ``shown``: in-context learning with the same items. ``losses`` are in nats a token of the
    items: of the base model, of each LoRA alone, of the composition; ``tuning_tokens`` were read to find it.
    """

    task: str
    seed: int
    weights: tuple[float, ...]
    base_loss: float
    single_losses: tuple[float, ...]
    loss: float
    evaluations: int
    tuning_tokens: int
    score: Scored
    shown: Scored

    @property
    def best_single(self) -> int:
        """The LoRA of least loss on the items."""
        return self.single_losses.index(min(self.single_losses))


@dataclass(frozen=True)
class Outcome:
    """A whole study. ``zero_shot`` and ``alone`` (of each LoRA by itself) hold scores by task."""

    study: LoraHub
    tasks: tuple[str, ...]
    modules: tuple[str, ...]
    zero_shot: Mapping[str, Scored]
    alone: tuple[Mapping[str, Scored], ...]
    composed: tuple[Composed, ...]


def run(study: LoraHub, output: Path, note: Note = lambda _: None) -> Outcome:
    """Carry the study out in the folder ``output``, or what is left of it. Raises UserError for bad input, before the
    model is loaded wherever that can be known.
    """
    with opened(output, KIND, written(study)) as folder:
        modules = splits(study, study.modules, study.train_items, 2)
        tasks = splits(study, study.tasks, POOL * study.examples, study.eval_items)
        for one in (*modules, *tasks):
            examples_of(one.task, one.training()[:1])
        for one in modules:
            _train(study, folder, one, note)
        return _Work(study, folder, modules, tasks, note).outcome()


def _place(study: LoraHub, folder: Folder, module: Split) -> Path:
    return folder.part("module", module.name, study.method.label)


def _train(study: LoraHub, folder: Folder, module: Split, note: Note) -> None:
    place = _place(study, folder, module)

    def make() -> dict[str, Any]:
        from evalkit.training.attaching import attach
        from evalkit.training.trainer import Training, encoded

        note(f"module {module.name}: training")
        parts = scoring.load(study)
        items, cut = encoded(parts.tokenizer, examples_of(module.task, module.training()), study.max_length)
        tunable = attach(copy.deepcopy(parts.model), study.method, study.seed)
        training = Training(tunable, items, study.method, study.steps, study.batch_size, study.seed, place)
        training.to(study.steps)
        save_adapter(tunable.model, study.model, place / "adapter")
        training.forget()
        return {**vars(training.spent), "cut": cut, "trainable": tunable.trainable}

    folder.done(place, make)


class _Work:
    """What is scored; the model with its LoRAs is loaded once, where something is left to do."""

    def __init__(
        self, study: LoraHub, folder: Folder, modules: Sequence[Split], tasks: Sequence[Split], note: Note
    ) -> None:
        self._study, self._folder, self._note = study, folder, note
        self._modules, self._tasks = modules, tasks
        self._adapters = tuple(str(_place(study, folder, one) / "adapter") for one in modules)
        self._loaded: Mixture | None = None

    def outcome(self) -> Outcome:
        count = len(self._modules)
        zero = self._each("zero-shot", (0.0,) * count)
        alone = tuple(
            self._each(f"{one.name} alone", tuple(float(k == number) for k in range(count)))
            for number, one in enumerate(self._modules)
        )
        composed = tuple(self._composed(task, seed) for seed in self._study.seeds for task in self._tasks)
        names = tuple(one.name for one in self._tasks), tuple(one.name for one in self._modules)
        return Outcome(self._study, *names, zero, alone, composed)

    def _mixture(self) -> Mixture:
        if self._loaded is None:
            spec = scoring.model_of(self._study).model_copy(update={"peft": self._adapters})
            self._loaded = Mixture(spec, peft_adapters.find_adapters(spec))
        return self._loaded

    def _score(
        self, label: str, weights: Sequence[float], task: Split, folder: Path, shown: Sequence[Example] = ()
    ) -> Scored:
        mixture = self._mixture()
        mixture.use(weights)
        identity = digest({"base": mixture.fingerprint, "loras": self._adapters_digest(), "weights": list(weights)})
        backend = mixture.backend
        backend.info = replace(backend.info, name=label, fingerprint=identity)
        entry, given = task.entry, []
        if shown:
            assert isinstance(task.task, NativeTask)
            given = [InContext(task.task, shown)]
            entry = entry.model_copy(update={"given": Given(type="evalkit.study.InContext"), "name": task.name})
        return scoring.ask(self._study, backend, label, {task.name: task.held_out}, [entry], folder, given)

    def _adapters_digest(self) -> list[dict[str, str]]:
        return [folder_hashes(Path(one)) for one in self._adapters]

    def _each(self, label: str, weights: tuple[float, ...]) -> dict[str, Scored]:
        """Every task by one choice of weights."""
        found = {}
        for task in self._tasks:
            place = self._folder.part(label, task.name)

            def make(task: Split = task, place: Path = place) -> dict[str, Any]:
                self._note(f"{label}: {task.name}")
                return scoring.as_json(self._score(label, weights, task, place / "run"))

            found[task.name] = scoring.from_json(self._folder.done(place, make))
        return found

    def _composed(self, task: Split, seed: int) -> Composed:
        place = self._folder.part("composed", task.name, f"seed{seed}")

        def make() -> dict[str, Any]:
            study, mixture = self._study, self._mixture()
            pool = examples_of(task.task, task.training())
            chosen = random.Random(f"{seed}:{task.name}").sample(pool, study.examples)
            asked = [Asked(one.prompt, one.completion.rstrip()) for one in chosen]
            found: Composition = compose_with(mixture, self._adapters, asked, study.search_steps)
            self._note(f"{task.name}, seed {seed}: weights {', '.join(f'{one:+.2f}' for one in found.weights)}")
            tokens = sum(len(one) for one in mixture.backend.encode([ask.context + ask.continuation for ask in asked]))
            label = f"lorahub seed {seed}"
            score = self._score(label, found.weights, task, place / "run")
            shown = self._score(f"in context, seed {seed}", (0.0,) * len(self._adapters), task, place / "shown", chosen)
            return {
                **{key: value for key, value in asdict(found).items() if key != "paths"},
                "tuning_tokens": tokens * found.evaluations,
                "score": scoring.as_json(score),
                "shown": scoring.as_json(shown),
            }

        found = self._folder.done(place, make)
        return Composed(
            task.name,
            seed,
            tuple(found["weights"]),
            float(found["base_loss"]),
            tuple(found["single_losses"]),
            float(found["loss"]),
            int(found["evaluations"]),
            int(found["tuning_tokens"]),
            scoring.from_json(found["score"]),
            scoring.from_json(found["shown"]),
        )
