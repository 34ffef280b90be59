"""WordLlama: a vector for each token of a vocabulary, averaged over a text. Its package carries the weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evalkit.backends.embedders.backend import Opened, Prompts, Read, told
from evalkit.backends.hf.fingerprint import file_hash, fingerprint
from evalkit.contract.embedding import Role
from evalkit.contract.types import ModelInfo
from evalkit.perf.clocks import now
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.strict import model_args


class Arguments(Prompts):
    """What ``--model_args`` may hold."""

    dim: Literal[64, 128, 256] = 256
    """The first so many dimensions (it was trained for these)."""


class WordLlama:
    """See `Encoder`."""

    def __init__(self, model: Any, prompts: Prompts) -> None:
        self.prompts = prompts
        self._model = model

    def read(self, texts: Sequence[str], role: Role, meter: Meter) -> Read:
        """Means of token vectors; a text of any length is read whole."""
        began = now()
        vectors = self._model.embed(list(texts))
        tokens = [sum(one.attention_mask) for one in self._model.tokenize(list(texts))]
        meter.read(sum(tokens))
        meter.prefill(sum(tokens), now() - began)
        return Read(np.asarray(vectors, dtype=np.float32), tokens)

    def close(self) -> None:
        """Nothing to free but memory."""


def load(model: ModelSpec, engine: EngineSpec) -> Opened:
    """WordLlama with the weights of its package; nothing is fetched."""
    chosen = model_args(Arguments, model.args, "wordllama")
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    import wordllama

    root.setLevel(level)  # the package sets up the logging of the whole program when it is imported
    root.handlers[:] = handlers
    home = Path(wordllama.__file__).parent
    weights = home / "weights" / "l2_supercat_256.safetensors"
    # As its cache, the package's own folder has the tokenizer where it looks for it, and nothing is fetched.
    made = wordllama.WordLlama.load(trunc_dim=chosen.dim, cache_dir=home, disable_download=True)
    info = ModelInfo(
        name=model.label or model.name,
        backend="wordllama",
        fingerprint=fingerprint(file_hash(weights), version=version("wordllama"), **chosen.model_dump(mode="json")),
        max_length=1 << 30,
        n_parameters=int(np.prod(made.embedding.shape)),
        dtype="float32",
        device="cpu",
        details={"dimensions": chosen.dim, "package": f"wordllama {version('wordllama')}", **told(chosen)},
    )
    return Opened(WordLlama(made, chosen), info)
