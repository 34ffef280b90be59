"""SelfCheckGPT by entailment: the formula on scripted verdicts, and a tiny model with random weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from probe_runs import metrics_of
from tiny_classifier import classifier

from evalkit.contract.errors import UserError
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.finding import lookup
from evalkit.probes import entailment
from evalkit.probes.entailment import Settings
from evalkit.probes.selfcheck import contradiction_scores
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve


def scripted(pairs: Any) -> list[float | None]:
    """A sample contradicts a sentence that holds none of its words; one of a hundred characters is too long to read."""
    return [
        None
        if len(premise) > 100
        else 0.1
        if set(premise.lower().strip(".").split()) & set(hypothesis.lower().strip(".").split())
        else 0.9
        for premise, hypothesis in pairs
    ]


def test_the_mean_over_samples_of_each_sentence() -> None:
    samples = ["the sea", "a hill", "the river"]
    scores = contradiction_scores("The sea is blue. A hill stands there.", samples, scripted)
    assert scores == pytest.approx([(0.1 + 0.9 + 0.1) / 3, (0.9 + 0.1 + 0.9) / 3])
    assert contradiction_scores("The sea.", ["x" * 101, "the sea"], scripted) is None


def test_what_stands_first_in_a_pair() -> None:
    seen: list[tuple[str, str]] = []

    def noted(pairs: Any) -> list[float | None]:
        seen.extend(pairs)
        return [0.5] * len(pairs)

    contradiction_scores("A.", ["b"], noted)
    contradiction_scores("A.", ["b"], noted, "sentence")
    assert seen == [("b", "A."), ("A.", "b")]


def test_the_probability_leaves_neutral_out() -> None:
    assert entailment.probability(1.0, 1.0) == 0.5
    assert entailment.probability(0.0, math.log(3)) == pytest.approx(0.75)
    assert entailment.probability(2000.0, -2000.0) == 0.0


def test_the_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entailment, "load", lambda settings: scripted)
    metric = lookup("selfcheck_nli", "generate")
    named = {"model": "x"}
    steady = ScoringInput(texts=("The sea is very blue.", "the sea", "blue"), args=named)
    varied = ScoringInput(texts=("The sea is very blue.", "no", "what", " ... "), args=named)
    assert metric.per_item(steady) == pytest.approx(0.1)
    assert metric.per_item(varied) == pytest.approx(0.9)
    assert metric.per_item(ScoringInput(texts=("The sea is very blue.",))) is None
    assert metric.per_item(ScoringInput(texts=("", "the sea"))) is None
    assert metric.per_item(ScoringInput(texts=("I do not know what that is.", "the sea"))) is None


def test_a_model_of_transformers(tmp_path: Path) -> None:
    import torch
    import transformers

    folder = classifier(tmp_path / "nli", ["contradiction", "neutral", "entailment"])
    settings = Settings(model=str(folder), device="cpu", batch_size=2)
    pairs = [("the sea is blue", "the hill is red ."), ("a hill", "the sea"), ("the sea is blue .", "blue"), ("a", "a")]
    pairs.append(("the sea " * 20, "too long"))
    entailment.check(settings)
    found = entailment.load(settings)(pairs)
    assert found[4] is None
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for pair, one in zip(pairs[:4], found, strict=False):
        with torch.inference_mode():
            three = model(**tokenizer(*pair, return_tensors="pt")).logits[0].double().softmax(-1)
        assert one == pytest.approx(float(three[0] / (three[0] + three[2])), abs=1e-5)
    assert len({round(one, 4) for one in found[:4] if one is not None}) == 4


def test_which_classes_are_meant(tmp_path: Path) -> None:
    unnamed = str(classifier(tmp_path / "two", ["LABEL_0", "LABEL_1"]))
    other = str(classifier(tmp_path / "three", ["LABEL_0", "LABEL_1", "LABEL_2"]))
    pair = [("the sea", "a hill")]
    first = entailment.load(Settings(model=unnamed, device="cpu"))(pair)[0]
    turned = entailment.load(Settings(model=unnamed, device="cpu", entail=1, contradict=0))(pair)[0]
    assert first is not None
    assert turned == pytest.approx(1 - first)
    with pytest.raises(UserError, match=r"which classes .* mean entailment and contradiction\? It has 0 \(label_0\)"):
        entailment.check(Settings(model=other))
    entailment.check(Settings(model=other, entail=2, contradict=0))
    with pytest.raises(UserError, match="has the classes"):
        entailment.check(Settings(model=other, entail=3, contradict=0))


def test_a_model_that_is_none(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "lm", ["entailment", "contradiction"])
    config = folder / "config.json"
    config.write_text(config.read_text().replace("BertForSequenceClassification", "BertForMaskedLM"))
    with pytest.raises(UserError, match="is no model for sequence classification"):
        entailment.check(Settings(model=str(folder)))
    with pytest.raises(UserError, match="no such folder"):
        entailment.check(Settings(model=str(tmp_path / "nothing")))
    with pytest.raises(UserError, match="no argument 'modell'"):
        Settings.of({"modell": "x"})
    with pytest.raises(UserError, match="two classes"):
        Settings.of({"model": "x", "entail": 1})
    with pytest.raises(UserError, match=r"Name it: --tasks selfcheckgpt:nli=MODEL"):
        Settings.of({})


def test_the_task_in_a_run(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "nli", ["contradiction", "neutral", "entailment"])
    name = f"selfcheck_subjects:nli={folder}:device=cpu"
    found = metrics_of(
        name,
        {
            "text": [
                "The sea is blue. A hill.",
                "The sea is red . The hill",
                "A hill is the sea.",
                "Blue is the red hill.",
            ]
        },
        limit=2,
    )
    assert 0 < (found["selfcheck_nli"] or 0) < 1
    assert found["selfcheck_max"] is not None
    spec = {"model": {"name": "mock"}, "tasks": [{"name": name}], "sample": True}
    (task,) = resolve(RunSpec.model_validate(spec)).tasks
    assert task.info.primary == "selfcheck_nli,answer"
    assert task.info.higher_is_better["selfcheck_nli,answer"] is False
    metric = lookup("selfcheck_nli", "generate")
    signature = aggregate(metric, [0.5, 0.25], args={"model": str(folder), "device": "cpu"}).signature
    assert "|premise:sample|" in signature
    assert "|weights:" in signature


def test_pickled_weights_of_the_hub_are_refused_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers", reason="needs transformers (pip install 'evalkit-harness[hf]')")
    import huggingface_hub

    from evalkit.backends.hf import loading
    from evalkit.spec.models import ModelSpec

    found = ModelSpec(name="some/nli", revision="0" * 40)
    monkeypatch.setattr(loading, "locate", lambda spec: (found, "some/nli", None))
    listed = ["config.json", "pytorch_model.bin"]
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", lambda self, name, revision: listed)
    with pytest.raises(UserError, match=r"no weights in safetensors at this revision"):
        entailment.refuse_pickled(Settings(model="some/nli"))
    listed.append("model.safetensors")
    entailment.refuse_pickled(Settings(model="some/nli"))
