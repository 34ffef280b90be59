"""GGUF files through llama.cpp (llama-cpp-python's low-level functions). See docs/backends.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.contract.capabilities import CHAT_SETTINGS, BackendType, Capabilities
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.gguf.backend import GgufBackend
    from evalkit.spec.models import EngineSpec, ModelSpec


def load(model: ModelSpec, engine: EngineSpec) -> GgufBackend:
    """Load a .gguf file and return its backend. Raises UserError where that fails."""

    try:
        import llama_cpp  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the backend gguf", "llama-cpp-python", "gguf") from error
    from evalkit.backends.gguf.backend import open_file

    return open_file(model, engine)


CAPABILITIES = Capabilities(shares_prefixes=True, counts_tokens=True, stops_between_passes=True)

kind = BackendType(
    "gguf",
    load,
    settings=CHAT_SETTINGS
    | {"max_length", "add_bos"},  # types and devices are the file's and llama.cpp's own arguments
    suffixes=(".gguf",),
    needs=("llama_cpp",),
    extra="gguf",
    capabilities=CAPABILITIES,
)
