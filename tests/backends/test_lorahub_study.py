"""LoraHub on a tiny model and bundled items: what is composed, what it is compared with, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_models as tiny

from evalkit.api.adapting import study_lorahub
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle
from evalkit.study.config import LoraHub, load
from evalkit.study.in_context import InContext
from evalkit.study.splitting import splits
from evalkit.task.native import NativeTask
from evalkit.training.examples import examples_of

pytest.importorskip("peft", reason="adapters need the package peft")


def study(model: str) -> LoraHub:
    return LoraHub(
        model=model,
        modules=("sst2", "cola"),
        tasks=("rte",),
        method={"method": "lora", "rank": 2, "modules": ["q_proj", "v_proj"]},  # type: ignore[arg-type]
        seeds=(1, 2),
        steps=2,
        batch_size=2,
        train_items=4,
        examples=2,
        search_steps=4,
        eval_items=4,
        bundled=True,
    )


@pytest.mark.slow
def test_a_composition_is_never_below_its_best_member_on_its_items(tmp_path: Path) -> None:
    model = tmp_path / "tiny"
    tiny.model("llama", max_position_embeddings=1024, initializer_range=0.1).save_pretrained(model)
    tiny.tokenizer().save_pretrained(model)
    found = study_lorahub(study(str(model)), tmp_path / "study")
    assert [(one.task, one.seed) for one in found.composed] == [("rte", 1), ("rte", 2)]
    for one in found.composed:
        assert one.loss <= min(one.base_loss, *one.single_losses)
        assert len(one.weights) == len(one.single_losses) == 2
        # What is shown in the prompt is read with every item.
        assert one.shown.tokens > one.score.tokens == found.zero_shot["rte"].tokens
        assert one.tuning_tokens > 0
    again = study_lorahub(study(str(model)), tmp_path / "study", note=lambda text: pytest.fail(text))
    assert again == found
    assert "LoraHub, mean" in (tmp_path / "study" / "report.md").read_text("utf-8")


def test_examples_in_the_prompt_stand_there_as_few_shot_examples_do() -> None:
    (one,) = splits(study("mock"), ["bbh_navigate"], 2, 3)
    assert isinstance(one.task, NativeTask)
    shown = examples_of(one.task, one.training())
    assert all(example.ends for example in shown)  # no text ends an answer there
    capped = study("mock").model_copy(update={"max_tokens": 3})
    (short,) = splits(capped, ["bbh_navigate"], 2, 3)
    ((few,),) = short.task.requests(short.documents[:1], PromptStyle())
    assert few.max_tokens == 3  # type: ignore[union-attr]
    task = InContext(one.task, shown)
    document = one.documents[one.held_out[0]]
    ((plain,),) = one.task.requests([document], PromptStyle())
    ((asked,),) = task.requests([document], PromptStyle())
    head = "".join(f"{example.prompt}{example.completion}\n\n" for example in shown)
    assert asked.context == head + plain.context  # type: ignore[union-attr]
    assert task.info.num_fewshot == 2


def test_only_loras_are_composed(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("model: m\nmodules: [sst2, cola]\ntasks: rte\nmethod: ia3\n", "utf-8")
    with pytest.raises(UserError, match="only LoRAs can be added up"):
        load(LoraHub, path)
    path.write_text("model: m\nmodules: [sst2, rte]\ntasks: rte\n", "utf-8")
    with pytest.raises(UserError, match="'rte' stands there twice"):
        load(LoraHub, path)
