"""sentence-transformers' models, with the pooling and the prompts that their folders name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.backends.embedders.backend import Opened, Prompts, Read, plain_name, told
from evalkit.backends.hf.fingerprint import file_hash, fingerprint
from evalkit.backends.hf.hub import look_up
from evalkit.backends.hf.loading import DTYPES, pick_device
from evalkit.backends.hf.quiet import quiet
from evalkit.contract.embedding import Role
from evalkit.contract.errors import UserError
from evalkit.contract.types import ModelInfo
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.strict import model_args

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class Sentence:
    """See `Encoder`. Where no prefix is given, the model's own prompts of queries and documents stand."""

    def __init__(self, model: Any, prompts: Prompts, engine: EngineSpec) -> None:
        self.prompts = prompts
        self._model = model
        self._rows = engine.batch_size if isinstance(engine.batch_size, int) else 32

    def read(self, texts: Sequence[str], role: Role, meter: Meter) -> Read:
        """Vectors as the model's modules make them, cut at its own length."""
        watch = Stopwatch(self._model.device)
        how = {"query": self._model.encode_query, "passage": self._model.encode_document}.get(role, self._model.encode)
        if self.prompts.before(role):
            how = self._model.encode
        vectors = how(list(texts), batch_size=self._rows, convert_to_numpy=True, show_progress_bar=False)
        counts = [len(ids) for ids in self._model.tokenizer(list(texts), verbose=False)["input_ids"]]
        limit = self._model.max_seq_length or max(counts)
        kept = [min(count, limit) for count in counts]
        meter.read(sum(kept))
        meter.prefill(sum(kept), watch.lap())
        return Read(np.asarray(vectors, dtype=np.float32), kept, [a - b for a, b in zip(counts, kept, strict=True)])

    def close(self) -> None:
        """Free the model's memory."""
        del self._model


def load(model: ModelSpec, engine: EngineSpec) -> Opened:
    """The model. UserError where it cannot be loaded, needs code of its own, or has pickled weights."""
    chosen = model_args(Prompts, model.args, "an embedder (st:)")
    name = plain_name(model)
    folder = Path(name).expanduser()
    revision = model.revision
    if folder.is_dir():
        identity: Any = _hashes(folder)
        source = str(folder)
    else:
        found = look_up(name, revision)
        revision, source = found.revision, str(found.cached or name)
        identity = {"name": name, "revision": revision}
    device = pick_device(model.device)
    from sentence_transformers import SentenceTransformer

    with quiet():
        try:
            made = SentenceTransformer(
                source,
                revision=revision,
                device=str(device),
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": DTYPES[model.dtype]},
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(f"{name}: cannot be loaded by sentence-transformers ({reason}); check the name") from error
    if model.max_length is not None:
        made.max_seq_length = model.max_length
    info = ModelInfo(
        name=model.label or model.name,
        backend="sentence-transformers",
        fingerprint=fingerprint(
            identity,
            dtype=model.dtype,
            max_length=made.max_seq_length,
            overlength=engine.overlength,
            **chosen.model_dump(mode="json"),
        ),
        max_length=made.max_seq_length or 1 << 30,
        n_parameters=sum(one.numel() for one in made.parameters()),
        dtype=str(next(made.parameters()).dtype).removeprefix("torch."),
        device=str(device),
        details={"modules": [type(one).__name__ for one in made], "prompts": dict(made.prompts), **told(chosen)},
    )
    return Opened(Sentence(made, chosen, engine), info)


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file by its path. UserError for weights that only a pickle holds."""
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    for one in files:
        if one.suffix in PICKLED and not list(one.parent.glob("*.safetensors")):
            raise UserError(f"{one}: pickled weights are not loaded: save the model again, as safetensors")
    return {one.relative_to(folder).as_posix(): file_hash(one) for one in files}
