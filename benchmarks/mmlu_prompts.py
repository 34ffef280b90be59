"""The prompts of MMLU 5-shot as token ids, for `gpu.py`: drawn after measured lengths, or the mirror's own.

mmlu_lengths.csv has a line a subject: its questions in the whole test set, the length of its few-shot prefix (tokens
that all its prompts share), and the median and the spread (standard deviation of the logarithm) of what follows, up
to "Answer:". Measured on lm-eval's prompts with SmolLM2's tokenizer.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workloads import Workload, gathered

if TYPE_CHECKING:
    import numpy as np

    from evalkit.backends.hf.backend import HfBackend
    from evalkit.contract.backend import LoglikelihoodRow

LENGTHS = Path(__file__).with_name("mmlu_lengths.csv")


@dataclass(frozen=True)
class Question:
    """Token ids of the prompt [length] and of its choices, one each."""

    context: np.ndarray
    choices: tuple[int, ...]


def lengths() -> list[dict[str, str]]:
    """The lines of mmlu_lengths.csv."""
    with LENGTHS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def drawn(row: Mapping[str, str], vocabulary: int) -> list[Question]:
    """A subject's questions with random ids: the same ones in every run."""
    from zlib import crc32

    import numpy as np

    draw = np.random.default_rng(crc32(row["subject"].encode()))
    prefix = draw.integers(0, vocabulary, int(row["prefix"]), dtype=np.int32)
    own = draw.lognormal(np.log(float(row["question"])), float(row["spread"]), int(row["questions"]))
    choices = tuple(range(1, 5))
    return [
        Question(np.concatenate([prefix, draw.integers(0, vocabulary, size, dtype=np.int32)]), choices)
        for size in own.clip(8, 2000).astype(int)
    ]


def real(folder: Path, backend: HfBackend, limit: int | None) -> dict[str, list[Question]]:
    """The mirror's questions by subject, as lm-eval writes them; at most ``limit`` of each."""
    from evalkit.contract.types import PromptStyle
    from evalkit.engine.encode import encode
    from evalkit.runner.workload import build_requests

    subjects = [row["subject"] for row in lengths()]
    tasks = tuple(f"mmlu_{subject}" for subject in subjects)
    found: dict[str, list[Question]] = {}
    works = gathered(Workload("mmlu", tasks, 5, limit or sys.maxsize), folder)
    for subject, work in zip(subjects, works, strict=True):
        asked = build_requests(work, PromptStyle()).requests
        jobs = iter(encode(backend, [request for requests in asked for request in requests], "truncate"))
        found[subject] = []
        for requests in asked:
            rows = [row for _ in requests for row in next(jobs).scores]
            if {len(row.tokens) - row.start for row in rows} != {1}:
                raise SystemExit(f"{subject}: with this tokenizer a choice is not one token")
            choices = tuple(int(row.tokens[-1]) for row in rows)
            found[subject].append(Question(rows[0].tokens[: rows[0].start], choices))
    return found


def rows_of(asked: Sequence[Question]) -> list[LoglikelihoodRow]:
    """Every choice of every question as the engine hands it to a backend."""
    import numpy as np

    from evalkit.contract.backend import LoglikelihoodRow

    return [
        LoglikelihoodRow(np.append(one.context, np.int32(choice)), len(one.context))
        for one in asked
        for choice in one.choices
    ]
