"""vLLM in this process. See docs/backends.md."""

from evalkit.backends.vllm.backend import kind

__all__ = ["kind"]
