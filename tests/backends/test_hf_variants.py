"""Adapters, speculation and quantization give what peft, plain greedy decoding and the plain weights give."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
import torch
from safetensors.torch import load_file, save_file

from evalkit.backends.hf import load, parameters, peft_adapters, quantization
from evalkit.backends.hf.backend import HfBackend
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.memory import stored_bytes
from evalkit.backends.hf.packages import package_of
from evalkit.backends.hf.speculation import Speculation
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec

peft = pytest.importorskip("peft", reason="adapters need the package peft")

ROWS = [
    tiny.score_row([3, 1, 4, 1, 5, 9, 2, 6], 4),
    tiny.score_row([3, 1, 4, 1, 5, 8, 8], 5),
    tiny.score_row([2, 7, 1], 1),
]
PROMPTS = ([3, 1, 4, 1, 5], [3, 1, 4, 1, 5, 9, 2], [2, 7])
CAUSAL = "CAUSAL_LM"
KINDS: dict[str, Any] = {
    "lora": lambda: peft.LoraConfig(task_type=CAUSAL, r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "wide": lambda: peft.LoraConfig(task_type=CAUSAL, r=6, lora_alpha=6, target_modules=["q_proj", "v_proj"]),
    "ia3": lambda: peft.IA3Config(
        task_type=CAUSAL, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "prefix": lambda: peft.PrefixTuningConfig(task_type=CAUSAL, num_virtual_tokens=3),
    "prompt": lambda: peft.PromptTuningConfig(task_type=CAUSAL, num_virtual_tokens=3),
    "adaption": lambda: peft.AdaptionPromptConfig(task_type=CAUSAL, adapter_len=3, adapter_layers=1),
}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder an adapter, with random weights that matter."""
    folder = tmp_path_factory.mktemp("adapters")
    for name, config in KINDS.items():
        with torch.random.fork_rng():
            torch.manual_seed(len(name))
            wrapped = peft.get_peft_model(tiny.model("llama"), config())
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    torch.nn.init.normal_(parameter, 1.0 if name == "ia3" else 0.0, 0.3)
        wrapped.save_pretrained(folder / name)
    return folder


def loaded(*paths: str, merge: bool = False, **engine: Any) -> HfBackend:
    """The tiny model with adapters, as the backend has it."""
    found = peft_adapters.find_adapters(ModelSpec(name="llama", peft=paths, peft_merge=merge))
    made, details = peft_adapters.adapted(tiny.model("llama"), found, merge)
    parts = Parts(made, tiny.tokenizer(), torch.device("cpu"), "tiny", "llama", {"adapter": details})
    return HfBackend(parts, ModelSpec(name="llama"), EngineSpec(**engine))


def by_peft(path: Path, row: Any) -> float:
    """peft's own forward in float64."""
    wrapped = peft.PeftModel.from_pretrained(tiny.model("llama"), str(path)).eval().double()
    with torch.inference_mode():
        logits = wrapped(input_ids=torch.tensor(row.tokens[None, :-1].astype(int))).logits[0, -len(row.tokens) + 1 :]
    targets = torch.tensor(row.tokens[row.start :].astype(int))
    return float(logits.log_softmax(-1)[row.start - 1 :].gather(1, targets[:, None]).sum())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shared", [True, False], ids=["tree", "plain"])
def test_scores_are_those_of_pefts_own_forward(adapters: Path, name: str, shared: bool) -> None:
    backend = loaded(str(adapters / name), share_prefixes=shared)
    bare = tiny.backend(tiny.model("llama"))
    assert backend.tree == (shared and name not in ("prefix", "prompt"))
    for row, answer, without in zip(
        ROWS, tiny.answers(backend.score, ROWS), tiny.answers(bare.score, ROWS), strict=True
    ):
        assert answer.loglikelihood == pytest.approx(by_peft(adapters / name, row), abs=1e-4)
        assert abs(answer.loglikelihood - without.loglikelihood) > 3e-4, "the adapter changes nothing"


@pytest.mark.parametrize("name", KINDS)
def test_generation_does_not_depend_on_its_batch(adapters: Path, name: str) -> None:
    backend = loaded(str(adapters / name))
    rows = [tiny.generate_row(prompt) for prompt in PROMPTS]
    together = tiny.answers(backend.generate, rows)
    alone = [tiny.answers(backend.generate, [row])[0] for row in rows]
    assert together == alone
    wrapped = peft.PeftModel.from_pretrained(tiny.model("llama"), str(adapters / name)).eval()
    for prompt, answer in zip(PROMPTS, together, strict=True):
        with torch.inference_mode():
            output = wrapped.generate(
                input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=8, do_sample=False, pad_token_id=tiny.VOCABULARY - 1,
            )  # fmt: skip
        new = output[0, len(prompt) :] if output.shape[1] > 8 or len(prompt) + 8 >= output.shape[1] else output[0]
        assert answer.text == tiny.tokenizer().decode(new, skip_special_tokens=True)


def test_an_adapter_of_another_base_whose_shapes_fit_is_told(adapters: Path, tmp_path: Path) -> None:
    for base, told in (("meta/Llama-Twin-1B", 1), ("org/tiny-LLAMA/", 0), (None, 0)):
        folder = shutil.copytree(adapters / "lora", tmp_path / f"lora{base is None}{told}")
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
        found = peft_adapters.find_adapters(ModelSpec(name="tiny-llama", peft=[str(folder)]))
        doubts = peft_adapters.foreign(found, ["tiny-llama", "/models/x"])
        assert len(doubts) == told
        assert not told or ("meta/Llama-Twin-1B" in doubts[0] and folder.name in doubts[0])


def test_merged_equals_unmerged(adapters: Path) -> None:
    for name in ("lora", "ia3"):
        path = str(adapters / name)
        merged, unmerged = loaded(path, merge=True), loaded(path)
        assert merged.info.details["adapter"]["merged"]
        pairs = zip(tiny.answers(merged.score, ROWS), tiny.answers(unmerged.score, ROWS), strict=True)
        assert all(a.loglikelihood == pytest.approx(b.loglikelihood, abs=1e-4) for a, b in pairs)


def test_a_composition_is_the_weighted_sum_of_the_updates(adapters: Path) -> None:
    weights = {"lora": 0.6, "wide": -0.4}
    model = tiny.model("llama").double()
    for name, weight in weights.items():
        one = peft.PeftModel.from_pretrained(copy.deepcopy(tiny.model("llama").double()), str(adapters / name))
        for key, module in one.get_base_model().named_modules():
            if hasattr(module, "get_delta_weight"):
                target = model.get_submodule(key)
                target.weight.data += weight * module.get_delta_weight("default").double()
    backend = loaded(*(f"{adapters / name}:{weight}" for name, weight in weights.items()))
    assert backend.info.details["adapter"]["adapters"] == weights
    for row, answer in zip(ROWS, tiny.answers(backend.score, ROWS), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(model, row), abs=1e-4)


def test_what_a_run_records_of_an_adapter(adapters: Path) -> None:
    details = loaded(str(adapters / "lora")).info.details["adapter"]
    wrapped = peft.get_peft_model(tiny.model("llama"), KINDS["lora"]())
    own, whole = wrapped.get_nb_trainable_parameters()
    assert details["type"] == "LORA"
    assert details["parameters"] == own
    assert details["share_percent"] == pytest.approx(100 * own / whole, abs=1e-3)
    assert details["size_bytes"] == (adapters / "lora" / "adapter_model.safetensors").stat().st_size
    window = loaded(str(adapters / "prefix")).info.max_length
    assert window == 128 - 3, "learned tokens take room in the window"


def test_another_base_model_is_refused(adapters: Path) -> None:
    found = peft_adapters.find_adapters(ModelSpec(name="gpt2", peft=(str(adapters / "lora"),)))
    with pytest.raises(UserError, match="does not fit this model; it was trained on"):
        peft_adapters.adapted(tiny.model("gpt2"), found, False)
    shallow = tiny.model("llama")
    shallow.model.layers = shallow.model.layers[:1]
    with pytest.raises(UserError, match="have no place in this model"):
        peft_adapters.adapted(shallow, found, False)


@pytest.mark.parametrize(
    ("made_for", "config", "told"),
    [
        ({"hidden_size": 64}, KINDS["lora"], "size mismatch"),
        ({"num_hidden_layers": 1}, KINDS["lora"], "nothing for 4 places in this model, for example .*layers.1"),
        ({"num_hidden_layers": 3}, KINDS["prefix"], "virtual tokens are for 3 layers, this model has 2"),
        ({"hidden_size": 64}, KINDS["prompt"], "Sizes of tensors must match"),
    ],
)
def test_an_adapter_made_for_a_larger_or_smaller_model_is_refused(
    tmp_path: Path, made_for: dict[str, int], config: Any, told: str
) -> None:
    peft.get_peft_model(tiny.model("llama", **made_for), config()).save_pretrained(tmp_path)
    found = peft_adapters.find_adapters(ModelSpec(name="llama", peft=(str(tmp_path),)))
    with pytest.raises(UserError, match=f"does not fit this model; it was trained on .*{told}") as caught:
        peft_adapters.adapted(tiny.model("llama"), found, False)
    assert "\n" not in str(caught.value)


def test_a_damaged_adapter_names_its_file(adapters: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(adapters / "lora", tmp_path / "lora")
    file, settings = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    whole, config = file.read_bytes(), json.loads(settings.read_text())
    save_file({key: value.to(torch.int8) for key, value in load_file(file).items()}, file)
    refused("adapter_model.safetensors: holds 8 weights that are no floating-point numbers", peft=(str(folder),))
    file.write_bytes(whole[: len(whole) // 2])
    refused("adapter_model.safetensors: the weights in this file are not whole", peft=(str(folder),))
    settings.write_text(json.dumps({**config, "peft_type": "MAGIC"}))
    refused("names the peft_type 'MAGIC', which the installed peft does not know", peft=(str(folder),))
    settings.write_text("{}")
    refused("names no peft_type", peft=(str(folder),))


def refused(match: str, **settings: Any) -> None:
    with pytest.raises(UserError, match=match):
        peft_adapters.find_adapters(ModelSpec(name="llama", **settings))


def test_what_is_no_adapter_or_cannot_be_combined_is_refused(adapters: Path, tmp_path: Path) -> None:
    refused("no such folder", peft=("./missing",))
    refused("has no adapter_config.json", peft=(str(tmp_path),))
    refused("only LoRA adapters can be added up", peft=(str(adapters / "lora"), str(adapters / "ia3")))
    refused("only a LoRA adapter takes a weight", peft=(f"{adapters / 'ia3'}:0.5",))
    refused("cannot be merged", peft=(str(adapters / "prompt"),), peft_merge=True)
    refused("would round the adapter away", peft=(str(adapters / "lora"),), peft_merge=True, quant="nf4")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    refused("pickled weights are not loaded", peft=(str(tmp_path),))


def test_the_identity_covers_files_and_weights(adapters: Path) -> None:
    def identity(*paths: str) -> Any:
        return peft_adapters.adapter_hashes(peft_adapters.find_adapters(ModelSpec(name="llama", peft=paths)))

    lora, wide = str(adapters / "lora"), str(adapters / "wide")
    assert identity(lora) == identity(f"{lora}:1")
    assert identity(lora) != identity(wide)
    assert identity(f"{lora}:0.6", wide) != identity(f"{lora}:0.5", wide)


# -- speculation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [(), ("b",), ("cd", "e")])
def test_guessed_tokens_leave_greedy_text_as_it_is(until: tuple[str, ...]) -> None:
    rows = [tiny.generate_row(prompt * 3, 24, until) for prompt in PROMPTS]
    expected = tiny.answers(tiny.backend(tiny.model("llama")).generate, rows)
    for draft in (None, tiny.model("llama", seed=1), tiny.model("llama")):
        model = tiny.model("llama")
        parts = Parts(model, tiny.tokenizer(), torch.device("cpu"), "t", "t", speculation=Speculation(model, 4, draft))
        backend = HfBackend(parts, ModelSpec(name="llama"), EngineSpec())
        assert [a.text for a in tiny.answers(backend.generate, rows)] == [a.text for a in expected]
    # A draft equal to the model is right always; what it guesses behind the end of a text is not counted as accepted.
    assert backend.meter.proposed >= backend.meter.accepted >= 0.9 * backend.meter.proposed > 0
    assert backend.meter.generated >= sum(answer.output_tokens for answer in expected)


# -- quantized ----------------------------------------------------------------------------------------------------


def quant_refused(match: str, source: Path, device: str = "cpu", **settings: Any) -> None:
    with pytest.raises(UserError, match=match):
        quantization.check_quant(ModelSpec(name="m", **settings), str(source), torch.device(device))


def test_what_cannot_be_quantized_here_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None if name != "torchao" else object())
    (tmp_path / "config.json").write_text("{}")
    quant_refused("bitsandbytes.*evalkit-harness\\[quant\\]", tmp_path, quant="nf4")
    quant_refused("need a CUDA device", tmp_path, quant="int4wo")
    quant_refused("needs a CUDA device or a CPU", tmp_path, device="mps", quant="int8wo")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq"}}))
    quant_refused("quantized already \\(gptq\\)", tmp_path, quant="int8")
    quant_refused("needs gptqmodel", tmp_path)


@pytest.mark.parametrize("quant", ["int8", "nf4", "fp4", "int8wo", "int8da", "hqq4"])
def test_quantized_weights_are_near_the_plain_ones(quant: Any, tmp_path: Path) -> None:
    package = package_of(quant)
    pytest.importorskip(package, reason=f"--quant {quant} needs the package {package}")
    from transformers import AutoModelForCausalLM

    # Rows as long as bitsandbytes' blocks: on a processor with AVX512-BF16 it packs no shorter ones.
    plain_model = tiny.model("llama", hidden_size=64, intermediate_size=128, initializer_range=0.28)
    plain_model.save_pretrained(tmp_path)
    spec = ModelSpec(name=str(tmp_path), quant=quant)
    settings = quantization.quantization(spec, str(tmp_path), torch.float32, torch.device("cpu"))
    made = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, **settings).eval()
    if quant == "hqq4":
        quantization.by_hqq(made, torch.device("cpu"))
    assert parameters.count(made) == plain_model.num_parameters()
    linear = made.model.layers[0].mlp.up_proj
    assert type(linear) is not torch.nn.Linear or type(linear.weight) is not torch.nn.Parameter
    held, plain = (sum(map(stored_bytes, one.model.layers.parameters())) for one in (made, plain_model))
    assert held < (0.45 if "4" in quant else 0.6) * plain
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.inference_mode():
        apart = (made(tokens).logits - plain_model(tokens).logits).abs().mean()
    assert 0 < apart < (1.5 if "4" in quant else 0.3)


@pytest.mark.parametrize("quant", ["int8", "int8wo", "hqq4", "nf4", "fp4"])
def test_narrow_layers_with_biases_load_and_are_counted(quant: Any, tmp_path: Path) -> None:
    pytest.importorskip(package_of(quant), reason=f"--quant {quant} needs the package {package_of(quant)}")
    own = tiny.model("bloom")
    own.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    backend = load(ModelSpec(name=str(tmp_path), quant=quant, device="cpu"), EngineSpec())
    assert backend.info.n_parameters == own.num_parameters()


# -- composition --------------------------------------------------------------------------------------------------


def test_the_search_finds_the_weights_of_a_known_bowl() -> None:
    from evalkit.backends.hf.compose import search_weights

    best, tried = search_weights(lambda w: (w[0] - 0.6) ** 2 + (w[1] + 0.3) ** 2, 2, 80, 0.0, lambda _: None)
    assert best == pytest.approx((0.6, -0.3), abs=0.03)
    assert tried <= 80


@pytest.mark.parametrize("name", [*KINDS, "lora+wide", "lora:0.5"])
def test_an_adapter_is_counted_once(adapters: Path, name: str) -> None:
    backend = loaded(*(str(adapters / one) for one in name.split("+")))
    own = tiny.model("llama").num_parameters()
    assert backend.info.n_parameters == own + backend.info.details["adapter"]["parameters"]


def test_composing_never_recommends_less_than_the_best_member(adapters: Path, tmp_path: Path) -> None:
    from evalkit.backends.hf.compose import compose_with

    class Rough:
        """Losses of a landscape in which the search from zero, with its penalty, stays at the base model."""

        def loss(self, examples: Any, weights: Any) -> float:
            return {(1.0, 0.0): 1.9, (0.0, 1.0): 1.5, (0.0, 0.0): 2.0}.get(tuple(weights), 2.5)

    found = compose_with(Rough(), ("a", "b"), [], 10, 5.0)  # type: ignore[arg-type]
    assert found.weights == (0.0, 1.0)
    assert found.loss == min(found.single_losses) == 1.5
    assert found.flag == "a:0,b:1"


def test_composing_never_ends_above_the_base_loss(adapters: Path, tmp_path: Path) -> None:
    from evalkit.backends.hf.compose import compose, read_examples

    tiny.model("llama").save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    file = tmp_path / "examples.jsonl"
    file.write_text('{"prompt": "abc", "completion": "de"}\n\n{"prompt": "xyz", "completion": "zz"}\n')
    examples = read_examples(file)
    # The tiny tokenizer knows no space, which read_examples puts before a completion.
    examples = [type(one)(one.context, one.continuation.strip()) for one in examples]
    spec = ModelSpec(name=str(tmp_path / "model"), peft=(str(adapters / "lora"), str(adapters / "wide")))
    found = compose(spec, examples, steps=15)
    assert found.loss + 0.05 * sum(map(abs, found.weights)) / 2 <= found.base_loss
    assert found.flag == ",".join(f"{p}:{w:g}" for p, w in zip(spec.peft, found.weights, strict=True))
    backend = tiny.backend(tiny.model("llama"))
    from evalkit.engine import answer

    responses = answer(backend, examples, None, EngineSpec())
    own = -sum(r.loglikelihood or 0.0 for r in responses) / sum(r.output_tokens for r in responses)
    assert found.base_loss == pytest.approx(own, abs=1e-4)


def test_examples_that_cannot_be_read_name_file_and_line(tmp_path: Path) -> None:
    from evalkit.backends.hf.compose import read_examples

    file = tmp_path / "examples.jsonl"
    file.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    with pytest.raises(UserError, match=r"examples\.jsonl:2: write"):
        read_examples(file)
    file.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_examples(file)
