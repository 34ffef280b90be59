"""evalkit: evaluation and benchmarking of language models.

    import evalkit
    run = evalkit.evaluate("smollm2-135m", ["mmlu@5shot", "boolq"], limit=100)
    run["mmlu"]["acc"].value

Everything here is public; docs/python.md shows its use. Names are loaded when they are first used, so that importing
evalkit is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.analysis.compare import Comparison
    from evalkit.analysis.gate import GateResult
    from evalkit.api.checking import Checked, check
    from evalkit.api.comparing import Baseline, compare, gate, load_baseline, plan
    from evalkit.api.evaluation import evaluate
    from evalkit.api.listing import load_model, models, tasks
    from evalkit.api.registering import register_backend, register_grader, register_metric, register_task
    from evalkit.api.reporting import figures, report
    from evalkit.api.rescoring import rescore
    from evalkit.api.run import Run, Scores, load_run
    from evalkit.api.viewing import view
    from evalkit.backends.mock_function import mock
    from evalkit.contract.backend import (
        Backend,
        GenerateResult,
        GenerateRow,
        LoglikelihoodResult,
        LoglikelihoodRow,
        OnResult,
        TextBackend,
        TokenBackend,
    )
    from evalkit.contract.capabilities import BackendType, Capabilities, TaskTraits
    from evalkit.contract.errors import UserError
    from evalkit.contract.store import Progress
    from evalkit.contract.types import (
        Classify,
        DatasetRef,
        DataSource,
        Document,
        Generate,
        Message,
        MetricResult,
        ModelInfo,
        PromptStyle,
        Request,
        Response,
        Rolling,
        RunResult,
        SampleResult,
        Sampling,
        Score,
        Task,
        TaskInfo,
    )
    from evalkit.metrics.base import Metric, MetricDef, ScoringInput
    from evalkit.spec.models import EngineSpec, ModelSpec
    from evalkit.task.benchmark import Benchmark

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendType",
    "Baseline",
    "Benchmark",
    "Capabilities",
    "Checked",
    "Classify",
    "Comparison",
    "DataSource",
    "DatasetRef",
    "Document",
    "EngineSpec",
    "GateResult",
    "Generate",
    "GenerateResult",
    "GenerateRow",
    "LoglikelihoodResult",
    "LoglikelihoodRow",
    "Message",
    "Metric",
    "MetricDef",
    "MetricResult",
    "ModelInfo",
    "ModelSpec",
    "OnResult",
    "Progress",
    "PromptStyle",
    "Request",
    "Response",
    "Rolling",
    "Run",
    "RunResult",
    "SampleResult",
    "Sampling",
    "Score",
    "Scores",
    "ScoringInput",
    "Task",
    "TaskInfo",
    "TaskTraits",
    "TextBackend",
    "TokenBackend",
    "UserError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "figures",
    "gate",
    "load_baseline",
    "load_model",
    "load_run",
    "mock",
    "models",
    "plan",
    "register_backend",
    "register_grader",
    "register_metric",
    "register_task",
    "report",
    "rescore",
    "tasks",
    "view",
]

_PLACES = {
    "evalkit.analysis.compare": ("Comparison",),
    "evalkit.analysis.gate": ("GateResult",),
    "evalkit.api.checking": ("Checked", "check"),
    "evalkit.api.comparing": ("Baseline", "compare", "gate", "load_baseline", "plan"),
    "evalkit.api.evaluation": ("evaluate",),
    "evalkit.api.listing": ("load_model", "models", "tasks"),
    "evalkit.api.registering": ("register_backend", "register_grader", "register_metric", "register_task"),
    "evalkit.api.reporting": ("figures", "report"),
    "evalkit.api.rescoring": ("rescore",),
    "evalkit.api.run": ("Run", "Scores", "load_run"),
    "evalkit.api.viewing": ("view",),
    "evalkit.backends.mock_function": ("mock",),
    "evalkit.contract.backend": (
        "Backend",
        "GenerateResult",
        "GenerateRow",
        "LoglikelihoodResult",
        "LoglikelihoodRow",
        "OnResult",
        "TextBackend",
        "TokenBackend",
    ),
    "evalkit.contract.capabilities": ("BackendType", "Capabilities", "TaskTraits"),
    "evalkit.contract.errors": ("UserError",),
    "evalkit.contract.store": ("Progress",),
    "evalkit.metrics.base": ("Metric", "MetricDef", "ScoringInput"),
    "evalkit.spec.models": ("EngineSpec", "ModelSpec"),
    "evalkit.task.benchmark": ("Benchmark",),
}
_PLACE = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACE.get(name, "evalkit.contract.types")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
