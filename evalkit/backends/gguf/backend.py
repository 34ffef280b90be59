"""The backend object: token rows in, answers out, through one llama.cpp context that grows as needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from evalkit.backends.chat_template import ChatTemplate, named, prompting_identity, variables
from evalkit.backends.gguf import CAPABILITIES, walk
from evalkit.backends.gguf.decoding import Decoder
from evalkit.backends.gguf.native import Context, Model, version
from evalkit.backends.gguf.settings import Settings, settings
from evalkit.backends.hf import local_files
from evalkit.backends.hf.fingerprint import file_hash, fingerprint
from evalkit.backends.thinking import marks_of
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult, no_op
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, ModelInfo
from evalkit.perf.counters import Meter
from evalkit.spec.models import EngineSpec, ModelSpec

CELLS_STEP = 256
"""The cache's size is a multiple of this, as llama.cpp wants it."""


class GgufBackend:
    """A GGUF file as a TokenBackend."""

    def __init__(
        self,
        model: Model,
        chosen: Settings,
        spec: ModelSpec,
        engine: EngineSpec,
        info: ModelInfo,
    ) -> None:
        end = model.eos if model.eos is not None else model.bos
        if end is None:
            raise UserError(f"{spec.name}: its vocabulary has neither an end-of-text nor a beginning-of-text token")
        self.info = info
        self.capabilities = CAPABILITIES
        self.meter = Meter()
        self.after_pass: Callable[[], None] = no_op
        self.eot_id: int = end
        self.prefix_id: int = model.bos if model.bos is not None else end
        self._model = model
        self._chosen = chosen
        self._add_bos = model.adds_bos if spec.add_bos is None else spec.add_bos
        self._spec = spec
        self._marks = marks_of(spec, model.template())
        wanted = engine.batch_size if isinstance(engine.batch_size, int) else chosen.parallel
        # llama.cpp has 256 sequences at most, and one of them is ours; a pass must hold a token of each.
        self._parallel = min(wanted, 255, chosen.n_batch - 1)
        self._share = engine.share_prefixes and model.branches
        self._context: Context | None = None

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """See `TokenBackend.encode`."""
        return [self._encode(text, special) for text in texts]

    def _encode(self, text: str, special: bool | None) -> list[int]:
        if special is None:
            ids = self._model.tokenize(text, False)
            bos = self._model.bos
            return [bos, *ids] if self._add_bos and bos is not None and ids[:1] != [bos] else ids
        return self._model.tokenize(text, special)

    @property
    def encoding_identity(self) -> str:
        """See `TokenBackend`: the file holds the tokenizer, and the model's fingerprint covers file and library."""
        return f"{self.info.fingerprint}/{self._add_bos}"

    def decode(self, tokens: Sequence[int]) -> str:
        """See `TokenBackend.decode`."""
        return self._model.text(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """See `TokenBackend.chat`."""
        return self._template(messages, add_generation_prompt)

    @cached_property
    def _template(self) -> ChatTemplate:
        return chat_template(self._spec, self._model)

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.score`."""
        if rows:
            longest = max(len(row.tokens) for row in rows)
            context = self._room(longest + self._chosen.n_batch)
            walk.score(context, rows, self._chosen.n_batch, done, self._share, self.meter, self.after_pass)

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.generate`."""
        if not rows:
            return
        if extra := sorted({name for row in rows for name, _ in row.sampling.extra} - {"do_sample"}):
            raise UserError(f"--gen_kwargs {', '.join(extra)}: the backend gguf does not know this setting")
        longest = max(len(row.tokens) for row in rows)
        whole = max(len(row.tokens) + row.max_tokens for row in rows)
        live = min(self._parallel, len(rows))
        context = self._room(longest + live * whole)
        Decoder(self._model, context, self._chosen.n_batch, self._share, self.meter, self._marks, self.after_pass).run(
            rows, done
        )

    def close(self) -> None:
        """Free cache and weights."""
        if self._context is not None:
            self._context.close()
            self._context = None
        self._model.close()

    def _room(self, cells: int) -> Context:
        """A context of at least ``cells``. Raises MemoryError where they do not fit, and the engine asks for less."""
        cells = -(-cells // CELLS_STEP) * CELLS_STEP
        if self._context is None or self._context.cells < cells:
            if self._context is not None:
                self._context.close()
                self._context = None
            self._context = Context(self._model, self._chosen, cells, self._parallel + 1)
        return self._context


def chat_template(spec: ModelSpec, model: Model) -> ChatTemplate:
    """The template that the model is asked by. UserError where the file has none."""
    name = spec.chat_template if isinstance(spec.chat_template, str) else None
    held = {name or "default": model.template(name)}
    text = named(spec.name, {key: text for key, text in held.items() if text}, spec.chat_template)
    special = {
        name: "" if token is None else model.text([token], special=True)
        for name, token in (("bos_token", model.bos), ("eos_token", model.eos))
    }
    return ChatTemplate(spec.name, text, special, variables(spec))


def open_file(model: ModelSpec, engine: EngineSpec) -> GgufBackend:
    """Load a GGUF file. Raises UserError for one that cannot be loaded."""
    chosen = settings(model)
    file = local_files.gguf_file(model.name)
    weights = Model(file, chosen)
    window = model.max_length or chosen.n_ctx or weights.n_ctx_train
    info = ModelInfo(
        name=model.label or model.name,
        backend="gguf",
        fingerprint=fingerprint(
            file_hash(file),
            engine=f"llama-cpp-python {version()}",
            kv=chosen.kv,
            flash_attn=chosen.flash_attn,
            gpu=chosen.n_gpu_layers != 0,
            add_bos=model.add_bos,
            max_length=window,
            **prompting_identity(model),
        ),
        max_length=window,
        tokenizer="llama.cpp",
        n_parameters=int(weights.n_params),
        dtype=weights.description,
        device="cpu" if chosen.n_gpu_layers == 0 else "llama.cpp",
        details={
            "file": file.name,
            "kv": chosen.kv,
            "n_batch": chosen.n_batch,
            "n_threads": chosen.n_threads,
            "llama_cpp": version(),
            "path": "tree" if engine.share_prefixes and weights.branches else "plain",
            **(chat_template(model, weights).record() if model.chat_template else {}),
        },
    )
    try:
        return GgufBackend(weights, chosen, model, engine, info)
    except BaseException:
        weights.close()
        raise
