"""What sharing the haystack's prefix saves: one grid in one run, against its longest cell and against each cell alone.

    python benchmarks/needle.py --model smollm2-135m --lengths 1024+2048+4096+8192 --depths 0+25+50+75+100
    python benchmarks/needle.py --model random --kind passkey --lengths 2048+4096+8192+16384 \\
        --depths 0+14+28+42+57+71+85+100 --alone longest

All ways answer the same prompts on the same loaded model, without a journal; the answers must be equal. Loading is not
timed. The ratios of the seconds are printed, and with --output everything is written as JSON. "random" is a model of
SmolLM2-135M's sizes with random weights, its tokenizer and a window as long as the longest length.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from evalkit.backends import opening
from evalkit.backends.hf.local_files import local_folder
from evalkit.contract.backend import TokenBackend
from evalkit.contract.types import PromptStyle, Request
from evalkit.engine import answer
from evalkit.probes.needle.family import KINDS
from evalkit.probes.needle.task import Grid, NeedleTask
from evalkit.spec.models import EngineSpec, ModelSpec


class NoData:
    """Needles are generated."""

    name = "none"

    def load(self, dataset: object, split: str) -> list[dict[str, object]]:
        return []


def numbers(text: str) -> tuple[int, ...]:
    """ "512+1024" as (512, 1024)."""
    return tuple(int(part) for part in text.split("+"))


def asked(grid: Grid, backend: TokenBackend) -> list[Request]:
    """The prompts of a grid."""
    task = NeedleTask("needle", grid)
    style = PromptStyle(encode=backend.encode, max_length=backend.info.max_length)
    return [request for requests in task.requests(task.documents(NoData()), style) for request in requests]


def random_model(folder: Path, window: int) -> str:
    """A folder with a model of SmolLM2-135M's sizes, random weights, and its tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = local_folder(ModelSpec(name="smollm2-135m"))
    config = LlamaConfig.from_pretrained(source)
    config.max_position_embeddings = window
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-length", type=int, default=None)
    parser.add_argument("--lengths", type=numbers, default=(1024, 2048, 4096, 8192))
    parser.add_argument("--depths", type=numbers, default=(0, 25, 50, 75, 100))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--kind", default="single", choices=KINDS)
    parser.add_argument("--alone", default="all", choices=("all", "longest"), help="which cells are run by themselves")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    grid = Grid(kind=given.kind, lengths=given.lengths, depths=given.depths, repeats=given.repeats)
    engine = EngineSpec()
    name = given.model
    if name == "random":
        name = random_model(Path(tempfile.mkdtemp()), max(given.lengths))
    model = ModelSpec(name=name, device=given.device, max_length=given.max_length)
    backend = opening.open_backend(model, engine)
    if not isinstance(backend, TokenBackend):
        parser.error("the model's tokenizer must run here")
    prompts = asked(grid, backend)
    answer(backend, prompts[:1], None, engine)  # the first call compiles and allocates
    started = time.perf_counter()
    together = answer(backend, prompts, None, engine)
    grid_s = time.perf_counter() - started
    longest = max(range(len(prompts)), key=lambda place: together[place].prompt_tokens)
    places = range(len(prompts)) if given.alone == "all" else [longest]
    alone, seconds = {}, {}
    for place in places:
        started = time.perf_counter()
        alone[place] = answer(backend, [prompts[place]], None, engine)[0]
        seconds[place] = time.perf_counter() - started
    same = sum(together[place].text == one.text for place, one in alone.items())
    found = {
        "model": given.model,
        "device": backend.info.device,
        "lengths": given.lengths,
        "depths": given.depths,
        "prompts": len(prompts),
        "prompt_tokens": sum(response.prompt_tokens for response in together),
        "grid_s": round(grid_s, 3),
        "longest_cell_s": round(seconds[longest], 3),
        "grid_to_longest_cell": round(grid_s / seconds[longest], 4),
        **(
            {"each_cell_alone_s": round(sum(seconds.values()), 3), "ratio": round(grid_s / sum(seconds.values()), 4)}
            if given.alone == "all"
            else {}
        ),
        "same_answers": f"{same} of {len(alone)}",
        "errors": sum(response.status != "ok" for response in (*together, *alone.values())),
    }
    backend.close()
    print(json.dumps(found, indent=2))
    if given.output:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
