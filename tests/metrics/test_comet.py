"""COMET: what is passed to the package, here and in an environment of its own, and what is said without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.metrics import comet
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup

COMET = lookup("comet", "generate")
FAKE = """
import json, sys
from types import SimpleNamespace


def download_model(name):
    print("downloading", name)
    return f"cache/{name}/checkpoints/model.ckpt"


class Model:
    def __init__(self, path):
        self.path = path

    def predict(self, samples, batch_size=16, gpus=1, devices=None, mc_dropout=0, progress_bar=True,
                accelerator="auto", num_workers=None, length_batching=True):
        calls.append({"path": self.path, "samples": samples, "batch_size": batch_size, "gpus": gpus,
                      "progress_bar": progress_bar, "accelerator": accelerator})
        if any("poison" in one["mt"] for one in samples):
            raise RuntimeError("cannot score this")
        return SimpleNamespace(scores=[len(one["mt"]) / 10 for one in samples], system_score=0.0)


calls = []
load_from_checkpoint = Model
"""
SAMPLES = [
    ScoringInput(text="Hallo", target=["Hi", "Hello"], document={"source": "Salut"}),
    ScoringInput(text="Welt", target="World", document={"source": "Monde"}),
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the name and interface of unbabel-comet 2.2.7."""
    (tmp_path / "comet").mkdir()
    (tmp_path / "comet" / "__init__.py").write_text(FAKE, encoding="utf-8")
    monkeypatch.delenv("EVALKIT_COMET_PYTHON", raising=False)
    monkeypatch.delitem(sys.modules, "comet", raising=False)
    return tmp_path


def test_what_the_package_is_given(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package))
    assert COMET.prepare is not None
    COMET.prepare({})
    found = aggregate(COMET, [None, None], samples=SAMPLES, args={"batch_size": 4})
    assert (found.value, found.n) == (pytest.approx(0.45), 2)
    assert "|model:Unbabel/wmt22-comet-da|" in found.signature
    (call,) = sys.modules["comet"].calls
    assert call == {
        "path": "cache/Unbabel/wmt22-comet-da/checkpoints/model.ckpt",
        "samples": [{"src": "Salut", "mt": "Hallo", "ref": "Hi"}, {"src": "Monde", "mt": "Welt", "ref": "World"}],
        "batch_size": 4,
        "gpus": 0,
        "progress_bar": False,
        "accelerator": "cpu",
    }
    aggregate(COMET, [None], samples=SAMPLES[:1], args={"model": "my/own.ckpt", "gpus": 1})
    last = sys.modules["comet"].calls[-1]
    assert (last["path"], last["gpus"], last["accelerator"]) == ("my/own.ckpt", 1, "auto")
    monkeypatch.delitem(sys.modules, "comet")


def test_kiwi_is_asked_without_a_reference(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package))
    found = aggregate(lookup("comet_kiwi", "generate"), [None, None], samples=SAMPLES)
    assert "|model:Unbabel/wmt22-cometkiwi-da|reference:none|" in found.signature
    assert comet.without_reference([{"source": "Salut", "target": "Hi", "more": 1}]) == [0.2]
    calls = sys.modules["comet"].calls
    assert calls[0]["samples"] == [{"src": "Salut", "mt": "Hallo"}, {"src": "Monde", "mt": "Welt"}]
    assert calls[1]["samples"] == [{"src": "Salut", "mt": "Hi"}]
    assert {call["path"] for call in calls} == {"cache/Unbabel/wmt22-cometkiwi-da/checkpoints/model.ckpt"}
    monkeypatch.delitem(sys.modules, "comet")


def test_an_environment_of_its_own(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = package / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setenv("EVALKIT_COMET_PYTHON", str(python))
    assert COMET.prepare is not None
    COMET.prepare({})
    assert aggregate(COMET, [None, None], samples=SAMPLES).value == pytest.approx(0.45)
    poisoned = [ScoringInput(text="poison", target="x", document={"source": "y"})]
    with pytest.raises(UserError, match=r"fails in .*RuntimeError: cannot score this"):
        aggregate(COMET, [None], samples=poisoned)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert COMET.prepare is not None
    monkeypatch.delenv("EVALKIT_COMET_PYTHON", raising=False)
    monkeypatch.setattr("evalkit.metrics.comet.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"unbabel-comet, which does not go with numpy 2.*EVALKIT_COMET_PYTHON"):
        COMET.prepare({})
    with pytest.raises(UserError, match="is no Python to run"):
        COMET.prepare({"python": str(tmp_path / "nothing")})


def test_arguments_are_checked() -> None:
    assert COMET.prepare is not None
    with pytest.raises(UserError, match="gpus is 2; give 0 or 1"):
        COMET.prepare({"gpus": 2})
    with pytest.raises(UserError, match="no argument 'gpu'"):
        COMET.prepare({"gpu": 1})
    with pytest.raises(UserError, match="no field 'source'"):
        aggregate(COMET, [None], samples=[ScoringInput(text="a", target="b", document={"src": "c"})])


def test_the_runs_python_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_COMET_PYTHON", sys.executable)
    assert COMET.prepare is not None
    with comet.asked_in("no-such-python"), pytest.raises(UserError, match="no-such-python is no Python"):
        COMET.prepare({})
    with comet.asked_in("no-such-python"), pytest.raises(UserError, match="other-python is no Python"):
        COMET.prepare({"python": "other-python"})
