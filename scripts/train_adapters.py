"""Train small adapters in a few steps on evalkit's own sample items, for examples/variants.yaml and the tests.

    python scripts/train_adapters.py --model smollm2-135m --output adapters --steps 8

They show that adapters load, score and compare; eight steps on thirty items teach a model nothing worth knowing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.backends.hf.local_files import local_folder
from evalkit.spec.models import ModelSpec
from evalkit.store.paths import share

TASK = peft.TaskType.CAUSAL_LM
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj"]
ADAPTERS: dict[str, tuple[str, float, Any]] = {
    "lora": ("triviaqa", 1e-3, lambda: peft.LoraConfig(task_type=TASK, r=8, lora_alpha=16, target_modules=LINEAR)),
    "lora-wide": ("boolq", 1e-3, lambda: peft.LoraConfig(task_type=TASK, r=16, lora_alpha=16, target_modules=LINEAR)),
    # A learning rate a hundred times too large, for showing that the gate notices.
    "broken": ("triviaqa", 1e-1, lambda: peft.LoraConfig(task_type=TASK, r=8, lora_alpha=16, target_modules=LINEAR)),
    "ia3": (
        "triviaqa",
        1e-2,
        lambda: peft.IA3Config(
            task_type=TASK, target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
    ),
    "prefix": ("triviaqa", 1e-2, lambda: peft.PrefixTuningConfig(task_type=TASK, num_virtual_tokens=8)),
    "prompt": (
        "triviaqa",
        3e-2,
        lambda: peft.PromptTuningConfig(
            task_type=TASK, num_virtual_tokens=8, prompt_tuning_init=peft.PromptTuningInit.RANDOM
        ),
    ),
    "adaption-prompt": (
        "triviaqa",
        1e-2,
        lambda: peft.AdaptionPromptConfig(task_type=TASK, adapter_len=8, adapter_layers=4, target_modules="self_attn"),
    ),
}
"""By folder: the task whose sample is learned, the learning rate, and the adapter's configuration."""


def texts(task: str) -> list[str]:
    """Questions with their answers, from the task's bundled items."""
    lines = (share("tasks") / task / "sample.jsonl").read_text("utf-8").splitlines()
    return [_text(json.loads(line)) for line in lines]


def _text(item: dict[str, Any]) -> str:
    if "passage" in item:
        return f"{item['passage']}\nQuestion: {item['question']}?\nAnswer: {'yes' if item['label'] else 'no'}"
    return f"Question: {item['question']}\nAnswer: {item['answer']['value']}"


def train(model: Any, tokenizer: Any, items: list[str], rate: float, steps: int) -> float:
    """Some steps of AdamW on four texts at a time; the last loss in nats a token."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    model.train()
    loss = torch.tensor(float("nan"))
    for step in range(steps):
        batch = [items[(4 * step + k) % len(items)] for k in range(4)]
        encoded = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=96)
        labels = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, -100)
        loss = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def main() -> None:
    """Train the asked-for adapters one after another, each on a fresh copy of the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a name, folder, or Hub id")
    parser.add_argument("--output", type=Path, default=Path("adapters"), help="folder for one folder an adapter")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", default=",".join(ADAPTERS), help="some of: " + ", ".join(ADAPTERS))
    asked = parser.parse_args()
    source = local_folder(ModelSpec(name=asked.model)) or asked.model
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    for name in asked.only.split(","):
        task, rate, config = ADAPTERS[name]
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
        model = peft.get_peft_model(base, config())
        loss = train(model, tokenizer, texts(task), rate, asked.steps)
        for config_held in model.peft_config.values():  # the user's name for the model, never this machine's path
            config_held.base_model_name_or_path = asked.model
        model.save_pretrained(asked.output / name, save_embedding_layers=False)
        print(f"{name}: loss {loss:.3f} on {task}, saved to {asked.output / name}")


if __name__ == "__main__":
    main()
