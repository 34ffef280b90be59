"""The Hub (with its package replaced), the bundled items and generated documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef
from evalkit.data import GeneratedSource, HubSource, SampleSource
from evalkit.store.paths import share


class FakeSplit(list):
    def to_list(self) -> list:
        return list(self)


def test_hub_asks_for_the_pinned_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple] = []

    def load(id: str, config: str | None, *, split: str, revision: str | None) -> FakeSplit:
        asked.append((id, config, split, revision))
        return FakeSplit([{"a": 1}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    ref = DatasetRef("org/quiz", "easy", "abc123")
    assert HubSource().load(ref, "test") == [{"a": 1}]
    assert asked == [("org/quiz", "easy", "test", "abc123")]
    assert HubSource().provenance(ref, "test") == "hub:revision=abc123"


@pytest.mark.parametrize(
    "error",
    [ConnectionError("offline mode\nis enabled"), ValueError("Unknown split"), FileNotFoundError("no such set")],
)
def test_without_the_hub_both_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    import datasets

    def load(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(UserError) as raised:
        HubSource().load(DatasetRef("org/quiz", "easy"), "test")
    message = str(raised.value)
    assert message.startswith("data set org/quiz, config easy, split test: not to be had from the Hub (")
    for words in ("--data-dir", "EVALKIT_DATA_DIR", "evalkit data pull", "--bundled"):
        assert words in message
    assert "\n" not in message


def test_offline_mode_of_the_real_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(UserError, match="--bundled"):
        HubSource().load(DatasetRef("evalkit-tests/absent"), "test")


def test_empty_split_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: FakeSplit())
    with pytest.raises(UserError, match="empty on the Hub"):
        HubSource().load(DatasetRef("org/quiz"), "test")


def write_sample(path: Path, rows: list[dict]) -> SampleSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SampleSource(path)


def test_sample_splits_and_subjects(tmp_path: Path) -> None:
    source = write_sample(
        tmp_path / "sample.jsonl",
        [
            {"_split": "dev", "subject": "law", "q": 1},
            {"_split": "test", "subject": "law", "q": 2},
            {"_split": "test", "subject": "art", "q": 3},
        ],
    )
    assert source.subjects == ("art", "law")
    assert source.load(DatasetRef("x", "law"), "test") == [{"subject": "law", "q": 2}]
    assert [row["q"] for row in source.load(DatasetRef("x"), "test")] == [2, 3]
    with pytest.raises(UserError, match="nothing on 'art' in the split 'dev', only on art, law"):
        source.load(DatasetRef("x", "art"), "dev")
    with pytest.raises(UserError, match="no split 'train', only dev, test"):
        source.load(DatasetRef("x"), "train")
    assert source.provenance(DatasetRef("x"), "test").startswith("sample:sha256=")


def test_one_subject_alone_is_no_choice(tmp_path: Path) -> None:
    source = write_sample(tmp_path / "sample.jsonl", [{"_split": "test", "subject": "law", "q": 1}])
    assert len(source.load(DatasetRef("x", "default"), "test")) == 1


def test_absent_sample(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="without --bundled"):
        SampleSource(tmp_path / "sample.jsonl")


def test_every_bundled_sample_reads() -> None:
    from evalkit.data import rows

    files = sorted(share("tasks").glob("*/sample.jsonl"))
    assert files
    for file in files:
        splits = {row["_split"] for row in rows.read(file)}
        for split in splits:
            assert SampleSource(file).load(DatasetRef("x"), split)


def test_generated() -> None:
    source = GeneratedSource(lambda dataset, split: [{"n": n} for n in range(3 if split == "test" else 0)])
    assert source.load(DatasetRef("numbers"), "test") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert source.provenance(DatasetRef("numbers"), "test") == source.provenance(DatasetRef("numbers"), "test")
    with pytest.raises(UserError, match="gave nothing"):
        source.load(DatasetRef("numbers"), "train")
