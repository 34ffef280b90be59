"""Everything that is looked for in a benchmark's items, task by task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.backends import opening
from evalkit.contract.errors import UserError
from evalkit.data import open_source
from evalkit.probes.contamination import copies, overlap, texts
from evalkit.probes.contamination.copies import Copy
from evalkit.probes.contamination.membership import Membership, Seen, compared, scores
from evalkit.probes.contamination.overlap import Found
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.statistics.intervals import wilson
from evalkit.task import catalog

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of ``n`` items, and the share's 95 % interval (Wilson)."""

    count: int
    n: int
    interval: tuple[float, float]


@dataclass(frozen=True)
class TaskCheck:
    """What was found in a task's items. None: not looked for, or there is nothing to compare with."""

    name: str
    split: str
    n: int
    pool_split: str | None
    n_pool: int
    repeated: Share
    near: Share | None
    like: Share | None
    gpt3: Share | None
    palm: Share | None
    gpt4: Share | None
    membership: Membership | None
    copies: tuple[Copy, ...]
    found: tuple[Found, ...]

    @property
    def worst(self) -> float:
        """The largest share of items that anything but the model's probabilities finds."""
        shares = (self.repeated, self.near, self.like, self.gpt3, self.palm, self.gpt4)
        return max(one.count / one.n for one in shares if one is not None)


def check(
    spec: RunSpec, corpus: Path | None, model: ModelSpec | None, unseen: Path | None, tell: Tell = lambda _: None
) -> list[TaskCheck]:
    """Check the tasks of ``spec``: their items against each other and against those that examples come from, against
    the text folder ``corpus``, and by the probabilities of ``model``, beside the texts of ``unseen`` where it is given.
    Raises UserError for bad input, MissingExtra without datasketch.
    """
    copies.require()
    if unseen is not None and model is None:
        raise UserError(f"--unseen {unseen}: is compared with the tasks by a model: give --model too")
    files = None if corpus is None else texts.corpus_files(corpus)
    others = None if unseen is None else [one.text for one in texts.corpus(texts.corpus_files(unseen))]
    bare = spec.model_copy(update={"num_fewshot": 0})
    found = []
    for one in texts.texts_of(catalog.resolve(bare), open_source(spec.data_dir), bare):
        tell(f"{one.name}: {len(one.items):,} items of {one.split}, {len(one.pool):,} of {one.pool_split or 'no pool'}")
        found.append(one)
    overlaps: list[list[Found]] | None = None
    if files is not None:
        tell(f"reading {len(files):,} files of {corpus}")
        overlaps = overlap.overlaps([(one.name, one.items) for one in found], texts.corpus(files), spec.seed or 0)
    seen = [None] * len(found) if model is None else _memberships(model, found, others, tell)
    return [
        _checked(one, None if overlaps is None else overlaps[place], seen[place]) for place, one in enumerate(found)
    ]


def _memberships(
    model: ModelSpec, found: Sequence[texts.TaskTexts], unseen: Sequence[str] | None, tell: Tell
) -> list[Membership | None]:
    backend = opening.open_backend(model, EngineSpec())
    try:
        others: list[Seen] = scores(backend, unseen or [])
        done: list[Membership | None] = []
        for one in found:
            tell(f"{model.name} reads {len(one.items):,} items of {one.name}")
            done.append(compared(scores(backend, [item.question for item in one.items]), others))
        return done
    finally:
        backend.close()


def _checked(one: texts.TaskTexts, found: Sequence[Found] | None, seen: Membership | None) -> TaskCheck:
    items = one.items
    alike = [*copies.repeated(items), *copies.near(items, one.pool), *copies.like(items, one.pool)]
    pooled = bool(one.pool)

    def of_copies(within: bool, kinds: tuple[str, ...]) -> Share:
        return _share([copy.key for copy in alike if copy.within == within and copy.kind in kinds], len(items))

    def of_rule(rule: str) -> Share | None:
        return None if found is None else _share([hit.key for hit in found if hit.rule == rule], len(items))

    return TaskCheck(
        name=one.name,
        split=one.split,
        n=len(items),
        pool_split=one.pool_split,
        n_pool=len(one.pool),
        repeated=of_copies(True, ("same",)),
        near=of_copies(False, ("same", "near")) if pooled else None,
        like=of_copies(False, ("like",)) if pooled else None,
        gpt3=of_rule("gpt3"),
        palm=of_rule("palm"),
        gpt4=of_rule("gpt4"),
        membership=seen,
        copies=tuple(alike),
        found=tuple(found or ()),
    )


def _share(keys: Sequence[str], n: int) -> Share:
    return Share(len(keys), n, wilson(len(keys), n))
