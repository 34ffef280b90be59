"""vLLM in this process: prompt log-probabilities, prefix caching, tensor parallelism.

Written against vLLM's documented offline API (``LLM``, ``SamplingParams``, ``TokensPrompt``; docs.vllm.ai, versions
0.11 to 0.22). docs/backends.md says where it was run.

Arguments (``--model_args``): those of ARGUMENTS, and data_parallel_size; dtype, revision and max_length are settings of
their own.
"""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evalkit.backends.chat_template import prompting_identity
from evalkit.backends.hf import local_files, other_tokenizer
from evalkit.backends.hf.fingerprint import fingerprint, folder_hashes
from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.stops import StopScan
from evalkit.backends.vllm import CAPABILITIES, PARALLEL, scoring
from evalkit.backends.vllm.orphans import driven
from evalkit.backends.vllm.scoring import CHUNK, exchange_of
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, ModelInfo
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec

ARGUMENTS = {
    *PARALLEL,
    "distributed_executor_backend",
    "gpu_memory_utilization",
    "max_num_seqs",
    "quantization",
    "enforce_eager",
    "enable_prefix_caching",
    "kv_cache_dtype",
    "seed",
    "block_size",
    "tokenizer",
    "tokenizer_mode",
    "max_num_batched_tokens",
    "enable_chunked_prefill",
    "enable_expert_parallel",
    "disable_custom_all_reduce",
    "cpu_offload_gb",
}

OUTSIDE = ("gpu_memory_utilization", "tokenizer", "tokenizer_revision")
"""Arguments that change no answer, or are known by their contents."""
CPU_BLOCK = 32
"""Tokens of a block of the prefix cache on CPUs, the least that vLLM's kernels there like. Its own 128 leave 64 tokens
of a context, on the average, to be read again for each continuation.
"""
TRIAL = "What the prefix cache can do is tried on this sentence, which is repeated as often as its blocks are long. "
log = logging.getLogger(__name__)


class VllmBackend:
    """A vLLM engine as a TokenBackend."""

    capabilities = CAPABILITIES

    def __init__(self, engine: Any, sampling_type: Any, tokens: Tokens, info: ModelInfo, share: bool = True) -> None:
        self.meter = Meter()
        self.eot_id = tokens.eot_id
        self.prefix_id = tokens.prefix_id
        self._engine = engine
        self._sampling_type = sampling_type
        self._tokens = tokens
        cache = engine.llm_engine.vllm_config.cache_config
        block = int(cache.block_size)
        powers = scoring.Powers(lacking=("switched off",))
        if share:
            powers = scoring.find(self._run, sampling_type, tokens.encode([TRIAL], False)[0], block, info.max_length)
            if powers.lacking:
                reason = "; ".join(powers.lacking)
                log.warning("%s: contexts are not all shared when scoring (%s): %s", info.name, reason, powers.way)
        capacity = block * int(getattr(cache, "num_gpu_blocks", None) or 0)
        self.scorer = scoring.Scorer(self._run, sampling_type, powers, block, capacity, self.meter)
        self.info = replace(info, details={**info.details, "scoring": powers.way})

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return self._tokens.encode(texts, special)

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._tokens.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._tokens.chat(messages, add_generation_prompt)

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Answer every row, each context read once; see `TokenBackend.score`."""
        self.scorer.score(rows, done)

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.generate`."""
        for begin in range(0, len(rows), CHUNK):
            part = rows[begin : begin + CHUNK]
            scans = [self._scan(row) for row in part]
            going = list(range(len(part)))
            while going:
                given = [[*part[place].tokens.tolist(), *scans[place].tokens] for place in going]
                outputs = self._run(given, [self._sampling(part[place], scans[place]) for place in going])
                for place, tokens, output in zip(going, given, outputs, strict=True):
                    self.meter.exchange(exchange_of(output, len(tokens), len(output.outputs[0].token_ids)))
                    _take(scans[place], output.outputs[0])
                going = [place for place in going if scans[place].finish is None]
            for place, scan in enumerate(scans):
                done(begin + place, scan.answer())

    def _scan(self, row: GenerateRow) -> StopScan:
        marks = self._tokens.marks
        opened = marks.opened_by_tokens(row.tokens, self._tokens.decode)
        ends = frozenset((self.eot_id,))
        return StopScan(row.until, self._tokens.decode, ends, row.max_tokens, marks=marks, opened=opened)

    def close(self) -> None:
        """Free the model's memory."""
        del self._engine
        gc.collect()

    def _run(self, prompts: Sequence[Sequence[int]], sampling: Sequence[Any]) -> Sequence[Any]:
        given = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        try:
            outputs: Sequence[Any] = self._engine.generate(given, list(sampling), use_tqdm=False)
        except Exception as error:
            if type(error).__name__ != "EngineDeadError":  # its module moved between versions
                raise
            raise UserError(
                "vLLM's engine has ended, for the reason that it gives above; with what was answered so far, "
                "--resume goes on"
            ) from error
        return outputs

    def _sampling(self, row: GenerateRow, scan: StopScan) -> Any:
        """What is asked of a row that has got as far as ``scan``: stop strings count once its thought has ended."""
        chosen = row.sampling
        extra = {name: value for name, value in chosen.extra if name != "do_sample"}
        until = (self._tokens.marks.end,) if scan.thinking else tuple(stop for stop in row.until if stop)
        settings: dict[str, Any] = {
            "max_tokens": row.max_tokens - len(scan.tokens),
            "stop": list(until) or None,
            "stop_token_ids": self._tokens.special_ids(until) or None,  # its texts leave special tokens out
            "temperature": max(0.0, chosen.temperature),
            **extra,
        }
        if chosen.temperature > 0:
            draw = f"{chosen.seed}:{row.key}" + (f":{len(scan.tokens)}" if scan.tokens else "")
            seed = int.from_bytes(hashlib.sha256(draw.encode()).digest()[:4], "big")
            settings |= {"top_p": chosen.top_p, "top_k": chosen.top_k if chosen.top_k > 0 else -1, "seed": seed}
        try:
            return self._sampling_type(**settings)
        except (TypeError, ValueError) as error:
            raise UserError(f"--gen_kwargs: vLLM refuses {', '.join(sorted(extra)) or 'them'}: {error}") from None


def _take(scan: StopScan, output: Any) -> None:
    """Give ``scan`` what came. It goes on where vLLM ended at a stop string that does not count yet."""
    scan.extend(output.token_ids)
    if scan.finish is None and (output.finish_reason != "stop" or output.stop_reason is None or not output.token_ids):
        scan.finish = "length" if output.finish_reason == "length" else "stop"


def _parallel(llm: Any) -> dict[str, int]:
    """The devices that the engine cuts the model over, as it says itself; pipelines where there are any."""
    held = llm.llm_engine.vllm_config.parallel_config
    sizes = {name: int(getattr(held, name)) for name in PARALLEL}
    return {name: size for name, size in sizes.items() if size > 1 or name == PARALLEL[0]}


def start(model: ModelSpec, engine: EngineSpec) -> VllmBackend:
    """vLLM on ``model``. Raises UserError where it does not start."""
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform

    if unknown := sorted(set(model.args) - ARGUMENTS):
        raise UserError(
            f"--model_args: the backend vllm does not know {', '.join(unknown)}; it takes "
            + ", ".join(sorted(ARGUMENTS))
        )

    folder = local_files.local_folder(model)
    source = str(folder) if folder else model.name
    settings = {"enable_prefix_caching": engine.share_prefixes, "seed": 0, **model.args}
    elsewhere = other_tokenizer.find(model)
    if elsewhere is not None:
        settings |= {"tokenizer": elsewhere.source, "tokenizer_revision": elsewhere.revision}
    block = {"block_size": CPU_BLOCK} if current_platform.is_cpu() and "block_size" not in settings else {}
    try:
        with driven():
            llm = LLM(
                model=source,
                revision=model.revision,
                dtype=model.dtype,
                max_model_len=model.max_length + 2 if model.max_length else None,
                max_logprobs=1,
                trust_remote_code=False,
                disable_log_stats=False,  # without them it does not time its requests
                **block,
                **settings,
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{model.name}: vLLM cannot load this model: {reason}") from error
    config = llm.llm_engine.model_config
    tokens = Tokens(llm.get_tokenizer(), model)
    # A row has one token more than are read of it, and vLLM counts the one that it must generate beside them.
    window = model.max_length or int(config.max_model_len) - 2
    info = ModelInfo(
        name=model.label or model.name,
        backend="vllm",
        fingerprint=fingerprint(
            folder_hashes(folder) if folder else {"name": model.name, "revision": model.revision},
            engine="vllm",
            dtype=str(config.dtype),
            add_bos=model.add_bos,
            max_length=window,
            arguments={key: str(value) for key, value in settings.items() if key not in OUTSIDE},
            **({} if elsewhere is None else {"tokenizer": elsewhere.identity}),
            **prompting_identity(model),
        ),
        max_length=window,
        tokenizer=type(tokens.tokenizer).__name__,
        dtype=str(config.dtype).removeprefix("torch."),
        device=current_platform.device_type,
        details={**_parallel(llm), **tokens.record()},
    )
    return VllmBackend(llm, SamplingParams, tokens, info, engine.share_prefixes)
