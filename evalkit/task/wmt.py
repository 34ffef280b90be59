"""The family of translation tasks TESTSET:PAIR: "wmt20:de-en", "wmt22:en-de", any test set and pair of sacrebleu's.

tasks/wmt/translation.yaml is the definition that all share; tasks/wmt/languages.yaml has the languages' names and the
prompts of single pairs and target languages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.data import testsets
from evalkit.metrics.translation import BY_LANGUAGE
from evalkit.store import paths
from evalkit.task import sample as samples_of
from evalkit.task.definition import Defined, Definition, MetricEntry, Sample, load_task
from evalkit.task.source import read

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "wmt22:de-en": "translation: any test set and pair of sacrebleu's (wmt08 to wmt24)",
    "iwslt17:en-fr": "translation: IWSLT's talks",
    "mtnt2019:en-fr": "translation: MTNT's noisy texts",
    "multi30k/2016:en-de": "translation: descriptions of pictures",
}


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError for a pair that is none and for a language without a name."""
    test_set, _, pair = name.partition(":")
    testsets.check(test_set, pair)
    folder = paths.share("tasks") / "wmt"
    template = load_task(folder / "translation.yaml")
    source, target = pair.split("-")
    languages = _languages(folder / "languages.yaml")
    named = {"source_name": _name(languages, source, name), "target_name": _name(languages, target, name)}
    definition = _for_pair(template.tasks[0], name, test_set, pair, named, languages)
    return Defined(template.source, (definition,), (), definition.description)


def _for_pair(
    one: Definition, name: str, test_set: str, pair: str, named: dict[str, str], languages: dict[str, Any]
) -> Definition:
    source, target = named["source_name"], named["target_name"]

    def filled(text: str) -> str:
        return text.replace("SOURCE_LANGUAGE", source).replace("TARGET_LANGUAGE", target)

    update: dict[str, Any] = {
        "name": name,
        "description": f"{source} to {target}, the test set {test_set}.",
        "prompt": filled(_chosen(languages.get("prompts"), pair, one.prompt)),
        "instruction": filled(_chosen(languages.get("instructions"), pair, one.instruction)),
        "tags": (),
        "dataset": one.dataset.model_copy(update={"id": testsets.PREFIX + test_set, "config": pair}),
        "metrics": tuple(_for_language(entry, pair.split("-")[1]) for entry in one.metrics),
        "sample": _sample(one.sample, pair),
    }
    return one.model_copy(update=update)


def _chosen(texts: dict[str, str] | None, pair: str, default: str) -> str:
    """A text for this pair, else for its target language, else the default."""
    texts = texts or {}
    return texts.get(pair, texts.get(pair.partition("-")[2], default))


def _for_language(entry: MetricEntry, target: str) -> MetricEntry:
    """BLEU's and TER's tokenizers follow the target language."""
    if entry.metric not in BY_LANGUAGE or "tokenize" in entry.args:
        return entry
    return entry.model_copy(update={"args": {**entry.args, "target_language": target}})


def _sample(sample: Sample | None, pair: str) -> Sample | None:
    """The bundled sentences of a pair, where there are some."""
    if sample is None:
        return None
    source, target = pair.split("-")
    chosen = sample.model_copy(update={"where": {"source_language": source, "target_language": target}})
    return chosen if samples_of.rows(chosen, testsets.SPLIT) else None


def _languages(file: Path) -> dict[str, Any]:

    return dict(read(file).data)


def _name(languages: dict[str, Any], code: str, task: str) -> str:
    names = languages.get("names") or {}
    known = names.get(code) or names.get(code.partition("_")[0])
    if known is None:
        raise UserError(f"{task}: the language {code!r} has no name in tasks/wmt/languages.yaml; add it there")
    return str(known)
