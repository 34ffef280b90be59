"""lm_eval's names in --model_args for what is a setting of its own here, so that its command lines run as they are.

What changes an answer becomes the setting that does the same; what only steers how lm_eval loads a model is left out,
and said; what cannot be heeded is refused with what to give instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec

log = logging.getLogger("evalkit.backends")

SETTINGS: Mapping[str, str] = {
    "max_model_len": "max_length",
    "torch_dtype": "dtype",
    "bnb_4bit_compute_dtype": "dtype",
}
"""Another name for a setting. 4-bit weights compute in the model's dtype here."""
ANY: tuple[Any, ...] = ("any value",)
NEEDLESS: Mapping[str, tuple[Any, ...]] = {
    "logits_cache": ANY,
    "low_cpu_mem_usage": ANY,
    "autogptq": ANY,  # a checkpoint says itself how it is quantized
    "gptqmodel": ANY,
    "swap_space": ANY,
    "use_fast_tokenizer": (True,),
    "use_safetensors": (True,),
    "backend": ("default", "causal", "seq2seq"),
    "truncation": (False,),
    "softmax_dtype": ("float32", "float", "auto"),
    "subfolder": ("",),
    "load_in_8bit": (False,),
    "load_in_4bit": (False,),
    "bnb_4bit_use_double_quant": (False,),
    "batch_size": ("auto",),
    "truncation_side": ("left",),
}
"""Arguments, and the values with which they ask for what happens anyway."""
INSTEAD: dict[str, str] = {
    "max_gen_toks": "give --gen_kwargs max_gen_toks={value}",
    "batch_size": "give --batch-size {value}",
    "max_batch_size": "leave it out: batches are as large as memory allows (--batch-size N sets one)",
    "delta": "add the delta weights to their base model, and give the folder of the sum",
    "subfolder": "give --model the folder itself; of a model on the Hub, download it first",
    "use_fast_tokenizer": "leave it out: tokenizers are loaded as the model's files say",
    "use_safetensors": "leave it out: pickled weights are not loaded",
    "truncation": "leave it out: what is longer than the window is shortened from the left, and counted",
    "softmax_dtype": "leave it out: log-probabilities are computed in float32",
    "mixed_precision_dtype": "give --dtype {value}",
    "bnb_4bit_use_double_quant": "leave it out: scales are not quantized a second time",
    "bnb_4bit_quant_type": "give --quant nf4 or --quant fp4",
    "load_in_8bit": "give --quant int8",
    "load_in_4bit": "give --quant nf4 or --quant fp4",
    "lora_local_path": "merge the adapter into the model, or give it with --peft to the backend hf",
    "truncation_side": "leave it out: what is longer than the window is shortened from the left, and counted",
}
"""What to do where such an argument, or its value, is not heeded."""
VLLM_INSTEAD: dict[str, str] = {
    **dict.fromkeys(("load_in_8bit", "load_in_4bit", "bnb_4bit_quant_type"), "give quantization=bitsandbytes"),
    "peft": "merge the adapter into the model, or give it with --peft to the backend hf",
}
"""Of vLLM, which quantizes and adapts by itself or not at all."""
SERVERS_NEEDLESS: Mapping[str, tuple[Any, ...]] = {
    "tokenized_requests": (True, False),
    "tokenizer_backend": ANY,
    "batch_size": ANY,
    "max_images": ANY,
    "use_fast_tokenizer": (True, False),
    "truncate": (False,),
    "verify_certificate": (True,),
}
"""Of a server: how it is asked is found out by trying (docs/backends.md)."""
SERVERS_INSTEAD: Mapping[str, str] = {
    "max_gen_toks": "give --gen_kwargs max_gen_toks={value}",
    "seed": "give --seed {value}",
    "truncate": "leave it out: --overlength says what becomes of prompts longer than --max-length",
    "verify_certificate": "certificates are always checked: the environment variable SSL_CERT_FILE names a file with "
    "the certificate of your own authority",
    "ca_cert_path": "set the environment variable SSL_CERT_FILE to this path",
    "eos_string": "leave it out: the server ends a text at its model's own token",
    "custom_prefix_token_id": "leave it out: a text without a context is scored behind what the tokenizer begins with",
}
QUANTS = ("nf4", "fp4")
DTYPES = {"float": "float32", "half": "float16", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Second names, torch's and the usual short ones."""


def of_transformers(model: ModelSpec) -> ModelSpec:
    """A model of the backend hf with lm_eval's arguments put as evalkit's own settings. Raises UserError."""
    return _translated(model, (_quantization, _adapters, _gguf, _own_tokenizer))


def of_vllm(model: ModelSpec) -> ModelSpec:
    """The same for the backend vllm."""
    return _translated(model, (_own_tokenizer,), NEEDLESS, INSTEAD | VLLM_INSTEAD)


def of_server(model: ModelSpec) -> ModelSpec:
    """The same for models behind an API: lm_eval's local-completions, local-chat-completions and hosted ones."""
    return _translated(model, (), SERVERS_NEEDLESS, SERVERS_INSTEAD)


Rule = Callable[[ModelSpec, dict[str, Any]], dict[str, Any]]


def _translated(
    model: ModelSpec,
    rules: tuple[Rule, ...],
    needless: Mapping[str, tuple[Any, ...]] = NEEDLESS,
    instead: Mapping[str, str] = INSTEAD,
) -> ModelSpec:
    if not model.args and _plain(model.dtype) == model.dtype:
        return model
    args = dict(model.args)
    update: dict[str, Any] = {}
    for rule in rules:
        update |= rule(model, args)
    for name, field in SETTINGS.items() if rules else ():
        if name in args:
            update |= _agreeing(model, update, name, field, args.pop(name))
    update["dtype"] = _plain(update.get("dtype", model.dtype))
    left = [name for name, value in args.items() if _is_needless(needless.get(name, ()), value)]
    if left:
        log.warning("--model_args %s: left out: it changes nothing here", ", ".join(left))
    for name in args.keys() - set(left):
        if name in instead:
            raise UserError(f"--model_args {name}={args[name]}: {instead[name].format(value=args[name])}")
    return model.model_copy(update={**update, "args": {k: v for k, v in args.items() if k not in left}})


def _plain(dtype: str) -> str:
    """torch.float16, half and float by the names that --dtype has."""
    bare = dtype.removeprefix("torch.")
    return DTYPES.get(bare, bare)


def _is_needless(values: tuple[Any, ...], value: Any) -> bool:
    return values is ANY or any(value == one and type(value) is type(one) for one in values)


def _agreeing(model: ModelSpec, update: Mapping[str, Any], name: str, field: str, value: Any) -> dict[str, Any]:
    """``field`` set to ``value``; UserError where it has another already, or the value is of the wrong type."""
    if field == "max_length" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UserError(f"--model_args {name}={value}: must be a number of tokens, 1 or more")
    if field == "dtype":
        value = _plain(str(value))
    held = update.get(field, getattr(model, field))
    held = _plain(held) if field == "dtype" else held
    untouched = ModelSpec.model_fields[field].get_default(call_default_factory=True)
    if held not in (untouched, value):
        raise UserError(f"--model_args {name}={value}: --{field.replace('_', '-')} is {held}: give one of them")
    return {field: value}


def _quantization(model: ModelSpec, args: dict[str, Any]) -> dict[str, Any]:
    """bitsandbytes by transformers' words; its 4 bits are fp4 where nothing else is said, as in BitsAndBytesConfig."""
    kind = args.get("bnb_4bit_quant_type", "fp4")
    for name in ("load_in_8bit", "load_in_4bit"):
        if name in args and args[name] in (0, 1):
            args[name] = bool(args[name])
    if args.get("load_in_4bit") is True:
        if kind not in QUANTS:
            raise UserError(f"--model_args bnb_4bit_quant_type={kind}: unknown; one of {', '.join(QUANTS)}")
        args.pop("bnb_4bit_quant_type", None)
    given = [
        (name, value) for name, value in (("load_in_8bit", "int8"), ("load_in_4bit", kind)) if args.get(name) is True
    ]
    if len(given) > 1:
        raise UserError("--model_args load_in_8bit, load_in_4bit: give one of them")
    for name, value in given:
        del args[name]
        return _agreeing(model, {}, name, "quant", value)
    return {}


def _adapters(model: ModelSpec, args: dict[str, Any]) -> dict[str, Any]:
    if "peft" not in args:
        return {}
    return _agreeing(model, {}, "peft", "peft", (str(args.pop("peft")),))


def _gguf(model: ModelSpec, args: dict[str, Any]) -> dict[str, Any]:
    """A GGUF file beside the folder that it lies in: the file itself."""
    if "gguf_file" not in args:
        return {}
    file = str(args["gguf_file"])
    path = Path(model.name).expanduser() / file
    if Path(model.name).expanduser().is_file() and Path(model.name).name == Path(file).name:
        path = Path(model.name)
    elif not path.is_file():
        raise UserError(f"--model_args gguf_file={file}: no such file in {model.name}: give it as --model FILE.gguf")
    del args["gguf_file"]
    return {"name": str(path)}


def _own_tokenizer(model: ModelSpec, args: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer that is the model's own anyway."""
    if args.get("tokenizer") == model.name:
        del args["tokenizer"]
    return {}
