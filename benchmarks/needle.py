"""What sharing the haystack's prefix saves: one grid in one run, against each of its cells in a run of its own.

    python benchmarks/needle.py --model smollm2-135m --lengths 1024+2048+4096+8192 --depths 0+25+50+75+100

Both ways answer the same prompts on the same loaded model, without a journal; the answers must be equal. Loading is not
timed. The ratio of the seconds is printed, and with --output everything is written as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from evalkit.backends import opening
from evalkit.contract.backend import TokenBackend
from evalkit.contract.types import PromptStyle, Request
from evalkit.engine import answer
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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-length", type=int, default=None)
    parser.add_argument("--lengths", type=numbers, default=(1024, 2048, 4096, 8192))
    parser.add_argument("--depths", type=numbers, default=(0, 25, 50, 75, 100))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    grid = Grid(lengths=given.lengths, depths=given.depths, repeats=given.repeats)
    engine = EngineSpec()
    model = ModelSpec(name=given.model, device=given.device, max_length=given.max_length)
    backend = opening.open_backend(model, engine)
    if not isinstance(backend, TokenBackend):
        parser.error("the model's tokenizer must run here")
    prompts = asked(grid, backend)
    answer(backend, prompts[:1], None, engine)  # the first call compiles and allocates
    started = time.perf_counter()
    together = answer(backend, prompts, None, engine)
    grid_s = time.perf_counter() - started
    started = time.perf_counter()
    alone = [answer(backend, [prompt], None, engine)[0] for prompt in prompts]
    cells_s = time.perf_counter() - started
    same = sum(one.text == other.text for one, other in zip(together, alone, strict=True))
    found = {
        "model": given.model,
        "device": backend.info.device,
        "lengths": given.lengths,
        "depths": given.depths,
        "prompts": len(prompts),
        "prompt_tokens": sum(response.prompt_tokens for response in together),
        "grid_s": round(grid_s, 3),
        "each_cell_alone_s": round(cells_s, 3),
        "ratio": round(grid_s / cells_s, 4),
        "same_answers": same,
        "errors": sum(response.status != "ok" for response in (*together, *alone)),
    }
    backend.close()
    print(json.dumps(found, indent=2))
    if given.output:
        given.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
