"""IFEval: the share of instructions that are followed, and of prompts whose instructions all are, strictly and loosely.

Loosely counts an instruction that is followed by the answer without its first line, its last line or both, with or
without asterisks (Zhou et al. 2023, arXiv 2311.07911, section 2.2). Documents hold "instruction_id_list" and "kwargs",
a mapping for each instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from evalkit.contract.errors import UserError
from evalkit.contract.types import SHARE_UNIT
from evalkit.metrics.base import SHARE, Metric, ScoringInput, Value, share_metric, shared
from evalkit.metrics.instructions import follows, require
from evalkit.metrics.splitting import versions

_SOURCE = "Zhou et al. 2023, arXiv 2311.07911; lm-evaluation-harness 0.4.13, ifeval"


def variants(text: str) -> tuple[str, ...]:
    """The texts of which one must follow an instruction, loosely: the answer first."""
    lines = text.split("\n")
    cut = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return tuple(dict.fromkeys([*cut, *(one.replace("*", "") for one in cut)]))


def verdicts(text: str, document: Mapping[str, Any], loose: bool) -> tuple[bool, ...]:
    """Which of a document's instructions an answer follows. UserError for a document without instructions."""
    kinds, given = document.get("instruction_id_list"), document.get("kwargs")
    if not _listed(kinds) or not _listed(given) or len(kinds) != len(given) or not len(kinds):
        raise UserError('IFEval: an item holds "instruction_id_list" and as many "kwargs"')
    texts = variants(text) if loose else (text,)
    # The Hub's rows have a key of every kind in each mapping, None where it is not meant.
    args = [{name: value for name, value in (one or {}).items() if value is not None} for one in given]
    return tuple(any(follows(kind, one, arg) for one in texts) for kind, arg in zip(kinds, args, strict=True))


def _listed(value: Any) -> TypeGuard[Sequence[Any]]:
    return not isinstance(value, str | Mapping) and isinstance(value, Sequence)


def _scores(item: ScoringInput) -> Mapping[str, Value] | None:
    if item.text is None:
        return None
    found: dict[str, Value] = {}
    for name in ("strict", "loose"):
        followed = verdicts(item.text, item.document, name == "loose")
        found[f"prompt_level_{name}_acc"] = float(all(followed))
        found[f"inst_level_{name}_acc"] = (float(sum(followed)), float(len(followed)))
    return found


def _share(sums: Any) -> float:
    return float(sums[0] / sums[1])


def _prepare(args: Mapping[str, Any]) -> None:
    require()


def _describe(args: Mapping[str, Any], values: Sequence[Any]) -> str:
    return versions()


def _prompt(name: str) -> Metric:
    return share_metric(name, shared(_scores, name), source=_SOURCE, binary=True, prepare=_prepare, describe=_describe)


def _instruction(name: str) -> Metric:
    return Metric(
        name=name,
        kind="text",
        per_item=shared(_scores, name),
        combine=_share,
        unit=SHARE_UNIT,
        bounds=SHARE,
        higher_is_better=True,
        source=_SOURCE,
        prepare=_prepare,
        describe=_describe,
    )


prompt_level_strict, prompt_level_loose = _prompt("prompt_level_strict_acc"), _prompt("prompt_level_loose_acc")
inst_level_strict, inst_level_loose = _instruction("inst_level_strict_acc"), _instruction("inst_level_loose_acc")
