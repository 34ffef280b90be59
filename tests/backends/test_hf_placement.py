"""Weights spread over the host's memory and disk: the same numbers as in one place, on either path, resume included."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny

pytest.importorskip("accelerate", reason="spreading weights needs the package accelerate")

from evalkit.backends.hf import load
from evalkit.contract.errors import UserError
from evalkit.contract.types import Response, Score
from evalkit.engine import answer
from evalkit.perf.counters import CountingProgress
from evalkit.runner.interruption import QUIET_SECONDS, Interrupted, Stop, Stoppable
from evalkit.runner.progress import Silent
from evalkit.spec.models import EngineSpec, ModelSpec

DRAW = np.random.default_rng(4)
BEGUN = DRAW.integers(0, tiny.VOCABULARY - 1, 20).tolist()
ROWS = [
    tiny.score_row([*BEGUN, *DRAW.integers(0, tiny.VOCABULARY - 1, size).tolist()], 20)
    for size in (1, 1, 3, 5, 8)
]  # fmt: skip


def saved(kind: str, path: Path) -> tuple[Path, int]:
    """The folder of a tiny model of four layers, and its bytes."""
    layers = {"n_layer": 4} if kind in ("gpt2", "bloom") else {"num_hidden_layers": 4}
    model = tiny.model(kind, **layers)
    model.save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path, sum(parameter.nbytes for parameter in model.parameters())


def loaded(folder: Path, share: bool = True, **args: Any) -> Any:
    return load(ModelSpec(name=str(folder), device="cpu", args=args), EngineSpec(share_prefixes=share))


@pytest.mark.parametrize(
    ("kind", "share"), [("llama", True), ("llama", False), ("gpt2", True), ("mistral_sliding", True), ("mamba", True)]
)
def test_spread_over_memory_and_disk_the_numbers_are_the_same(tmp_path: Path, kind: str, share: bool) -> None:
    folder, size = saved(kind, tmp_path / "model")
    whole = loaded(folder, share)
    spread = loaded(folder, share, device_map="auto", max_memory={"cpu": int(0.6 * size)}, offload_folder=str(tmp_path))
    placed = spread.info.details["weights_by_device"]
    assert set(placed) == {"cpu", "disk"}
    assert placed["disk"] > 0.2 * size
    assert spread.info.details["path"] == whole.info.details["path"]
    assert spread.tree == (share and kind != "mamba")
    assert spread.info.fingerprint == whole.info.fingerprint, "where weights are is no part of what answers"
    for one, other in zip(tiny.answers(spread.score, ROWS), tiny.answers(whole.score, ROWS), strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)
    asked = [tiny.generate_row(BEGUN[:size], 6) for size in (7, 12)]
    texts = [[one.text for one in tiny.answers(backend.generate, asked)] for backend in (spread, whole)]
    assert texts[0] == texts[1]


def test_each_module_may_be_given_its_device(tmp_path: Path) -> None:
    folder, _ = saved("llama", tmp_path / "model")
    layers = {f"model.layers.{index}": "disk" if index % 2 else "cpu" for index in range(4)}
    others = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu")
    spread = loaded(folder, device_map={**layers, **others}, offload_folder=str(tmp_path))
    assert set(spread.info.details["weights_by_device"]) == {"cpu", "disk"}
    expected = tiny.answers(loaded(folder).score, ROWS)
    for one, other in zip(tiny.answers(spread.score, ROWS), expected, strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)


def test_lm_evals_words_are_understood(tmp_path: Path) -> None:
    folder, size = saved("llama", tmp_path / "model")
    limits = {"max_cpu_memory": int(0.6 * size), "offload_folder": str(tmp_path)}
    spread = loaded(folder, parallelize=True, **limits)
    assert set(spread.info.details["weights_by_device"]) == {"cpu", "disk"}
    assert "weights_by_device" not in loaded(folder, parallelize=False).info.details


class Kept:
    """A journal on a slow disk that stops the run at its first answer."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.held: dict[str, Response] = {}

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        return {key: self.held[key] for key in keys if key in self.held}

    def put(self, key: str, response: Response) -> None:
        self.held[key] = response
        if not self._stop:
            self._stop.set()
            time.sleep(2 * QUIET_SECONDS)


def test_an_interrupted_run_goes_on_with_its_weights_elsewhere(tmp_path: Path) -> None:
    folder, size = saved("llama", tmp_path / "model")
    texts = ["".join(DRAW.choice(list(tiny.CHARACTERS), 24)) for _ in range(10)]
    asked = [Score(text[:20], text[20:]) for text in texts]
    engine = EngineSpec(batch_size=2)
    limits = {"device_map": "auto", "max_memory": {"cpu": int(0.6 * size)}, "offload_folder": str(tmp_path)}
    spec = ModelSpec(name=str(folder), device="cpu", args=limits)
    stop = Stop()
    kept = Kept(stop)
    with pytest.raises(Interrupted):
        answer(load(spec, engine), asked, kept, engine, CountingProgress(Stoppable(Silent(), stop)))
    first = len(kept.held)
    assert 0 < first < len(asked)
    went_on = answer(load(spec, engine), asked, kept, engine)
    assert len(kept.held) == len(asked)
    expected = answer(loaded(folder), asked, None, engine)
    for one, other in zip(went_on, expected, strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"args": {"max_memory_per_gpu": "10GiB"}}, "says nothing unless weights are spread: add device_map=auto"),
        ({"args": {"device_map": "auto", "max_memory_per_gpu": "10GiB"}}, "no GPU is used here"),
        ({"args": {"device_map": "auto", "max_memory": {"cpu": 1}, "max_cpu_memory": 2}}, "names every device"),
        ({"args": {"device_map": "everywhere"}}, "device_map"),
        ({"args": {"device_map": "auto"}, "device": "cuda:1"}, "leave --device out"),
        ({"args": {"device_map": "auto"}, "quant": "hqq4"}, "quantizes on one device"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path, settings: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit.backends.hf import quantization

    monkeypatch.setattr(quantization, "find_spec", lambda _: object())
    folder, _ = saved("llama", tmp_path / "model")
    with pytest.raises(UserError, match=told) as caught:
        load(ModelSpec(name=str(folder), **{"device": "cpu", **settings}), EngineSpec())
    assert "\n" not in str(caught.value)
