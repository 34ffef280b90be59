"""On a CUDA device: the numbers of a CPU, for every architecture, kernel, quantization and adapter, and the meters.

No machine of CI has one; run it where there is one: python -m pytest tests/backends/test_cuda.py
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import architectures
import numpy as np
import pytest
import tiny_models as tiny
import torch
from architectures import ARCHITECTURES

import evalkit
from evalkit.backends.hf import kernels

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CUDA = "cuda"
NEW = 8


def _rows() -> list[Any]:
    """Rows that share beginnings, of 3 to 90 tokens: within and beyond every window of the models."""
    draw = np.random.default_rng(3).integers(0, tiny.VOCABULARY - 1, 400)
    stems = [draw[:2], draw[2:7], draw[20:60], draw[20:100]]
    tails = [draw[300:301], draw[301:305], draw[305:315]]
    return [tiny.score_row([*stem, *tail], len(stem)) for stem in stems for tail in tails]


ROWS = _rows()
PROMPTS = [row.tokens[: row.start].tolist() for row in ROWS[::3]]


def scores(backend: Any) -> list[float]:
    return [answer.loglikelihood for answer in tiny.answers(backend.score, ROWS)]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def own(request: pytest.FixtureRequest) -> tuple[str, list[float], list[str]]:
    """What transformers says on a CPU of each row by itself, and how it goes on from each prompt."""
    name = str(request.param)
    fresh = [copy.deepcopy(architectures.made(name)) for _ in (*ROWS, *PROMPTS)]
    found = [tiny.exact(made, row) for made, row in zip(fresh, ROWS, strict=False)]
    made = [tiny.own_generation(one, prompt, NEW) for one, prompt in zip(fresh[len(ROWS) :], PROMPTS, strict=True)]
    return name, found, [tiny.tokenizer().decode(tokens) for tokens in made]


@pytest.mark.parametrize("engine", [{}, {"share_prefixes": False, "batch_size": 3}], ids=["auto", "plain three"])
def test_float32_gives_a_cpu_s_numbers(own: tuple[str, list[float], list[str]], engine: dict[str, Any]) -> None:
    name, expected, texts = own
    backend = tiny.backend(architectures.made(name), name, 128, CUDA, **engine)
    if not engine:
        assert backend.info.details["path"].split()[0] == ARCHITECTURES[name][2], backend.info.details["path"]
    # Convolutions of cuDNN round to TF32 where torch's default is left, as here; a recurrence adds up.
    assert scores(backend) == pytest.approx(expected, abs=1e-3, rel=5e-4 if name == "hrm_text" else 1e-4)
    made = tiny.answers(backend.generate, [tiny.generate_row(prompt, NEW) for prompt in PROMPTS])
    assert [answer.text for answer in made] == texts


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_halves_are_no_further_from_float32_than_the_model_s_own_passes(
    own: tuple[str, list[float], list[str]], dtype: torch.dtype
) -> None:
    """Rounding differs with the order of a sum; its size does not."""
    name, expected, _ = own
    half = copy.deepcopy(architectures.made(name)).to(dtype)
    ours = scores(tiny.backend(half, name, 128, CUDA))
    theirs = [on_device(copy.deepcopy(half).to(CUDA), row) for row in ROWS]
    exact = np.array(expected)
    apart, allowed = np.abs(np.array(ours) - exact).mean(), np.abs(np.array(theirs) - exact).mean()
    assert math.isfinite(apart)
    assert apart <= 2 * allowed + 0.02


def on_device(made: Any, row: Any) -> float:
    """The model's own forward of one row on the device, summed in float32."""
    tokens = torch.from_numpy(row.tokens.astype(np.int64)).to(CUDA)
    with torch.inference_mode():
        logprobs = made(tokens[None, :-1], use_cache=False).logits[0].float().log_softmax(-1)[row.start - 1 :]
    return float(logprobs.gather(1, tokens[row.start :, None]).sum())


# -- kernels ------------------------------------------------------------


def tensors(dtype: torch.dtype, *shapes: Sequence[int]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(map(sum, shapes)))
    return [torch.randn(shape, generator=generator).to(CUDA, dtype) for shape in shapes]


def close(found: tuple[torch.Tensor, torch.Tensor], expected: tuple[torch.Tensor, torch.Tensor], within: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert torch.isfinite(one).all()
        assert (one.float() - other.float()).norm() <= within * other.float().norm()


WITHIN = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


@pytest.mark.parametrize("dtype", WITHIN, ids=str)
@pytest.mark.parametrize("width", [8, 20, 36, 64, 80, 128, 192, 256, 288])
@pytest.mark.parametrize("kv_heads", [8, 2, 1])
@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_the_formula(dtype: torch.dtype, width: int, kv_heads: int, causal: bool) -> None:
    query, key, value = tensors(dtype, (2, 8, 50, width), *[(2, kv_heads, 50 if causal else 70, width)] * 2)
    expected = kernels.formula(query.float(), key.float(), value.float(), causal, None)
    close(kernels.flash(query, key, value, causal, None), expected, WITHIN[dtype])


@pytest.mark.parametrize("dtype", WITHIN, ids=str)
@pytest.mark.parametrize("width", [20, 64, 128])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("causal", [True, False])
def test_packed_runs_are_each_by_itself(dtype: torch.dtype, width: int, window: int | None, causal: bool) -> None:
    if window is not None and not causal:
        pytest.skip("a window asks for a causal run")
    lengths, held = (1, 20, 33, 5), (4, 20, 60, 9)
    query, key, value = tensors(dtype, (59, 8, width), (93, 2, width), (93, 2, width))
    runs = [kernels.Runs.of(sizes, query.device) for sizes in (lengths, held)]
    outputs, sums = [], []
    parts = (query.split(lengths), key.split(held), value.split(held))
    for one in zip(*parts, strict=True):
        asked, keys, values = (part.float().transpose(0, 1)[None] for part in one)
        mask = kernels.lower_right(asked.shape[2], keys.shape[2], window).to(CUDA) if causal else None
        output, total = kernels.formula(asked, keys, values, False, None, mask=mask)
        outputs.append(output[0].transpose(0, 1))
        sums.append(total[0])
    expected = torch.cat(outputs), torch.cat(sums, dim=-1)
    close(kernels.packed(query, key, value, *runs, causal, None, window), expected, WITHIN[dtype])


# -- whole runs, variants and meters --------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model on disk whose layers are wide enough for every quantization."""
    made = tiny.model("llama", hidden_size=256, intermediate_size=512, initializer_range=0.1)
    path = tmp_path_factory.mktemp("model")
    made.save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


QUANTIZATIONS = {
    "int8": "bitsandbytes", "nf4": "bitsandbytes", "fp4": "bitsandbytes", "int8wo": "torchao", "int8da": "torchao",
    "int4wo": "torchao", "hqq4": "hqq",
}  # fmt: skip


@pytest.mark.parametrize("quant", QUANTIZATIONS)
def test_every_quantization_is_near_the_plain_weights(folder: Path, quant: Any) -> None:
    pytest.importorskip(QUANTIZATIONS[quant], reason=f"--quant {quant} needs {QUANTIZATIONS[quant]}")
    plain, found = (
        np.array(scores(evalkit.load_model(str(folder), device=CUDA, dtype="bfloat16", quant=one)))
        for one in (None, quant)
    )
    assert np.isfinite(found).all()
    assert 0 < np.abs(found - plain).mean() < 0.2 * np.abs(plain).mean()


def test_an_adapter_gives_a_cpu_s_numbers(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="adapters need the package peft")
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    wrapped = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder),
        peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    )
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, 0.0, 0.1)
    wrapped.save_pretrained(tmp_path)
    on_cpu, on_gpu, without = (
        scores(evalkit.load_model(str(folder), device=device, dtype="float32", peft=adapter))
        for device, adapter in (("cpu", (str(tmp_path),)), (CUDA, (str(tmp_path),)), (CUDA, ()))
    )
    assert on_gpu == pytest.approx(on_cpu, abs=1e-3)
    assert on_gpu != pytest.approx(without, abs=1e-2)


def test_a_run_has_the_device_s_memory_energy_and_utilisation(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynvml", reason="energy needs nvidia-ml-py")
    data = tmp_path / "own.jsonl"
    words = ["".join(tiny.CHARACTERS[(7 * row + 3 * column) % 60] for column in range(40)) for row in range(400)]
    data.write_text("".join(json.dumps({"q": word, "a": word[:3]}) + "\n" for word in words), encoding="utf-8")
    (tmp_path / "task.yaml").write_text(
        "name: own\nversion: '1'\ndataset: {path: own.jsonl}\nkind: generate\nprompt: '{{q}}'\ntarget: '{{a}}'\n"
        "metrics: [{metric: exact_match}]\n",
        encoding="utf-8",
    )
    run = evalkit.evaluate(
        str(folder), "own", include_path=tmp_path, device=CUDA, output=tmp_path / "run", gen_kwargs="max_gen_toks=64"
    )
    counters = json.loads((run.path / "results.json").read_text(encoding="utf-8"))["evalkit"]["counters"]
    assert counters["memory"]["device_peak_allocated_bytes"] > 0
    assert counters["energy"]["gpu"] in ("measured", "estimated")
    assert counters["energy"]["gpu_joules"] > 0
    assert 0 <= counters["utilisation"]["gpu"] <= 1
