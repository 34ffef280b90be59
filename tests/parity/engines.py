"""Every way the engine can answer: sharing prefixes or not, at three batch sizes."""

from __future__ import annotations

from evalkit.spec.models import EngineSpec

ENGINES = {
    f"{'shared' if share else 'plain'}-{batch}": EngineSpec(share_prefixes=share, batch_size=batch)
    for share in (True, False)
    for batch in ("auto", 1, 3)
}
