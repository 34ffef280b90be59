"""From a name to a loaded model: Hub ids, local folders and GGUF files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from evalkit.backends.chat_template import prompting_identity
from evalkit.backends.hf import (
    architecture,
    folder_files,
    local_files,
    other_tokenizer,
    peft_adapters,
    placement,
    processing,
    quantization,
    vocabulary,
    weights,
)
from evalkit.backends.hf.fingerprint import fingerprint, folder_hashes
from evalkit.backends.hf.hub import look_up
from evalkit.backends.hf.quiet import no_bars, quiet
from evalkit.backends.hf.speculation import Speculation
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
    "half": torch.float16,
}

ARGUMENTS = {
    "trust_remote_code",
    "attn_implementation",
    "prefix_token_id",
    "tokenizer",
    architecture.PICTURES,
    *placement.ARGUMENTS,
}
"""Backend arguments (--model_args) beyond the fields of ModelSpec."""


@dataclass(frozen=True)
class Parts:
    """A loaded model with what a run records of it."""

    model: Any
    tokenizer: Any
    device: torch.device
    fingerprint: str
    source: str
    details: dict[str, Any] = field(default_factory=dict)
    speculation: Speculation | None = None
    family: architecture.Family = "causal"
    processor: Any = None
    """What makes a model's input of text and pictures, of one that reads them."""


def load_parts(spec: ModelSpec) -> Parts:
    """Load weights and tokenizer; file hashes are computed beside the loading."""
    _check(spec)
    spread = placement.of(spec)
    device = pick_device(spec.device)
    quantization.check_setting(spec, device)
    spec, source, folder = locate(spec)
    quantization.check_quant(spec, source, device)
    adapters = peft_adapters.find_adapters(spec)
    elsewhere = other_tokenizer.find(spec)
    if folder is not None:
        weights.check_files(folder)
    with quiet(), ThreadPoolExecutor(1) as pool:
        hashes = pool.submit(folder_hashes, folder) if folder else None
        try:
            family = architecture.of(spec, source)
            _check_family(spec, family, spread.spreads)
            if spread.spreads and spec.quant == "hqq4":
                raise UserError("--quant hqq4: quantizes on one device: leave device_map and parallelize out")
            processor = processing.load(source, spec) if family == "image-text" else None
            tokenizer = _tokenizer(source, spec, processor)
            model, kept = _model(source, spec, device, family, spread)
            device = placement.inputs_go_to(model, device)
            placed = placement.describe(model) if spread.spreads else {}
            vocabulary.check_window(model, spec.max_length)
            files = Path(source) if Path(source).is_dir() and elsewhere is None else None
            causal = family == "causal"
            kept |= vocabulary.check(spec.name, model, tokenizer, files, causal, spec.allow_missing_weights)
            commit = getattr(model.config, "_commit_hash", None)
            kind = type(model).__name__
            model, adapter = peft_adapters.adapted(model, adapters, spec.peft_merge) if adapters else (model, {})
            weights.check_numbers(spec.name, model)
            speculation = _speculation(spec, model, tokenizer, device)
        except UserError:
            raise
        except Exception as error:
            raise _explain(spec, folder, error) from error
        held = hashes.result() if hashes else commit or spec.revision
    identity = fingerprint(
        held or {"name": spec.name, "revision": spec.revision},
        dtype=str(model.dtype),
        add_bos=spec.add_bos,
        max_length=spec.max_length,
        # Where weights are changes an answer no more than --device does; a tokenizer is known by what it is.
        arguments={k: str(v) for k, v in spec.args.items() if k not in {*placement.ARGUMENTS, "tokenizer"}},
        **_variant_identity(spec, adapters),
        **({} if elsewhere is None else {"tokenizer": elsewhere.identity}),
        **({"allow_missing_weights": True} if spec.allow_missing_weights else {}),
        **prompting_identity(spec),
        **({} if processor is None else processing.identity(processor)),
    )
    details: dict[str, Any] = {"architecture": kind, "commit": commit, **kept}
    if quantized := spec.quant or quantization.held_words(model.config):
        details["quantization"] = quantized
    if placed:
        details["weights_by_device"] = placed
    if adapter:
        details["adapter"] = adapter
        if doubts := peft_adapters.foreign(adapters, [spec.name, source]):
            details["adapter_doubts"] = doubts
    if processor is not None:
        details |= processing.identity(processor)
    if speculation:
        details["speculation"] = f"draft {spec.draft}" if spec.draft else f"prompt lookup of {spec.prompt_lookup}"
    return Parts(model, tokenizer, device, identity, source, details, speculation, family, processor)


def locate(spec: ModelSpec) -> tuple[ModelSpec, str, Path | None]:
    """The model (one of the Hub pinned to its commit), what transformers loads it from, and its folder if it is
    the user's own. Raises UserError for a model that is nowhere.
    """
    folder = local_files.local_folder(spec)
    if folder is not None:
        return spec, str(folder), folder
    found = look_up(spec.name, spec.revision)
    return spec.model_copy(update={"revision": found.revision}), str(found.cached or spec.name), None


def _variant_identity(spec: ModelSpec, adapters: Sequence[peft_adapters.Adapter]) -> dict[str, Any]:
    """What of the variant can change an answer; nothing for a model as it is."""
    found: dict[str, Any] = {"quant": spec.quant} if spec.quant else {}
    if adapters:
        found |= {"adapters": peft_adapters.adapter_hashes(adapters), "merged": spec.peft_merge}
    return found


def _speculation(spec: ModelSpec, model: Any, tokenizer: Any, device: torch.device) -> Speculation | None:
    """Where guessed tokens come from; None for decoding one at a time. Raises UserError for a draft that cannot be."""
    if spec.prompt_lookup and spec.draft:
        raise UserError("--prompt-lookup and --draft both guess the next tokens: give one of them")
    if spec.prompt_lookup:
        return Speculation(model, spec.prompt_lookup)
    if not spec.draft:
        return None
    own, source, folder = locate(ModelSpec(name=spec.draft, dtype=spec.dtype))
    try:
        other = _tokenizer(source, own)
    except Exception as error:
        raise _explain(own, folder, error) from error
    if other.get_vocab() != tokenizer.get_vocab():
        raise UserError(f"--draft {spec.draft}: its tokenizer is not that of {spec.name}: use one of the same family")
    return Speculation(model, spec.draft_tokens, _model(source, own, device, "causal")[0])


def _check(spec: ModelSpec) -> None:
    if unknown := sorted(set(spec.args) - ARGUMENTS):
        raise UserError(
            f"--model_args: the backend hf does not know {', '.join(unknown)}; "
            f"it takes pretrained, dtype, device, revision, max_length, add_bos_token, {', '.join(sorted(ARGUMENTS))}"
        )
    if spec.args.get("trust_remote_code") not in (None, False, "False", "false"):
        raise UserError("trust_remote_code runs a stranger's code and is not supported: use a model that needs none")
    if spec.dtype not in DTYPES:
        raise UserError(f"--dtype {spec.dtype}: unknown; one of {', '.join(DTYPES)}")


def pick_device(name: str) -> torch.device:
    """The device asked for; "auto": CUDA, then MPS, then CPU."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name}: not a device; for example cpu, cuda, cuda:1, mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: no CUDA device here; use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"--device {name}: no MPS device here; use --device cpu")
    return device


def load_tokenizer(spec: ModelSpec) -> tuple[Any, architecture.Family]:
    """The tokenizer alone, for a driver whose replicas have the weights, and the model's family. Raises UserError."""
    spec, source, folder = locate(spec)
    with quiet():
        try:
            family = architecture.of(spec, source)
            processor = processing.load(source, spec) if family == "image-text" else None
            return _tokenizer(source, spec, processor), family
        except UserError:
            raise
        except Exception as error:
            raise _explain(spec, folder, error) from error


def _tokenizer(source: str, spec: ModelSpec, processor: Any = None) -> Any:
    from transformers import AutoTokenizer

    if processor is not None:
        if "tokenizer" in spec.args:
            raise UserError(f"--model_args tokenizer: {spec.name} reads pictures, with a processor of its own")
        tokenizer = processor.tokenizer
        tokenizer.chat_template = processor.chat_template or tokenizer.chat_template
    else:
        extra = {} if spec.add_bos is None else {"add_bos_token": spec.add_bos}
        if (elsewhere := other_tokenizer.find(spec)) is not None:
            return _padded(other_tokenizer.load(elsewhere, str(spec.args["tokenizer"]), extra))
        tokenizer = AutoTokenizer.from_pretrained(source, revision=spec.revision, trust_remote_code=False, **extra)
    return _padded(tokenizer)


def _padded(tokenizer: Any) -> Any:
    """The tokenizer with a padding token."""
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def _check_family(spec: ModelSpec, family: architecture.Family, spread: bool) -> None:
    """Raise UserError for a setting that models of this family do not take."""
    flags = {"--peft": spec.peft, "--prompt-lookup": spec.prompt_lookup, "--draft": spec.draft}
    flags |= {"--quant hqq4": spec.quant == "hqq4", "--model_args device_map": spread}
    if family != "causal" and (given := next((flag for flag, value in flags.items() if value), None)):
        what = {"classifier": "a classifier", "image-text": "a model of pictures"}.get(family, "an encoder-decoder")
        raise UserError(f"{given}: {spec.name} is {what}, which takes it not here: leave it out")


def _model(
    source: str,
    spec: ModelSpec,
    device: torch.device,
    family: architecture.Family,
    spread: placement.Placement | None = None,
) -> tuple[Any, dict[str, Any]]:
    """The model, and what a run records of its weights. Raises UserError where the files lack any."""
    import transformers

    kinds = {"causal": "CausalLM", "encoder-decoder": "Seq2SeqLM", "classifier": "SequenceClassification"}
    kinds["image-text"] = "ImageTextToText"
    kind: Any = getattr(transformers, f"AutoModelFor{kinds[family]}")
    extra = {"attn_implementation": spec.args["attn_implementation"]} if "attn_implementation" in spec.args else {}
    placed = quantization.quantization(spec, source, DTYPES[spec.dtype], device)
    if spread is not None:
        placed |= placement.settings(spread, spec)
    settings = {"dtype": DTYPES[spec.dtype], "use_safetensors": True, **extra, **placed}
    with torch.random.fork_rng(devices=[]), no_bars() if placed else nullcontext():
        torch.manual_seed(0)  # weights that may be missing are the same numbers when a run goes on
        loaded: Any = kind.from_pretrained(
            source,
            revision=spec.revision,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, with everything else that does not fit
            **settings,
        )
    model, report = loaded
    kept = weights.check_loaded(spec.name, model, report, spec.allow_missing_weights)
    model = model.eval() if placed else model.eval().to(device)
    if spec.quant == "hqq4":
        quantization.by_hqq(model, device)
    if placed:
        quantization.unpacked(model)
    if family != "encoder-decoder":
        quantization.settle(model)
    return model, kept


def _explain(spec: ModelSpec, folder: Path | None, error: Exception) -> UserError:
    """One line on why a model did not load, and what to do."""
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        return UserError(
            f"{spec.name}: needs code of its own (auto_map in its files), and evalkit runs no code of a model: give a "
            "model whose architecture and tokenizer transformers knows"
        )
    if folder is not None:
        return folder_files.blame(folder) or UserError(f"{spec.name}: the model in this folder does not load: {reason}")
    return UserError(
        f"{spec.name}: not a local folder and could not be loaded from the Hub ({reason}); check the name, or give "
        f"--model a folder with the weights, or a name from `evalkit models list`"
    )
