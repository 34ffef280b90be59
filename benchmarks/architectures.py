"""Every architecture of the tests beside lm-evaluation-harness: path, speed and the largest difference.

    python benchmarks/architectures.py                                    # all, some minutes
    python benchmarks/architectures.py --only gemma3,mpt --repetitions 3 --output architectures.json
    python benchmarks/architectures.py --read benchmarks/results/architectures.json      # docs/variants.md's table

The models are those of tests/backends/architectures.py, grown to a width of 512 (still of two to seven layers, random
weights, float32, windows of 128 tokens), so that no download is needed. Two kinds of work, each beyond every window:

* choices: questions of 60 tokens behind a preamble of 600 for each of two subjects, with four choices of one token
  (MMLU with examples);
* endings: contexts of 80 tokens with four endings of 12 to 24 tokens (HellaSwag).

Both programs get the same strings in one process and in turn, after a warm-up; lm-eval (its hf backend, the same
transformers model) runs at each of --batch-sizes, and its best counts. Printed are medians of the seconds inside the
calls, their ratio, and the largest difference of a log-likelihood in nats.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "backends"))

import architectures
import tiny_models
from workloads import public, surroundings, wide_console

Texts = list[tuple[str, str]]

TIMES = {
    16: ("hidden_size", "n_embd", "d_model", "attention_hidden_size", "lru_width", "mamba_d_ssm", "head_dim",
         "mamba_d_head", "word_embed_proj_dim", "rotary_dim", "sliding_window", "window_size", "attention_window_size"),
    32: ("intermediate_size", "ffn_dim", "max_position_embeddings", "n_positions", "max_seq_len", "context_length",
         "n_ctx"),
    8: ("moe_intermediate_size", "shared_expert_intermediate_size", "q_lora_rank", "kv_lora_rank", "qk_rope_head_dim",
        "qk_nope_head_dim", "v_head_dim", "linear_key_head_dim", "linear_value_head_dim", "qk_rope_head_dim"),
}  # fmt: skip
"""By how much which settings of the tests' models grow."""
LEFT_OUT = ("longrope", "dynamic")
"""Encodings whose factors belong to one width; they run as the models that carry them do."""


def main() -> None:
    """Measure and print a table; write JSON where asked."""
    options = parser().parse_args()
    if options.read:
        print(markdown(json.loads(options.read.read_text(encoding="utf-8"))))
        return
    every = [name for name in architectures.ARCHITECTURES if not any(part in name for part in LEFT_OUT)]
    names = options.only.split(",") if options.only else every
    found: dict[str, Any] = {
        "command": public(["benchmarks/architectures.py", *sys.argv[1:]]),
        **surroundings(),
        "architectures": {},
    }
    for name in names:
        found["architectures"][name] = measured(name, options)
        print(name, json.dumps(found["architectures"][name]), file=sys.stderr, flush=True)
        if options.output:
            options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", help="comma-separated names of tests/backends/architectures.py")
    made.add_argument("--repetitions", type=int, default=1)
    made.add_argument("--batch-sizes", default="1,8", help="lm-eval is measured at its best of these")
    made.add_argument("--questions", type=int, default=8, help="questions a subject, and contexts")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    made.add_argument("--read", type=Path, help="print the Markdown table of such a file instead")
    return made


def markdown(found: dict[str, Any]) -> str:
    """The table of a file of results, for the documentation."""
    lines = [
        "| architecture | path | choices: ratio | endings: ratio | largest difference, nats |",
        "|---|---|--:|--:|--:|",
    ]
    for name, row in found["architectures"].items():
        path = "tree" if row["path"] == "tree" else f"plain; {row['plain_sharing']}"
        apart = max(row[kind]["apart"] for kind in ("choices", "endings"))
        ratios = " | ".join(f"{row[kind]['ratio']:.1f}" for kind in ("choices", "endings"))
        lines.append(f"| {name} | {path} | {ratios} | {apart:.0e} |")
    return "\n".join(lines)


def grown(name: str) -> Any:
    """The tests' model of an architecture, wide enough that products take the time and not Python."""
    import torch
    import transformers

    kind, settings, _ = architectures.ARCHITECTURES[name]
    wider = dict(settings)
    for factor, fields in TIMES.items():
        wider |= {field: factor * wider[field] for field in fields if isinstance(wider.get(field), int)}
    config = getattr(transformers, f"{kind}Config")(**wider)
    torch.manual_seed(7)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def texts(questions: int) -> dict[str, Texts]:
    """Contexts and continuations of both kinds of work, of characters that are a token each."""
    draw = random.Random(3)

    def some(length: int) -> str:
        return "".join(draw.choices(tiny_models.CHARACTERS, k=length))

    choices = [
        (context, choice)
        for preamble in (some(600), some(600))
        for context in [preamble + some(60) for _ in range(questions)]
        for choice in "ABCD"
    ]
    endings = [
        (context, some(draw.randint(12, 24))) for context in [some(80) for _ in range(questions)] for _ in "1234"
    ]
    return {"choices": choices, "endings": endings}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Path, seconds of both programs and their largest difference, by kind of work."""
    model = grown(name)
    backend = tiny_models.backend(model, name, max_length=1024)
    result: dict[str, Any] = {
        key: backend.info.details[key] for key in ("path", "plain_sharing") if key in backend.info.details
    }

    def evalkit(asked: Texts) -> list[float]:
        tokens = backend.encode([text for pair in asked for text in pair], special=False)
        rows = [
            tiny_models.score_row([*context, *ending], len(context))
            for context, ending in zip(tokens[::2], tokens[1::2], strict=True)
        ]
        return [answer.loglikelihood for answer in tiny_models.answers(backend.score, rows)]

    others = {size: lm_eval(copy.deepcopy(model), int(size)) for size in options.batch_sizes.split(",")}
    for kind, asked in texts(options.questions).items():
        few = asked[:8]
        for program in (evalkit, *others.values()):
            program(few)
        ours, seconds = timed(evalkit, asked, options.repetitions)
        theirs = {size: timed(program, asked, options.repetitions) for size, program in others.items()}
        best = min(theirs, key=lambda size: theirs[size][1])
        result[kind] = {
            "evalkit": seconds,
            "lm_eval": theirs[best][1],
            "batch_size": best,
            "ratio": theirs[best][1] / seconds,
            "apart": max(abs(one - other) for one, other in zip(ours, theirs[best][0], strict=True)),
        }
    return result


def lm_eval(model: Any, batch_size: int) -> Callable[[Texts], list[float]]:
    """lm-eval's log-likelihoods of texts by this model."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=model, tokenizer=tiny_models.tokenizer(), batch_size=batch_size, max_length=1024, device="cpu")

    def answer(asked: Texts) -> list[float]:
        requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(asked)]
        return [float(value) for value, _ in lm.loglikelihood(requests, disable_tqdm=True)]

    return answer


def timed(program: Callable[[Texts], list[float]], asked: Texts, repetitions: int) -> tuple[list[float], float]:
    """The answers, and the median of the seconds."""
    taken = []
    answers: list[float] = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        answers = program(asked)
        taken.append(time.perf_counter() - begun)
    return answers, median(taken)


def show(found: dict[str, Any]) -> None:
    """The table."""
    from rich.table import Table

    machine = found["machine"]
    table = Table(title=f"random weights, float32; {machine['cpu']}, {machine['cores']} cores")
    for name in ("architecture", "path", "choices: ratio", "endings: ratio", "apart"):
        table.add_column(name)
    for name, row in found["architectures"].items():
        apart = max(row[kind]["apart"] for kind in ("choices", "endings"))
        ratios = [f"{row[kind]['ratio']:.1f}" for kind in ("choices", "endings")]
        table.add_row(name, row["path"], *ratios, f"{apart:.0e}")
    wide_console().print(table)


if __name__ == "__main__":
    main()
