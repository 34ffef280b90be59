"""Kept encodings: a hit gives what tokenising gives, another key never hits, and no file can change an answer."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import evalkit
from evalkit.backends import mock
from evalkit.contract.types import Generate, Request, Rolling, Sampling, Score
from evalkit.engine import encodings
from evalkit.engine.encode import Job, encode
from evalkit.engine.encodings import EncodingCache
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.kept import shrink, stats

encoding = importlib.import_module("evalkit.engine.encode")  # the package has a function of that name
TEXT = st.text(alphabet="ab \n☃\ud800", max_size=6)
REQUEST = st.one_of(
    st.builds(Score, TEXT, TEXT), st.builds(Generate, TEXT, max_tokens=st.integers(1, 9)), st.builds(Rolling, TEXT)
)
ONE_BY_ONE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


class Counting:
    """The mock model's tokenizer, which says what it is and counts what it encodes."""

    def __init__(self, identity: str | None = "one", prefix: int = 1, bos: bool = False, window: int = 12) -> None:
        self._inner = mock.load(ModelSpec(name="mock", args={"tokenizer": "word"}, add_bos=bos), EngineSpec())
        self.info = replace(self._inner.info, max_length=window)
        self.encoding_identity = identity
        self.prefix_id = prefix
        self.encoded = 0

    def encode(self, texts, special=None):
        self.encoded += len(texts)
        return self._inner.encode(texts, special)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    monkeypatch.delenv("EVALKIT_ENCODINGS", raising=False)
    monkeypatch.setattr(encodings, "WORTH_CHARACTERS", 0)
    return tmp_path / "encodings"


def plain(jobs: list[Job]) -> list[object]:
    """Jobs as values that can be compared."""
    return [
        (
            job.key,
            [(row.tokens.tolist(), row.tokens.dtype.name, row.start) for row in job.scores],
            job.generate and (job.generate.tokens.tolist(), replace(job.generate, tokens=np.zeros(0, np.int32)).key),
            job.prompt_tokens,
            job.truncated,
            job.response,
        )
        for job in jobs
    ]


def parts(requests: list[Request]) -> list[tuple[str, ...]]:
    """What of requests becomes token ids."""
    return [
        (type(one).__name__, one.text)
        if isinstance(one, Rolling)
        else (type(one).__name__, one.context, *([one.continuation] if isinstance(one, Score) else []))
        for one in requests
    ]


@ONE_BY_ONE
@given(
    st.lists(REQUEST, max_size=12), st.integers(1, 14), st.sampled_from(["truncate", "skip", "error"]), st.booleans()
)
def test_a_hit_gives_the_same_rows_whatever_the_window_and_the_policy(requests, window, policy, bos):
    identity = f"bos={bos}"
    expected = plain(encode(Counting(None, bos=bos, window=window), requests, policy))
    encode(Counting(identity, bos=bos, window=30), requests, "truncate")  # keeps them
    reader = Counting(identity, bos=bos, window=window)
    assert plain(encode(reader, requests, policy)) == expected
    assert reader.encoded == 0


@ONE_BY_ONE
@given(st.lists(REQUEST, min_size=1, max_size=4), st.lists(REQUEST, min_size=1, max_size=4))
def test_other_texts_never_share_a_key(one, other):
    cache = EncodingCache(Path(), {"tokenizer": "one"})
    assert (cache.key(one) == cache.key(other)) == (parts(one) == parts(other))


ASKED: list[Request] = [Score("a b", " c"), Score("a b", " d"), Generate("a b"), Rolling("a b"), Score("", "c")]


@pytest.mark.parametrize(
    "changed",
    [
        [Score("a b ", "c"), *ASKED[1:]],
        [Score("a ", "b c"), *ASKED[1:]],
        [Score("a b", " c"), Score("a b", " e"), *ASKED[2:]],
        [ASKED[1], ASKED[0], *ASKED[2:]],
        [*ASKED[:2], Rolling("a b"), *ASKED[3:]],
        [*ASKED[:3], Rolling("a b "), ASKED[4]],
        [*ASKED, ASKED[0]],
        ASKED[:-1],
    ],
)
def test_changed_requests_are_tokenised_anew(changed):
    encode(Counting(), ASKED, "truncate")
    backend = Counting()
    assert plain(encode(backend, changed, "truncate")) == plain(encode(Counting(None), changed, "truncate"))
    assert backend.encoded > 0


def test_another_tokenizer_prefix_token_rule_or_version_is_another_key(monkeypatch):
    encode(Counting(), ASKED, "truncate")

    def hits(backend: Counting) -> bool:
        encode(backend, ASKED, "truncate")
        return backend.encoded == 0

    assert hits(Counting())
    assert not hits(Counting("another tokenizer"))
    assert not hits(Counting(prefix=7))
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "RULES", encoding.RULES + 1)
        assert not hits(Counting())
    with monkeypatch.context() as patch:
        patch.setattr(evalkit, "__version__", "0.0.0")
        assert not hits(Counting())
    assert hits(Counting())


def test_generation_settings_are_no_part_of_the_key():
    encode(Counting(), [Generate("a b", max_tokens=3)], "truncate")
    backend = Counting()
    asked = [Generate("a b", ("\n",), max_tokens=5, sampling=Sampling(temperature=0.5), repeat=1)]
    assert plain(encode(backend, asked, "truncate")) == plain(encode(Counting(None), asked, "truncate"))
    assert backend.encoded == 0


def test_nothing_is_kept_where_it_is_not_worth_it_not_possible_or_not_wanted(folder, monkeypatch):
    encode(Counting(None), ASKED, "truncate")
    monkeypatch.setenv("EVALKIT_ENCODINGS", "off")
    encode(Counting(), ASKED, "truncate")
    monkeypatch.delenv("EVALKIT_ENCODINGS")
    monkeypatch.setattr(encodings, "WORTH_CHARACTERS", 10_000)
    encode(Counting(), ASKED, "truncate")
    assert not folder.exists()
    encode(Counting(), [Rolling("a" * 10_000)], "truncate")
    assert stats(folder)["files"] == 1


def test_a_run_of_several_chunks_keeps_each(folder, monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK", 2)
    encode(Counting(), ASKED, "truncate")
    assert stats(folder)["files"] == 3
    backend = Counting()
    assert plain(encode(backend, ASKED, "truncate")) == plain(encode(Counting(None), ASKED, "truncate"))
    assert backend.encoded == 0


@pytest.mark.parametrize("seed", range(24))
def test_a_damaged_file_is_a_miss_and_is_replaced(folder, seed):
    encode(Counting(), ASKED, "truncate")
    (file,) = folder.glob("*.npz")
    good = file.read_bytes()
    draw = np.random.default_rng(seed)
    data = bytearray(good[: draw.integers(len(good))] if seed % 3 == 0 else good)
    for _ in range(int(draw.integers(1, 9))):
        if data:
            data[draw.integers(len(data))] ^= int(draw.integers(1, 256))
    file.write_bytes(data)
    assert plain(encode(Counting(), ASKED, "truncate")) == plain(encode(Counting(None), ASKED, "truncate"))
    after = Counting()
    assert plain(encode(after, ASKED, "truncate")) == plain(encode(Counting(None), ASKED, "truncate"))
    assert after.encoded == 0


def test_parts_that_do_not_fit_each_other_are_a_miss(folder):
    encode(Counting(), ASKED, "truncate")
    (file,) = folder.glob("*.npz")
    with np.load(file) as kept:
        whole = dict(kept)
    for broken in (
        {"head_of": whole["head_of"] + 9},
        {"tail_offsets": whole["tail_offsets"][:-1]},
        {"head_offsets": whole["head_offsets"][::-1].copy()},
        {"tails": np.array(["x"], dtype=object)},
    ):
        np.savez(file, allow_pickle=True, **{**whole, **broken})
        backend = Counting()
        assert plain(encode(backend, ASKED, "truncate")) == plain(encode(Counting(None), ASKED, "truncate"))
        assert backend.encoded > 0


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "file"))
    assert plain(encode(Counting(), ASKED, "truncate")) == plain(encode(Counting(None), ASKED, "truncate"))


def test_what_was_not_used_for_longest_goes_first(folder):
    sizes = {}
    for age, name in enumerate(("new", "middle", "old")):
        encode(Counting(name), ASKED, "truncate")
        (file,) = set(folder.glob("*.npz")) - set(sizes)
        sizes[file] = file.stat().st_size
        os.utime(file, (1e9 - age, 1e9 - age))
    left = folder / ".dead.npz.tmp-1"
    left.write_text("")
    os.utime(left, (1e9, 1e9))
    encode(Counting("old"), ASKED, "truncate")  # a hit is a use
    assert shrink([folder], sum(sizes.values()) - 1) == 1
    assert not left.exists()
    backends = [Counting(name) for name in ("old", "new", "middle")]
    for backend in backends:
        encode(backend, ASKED, "truncate")
    assert [backend.encoded > 0 for backend in backends] == [False, False, True]
    assert shrink([folder], 10**9, max_age=10**6) == 0
    assert shrink([folder], 0) == 3
    assert stats(folder) == {"files": 0, "bytes": 0}


def test_the_limit_holds_while_files_are_kept(folder, monkeypatch):
    encode(Counting("one"), ASKED, "truncate")
    size = stats(folder)["bytes"]
    monkeypatch.setattr(EncodingCache.__init__, "__defaults__", (2 * size + size // 2,))
    for name in ("two", "three", "four"):
        encode(Counting(name), ASKED, "truncate")
    assert stats(folder)["files"] == 2
