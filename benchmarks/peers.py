"""pp512 and tg128 as transformers and llama-cpp-python give them by themselves, to stand beside `evalkit bench`.

    python benchmarks/peers.py --model smollm2-135m
    python benchmarks/peers.py --gguf model.gguf

pp512: one forward pass over 512 random tokens. tg128: 128 tokens, one sequence, from a context of one token. The first
of the repetitions is not counted; printed are mean and standard deviation in tokens a second.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

PROMPT, NEW = 512, 128
Run = Callable[[], object]


def main() -> None:
    """Measure one of the two and print."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", default="smollm2-135m", help="for transformers, in float32")
    made.add_argument("--gguf", type=Path, help="for llama-cpp-python, in place of transformers")
    made.add_argument("--threads", type=int, default=2, help="of llama.cpp")
    made.add_argument("--repetitions", type=int, default=3)
    options = made.parse_args()
    read, write = by_llama_cpp(options.gguf, options.threads) if options.gguf else by_transformers(options.model)
    name = "llama-cpp-python" if options.gguf else "transformers"
    for test, tokens, call in (("pp512", PROMPT, read), ("tg128", NEW, write)):
        rates = [tokens / seconds(call) for _ in range(options.repetitions + 1)][1:]
        spread = statistics.stdev(rates) if len(rates) > 1 else 0.0
        print(f"{name} {test}: {statistics.mean(rates):.1f} ± {spread:.1f} tokens/s")


def seconds(call: Run) -> float:
    """What one call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def by_transformers(name: str) -> tuple[Run, Run]:
    """Reading and writing by transformers' own forward and generate."""
    import torch
    from transformers import AutoModelForCausalLM

    from evalkit.backends.hf.local_files import local_folder
    from evalkit.spec.models import ModelSpec

    source = local_folder(ModelSpec(name=name)) or name
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False).eval()
    tokens = torch.randint(model.config.vocab_size, (1, PROMPT))
    one = tokens[:, :1]

    def read() -> object:
        with torch.inference_mode():
            return model(tokens, logits_to_keep=1)

    def write() -> object:
        return model.generate(
            one, attention_mask=torch.ones_like(one), min_new_tokens=NEW, max_new_tokens=NEW, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip

    return read, write


def by_llama_cpp(file: Path, threads: int) -> tuple[Run, Run]:
    """Reading and writing by llama-cpp-python's own eval."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(file), n_ctx=2 * PROMPT, n_batch=PROMPT, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    chosen = random.Random(0)
    tokens = [chosen.randrange(model.n_vocab()) for _ in range(PROMPT)]

    def read() -> None:
        model.reset()
        model.eval(tokens)

    def write() -> None:
        model.reset()
        for token in tokens[:NEW]:
            model.eval([token])

    return read, write


if __name__ == "__main__":
    main()
