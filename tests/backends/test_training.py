"""Ways to tune a model: what they add changes nothing before it is trained; a training goes on where it was killed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
import torch

from evalkit.backends.hf.backend import HfBackend
from evalkit.backends.hf.loading import Parts
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.training.attaching import Tunable, attach
from evalkit.training.examples import Example
from evalkit.training.recipe import Method, schedule
from evalkit.training.trainer import CHECKPOINT, Encoded, Training, encoded, order

pytest.importorskip("peft", reason="adapters need the package peft")

EXACT = ("full", "lora", "ia3", "bottleneck", "bitfit")
"""Methods that leave the model as it is until they are trained; prompts and prefixes do not."""
KINDS = (*EXACT, "prefix", "prompt", "p-tuning")
ITEMS = [Encoded((3, 1, 4, 1, 5, 9, 2), 3), Encoded((2, 7, 1, 8), 2), Encoded((1, 6, 1, 8, 0), 1)]
ROW = tiny.score_row([3, 1, 4, 1, 5, 9, 2, 6], 4)


def method(kind: str) -> Method:
    own: dict[str, Any] = {"rank": 2} if kind in ("lora", "bottleneck") else {}
    return Method(method=kind, learning_rate=0.05, **own)  # type: ignore[arg-type]


def tunable(kind: str, seed: int = 1) -> Tunable:
    return attach(tiny.model("llama"), method(kind), seed)


def asked(model: Any) -> HfBackend:
    own = copy.deepcopy(model).eval().requires_grad_(False)
    parts = Parts(own, tiny.tokenizer(), torch.device("cpu"), "f", "tiny")
    return HfBackend(parts, ModelSpec(name="tiny"), EngineSpec())


def answer(model: Any) -> float:
    (found,) = tiny.answers(asked(model).score, [ROW])
    return float(found.loglikelihood)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_tunes_what_it_should_and_learns(kind: str, tmp_path: Path) -> None:
    base = answer(tiny.model("llama"))
    made = tunable(kind)
    before = answer(made.inner)
    assert (before == pytest.approx(base, abs=1e-5)) == (kind in EXACT)
    own = sum(one.numel() for one in tiny.model("llama").parameters())
    assert made.base_parameters == own
    assert made.trainable > 0
    assert made.share == pytest.approx(made.trainable / (own if kind == "full" else own + made.trainable), rel=1e-9)
    untouched = {name: one.clone() for name, one in made.model.named_parameters() if not one.requires_grad}
    training = Training(made, ITEMS, method(kind), 8, 2, 1, tmp_path)
    training.to(8)
    assert training.spent.losses[-1] < training.spent.losses[0]
    assert all(torch.equal(one, untouched[name]) for name, one in made.model.named_parameters() if name in untouched)
    # The backend's own forward, tree and all, answers as the trained model's.
    assert answer(made.inner) == pytest.approx(_plainly(made), abs=1e-3)
    assert answer(made.inner) != pytest.approx(before, abs=1e-3)


def _plainly(made: Tunable) -> float:
    with torch.no_grad():
        logits = made.inner.eval()(input_ids=torch.tensor([list(ROW.tokens)])).logits[0, -len(ROW.tokens) :]
    logs = torch.log_softmax(logits, -1)
    return float(sum(logs[place - 1, int(ROW.tokens[place])] for place in range(ROW.start, len(ROW.tokens))))


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_killed_training_ends_where_an_unbroken_one_does(kind: str, tmp_path: Path) -> None:
    whole = Training(tunable(kind), ITEMS, method(kind), 6, 2, 1, tmp_path / "whole")
    whole.to(6)
    broken = Training(tunable(kind), ITEMS, method(kind), 6, 2, 1, tmp_path / "broken")
    broken.to(3)
    del broken  # as a kill leaves it: the checkpoint alone
    again = Training(tunable(kind), ITEMS, method(kind), 6, 2, 1, tmp_path / "broken")
    assert again.spent.step == 3
    again.to(6)
    assert again.fingerprint() == whole.fingerprint()
    assert again.spent.losses == whole.spent.losses
    assert again.spent.tokens == whole.spent.tokens
    assert [one.name for one in (tmp_path / "broken").iterdir()] == [CHECKPOINT]
    other = Training(tunable(kind), ITEMS, method(kind), 6, 2, 2, tmp_path / "other")
    other.to(6)
    assert other.fingerprint() != whole.fingerprint()


def test_a_broken_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"no tensors here")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: cannot be gone on from .*delete it to train anew"):
        Training(tunable("lora"), ITEMS, method("lora"), 6, 2, 1, tmp_path)


def test_biases_of_the_models_own_are_tuned_and_none_added() -> None:
    made = attach(tiny.model("gpt2"), Method(method="bitfit"), 1)
    assert not made.note
    assert all(name.endswith(".bias") for name in made.tuned())
    assert "biases of zero were added" in tunable("bitfit").note


def test_only_answers_are_learned_and_prompts_are_cut_at_their_beginning() -> None:
    tokenizer = tiny.tokenizer()
    (one,), cut = encoded(tokenizer, [Example("abcdef", "gh", ends=True)], 8)
    assert (len(one.tokens), one.start, cut) == (8, 5, 1)
    assert one.tokens[-1] == tokenizer.eos_token_id
    (bare,), _ = encoded(tokenizer, [Example("", "gh")], 8)
    assert (len(bare.tokens), bare.start) == (3, 1)
    with pytest.raises(UserError, match="max_length 8: an answer has 9 tokens"):
        encoded(tokenizer, [Example("a", "bcdefghij")], 8)


def test_every_epoch_shows_every_example_once() -> None:
    seen = [place for step in range(4) for place in order(6, 3, step, 7)]
    assert sorted(seen[:6]) == sorted(seen[6:]) == list(range(6))
    assert seen[:6] != seen[6:]
    assert [round(schedule(step, 10), 3) for step in (0, 1, 9)] == [1.0, 1.0, 0.111]


def test_settings_that_a_method_does_not_take_are_refused() -> None:
    with pytest.raises(ValueError, match="full takes no rank"):
        Method(method="full", rank=4)
    with pytest.raises(UserError, match=r"lora r8: does not fit LlamaForCausalLM"):
        attach(tiny.model("llama"), Method(method="lora", modules=("nowhere",)), 1)
