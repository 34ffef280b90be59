"""humaneval_fim:FORMAT: fill in the middle of HumanEval's solutions, in the format that a model was trained on.

Each line of a solution is left out in turn (Bavarian et al. 2022, arXiv 2207.14255); what the model writes up to the
end of the line is compared with the line, and the whole is tested. Lines of one problem are a cluster. ``data=`` takes
the published items of loubnabnl/humaneval_infilling in their place: one line, several, or a random span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DataSource
from evalkit.probes import options
from evalkit.store import paths
from evalkit.task.definition import Defined, Definition, Generation, load_task
from evalkit.task.native import NativeTask

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMATS: Mapping[str, str] = {
    "santacoder": "<fim-prefix>{prefix}<fim-suffix>{suffix}<fim-middle>",
    "starcoder": "<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>",
    "codellama": "<PRE> {prefix} <SUF>{suffix} <MID>",
    "deepseek": "<｜fim▁begin｜>{prefix}<｜fim▁hole｜>{suffix}<｜fim▁end｜>",
}
"""As the models' own cards write them: bigcode/santacoder; bigcode/starcoder and starcoder2; the repository of Code
Llama (arXiv 2308.12950); deepseek-ai/deepseek-coder."""
ENDS = ("<|endoftext|>", "<EOT>", "<｜end▁of▁sentence｜>", "<fim_pad>", "<file_sep>")
"""What ends a middle of several lines, where the model's end-of-text token does not."""
PUBLISHED = {"single": "SingleLine", "multi": "MultiLine", "random": "RandomSpan"}
FORMS = {
    f"humaneval_fim:{'|'.join(FORMATS)}": "fill in each line of HumanEval's solutions; exact match, and by tests",
}
READERS: options.Readers = {"format": options.one_of(tuple(FORMATS)), "data": options.one_of(tuple(PUBLISHED))}


class Infilling(NativeTask):
    """A task whose rows are HumanEval's problems, or published items, with a hole."""

    def __init__(self, form: str, *given: Any) -> None:
        self._form = form
        super().__init__(*given)

    def _rows(self, data: DataSource, split: str) -> Sequence[Mapping[str, Any]]:
        found = super()._rows(data, split)
        return [
            one for row in found for one in (published(self._form, row) if "suffix" in row else holes(self._form, row))
        ]


def holes(form: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An item for every line of a solution that is not blank; the line is asked for without its end."""
    lines = str(row["canonical_solution"]).splitlines(keepends=True)
    return [
        item(form, row, row["task_id"], row["prompt"] + "".join(lines[:at]), line[:-1], "\n" + "".join(lines[at + 1 :]))
        for at, line in enumerate(lines)
        if line.strip()
    ]


def published(form: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same of a published item ("SingleLineInfilling/HumanEval/3/L2")."""
    middle, behind = str(row["canonical_solution"]), str(row["suffix"])
    if str(row["task_id"]).startswith(PUBLISHED["single"]) and middle.endswith("\n"):
        middle, behind = middle[:-1], "\n" + behind
    return [item(form, row, "/".join(str(row["task_id"]).split("/")[1:3]), row["prompt"], middle, behind)]


def item(form: str, row: Mapping[str, Any], problem: str, before: str, middle: str, behind: str) -> dict[str, Any]:
    """A row with the prompt in the format ``form``, the answer, and how answers are tested."""
    check = {
        "before": before,
        "after": behind,
        "helpers": before + middle + behind,
        "tests": [row["test"], f"check({row['entry_point']})"],
        "names": [row["entry_point"]],
    }
    return {"fim": FORMATS[form].format(prefix=before, suffix=behind), "middle": middle, "of": problem, "check": check}


def family(name: str, catalog: Catalog) -> Defined:
    """humaneval_fim:FORMAT[:data=single|multi|random]. UserError for an unknown format."""
    asked = options.parse(name, READERS, first="format")
    if "format" not in asked:
        raise UserError(f"task {name!r}: which format? Write humaneval_fim:FORMAT with one of {', '.join(FORMATS)}")
    template = load_task(paths.share("tasks") / "derived" / "humaneval_fim.yaml")
    one = template.tasks[0].model_copy(update={"name": name})
    if "data" in asked:
        kind = asked["data"]
        config = f"HumanEval-{PUBLISHED[kind]}Infilling"
        dataset = one.dataset.model_copy(
            update={"id": "loubnabnl/humaneval_infilling", "config": config, "revision": "main"}
        )
        several = {} if kind == "single" else {"generation": Generation(until=ENDS, max_tokens=256)}
        one = one.model_copy(update={"dataset": dataset, "sample": None, **several})

    def build(definition: Definition, source: Any, chosen: Any) -> NativeTask:
        return Infilling(asked["format"], definition, source, chosen)

    return Defined(template.source, (one,), (), template.description, build=build)
