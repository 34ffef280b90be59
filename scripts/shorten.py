"""Save a model with its first layers alone, as a small member of its family for trying studies over model sizes.

    python scripts/shorten.py --model smollm2-135m --layers 10 --output smollm2-10-layers

It was not trained to be so short and answers little better than chance, which a study of a family must show.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalkit.backends.hf.local_files import local_folder
from evalkit.spec.models import ModelSpec


def shorten(model: str, layers: int, output: Path) -> None:
    """Write weights and tokenizer to ``output``. SystemExit where the model has not so many layers."""
    folder = local_folder(ModelSpec(name=model)) or model
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    there = loaded.config.num_hidden_layers
    if not 0 < layers <= there:
        raise SystemExit(f"--layers {layers}: {model} has {there}")
    loaded.model.layers = loaded.model.layers[:layers]
    loaded.config.num_hidden_layers = layers
    if getattr(loaded.config, "layer_types", None):
        loaded.config.layer_types = loaded.config.layer_types[:layers]
    loaded.save_pretrained(output)
    AutoTokenizer.from_pretrained(folder).save_pretrained(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    shorten(given.model, given.layers, given.output)
