"""Translation tasks by name: definitions, few-shot prompts, where their data come from, and the published scores."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from unittest import mock

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, MetricResult, PromptStyle, Response, Task
from evalkit.data import MirrorSource, testsets
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import Catalog, resolve


def task(name: str, **options: object) -> Task:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=name, **options),))  # type: ignore[arg-type]
    return resolve(spec).tasks[0]


@pytest.mark.parametrize("name", ["wmt20:de-en", "wmt20:en-de", "wmt20:de-fr", "wmt22:de-fr"])
def test_samples_have_24_sentences(name: str) -> None:
    found = task(name, sample=True)
    documents = found.documents(mock.Mock())
    assert len(documents) == 24
    assert found.info.name == name
    assert found.info.dataset == DatasetRef(f"sacrebleu/{name[:5]}", name[6:], None)


def test_prompts_name_the_languages_and_examples_are_other_sentences() -> None:
    zero = task("wmt20:de-fr", sample=True)
    documents = zero.documents(mock.Mock())
    first = next(iter(zero.requests(documents[:1], PromptStyle())))[0]
    assert first.context == "German phrase: Der Bus kommt jeden Morgen um halb acht.\nFrench phrase:"  # type: ignore[union-attr]
    few = task("wmt20:de-fr", sample=True, num_fewshot=3)
    for document, (request,) in zip(documents, few.requests(few.documents(mock.Mock()), PromptStyle()), strict=True):
        shown = request.context.split("\n\n")  # type: ignore[union-attr]
        assert len(shown) == 4
        assert all(document.data["source"] not in example for example in shown[:3])
        assert shown[0].count("French phrase: ") == 1


def test_metrics_follow_the_target_language() -> None:
    catalog = Catalog.of()
    assert catalog.has("wmt20:en-zh")
    definition = catalog.tasks["wmt20:en-zh"][0]
    assert [entry.key for entry in definition.metrics] == ["bleu,none", "chrf,none", "chrf++,none"]
    assert definition.metrics[0].args == {"target_language": "zh"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wmt20:deen", "two codes, as in wmt20:de-en"),
        ("wmt20:de-qq", "languages.yaml"),
        ("wmt20:", "two codes"),
        ("nonsense:de-en", "unknown task"),
    ],
)
def test_bad_names_say_what_to_do(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        task(name)


def test_unknown_test_sets_and_pairs() -> None:
    with pytest.raises(UserError, match="no test set 'wmt99'"):
        testsets.fetch(DatasetRef("sacrebleu/wmt99", "de-en"), "test")
    with pytest.raises(UserError, match=r"wmt20 has no pair de-sv"):
        testsets.fetch(DatasetRef("sacrebleu/wmt20", "de-sv"), "test")


def test_without_a_network_the_error_names_both_ways_out() -> None:
    from sacrebleu.dataset import DATASETS

    with (
        mock.patch.object(type(DATASETS["wmt20"]), "source", side_effect=SystemExit(1)),
        pytest.raises(UserError, match=r"--data-dir DIR.*--bundled"),
    ):
        testsets.fetch(DatasetRef("sacrebleu/wmt20", "de-en"), "test")


def test_both_layouts_of_a_mirror(tmp_path: Path) -> None:
    home = tmp_path / "wmt30"
    home.mkdir()
    (home / "news.de-en.src.de").write_text("Eins\u2028eins\nZwei\n", encoding="utf-8")
    (home / "news.de-en.ref.A.en").write_text("One one\nTwo\n", encoding="utf-8")
    (home / "news.de-en.ref.B.en").write_text("1 1\n2\n", encoding="utf-8")
    rows = MirrorSource(tmp_path).load(DatasetRef("sacrebleu/wmt30", "de-en"), "test")
    assert [row["target"] for row in rows] == ["One one", "Two"]
    assert rows[0]["references"] == ["One one", "1 1"]
    assert rows[0]["source"] == "Eins\u2028eins"
    with pytest.raises(UserError, match="it has neither"):
        MirrorSource(tmp_path).load(DatasetRef("sacrebleu/wmt30", "en-de"), "test")
    (home / "news.de-en.ref.B.en").write_text("1\n", encoding="utf-8")
    with pytest.raises(UserError, match="1 lines for 2 source lines"):
        MirrorSource(tmp_path).load(DatasetRef("sacrebleu/wmt30", "de-en"), "test")
    pulled = tmp_path / "sacrebleu" / "wmt30" / "de-en"
    pulled.mkdir(parents=True)
    (pulled / "test.jsonl").write_text('{"source": "a", "target": "b"}\n', encoding="utf-8")
    assert MirrorSource(tmp_path).load(DatasetRef("sacrebleu/wmt30", "de-en"), "test") == [
        {"source": "a", "target": "b"}
    ]


def published() -> list[tuple[str, str, str, float]]:
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        return []
    with (Path(folder) / "wmt22" / "automatic-scores.tsv").open(encoding="utf-8") as file:
        return [(r["pair"], r["system"], r["metric"], float(r["score"])) for r in csv.DictReader(file, delimiter="\t")]


def scored(pair: str, system: str, mirror: Path) -> dict[str, MetricResult]:
    """A real system's outputs, through the task and its metrics."""
    found = task(f"wmt22:{pair}")
    documents = found.documents(MirrorSource(mirror))
    target = pair.split("-")[1]
    path = mirror / "wmt22" / f"generaltest2022.{pair}.hyp.{system}.{target}"
    outputs = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    asked = found.requests(documents, PromptStyle())
    samples = [
        found.score(document, requests, [Response(text=text)])
        for document, requests, text in zip(documents, asked, outputs, strict=True)
    ]
    return {metric.name: metric for metric in found.summarize(samples)}


@pytest.mark.mirror
@pytest.mark.slow
def test_published_scores_of_every_system(mirror: Path) -> None:
    rows = published()
    assert len(rows) == 20
    known: dict[tuple[str, str], dict[str, MetricResult]] = {}
    for pair, system, metric, score in rows:
        if (pair, system) not in known:
            known[pair, system] = scored(pair, system, mirror)
        found = known[pair, system][metric.removesuffix("-A")]
        assert found.value == pytest.approx(score, abs=1e-6), (pair, system, metric)
        assert "|nrefs:1|case:mixed|" in found.signature
    assert len(known) == 10


@pytest.mark.mirror
def test_predictions_file_is_scored_by_a_run(mirror: Path, tmp_path: Path) -> None:
    from evalkit.runner.evaluate import execute

    outputs = mirror / "wmt22" / "generaltest2022.de-fr.hyp.LT22.fr"
    spec = RunSpec(
        model=ModelSpec(name=f"predictions:{outputs}", backend="predictions"),
        tasks=(TaskSpec(name="wmt22:de-fr"),),
        data_dir=mirror,
        output=tmp_path / "run",
    )
    metrics = {metric.name: metric for metric in execute(spec).tasks[0].metrics}
    assert metrics["bleu"].value == pytest.approx(28.348353005759414, abs=1e-6)
    assert metrics["chrf"].value == pytest.approx(54.41628687117013, abs=1e-6)
    assert metrics["bleu"].primary
