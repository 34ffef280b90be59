"""vLLM in this process. See docs/backends.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.backends.lm_eval_arguments import of_vllm
from evalkit.contract.capabilities import CHAT_SETTINGS, BackendType, Capabilities
from evalkit.contract.errors import MissingExtra, UserError

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


COPIES = ("data_parallel_size", "data_parallel")
"""Copies of the model that share the work: vLLM's word, and a shorter one."""
PARALLEL = ("tensor_parallel_size", "pipeline_parallel_size")
"""Devices that one copy is cut over: within its layers, and between them."""


def arrange(model: ModelSpec, engine: EngineSpec) -> tuple[ModelSpec, EngineSpec]:
    """Data parallelism as replicas, each with the GPUs of one copy: vLLM runs no more than one copy in a process."""
    sizes = {name: _size(name, model.args[name]) for name in (*COPIES, *PARALLEL) if name in model.args}
    copies = {sizes[name] for name in COPIES if name in sizes}
    if not copies:
        return model, engine
    if len(copies) > 1 or (engine.replicas > 1 and engine.replicas not in copies):
        raise UserError(
            "--model_args data_parallel_size: another number of copies is given beside it: give one of them"
        )
    gpus = sizes.get(PARALLEL[0], 1) * sizes.get(PARALLEL[1], 1)
    update: dict[str, object] = {"replicas": copies.pop()}
    if gpus > 1 and not engine.gpus_per_replica:
        update["gpus_per_replica"] = float(gpus)
    args = {name: value for name, value in model.args.items() if name not in COPIES}
    return model.model_copy(update={"args": args}), engine.model_copy(update=update)


def _size(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"--model_args {name}={value}: must be a number of 1 or more")
    return value


CAPABILITIES = Capabilities(shares_prefixes=True, counts_tokens=True)

kind = BackendType(
    "vllm",
    load,
    settings=CHAT_SETTINGS | {"dtype", "revision", "max_length", "add_bos"},
    needs=("vllm",),
    extra="vllm",
    capabilities=CAPABILITIES,
    arrange=arrange,
    translate=of_vllm,
)
