"""Tasks of embedders beside the package mteb, on WordLlama: the same numbers from vectors of the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evalkit
from evalkit.contract.errors import UserError
from evalkit.task.catalog import Catalog

pytest.importorskip("wordllama", reason="needs wordllama (pip install 'evalkit-harness[embedding]')")
pytest.importorskip("ir_measures", reason="needs ir-measures (pip install 'evalkit-harness[embedding]')")
SETS = {"sts12": "STS12", "stsb": "STSBenchmark", "sickr": "SICK-R"}
"""Some of the seven, which all agree."""


class Plain:
    """WordLlama as mteb takes a model, without any of evalkit."""

    def __init__(self) -> None:
        import wordllama

        home = Path(wordllama.__file__).parent
        self.model = wordllama.WordLlama.load(cache_dir=home, disable_download=True)

    def encode(self, inputs, **more):
        return self.model.embed([text for batch in inputs for text in batch["text"]])

    def similarity(self, first, second):
        from mteb.similarity_functions import cos_sim

        return cos_sim(first, second)

    def similarity_pairwise(self, first, second):
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(first, second)

    @property
    def mteb_model_meta(self):
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty()


def theirs(task):
    """mteb's scores of a task whose data are there."""
    task.data_loaded = True
    return task.evaluate(Plain(), split="test", encode_kwargs={"batch_size": 32})["default"]


def ours(tasks, folder: Path, output: Path, **more):
    return evalkit.evaluate("wordllama", tasks, data_dir=folder, output=output, **more)


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def write(file: Path, rows: list[dict]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def values(run, task: str) -> dict[str, float]:
    (found,) = [one for one in run.result.tasks if one.info.name == task]
    return {metric.name: metric.value for metric in found.metrics}


def test_similarity_is_mtebs(mirror, tmp_path):
    mteb = pytest.importorskip("mteb", reason="needs mteb (pip install 'evalkit-harness[mteb]')")
    import datasets

    run = ours([*(f"sts:{short}" for short in SETS), "mteb:STS12"], mirror, tmp_path / "run")
    for short, name in SETS.items():
        task = mteb.get_task(name)
        file = mirror / task.metadata.dataset["path"] / "default" / "test.jsonl"
        task.dataset = {"default": {"test": datasets.Dataset.from_list(lines(file))}}
        expected = theirs(task)
        found = values(run, f"sts:{short}")
        assert found["cosine_spearman"] == pytest.approx(expected["cosine_spearman"], abs=1e-6)
        assert found["cosine_pearson"] == pytest.approx(expected["cosine_pearson"], abs=1e-6)
    found = values(run, "sts:sts12")["cosine_spearman"]
    assert values(run, "mteb:STS12")["main_score"] == pytest.approx(found, abs=1e-6)
    (whole,) = [one for one in run.result.tasks if one.info.name == "sts:sts12"]
    assert whole.metrics[0].interval[0] < found < whole.metrics[0].interval[1]


def test_retrieval_is_pytrec_evals_and_mtebs(mirror, tmp_path):
    mteb = pytest.importorskip("mteb", reason="needs mteb (pip install 'evalkit-harness[mteb]')")
    import datasets
    import pytrec_eval

    home = mirror / "mteb" / "dbpedia-subset"
    run = ours(["retrieve:mteb/dbpedia-subset"], mirror, tmp_path / "run")
    found = values(run, "retrieve:mteb/dbpedia-subset")
    judged: dict[str, dict[str, int]] = {}
    for row in lines(home / "default" / "test.jsonl"):
        judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])

    task = mteb.get_task("DBPedia")
    renamed = {part: [{"id": row["_id"], **{k: v for k, v in row.items() if k != "_id"}}
                      for row in lines(home / part / f"{part}.jsonl")] for part in ("corpus", "queries")}  # fmt: skip
    data = {part: datasets.Dataset.from_list(rows) for part, rows in renamed.items()}
    task.dataset = {"default": {"test": {**data, "relevant_docs": judged, "top_ranked": None}}}
    expected = theirs(task)
    for name in ("ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10", "map_at_100"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5)  # they round to five digits

    from evalkit.probes.embedding.retrieval import measured

    scores = {query: {passage: 1 / (7 + len(passage) % 5 + place) for place, passage in enumerate(passages)}
              for query, passages in judged.items()}  # fmt: skip
    exact = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.10,100", "map_cut.100"}).evaluate(scores)
    got = measured(judged, scores)
    for query, row in exact.items():
        assert got[query]["ndcg_at_10"] == pytest.approx(row["ndcg_cut_10"], abs=1e-6)
        assert got[query]["recall_at_100"] == pytest.approx(row["recall_100"], abs=1e-6)
        assert got[query]["map_at_100"] == pytest.approx(row["map_cut_100"], abs=1e-6)


def test_classification_is_mtebs(mirror, tmp_path):
    mteb = pytest.importorskip("mteb", reason="needs mteb (pip install 'evalkit-harness[mteb]')")
    import datasets
    from mteb.abstasks import AbsTaskClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    rows = [{"text": row["sentence"], "label": row["label"]}
            for row in lines(mirror / "nyu-mll" / "glue" / "sst2" / "validation.jsonl")][:300]  # fmt: skip
    write(tmp_path / "data" / "own" / "reviews" / "default" / "train.jsonl", rows[:200])
    write(tmp_path / "data" / "own" / "reviews" / "default" / "test.jsonl", rows[200:])
    run = ours(["linear:own/reviews"], tmp_path / "data", tmp_path / "run")

    class Reviews(AbsTaskClassification):
        metadata = TaskMetadata(**{**mteb.get_task("Banking77Classification").metadata.model_dump(), "name": "Reviews"})

    task = Reviews()
    task.dataset = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows[:200]), "test": datasets.Dataset.from_list(rows[200:])}
    )
    assert values(run, "linear:own/reviews")["accuracy"] == pytest.approx(theirs(task)["accuracy"], abs=1e-9)


def test_a_second_run_takes_the_first_ones_answers(mirror, tmp_path):
    first = ours(["sts:sickr"], mirror, tmp_path / "run", limit=30)
    again = ours(["sts:sickr"], mirror, tmp_path / "run", limit=30)
    assert again.result.counters["requests_answered"] == 0
    assert values(first, "sts:sickr") == values(again, "sts:sickr")


def test_a_language_model_and_an_embedder_are_told_apart(mirror, tmp_path):
    with pytest.raises(UserError, match="vectors of texts"):
        evalkit.evaluate("mock", ["sts:sickr"], data_dir=mirror, output=tmp_path / "a")
    with pytest.raises(UserError, match="log-likelihoods of choices, which wordllama cannot give"):
        evalkit.evaluate("wordllama", ["boolq@bundled"], output=tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sts:sts21", "did you mean sts1"),
        ("sts:", "is empty"),
        ("retrieve:scifact", "no data set's id"),
        ("linear:a/b:txt=sentence", "did you mean text"),
        ("mteb:STS21", "has no task 'STS21'"),
    ],
)
def test_names_are_checked(name, message):
    if name.startswith("mteb:"):
        pytest.importorskip("mteb", reason="needs mteb (pip install 'evalkit-harness[mteb]')")
    with pytest.raises(UserError, match=message):
        Catalog.of().require(name)
