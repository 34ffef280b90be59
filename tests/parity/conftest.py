"""One model for lm-eval and one for evalkit a session; the largest differences are printed at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lm_eval_side
import pytest
from differences import LARGEST
from engines import ENGINES

from evalkit.spec.models import EngineSpec, ModelSpec

if TYPE_CHECKING:
    from evalkit.backends.hf.backend import HfBackend


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take ``engine`` run once for each of --engines."""
    if "engine" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--engines")
        names = list(ENGINES) if asked == "all" else asked.split(",")
        unknown = [name for name in names if name not in ENGINES]
        if unknown:
            raise pytest.UsageError(f"--engines: unknown {', '.join(unknown)}; one of all, {', '.join(ENGINES)}")
        metafunc.parametrize("engine", names, scope="session")


@pytest.fixture
def largest(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Keep a difference for the summary at the end of the session."""
    kept = request.config.stash.setdefault(LARGEST, {})

    def keep(name: str, value: float) -> None:
        kept[name] = max(kept.get(name, 0.0), value)

    return keep


@pytest.fixture(scope="session", autouse=True)
def _in_this_process() -> Any:
    """lm-eval's bootstrap starts processes otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISABLE_MULTIPROC", "1")
        yield


@pytest.fixture(scope="session")
def their_parts(smollm2_folder: Path) -> tuple[Any, Any]:
    """The model and tokenizer that lm-eval uses."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(smollm2_folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(smollm2_folder)


@pytest.fixture(scope="session")
def lm(their_parts: tuple[Any, Any]) -> Any:
    """lm-eval's model."""
    return lm_eval_side.load(*their_parts)


@pytest.fixture(scope="session")
def model_spec(smollm2_folder: Path) -> ModelSpec:
    """The same model as evalkit is asked for it."""
    return ModelSpec(name=str(smollm2_folder), dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def backend_of(model_spec: ModelSpec) -> Callable[..., HfBackend]:
    """evalkit's backend under other engine and model settings; the weights are loaded once."""
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import load_parts

    parts = load_parts(model_spec)
    usual = parts.model.config._attn_implementation

    def make(engine: EngineSpec, **changes: Any) -> HfBackend:
        parts.model.set_attn_implementation(usual)
        return HfBackend(parts, model_spec.model_copy(update=changes), engine)

    return make
