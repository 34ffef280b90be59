"""All of MMLU 5-shot on one GPU: random weights of a named shape through evalkit's hf backend, and the limit.

    python benchmarks/gpu.py                                      # 8-billion-parameter Llama shape, bfloat16, on cuda
    python benchmarks/gpu.py --oom 10 --output gpu.json           # and what running out of memory changes, on a tenth
    python benchmarks/gpu.py --shape tiny --device cpu --limit 3  # to see it work

Needs torch, transformers, lm-eval and evalkit, no data and no weights: speed depends on shapes and lengths alone.

* work: the 14,042 questions of MMLU in 57 subjects, four one-token choices each, as random token ids. A subject's
  questions share its few-shot prefix; the length of the prefix, and the median and spread (standard deviation of the
  logarithm, of a log-normal distribution) of the questions' own lengths stand in mmlu_lengths.csv: measured on
  lm-eval's prompts with SmolLM2's tokenizer. With --data-dir (or EVALKIT_DATA_DIR) and --tokenizer the mirror's own
  questions are taken instead, token for token.
* evalkit: from the rows of tokens to the last answer: planning, the model, reading log-probabilities.
* matrix rate: of the layers' own products in --dtype, measured as in limit.py, at up to 16,384 rows.
* of the limit: 2 x weights of the layers x distinct tokens + 2 x weights of the vocabulary projection x positions
  read, over that rate, as a share of the seconds taken; attention counts as nothing, or as in limit.py.
* baseline: lm-eval's own hf backend around the same model, on the same tokens, on --baseline-limit questions of each
  subject; the best of --baseline-batches. (On a share of the questions neighbours differ more in length than on all:
  some padding more.)
* apart: evalkit's log-likelihoods against those of one question at a time through the model's own attention.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limit import Count, Machine, bandwidth, cost, linear_layers, product_rate, shape_of
from mmlu_prompts import LENGTHS, Question, drawn, lengths, real, rows_of
from one_measurement import resident_peak
from workloads import data_folder, public, surroundings

if TYPE_CHECKING:
    import torch

    from evalkit.backends.hf.backend import HfBackend

SHAPES: dict[str, dict[str, Any]] = {
    "llama-8b": {
        "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128256, "rope_theta": 500000.0,
    },
    "llama-1b": {
        "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 8192, "vocab_size": 128256, "rope_theta": 500000.0,
    },
    "tiny": {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 128, "vocab_size": 49152,
    },
}  # fmt: skip
RATE_ROWS = (2048, 4096, 8192, 16384)
WARM_UP = 16
"""Questions that are answered before the clock starts."""
OOM_SPARE = 4096
"""Tokens of a pass for which --oom leaves memory beside the weights."""


def main() -> None:
    """Measure, print, write JSON."""
    options = parser().parse_args()
    import torch

    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, tokenizer, (layers, head), backend = built(options, device)
    by_subject, source = questions(options, backend)
    everything = [one for part in by_subject.values() for one in part[: options.limit]]
    sample = [one for part in by_subject.values() for one in part[: options.baseline_limit]]
    found: dict[str, Any] = {
        "command": public(["benchmarks/gpu.py", *sys.argv[1:]]),
        **surroundings(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "shape": options.shape,
        "dtype": options.dtype,
        "parameters": model.num_parameters(),
        "path": backend.info.details["path"],
        "lengths": source,
        "questions": len(everything),
        "subjects": len(by_subject),
    }
    machine = rates(layers[: 2 * len(layers) // SHAPES[options.shape]["num_hidden_layers"]], head, options.seconds)
    found["rates"] = asdict(machine)
    found["baseline"] = baseline(model, tokenizer, sample, options.baseline_batches, device)
    found["evalkit"], answers = measured(backend, everything, device)
    found["evalkit"] |= limits(everything, shape_of(model, layers, head), machine, found["evalkit"]["seconds"])
    found["apart"] = apart(backend, model, sample[:: max(1, len(sample) // 64)], device)
    if "seconds_per_question" in found["baseline"]:
        found["ratio"] = found["baseline"]["seconds_per_question"] / found["evalkit"]["seconds_per_question"]
    if options.oom:
        found["out_of_memory"] = out_of_memory(backend, everything, answers, options.oom, device)
    show(found)
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--shape", choices=list(SHAPES), default="llama-8b")
    made.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    made.add_argument("--device", help="default: cuda where there is one")
    made.add_argument("--limit", type=int, help="questions a subject; default: all")
    made.add_argument("--data-dir", type=Path, help="mirror of data sets, for the real prompts")
    made.add_argument("--tokenizer", help="a name of evalkit's, a folder or a Hub id, for the real prompts")
    made.add_argument("--baseline-limit", type=int, default=4, help="questions a subject for the baseline")
    made.add_argument("--baseline-batches", default="8,32,64", help="batch sizes; the best counts")
    made.add_argument("--oom", type=int, metavar="N", help="every Nth question again, with far too large a budget")
    made.add_argument("--seconds", type=float, default=1.0, help="seconds spent on each measurement of a rate")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    return made


# -- the model and the work ---------------------------------------------


def built(
    options: argparse.Namespace, device: torch.device
) -> tuple[Any, Any, tuple[list[torch.Tensor], torch.Tensor], HfBackend]:
    """A model with random weights, made on the device, its tokenizer, its matrices (a backend on the CPU lays them out
    anew), and the backend around it.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import Parts, load_tokenizer
    from evalkit.spec.models import EngineSpec, ModelSpec

    config = LlamaConfig(**SHAPES[options.shape], max_position_embeddings=8192, tie_word_embeddings=False)
    torch.manual_seed(0)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, options.dtype)).eval()
    tokenizer = load_tokenizer(ModelSpec(name=options.tokenizer)) if options.tokenizer else no_tokenizer()
    parts = Parts(model, tokenizer, device, f"random {options.shape}", options.shape)
    matrices = linear_layers(model)
    backend = HfBackend(parts, ModelSpec(name=options.shape, dtype=options.dtype), EngineSpec())
    return model, tokenizer, matrices, backend


def no_tokenizer() -> Any:
    """The backend asks for one; token ids need none."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"<end>": 0}, unk_token="<end>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


def questions(options: argparse.Namespace, backend: HfBackend) -> tuple[dict[str, list[Question]], str]:
    """Questions by subject, and where they come from."""
    if not options.tokenizer:
        vocabulary = SHAPES[options.shape]["vocab_size"]
        return {row["subject"]: drawn(row, vocabulary) for row in lengths()}, f"drawn after {LENGTHS.name}"
    found = real(data_folder(options.data_dir), backend, options.limit)
    if max(one.context.max() for part in found.values() for one in part) >= SHAPES[options.shape]["vocab_size"]:
        raise SystemExit(f"the tokenizer knows more tokens than the shape {options.shape}")
    return found, f"the mirror's prompts, tokenizer {Path(options.tokenizer).name}"


# -- evalkit ------------------------------------------------------------


def scored(backend: HfBackend, asked: Sequence[Question]) -> list[float]:
    """Log-likelihoods of all choices, in order."""
    rows = rows_of(asked)
    found = [float("nan")] * len(rows)

    def done(index: int, answer: Any) -> None:
        if isinstance(answer, Exception):
            raise answer
        found[index] = answer.loglikelihood

    backend.score(rows, done)
    return found


def measured(backend: HfBackend, asked: Sequence[Question], device: torch.device) -> tuple[dict[str, Any], list[float]]:
    """Seconds, tokens a second, memory and energy of one run, and its answers."""
    import torch

    from evalkit.perf.clocks import synchronize
    from evalkit.perf.energy import EnergyMeter

    scored(backend, asked[:WARM_UP])
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    given, computed = backend.meter.given, backend.meter.computed
    energy = EnergyMeter()
    synchronize(device)
    energy.start()
    started = time.perf_counter()
    answers = scored(backend, asked)
    synchronize(device)
    seconds = time.perf_counter() - started
    given, computed = backend.meter.given - given, backend.meter.computed - computed
    return {
        "seconds": seconds,
        "seconds_per_question": seconds / len(asked),
        "given_tokens_per_second": given / seconds,
        "computed_tokens_per_second": computed / seconds,
        "computed_tokens": computed,
        "energy": energy.counters(),
        "memory": peak(device),
    }, answers


def peak(device: torch.device) -> dict[str, float]:
    """GiB: on a GPU the most that was in use and that was taken, elsewhere the process's largest resident size."""
    import torch

    if device.type != "cuda":
        return {"resident_gb": resident_peak()}
    sizes = {"allocated": torch.cuda.max_memory_allocated(device), "reserved": torch.cuda.max_memory_reserved(device)}
    return {f"{name}_gb": size / 2**30 for name, size in sizes.items()}


def limits(asked: Sequence[Question], shape: Any, machine: Machine, seconds: float) -> dict[str, Any]:
    """The least that the work can take on this machine, over all questions, and what share of it was reached."""
    import numpy as np

    from evalkit.engine.plan import PrefixPlan

    rows = rows_of(asked)
    plan = PrefixPlan([row.tokens[:-1] for row in rows], [(row.start - 1, row.tokens[row.start :]) for row in rows])
    whole, _ = plan.cut(plan.start(), plan.tokens_computed)
    positions = int(whole.positions.sum()) + plan.tokens_computed
    count = Count(1, plan.tokens_given, plan.tokens_computed, len(np.unique(whole.read_index)), positions)
    found = cost(count, shape, machine, (), seconds)
    return {name: value for name, value in found.items() if name not in ("documents", "generated", "measured")}


def rates(layers: Sequence[torch.Tensor], head: torch.Tensor, seconds: float) -> Machine:
    """What the device does at best; ``layers`` are the matrices of two layers."""
    import torch

    with torch.inference_mode():
        by_rows = {rows: product_rate(layers, rows, seconds) for rows in RATE_ROWS}
        best = max(by_rows, key=by_rows.__getitem__)
        return Machine(by_rows[best], best, product_rate([head], 512, seconds), bandwidth(head, seconds))


# -- the baseline, and the checks ---------------------------------------


def baseline(
    model: Any, tokenizer: Any, asked: Sequence[Question], batches: str, device: torch.device
) -> dict[str, Any]:
    """Seconds a question of lm-eval's best batch size; those that do not fit are named."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from evalkit.perf.clocks import synchronize

    model.set_attn_implementation("sdpa")
    tried: dict[str, float | str] = {}
    for size in map(int, batches.split(",")):
        theirs = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=size)
        try:
            padded(theirs, asked[:size])
            synchronize(device)
            started = time.perf_counter()
            padded(theirs, asked)
            synchronize(device)
            tried[str(size)] = (time.perf_counter() - started) / len(asked)
        except torch.OutOfMemoryError:
            tried[str(size)] = "out of memory"
        if device.type == "cuda":
            torch.cuda.empty_cache()
    times = {size: taken for size, taken in tried.items() if isinstance(taken, float)}
    found: dict[str, Any] = {"questions": len(asked), "batches": tried}
    if times:
        best = min(times, key=times.__getitem__)
        found |= {"batch": int(best), "seconds_per_question": times[best]}
    return found


def padded(theirs: Any, asked: Sequence[Question]) -> list[tuple[float, bool]]:
    """Each choice's log-likelihood as lm-eval computes it, from the tokens on."""
    requests = [(("", ""), one.context.tolist(), [int(choice)]) for one in asked for choice in one.choices]
    return theirs._loglikelihood_tokens(requests, disable_tqdm=True)


def apart(backend: HfBackend, model: Any, asked: Sequence[Question], device: torch.device) -> dict[str, float]:
    """The largest difference from one question at a time, beside how far the log-likelihoods themselves spread."""
    import numpy as np
    import torch

    shared = np.array(scored(backend, asked))
    model.set_attn_implementation("sdpa")
    alone = []
    with torch.inference_mode():
        for one in asked:
            inputs = torch.from_numpy(one.context[None].astype("int64")).to(device)
            logits = model(inputs, logits_to_keep=1).logits[0, -1]
            alone += logits.log_softmax(-1, dtype=torch.float32)[list(one.choices)].tolist()
    return {"questions": len(asked), "largest": float(abs(shared - alone).max()), "spread": float(np.std(alone))}


def out_of_memory(
    backend: HfBackend, everything: Sequence[Question], answers: Sequence[float], every: int, device: torch.device
) -> dict[str, Any]:
    """A share of the same work with a budget of all tokens in one pass and memory for `OOM_SPARE`; beside it, what half
    the usual budget changes, because the rounding of a matrix product depends on its number of rows.

    A GPU's memory is limited by the allocator, which then raises what it raises on a full device; elsewhere a pass
    above 256 tokens is refused.
    """
    import numpy as np
    import torch

    from evalkit.backends.hf import memory
    from evalkit.backends.hf.prefix_forward import TreeRunner

    asked = everything[::every]
    expected = np.array(answers).reshape(len(everything), -1)[::every]
    refused: list[int] = []
    own_budget, own_hidden = memory.token_budget, TreeRunner.hidden

    def watched(runner: Any, work: Any) -> Any:
        try:
            if device.type != "cuda" and len(work.tokens) > 256:
                raise torch.OutOfMemoryError("out of memory (provoked)")
            return own_hidden(runner, work)
        except torch.OutOfMemoryError:
            refused.append(len(work.tokens))
            raise

    def differences(answers: Sequence[float]) -> dict[str, Any]:
        found = np.array(answers).reshape(expected.shape)
        changed = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
        return {"largest_difference": float(abs(found - expected).max()), "preferences_that_differ": changed}

    try:
        memory.token_budget = lambda *rest: own_budget(*rest) // 2
        half = differences(scored(backend, asked))
        memory.token_budget, TreeRunner.hidden = (lambda *_: 1 << 30), watched
        if device.type == "cuda":
            torch.cuda.empty_cache()
            room = backend.weight_bytes + backend._sizes.predict(OOM_SPARE, 4096) + (1 << 30)
            torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(device).total_memory)
        full = differences(scored(backend, asked))
    finally:
        memory.token_budget, TreeRunner.hidden = own_budget, own_hidden
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    return {"passes_refused": refused, "questions": len(asked), **full, "half_the_budget": half}


def show(found: dict[str, Any]) -> None:
    """The results in a few lines."""
    own, base, machine = found["evalkit"], found["baseline"], found["rates"]
    print(f"{found['device']}: {found['shape']} in {found['dtype']}, {machine['layer_rate'] / 1e12:.3g} TFLOP/s")
    print(f"{found['questions']} questions in {found['subjects']} subjects ({found['lengths']}); path: {found['path']}")
    print(
        f"evalkit: {own['seconds']:.2f} s; {own['given_tokens_per_second']:.0f} tokens/s given, "
        f"{own['computed_tokens_per_second']:.0f} computed; {own['given']} given, {own['distinct']} distinct"
    )
    print(f"of the limit: {own['share']:.0%}, with attention {own['share_with_attention']:.0%}")
    print("memory: " + ", ".join(f"{name.removesuffix('_gb')} {size:.2f} GB" for name, size in own["memory"].items()))
    print("energy: " + ", ".join(f"{name} {value}" for name, value in own["energy"].items()))
    print(f"baseline on {base['questions']} questions, seconds a question by batch size: {base['batches']}")
    if "ratio" in found:
        print(f"evalkit is {found['ratio']:.1f} times faster a question than the baseline at batch {base['batch']}")
    print(f"apart from one question at a time: {found['apart']['largest']:.2g} (spread {found['apart']['spread']:.2g})")
    if "out_of_memory" in found:
        print(f"out of memory: {found['out_of_memory']}")


if __name__ == "__main__":
    main()
