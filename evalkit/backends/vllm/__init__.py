"""vLLM in this process. See docs/backends.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.contract.capabilities import CHAT_SETTINGS, BackendType, Capabilities
from evalkit.contract.errors import MissingExtra

if TYPE_CHECKING:
    from evalkit.backends.vllm.backend import VllmBackend
    from evalkit.spec.models import EngineSpec, ModelSpec


def load(model: ModelSpec, engine: EngineSpec) -> VllmBackend:
    """Start vLLM on ``model``. Raises UserError where that fails."""
    try:
        import vllm  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the backend vllm", "vllm", "vllm") from error
    from evalkit.backends.vllm.backend import start

    return start(model, engine)


CAPABILITIES = Capabilities(shares_prefixes=True, counts_tokens=True)

kind = BackendType(
    "vllm",
    load,
    settings=CHAT_SETTINGS | {"dtype", "revision", "max_length", "add_bos"},
    needs=("vllm",),
    capabilities=CAPABILITIES,
)
