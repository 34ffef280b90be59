"""Embedders that tests make: a constant one, one of zeros, and perfect ones; where each must land."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import evalkit
from evalkit.backends.embedders.backend import EmbedderBackend, Opened, Prompts, Read
from evalkit.contract.types import ModelInfo
from evalkit.spec.models import EngineSpec


class Encoder:
    """Vectors by a function of a text and its role."""

    prompts = Prompts()

    def __init__(self, vector: Callable[[str, str], list[float]]) -> None:
        self._vector = vector

    def read(self, texts, role, meter):
        return Read(np.array([self._vector(text, role) for text in texts], dtype=np.float32), [1] * len(texts))

    def close(self):
        pass


def embedder(vector: Callable[[str, str], list[float]]) -> EmbedderBackend:
    info = ModelInfo("made", "made", "made", 1 << 30)
    return EmbedderBackend(Opened(Encoder(vector), info), EngineSpec())


def constant(text: str, role: str) -> list[float]:
    return [1.0, 2.0]


def zeros(text: str, role: str) -> list[float]:
    return [0.0, 0.0]


@pytest.fixture
def data(tmp_path):
    def write(name: str, rows: list[dict]) -> None:
        file = tmp_path / "data" / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    # The second sentence says by how much it differs, in degrees: its cosine falls as the score does.
    pairs = [{"sentence1": f"0 s{n}", "sentence2": f"{180 - 4 * n} s{n}", "score": n / 8} for n in range(40)]
    write("pairs/default/test.jsonl", pairs)
    write("found/corpus/corpus.jsonl", [{"_id": f"d{n}", "title": "", "text": f"{n * 17} passage"} for n in range(20)])
    write("found/queries/queries.jsonl", [{"_id": f"q{n}", "text": f"{n * 17} query"} for n in range(20)])
    write("found/default/test.jsonl", [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 1} for n in range(20)])
    classes = [{"text": f"{(n % 2) * 90} c{n}", "label": ("no", "yes")[n % 2]} for n in range(60)]
    write("classes/default/train.jsonl", classes)
    write("classes/default/test.jsonl", classes[:30])
    return tmp_path / "data"


def by_angle(text: str, role: str) -> list[float]:
    """The direction that the text's first word says."""
    angle = np.deg2rad(float(text.split()[0]))
    return [float(np.cos(angle)), float(np.sin(angle))]


def numbers(vector, name: str, data, output) -> dict[str, float | None]:
    run = evalkit.evaluate(embedder(vector), [name], data_dir=data, output=output)
    assert run.result.tasks[0].n_error == 0
    return {metric.name: metric.value for metric in run.result.tasks[0].metrics}


@pytest.mark.parametrize(
    ("vector", "similar", "found", "accuracy"),
    [(by_angle, 1.0, 1.0, 1.0), (constant, None, 0.05, 0.5), (zeros, None, 0.05, 0.5)],
)
def test_made_embedders_land_where_they_must(vector, similar, found, accuracy, data, tmp_path):
    pytest.importorskip("ir_measures", reason="needs ir-measures (pip install 'evalkit-harness[embedding]')")
    pytest.importorskip("sklearn", reason="needs scikit-learn (pip install 'evalkit-harness[embedding]')")
    alike = numbers(vector, "sts:own/pairs", data, tmp_path / "a")
    assert alike["cosine_spearman"] == (None if similar is None else pytest.approx(similar))
    ranked = numbers(vector, "retrieve:own/found", data, tmp_path / "b")
    assert ranked["recall_at_100"] == 1
    assert ranked["ndcg_at_10"] == 1 if found == 1 else ranked["ndcg_at_10"] < 0.3
    assert numbers(vector, "linear:own/classes", data, tmp_path / "c")["accuracy"] == pytest.approx(accuracy)
