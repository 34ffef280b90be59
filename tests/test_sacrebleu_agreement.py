"""Our paired test of corpus metrics against sacrebleu's own, on real systems of WMT22: the same scores and differences,
and by its approximate randomization, which counts both tails as the jackknife does, the same verdicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.metrics import translation
from evalkit.metrics.base import ScoringInput
from evalkit.statistics.corpus import corpus_difference

pytestmark = pytest.mark.mirror
SAMPLES = 500
SENTENCES = 400


def read(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()[:SENTENCES]


def statistics(name: str, hypotheses: list[str], references: list[str]) -> Any:
    """Each sentence's sufficient statistics as a run would keep them, shape (sentences, statistics)."""
    metric = {"bleu": translation.bleu, "chrf": translation.chrf}[name]
    rows = [
        metric.per_item(ScoringInput(document={}, target=[reference], text=hypothesis))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]
    return np.array(rows, float)


@pytest.mark.parametrize("pair", ["de-en", "en-de", "de-fr"])
@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_scores_and_verdicts_are_sacrebleus(mirror: Path, pair: str, name: str) -> None:
    from sacrebleu.metrics import BLEU, CHRF
    from sacrebleu.significance import PairedTest

    folder = mirror / "wmt22"
    target = pair.partition("-")[2]
    files = sorted(folder.glob(f"generaltest2022.{pair}.hyp.*.{target}"))
    if len(files) < 2:
        pytest.skip(f"the mirror has no two systems of wmt22 {pair}")
    references = read(folder / f"generaltest2022.{pair}.ref.A.{target}")
    systems = [(path.name.split(".")[3], read(path)) for path in files]
    their = PairedTest(
        systems,
        {name: {"bleu": BLEU, "chrf": CHRF}[name]()},
        [references],
        test_type="ar",
        n_samples=SAMPLES,
    )()[1]
    theirs = dict(zip(their["System"], next(v for k, v in their.items() if k != "System"), strict=True))
    base = statistics(name, systems[0][1], references)
    for system, lines in systems[1:]:
        own = statistics(name, lines, references)
        found = corpus_difference(base, own, getattr(translation, name).combine.function)
        result = next(value for key, value in theirs.items() if key.startswith(system))
        first = next(value for key, value in theirs.items() if key.endswith(systems[0][0]) or systems[0][0] in key)
        assert found.value == pytest.approx(result.score - first.score, abs=1e-9)
        assert (found.p_value() < 0.05) == (result.p_value < 0.05) or 0.02 < found.p_value() < 0.12
