"""multipl_e:LANGUAGE: HumanEval and MBPP in other programming languages (Cassano et al. 2023, arXiv 2208.08227).

A program is prompt, answer and tests in one, as MultiPL-E has it; it runs if the sandbox finds the language's tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DataSource
from evalkit.metrics import languages
from evalkit.probes import options
from evalkit.sandbox import finding, permission
from evalkit.store import paths
from evalkit.task.definition import Defined, Definition, load_task
from evalkit.task.native import NativeTask

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

STOPS: Mapping[str, tuple[str, ...]] = {
    "cpp": ("\n}",),
    "go": ("\nfunc", "struct", "\n// "),
    "java": ("\n    }\n",),
    "jl": ("\nfunction", "\nmacro", "\n\n"),
    "js": ("\nfunction ", "\n/*", "\n//", "\nconsole.log"),
    "lua": ("\nlocal", "\nfunction", "\n--", "\n\n"),
    "php": ("\nfunction", "\n?>", "\n//", "\n#"),
    "pl": ("\nsub", "\n#", "\n\n"),
    "py": ("\ndef", "\n#", "\nif", "\nclass"),
    "r": ("\n#", "\n```"),
    "rb": ("\nclass", "\ndef", "\n#", "\n\n"),
    "rs": ("\n}",),
    "sh": ("\n}",),
    "ts": ("\nfunction ", "\n/*", "\n//", "\nclass"),
}
"""What ends an answer, as the data set's own ``stop_tokens`` say by language; a row's own are heeded besides."""
FORMS = {
    f"multipl_e:{'|'.join(STOPS)}": "HumanEval (of=mbpp: MBPP) in that language, by MultiPL-E's tests",
}
READERS: options.Readers = {
    "language": options.one_of(tuple(STOPS)),
    "of": options.one_of(("humaneval", "mbpp")),
}


class Translated(NativeTask):
    """A task of programs in ``language``."""

    def __init__(self, language: str, *given: Any) -> None:
        self._language = language
        super().__init__(*given)

    def _rows(self, data: DataSource, split: str) -> Sequence[Mapping[str, Any]]:
        """UserError where programs are to run and the sandbox has no tools for the language."""
        needs = " and ".join(languages.known(self._language).needs)
        if permission.is_given() and not languages.available(finding.find(), self._language):
            raise UserError(
                f"{self.info.name}: the sandbox finds no {needs} (it looks in /usr/local/bin, /usr/bin and /bin): "
                "install it, or ask with --predict-only"
            )
        return [
            {**row, "check": {
                "language": self._language,
                "before": row["prompt"],
                "after": f"\n{row['tests']}",
                "stops": list(row.get("stop_tokens") or ()),
            }}
            for row in super()._rows(data, split)
        ]  # fmt: skip


def family(name: str, catalog: Catalog) -> Defined:
    """multipl_e:LANGUAGE[:of=mbpp]. UserError for an unknown language."""
    asked = options.parse(name, READERS, first="language")
    if "language" not in asked:
        raise UserError(f"task {name!r}: which language? Write multipl_e:LANGUAGE with one of {', '.join(STOPS)}")
    language = asked["language"]
    template = load_task(paths.share("tasks") / "derived" / "multipl_e.yaml")
    one = template.tasks[0]
    dataset = one.dataset.model_copy(update={"config": f"{asked.get('of', 'humaneval')}-{language}"})
    sample = one.sample and one.sample.model_copy(update={"where": {"language": language}})
    generation = one.generation.model_copy(update={"until": STOPS[language]})
    changed = {"name": name, "dataset": dataset, "generation": generation, "sample": sample}
    one = one.model_copy(update=changed)

    def build(definition: Definition, source: Any, chosen: Any) -> NativeTask:
        return Translated(language, definition, source, chosen)

    return Defined(template.source, (one,), (), template.description, build=build)
