"""llama.cpp as few objects with few methods: a model with its vocabulary, and a context with its sequences.

All ctypes are here. Sequences: every token in the cache belongs to a set of them, and sees the earlier tokens that
share its first one; copying a sequence copies no keys or values, it only widens those sets.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from evalkit.backends.gguf.settings import KV_TYPES, Settings
from evalkit.contract.errors import UserError

Logits = npt.NDArray[np.float32]

FLASH_OFF, FLASH_ON = 0, 1


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, text: bytes, user_data: object) -> None:
    """llama.cpp tells hundreds of lines while it loads; what fails comes back as an error."""


class Model:
    """A loaded GGUF file and its vocabulary."""

    def __init__(self, file: Path, chosen: Settings) -> None:
        llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = chosen.n_gpu_layers if chosen.n_gpu_layers >= 0 else 1 << 20
        self.pointer = llama_cpp.llama_model_load_from_file(str(file).encode(), parameters)
        if not self.pointer:
            raise UserError(
                f"{file}: llama.cpp {llama_cpp.__version__} cannot load this GGUF file: it is damaged or of an "
                "architecture that this version does not know; download it again or update llama-cpp-python"
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self.pointer)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train = llama_cpp.llama_model_n_ctx_train(self.pointer)
        self.n_params = llama_cpp.llama_model_n_params(self.pointer)
        self.adds_bos = bool(llama_cpp.llama_vocab_get_add_bos(self._vocab))
        self.bos = self._token(llama_cpp.llama_vocab_bos(self._vocab))
        self.eos = self._token(llama_cpp.llama_vocab_eos(self._vocab))
        self.branches = not (
            llama_cpp.llama_model_is_recurrent(self.pointer) or llama_cpp.llama_model_is_hybrid(self.pointer)
        )
        """Whether a sequence can be cut back: a recurrent state cannot."""
        if llama_cpp.llama_model_has_encoder(self.pointer):
            raise UserError(f"{file}: an encoder-decoder model: the backend gguf takes causal models only")

    @property
    def description(self) -> str:
        """Architecture, size and file type in llama.cpp's words, for example "llama 135M Q4_1"."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self.pointer, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def template(self, name: str | None = None) -> str | None:
        """The chat template that the file carries, or the one called ``name``."""
        found = llama_cpp.llama_model_chat_template(self.pointer, None if name is None else name.encode())
        return found.decode("utf-8", "replace") if found else None

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Token ids; special tokens written in the text become one token each, as with transformers' tokenizers."""
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, special, True)
        if count < 0:
            room = -count
            tokens = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), tokens, room, special, True)
        return list(tokens[:count])

    def text(self, tokens: Sequence[int], special: bool = False) -> str:
        """Text of token ids; ``special``: special tokens show as they are written."""
        ids = (llama_cpp.llama_token * len(tokens))(*tokens)
        room = 16 * len(tokens) + 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count = llama_cpp.llama_detokenize(self._vocab, ids, len(tokens), buffer, room, False, special)
            if count >= 0:
                return buffer.raw[:count].decode("utf-8", "replace")
            room = -count

    def ends(self, token: int) -> bool:
        """Whether a token ends a generation."""
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def close(self) -> None:
        """Free the weights."""
        if self.pointer:
            llama_cpp.llama_model_free(self.pointer)
            self.pointer = None

    @staticmethod
    def _token(token: int) -> int | None:
        return token if token >= 0 else None


class Context:
    """Keys and values of ``cells`` tokens in ``sequences`` sequences, and the forward pass."""

    def __init__(self, model: Model, chosen: Settings, cells: int, sequences: int) -> None:
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = cells
        parameters.n_batch = chosen.n_batch
        parameters.n_ubatch = chosen.n_batch
        parameters.n_seq_max = sequences
        parameters.n_threads = parameters.n_threads_batch = chosen.n_threads
        parameters.type_k = parameters.type_v = KV_TYPES[chosen.kv]
        if chosen.flash_attn is not None or chosen.quantized:
            parameters.flash_attn_type = FLASH_OFF if chosen.flash_attn is False else FLASH_ON
        parameters.kv_unified = True  # one pool of cells: only so may a token belong to several sequences
        parameters.swa_full = True  # a sliding window that forgets could not be walked back
        parameters.no_perf = True
        self._pointer = llama_cpp.llama_init_from_model(model.pointer, parameters)
        if not self._pointer:
            raise MemoryError(f"llama.cpp cannot make a context of {cells} tokens with {chosen.kv} keys and values")
        self._memory = llama_cpp.llama_get_memory(self._pointer)
        self._batch = llama_cpp.llama_batch_init(chosen.n_batch, 0, sequences)
        self._n_vocab = model.n_vocab
        self.cells = cells
        self.sequences = sequences

    def decode(
        self,
        tokens: Sequence[int] | npt.NDArray[np.int32],
        positions: Sequence[int] | npt.NDArray[np.int64],
        sequences: Sequence[Sequence[int]],
        wanted: Iterable[int],
    ) -> None:
        """One forward pass over at most n_batch tokens; logits are computed only of the indices ``wanted``.

        Raises MemoryError where the cells do not suffice, RuntimeError where llama.cpp fails otherwise.
        """
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, (token, position, members) in enumerate(zip(tokens, positions, sequences, strict=True)):
            batch.token[index] = int(token)
            batch.pos[index] = int(position)
            batch.n_seq_id[index] = len(members)
            for place, member in enumerate(members):
                batch.seq_id[index][place] = member
            batch.logits[index] = 0
        for index in wanted:
            batch.logits[index] = 1
        status = llama_cpp.llama_decode(self._pointer, batch)
        if status == 1:
            raise MemoryError(f"the {self.cells} cells of llama.cpp's cache do not suffice")
        if status != 0:
            raise RuntimeError(f"llama.cpp's forward pass failed (code {status})")

    def logits(self, index: int) -> Logits:
        """Logits [vocabulary] of a wanted index of the last pass, as a view that the next pass overwrites."""
        pointer = llama_cpp.llama_get_logits_ith(self._pointer, index)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,))

    def copy(self, source: int, target: int) -> None:
        """Let ``target`` see everything that ``source`` sees."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def cut(self, sequence: int, position: int) -> None:
        """Forget a sequence from ``position`` on (0: all of it)."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, position if position else -1, -1)

    def clear(self) -> None:
        """Forget everything."""
        llama_cpp.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        """Free the cache."""
        if self._pointer:
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self._pointer)
            self._pointer = None


def version() -> str:
    """The version of llama-cpp-python, which fixes llama.cpp's."""
    return str(llama_cpp.__version__)


def system() -> str:
    """What llama.cpp was built for and found on this machine."""
    found: Any = llama_cpp.llama_print_system_info()
    return found.decode("utf-8", "replace").strip() if isinstance(found, bytes) else str(found)
