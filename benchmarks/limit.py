"""What the work must cost at least on this machine, and how close evalkit comes to it.

    python benchmarks/limit.py --data-dir DIR                                   # the limits
    python benchmarks/limit.py --data-dir DIR --measured results.json           # beside a run of vs_lm_eval.py

Measured here and now: the rate of matrix products in --dtype at the shapes of the model's own layers (the best of
several numbers of rows, with the weights as they are stored and as evalkit lays them out), and the bandwidth of reading
memory.

Counted, for the same documents and prompts as vs_lm_eval.py: the distinct tokens (the nodes of the prefix tree of all
requests, `PrefixPlan.tokens_computed`), and the distinct positions whose logits are read. The limit is then

    2 x weights of the layers x distinct tokens + 2 x weights of the vocabulary projection x positions read

multiply-adds over the measured rate. Attention's own products, 4 x heads x head width x (position + 1) a token and
layer, stand in a column of their own, at the same rate (no attention kernel reaches it), and in a second limit. Tokens
that are generated (known from --measured) count like others; they can take no less time than reading the layers'
weights once for each step of the longest answer.

No real program reaches the limit: norms, softmax, activations, tokenizing and scoring count as nothing in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workloads import Workload, chosen, data_folder, gathered, public, surroundings, wide_console

if TYPE_CHECKING:
    import torch

    from evalkit.backends.hf.backend import HfBackend

ROWS = (128, 256, 512, 768, 1024, 2048)
"""Rows of the matrix products that are tried: tokens of a pass."""


@dataclass(frozen=True)
class Machine:
    """What this machine does at best: FLOP/s of the layers' and of the vocabulary's products, bytes/s of reading."""

    layer_rate: float
    layer_rows: int
    vocabulary_rate: float
    bandwidth: float


@dataclass(frozen=True)
class Shape:
    """Of the model: weights of its layers and of the vocabulary projection, layers, heads times head width."""

    layer_weights: int
    vocabulary_weights: int
    layers: int
    attention_width: int
    weight_bytes: int


@dataclass(frozen=True)
class Count:
    """Of a workload: what must be computed. ``positions`` is the sum of (position + 1) over the distinct tokens."""

    documents: int
    given: int
    distinct: int
    reads: int
    positions: int


def main() -> None:
    """Measure, count, print a table, write JSON."""
    options = parser().parse_args()
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts
    from evalkit.spec.models import EngineSpec, ModelSpec

    data_dir = data_folder(options.data_dir)
    spec = ModelSpec(name=options.model, dtype=options.dtype, device=options.device)
    measured = json.loads(options.measured.read_text(encoding="utf-8"))["workloads"] if options.measured else {}
    parts = load_parts(spec)
    layers, head = linear_layers(parts.model)
    shape = shape_of(parts.model, layers, head)
    machine = measure(layers[: 2 * len(layers) // shape.layers], head, options.seconds)
    backend = HfBackend(parts, spec, EngineSpec())
    rows = {}
    for workload in chosen(options.workloads or ",".join(measured) or None, options.limit):
        run = measured.get(workload.name, {}).get("evalkit", {})
        count, reached = count_work(workload, data_dir, backend), run.get("seconds_per_document")
        if run.get("documents", count.documents) != count.documents:
            per_task = run["documents"] // len(workload.tasks)
            workload = Workload(workload.name, workload.tasks, workload.shots, per_task)
            count = count_work(workload, data_dir, backend)
        outputs = run.get("output_tokens") or []
        rows[workload.name] = cost(count, shape, machine, outputs, reached["median"] if reached else None)
    found = {
        "command": public(["benchmarks/limit.py", *sys.argv[1:]]),
        **surroundings(),
        "rates": asdict(machine),
        "model": Path(options.model).name,
        "dtype": options.dtype,
        "shape": asdict(shape),
        "workloads": rows,
    }
    show(found)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data-dir", type=Path, help="mirror of data sets (default: EVALKIT_DATA_DIR)")
    made.add_argument("--model", default="smollm2-135m", help="a name of evalkit's, a folder or a Hub id")
    made.add_argument("--dtype", default="float32")
    made.add_argument("--device", default="cpu")
    made.add_argument("--workloads", help="comma-separated; default: those of --measured, or all")
    made.add_argument("--limit", type=int, help="documents a task, instead of each workload's own number")
    made.add_argument("--measured", type=Path, help="JSON of vs_lm_eval.py to compare with; its documents are counted")
    made.add_argument("--seconds", type=float, default=1.0, help="seconds spent on each measurement of a rate")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    return made


# -- the machine --------------------------------------------------------


def linear_layers(model: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The weight matrices of all layers, and that of the vocabulary projection."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings().weight
    # GPT-2 keeps its matrices in a class of its own.
    modules: list[Any] = [one for one in model.modules() if isinstance(one, (torch.nn.Linear, Conv1D))]
    return [one.weight for one in modules if one.weight.data_ptr() != head.data_ptr()], head


def measure(layers: Sequence[torch.Tensor], head: torch.Tensor, seconds: float) -> Machine:
    """The rates of this machine, now; ``layers`` are the matrices of two layers."""
    import torch

    with torch.inference_mode():
        rates = {rows: product_rate(layers, rows, seconds) for rows in ROWS}
        best = max(rates, key=rates.__getitem__)
        vocabulary = max(product_rate([head], rows, seconds) for rows in (128, 512))
        return Machine(rates[best], best, vocabulary, bandwidth(head, seconds))


def product_rate(weights: Sequence[torch.Tensor], rows: int, seconds: float) -> float:
    """FLOP/s of multiplying ``rows`` rows by all of ``weights`` in turn; the best of several rounds."""
    inputs = {width: weights[0].new_ones((rows, width)).normal_() for width in {w.shape[1] for w in weights}}
    flops = sum(2 * rows * weight.numel() for weight in weights)

    def once(layers: Sequence[torch.nn.Module]) -> None:
        for weight, layer in zip(weights, layers, strict=True):
            layer(inputs[weight.shape[1]])

    return flops / min(fastest(partial(once, layers), weights[0].device, seconds) for layers in layouts(weights))


def layouts(weights: Sequence[torch.Tensor]) -> list[list[torch.nn.Module]]:
    """Linear layers of these weights: ordinary ones, and evalkit's own where it would use them."""
    import torch

    from evalkit.backends.hf.onednn_linear import pack

    def ordinary() -> torch.nn.Sequential:
        made = torch.nn.Sequential(*(torch.nn.Linear(*reversed(w.shape), bias=False, device="meta") for w in weights))
        for layer, weight in zip(made, weights, strict=True):
            layer.weight = torch.nn.Parameter(weight.data, requires_grad=False)
        return made

    packed = ordinary()
    pack(packed)
    changed = any(type(layer) is not torch.nn.Linear for layer in packed)
    return [list(ordinary()), *([list(packed)] if changed else ())]


def bandwidth(like: torch.Tensor, seconds: float) -> float:
    """Bytes/s of reading a tensor of half a GiB once."""
    big = like.new_ones(2**29 // like.element_size())
    return big.numel() * big.element_size() / fastest(lambda: big.sum(), big.device, seconds)


def fastest(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Seconds of the fastest of the calls that fit in ``seconds``, at least three after one that warms up."""
    import torch

    best, spent, calls = float("inf"), 0.0, 0
    call()
    while calls < 3 or spent < seconds:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        took = time.perf_counter() - started
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best


# -- the work -----------------------------------------------------------


def shape_of(model: Any, layers: Sequence[torch.Tensor], head: torch.Tensor) -> Shape:
    """The counts that the limit needs."""
    config = model.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    weights = sum(weight.numel() for weight in layers)
    return Shape(
        layer_weights=weights,
        vocabulary_weights=head.numel(),
        layers=config.num_hidden_layers,
        attention_width=config.num_attention_heads * width,
        weight_bytes=(weights + head.numel()) * head.element_size(),
    )


def count_work(workload: Workload, data_dir: Path, backend: HfBackend) -> Count:
    """Distinct tokens and reads of the workload's requests, as the engine encodes and plans them."""
    import numpy as np

    from evalkit.contract.types import PromptStyle
    from evalkit.engine.encode import encode
    from evalkit.engine.plan import PrefixPlan
    from evalkit.runner.workload import build_requests

    works = [build_requests(work, PromptStyle()) for work in gathered(workload, data_dir)]
    requests = [request for work in works for asked in work.requests for request in asked]
    jobs = {job.key: job for job in encode(backend, requests, "truncate") if job.response is None}
    scores = [row for job in jobs.values() for row in job.scores]
    prompts = [job.generate.tokens for job in jobs.values() if job.generate]
    given = distinct = reads = positions = 0
    for plan in (
        PrefixPlan([row.tokens[:-1] for row in scores], [(row.start - 1, row.tokens[row.start :]) for row in scores]),
        PrefixPlan(prompts, [(len(prompt) - 1, [0]) for prompt in prompts]),
    ):
        if not plan.tokens_computed:
            continue
        everything, _ = plan.cut(plan.start(), plan.tokens_computed)
        given += plan.tokens_given
        distinct += plan.tokens_computed
        reads += len(np.unique(everything.read_index))
        positions += int(everything.positions.sum()) + plan.tokens_computed
    return Count(sum(len(work.documents) for work in works), given, distinct, reads, positions)


def cost(count: Count, shape: Shape, machine: Machine, outputs: Sequence[int], reached: float | None) -> dict[str, Any]:
    """Seconds a document: the limit without and with attention, and what share of it was reached."""
    generated = sum(outputs)
    prefill = 2 * shape.layer_weights * count.distinct / machine.layer_rate
    prefill += 2 * shape.vocabulary_weights * count.reads / machine.vocabulary_rate
    decode = 2 * shape.layer_weights * generated / machine.layer_rate
    decode += 2 * shape.vocabulary_weights * generated / machine.vocabulary_rate
    decode = max(decode, max(outputs, default=0) * shape.weight_bytes / machine.bandwidth)
    attention = 4 * shape.attention_width * shape.layers * count.positions / machine.layer_rate
    limit = (prefill + decode) / count.documents
    whole = limit + attention / count.documents
    return {
        **asdict(count),
        "generated": generated,
        "limit": limit,
        "attention": attention / count.documents,
        "limit_with_attention": whole,
        "measured": reached,
        "share": limit / reached if reached else None,
        "share_with_attention": whole / reached if reached else None,
    }


def show(found: Mapping[str, Any]) -> None:
    """The rates and the table."""
    from rich.table import Table

    rates, machine = found["rates"], found["machine"]
    console = wide_console()
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores; {found['dtype']}: layers {rates['layer_rate'] / 1e9:.0f} GFLOP/s "
        f"(at {rates['layer_rows']} rows), vocabulary {rates['vocabulary_rate'] / 1e9:.0f} GFLOP/s, "
        f"memory {rates['bandwidth'] / 1e9:.1f} GB/s"
    )
    table = Table(title=f"{found['model']}: seconds a document, at least")
    names = ("work", "documents", "tokens", "distinct", "reads", "generated", "limit", "attention", "with attention")
    for name in (*names, "measured", "of limit", "with attention"):
        table.add_column(name, justify="left" if name == "work" else "right")
    for name, row in found["workloads"].items():
        done = row["measured"]
        table.add_row(
            name,
            *(str(row[key]) for key in ("documents", "given", "distinct", "reads", "generated")),
            *(f"{row[key]:.4f}" for key in ("limit", "attention", "limit_with_attention")),
            *(
                (f"{done:.4f}", f"{row['share']:.0%}", f"{row['share_with_attention']:.0%}")
                if done
                else ("-", "-", "-")
            ),
        )
    console.print(table)


if __name__ == "__main__":
    main()
