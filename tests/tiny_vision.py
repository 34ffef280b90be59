"""Small random-weights models that read pictures: those of scripts/random_vision_model.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

_file = Path(__file__).parents[1] / "scripts" / "random_vision_model.py"
_spec = importlib.util.spec_from_file_location("random_vision_model", _file)
assert _spec is not None
assert _spec.loader is not None
_script: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_script)

KINDS: tuple[str, ...] = _script.KINDS
WITH_VIDEO: tuple[str, ...] = _script.WITH_VIDEO
"""Those whose processor wants torchvision."""
save: Callable[..., Path] = _script.save
