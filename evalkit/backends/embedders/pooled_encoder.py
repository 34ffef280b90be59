"""A transformers model as an embedder: its last hidden states, averaged over a text or taken at one token."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from evalkit.backends.embedders.backend import Opened, Prompts, Read, plain_name, told
from evalkit.backends.hf import architecture, memory, vocabulary, weights
from evalkit.backends.hf.fingerprint import fingerprint, folder_hashes
from evalkit.backends.hf.loading import DTYPES, locate, pick_device
from evalkit.backends.hf.quiet import quiet
from evalkit.contract.embedding import Role
from evalkit.contract.errors import UserError
from evalkit.contract.types import ModelInfo
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.strict import model_args

MOST_ROWS = 64


class Arguments(Prompts):
    """What ``--model_args`` may hold."""

    pooling: Literal["mean", "last", "cls"] = "mean"
    """The mean over a text's tokens, its last token's state, or its first's."""
    append_eos: bool = False
    """End every text with the end-of-sequence token, which models pooled at the last token are trained with."""


class Pooled:
    """See `Encoder`."""

    def __init__(self, model: Any, tokenizer: Any, chosen: Arguments, window: int, engine: EngineSpec) -> None:
        self.prompts: Prompts = chosen
        self._model = model
        self._tokenizer = tokenizer
        self._chosen = chosen
        self._window = window
        self._asked = engine.batch_size
        self._device = next(model.parameters()).device
        self._row = model.config.get_text_config().hidden_size * 100 * model.dtype.itemsize

    def read(self, texts: Sequence[str], role: Role, meter: Meter) -> Read:
        """Vectors of the texts, long ones first; a text beyond the window is cut at its end."""
        eos = [self._tokenizer.eos_token_id] if self._chosen.append_eos else []
        encoded, cut = [], []
        for text in texts:
            ids = list(self._tokenizer(text, verbose=False)["input_ids"]) or [self._tokenizer.eos_token_id]
            own = eos if ids[-1:] != eos else []
            # Cut by the tokenizer itself, which leaves the special tokens that stand around a text.
            if len(ids) + len(own) > self._window:
                room = self._window - len(own)
                kept = list(self._tokenizer(text, truncation=True, max_length=room, verbose=False)["input_ids"])
                cut.append(len(ids) - len(kept))
                ids = kept
            else:
                cut.append(0)
            encoded.append(ids + own)
        order = sorted(range(len(texts)), key=lambda place: -len(encoded[place]))
        found: list[Any] = [None] * len(texts)
        done = 0
        while done < len(order):
            part = order[done : done + self._rows(len(encoded[order[done]]))]
            for place, vector in zip(part, self._pool([encoded[one] for one in part], meter), strict=True):
                found[place] = vector
            done += len(part)
        return Read(np.stack(found), [len(ids) for ids in encoded], cut)

    def _rows(self, length: int) -> int:
        if isinstance(self._asked, int):
            return self._asked
        return max(1, min(MOST_ROWS, int(memory.available(self._device) * 0.5 // (length * self._row))))

    def _pool(self, rows: Sequence[list[int]], meter: Meter) -> np.ndarray:
        """Vectors [rows, dimensions]. Padding stands at the end, where no token before it sees it."""
        watch = Stopwatch(self._device)
        longest = max(map(len, rows))
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=self._device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._device)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self._chosen.pooling == "mean":
            weight = mask.unsqueeze(-1).float()
            vectors = (states * weight).sum(dim=1) / weight.sum(dim=1)
        elif self._chosen.pooling == "last":
            vectors = states[torch.arange(len(rows)), mask.sum(dim=1) - 1]
        else:
            vectors = states[:, 0]
        tokens = sum(map(len, rows))
        meter.read(tokens)
        meter.prefill(tokens, watch.lap())
        return np.asarray(vectors.cpu())

    def close(self) -> None:
        """Free the model's memory."""
        del self._model
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def load(model: ModelSpec, engine: EngineSpec) -> Opened:
    """The model without its head. UserError where it cannot be loaded."""
    chosen = model_args(Arguments, model.args, "an embedder (embed:)")
    spec = model.model_copy(update={"name": plain_name(model), "backend": None, "args": {}})
    if spec.dtype not in DTYPES:
        raise UserError(f"--dtype {spec.dtype}: unknown; one of {', '.join(DTYPES)}")
    device = pick_device(spec.device)
    spec, source, folder = locate(spec)
    if folder is not None:
        weights.check_files(folder)
    from transformers import AutoModel, AutoTokenizer

    with quiet():
        try:
            config = architecture.read_config(source, spec.revision)
            if getattr(config, "is_encoder_decoder", False):
                raise UserError(
                    f"{spec.name}: is an encoder-decoder: give it as st:{spec.name} (sentence-transformers)"
                )
            tokenizer = AutoTokenizer.from_pretrained(source, revision=spec.revision, trust_remote_code=False)
            made, report = AutoModel.from_pretrained(
                source,
                revision=spec.revision,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=DTYPES[spec.dtype],
                output_loading_info=True,
            )
        except UserError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(f"{spec.name}: cannot be loaded as an embedder ({reason}); check the name") from error
    # The head's weights have no place here, and a pooler that no one trained is not used.
    missing = [name for name in report["missing_keys"] if "pooler" not in name]
    kept = weights.check_loaded(spec.name, made, {"missing_keys": missing}, spec.allow_missing_weights)
    vocabulary.check_window(made, spec.max_length)
    made = made.eval().to(device)
    window = spec.max_length or vocabulary.positions(made, tokenizer)
    identity = fingerprint(
        folder_hashes(folder) if folder else {"name": spec.name, "revision": spec.revision},
        dtype=str(made.dtype),
        max_length=window,
        overlength=engine.overlength,
        **chosen.model_dump(mode="json"),
    )
    info = ModelInfo(
        name=model.label or model.name,
        backend="pooled",
        fingerprint=identity,
        max_length=window,
        tokenizer=type(tokenizer).__name__,
        n_parameters=made.num_parameters(),
        dtype=str(made.dtype).removeprefix("torch."),
        device=str(device),
        details={"architecture": type(made).__name__, "pooling": chosen.pooling, **kept, **told(chosen)},
    )
    return Opened(Pooled(made, tokenizer, chosen, window, engine), info)
