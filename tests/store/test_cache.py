"""The shared cache: hits only for the same question, several processes at once, repair and pruning."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from needs import seeds

from evalkit.contract.errors import UserError
from evalkit.contract.types import Response
from evalkit.store import Chained, Journal, ResponseCache
from evalkit.store.identity import score_key


def key(n):
    return hashlib.sha256(b"%d" % n).hexdigest()


def answer(n):
    return Response(loglikelihood=-float(n), is_greedy=True, text=f"answer {n} " + "y" * 40)


def fill(folder, count):
    with ResponseCache(folder) as cache:
        for n in range(count):
            cache.put(key(n), answer(n))


def test_only_answers_are_shared(tmp_path):
    with ResponseCache(tmp_path / "new" / "cache") as cache:
        cache.put(key(1), answer(1))
        cache.put(key(2), Response(status="error", error="boom"))
        cache.flush()
        assert cache.get([key(1), key(2)]) == {key(1): answer(1)}
        assert cache.failures() == {}
        assert (cache.hits, cache.misses) == (1, 1)
    with ResponseCache(tmp_path / "new" / "cache") as cache:
        assert cache.stats()["answers"] == 1
        assert cache.stats()["bytes"] > 0


def test_another_model_never_hits(tmp_path):
    with ResponseCache(tmp_path) as cache:
        cache.put(score_key("model", (1, 2), 1), answer(1))
        cache.flush()
        others = [score_key("model+lora", (1, 2), 1), score_key("model", (1, 3), 1), score_key("model", (1, 2, 2), 1)]
        assert cache.get(others) == {}


def test_chained_copies_hits_into_the_journal(tmp_path):
    fill(tmp_path / "c", 3)
    with Chained(Journal(tmp_path / "j"), ResponseCache(tmp_path / "c")) as book:
        book.put(key(7), answer(7))
        book.put(key(8), Response(status="error", error="boom"))
        assert book.get([key(1), key(7), key(9)]) == {key(1): answer(1), key(7): answer(7)}
        book.flush()
    with Journal(tmp_path / "j") as journal, ResponseCache(tmp_path / "c") as cache:
        assert set(journal.get(key(n) for n in range(10))) == {key(1), key(7)}
        assert set(journal.failures()) == {key(8)}
        assert set(cache.get(key(n) for n in range(10))) == {key(0), key(1), key(2), key(7)}


PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}.split(__import__("os").pathsep)
from test_cache import key, answer
from evalkit.store import ResponseCache
start = int(sys.argv[2])
rows = int(sys.argv[3])
with ResponseCache(Path(sys.argv[1]), interval=0.01) as cache:
    for n in range(start, start + rows):
        cache.put(key(n), answer(n))
        if n % 100 == 0:
            got = cache.get(key(i) for i in range(3000))
            assert all(got[key(i)] == answer(i) for i in range(3000) if key(i) in got)
"""


@pytest.mark.parametrize(
    ("processes", "rows"), [(2, 1500), pytest.param(4, 30_000, marks=pytest.mark.nightly)], ids=str
)
def test_processes_on_one_cache(tmp_path, processes, rows):
    code = PROCESS.format(tests=os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])]))
    step = rows * 2 // 3  # each writes a third of the next one's, too
    line = [sys.executable, "-c", code, str(tmp_path / "c")]
    started = [
        subprocess.Popen([*line, str(place * step), str(rows)], stderr=subprocess.PIPE, text=True)
        for place in range(processes)
    ]
    for process in started:
        assert process.communicate(timeout=600)[1] == ""
        assert process.returncode == 0
    count = (processes - 1) * step + rows
    with ResponseCache(tmp_path / "c") as cache:
        assert cache.get(key(n) for n in range(count)) == {key(n): answer(n) for n in range(count)}
        assert cache.verify() == []


def test_verify_removes_a_damaged_row(tmp_path):
    fill(tmp_path, 40)
    file = tmp_path / "answers.sqlite"
    file.write_bytes(file.read_bytes().replace(b"answer 33 ", b"answer 38 "))
    with ResponseCache(tmp_path) as cache:
        assert key(33) not in cache.get([key(33)])
        problems = cache.verify()
        assert len(problems) == 1
        assert "damaged and is removed" in problems[0]
        assert cache.verify() == []
        assert cache.count() == 39


def garble(file, seed):
    rng = random.Random(seed)
    data = bytearray(file.read_bytes())
    for at in rng.sample(range(100, len(data) - 200), 6):
        data[at : at + 200] = rng.randbytes(200)
    file.write_bytes(data)


@pytest.mark.parametrize("seed", seeds(4, 100))
def test_a_damaged_file_is_rebuilt(tmp_path, seed):
    fill(tmp_path, 400)
    garble(tmp_path / "answers.sqlite", seed)
    with ResponseCache(tmp_path) as cache:
        cache.verify()
        got = cache.get(key(n) for n in range(400))
        assert len(got) > 200
        assert all(got[key(n)] == answer(n) for n in range(400) if key(n) in got)
        assert cache.verify() == []
        cache.put(key(1), answer(1))


def test_a_damaged_file_in_use_is_left_alone(tmp_path):
    fill(tmp_path, 50)
    with ResponseCache(tmp_path):
        code = (
            "import sys; from pathlib import Path; from evalkit.store import ResponseCache\n"
            "f = Path(sys.argv[1]) / 'answers.sqlite'; f.write_bytes(b'x' * 9000)\n"
            "ResponseCache(Path(sys.argv[1]))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
        assert "UserError" in done.stderr
        assert "other processes use it" in done.stderr
        assert not list(tmp_path.glob("*corrupt*"))


def test_prune_by_age_and_size(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("evalkit.store.answers.time.time", lambda: now[0])
    monkeypatch.setattr("evalkit.store.cache.time.time", lambda: now[0])
    with ResponseCache(tmp_path) as cache:
        for n in range(300):
            now[0] = 1000.0 + n
            cache.put(key(n), answer(n))
            if n % 100 == 99:
                cache.flush()
        now[0] = 1300.0
        assert cache.prune(max_age=150.0) == 100  # the first hundred were committed at 1099
        assert set(cache.get(key(n) for n in range(300))) == {key(n) for n in range(100, 300)}
        before = cache.stats()["bytes"]
        removed = cache.prune(max_size=8_000)
        assert 100 < removed < 200
        left = cache.get(key(n) for n in range(300))
        assert set(left) <= {key(n) for n in range(200, 300)}  # the oldest went first
        assert len(left) == 200 - removed
        assert cache.stats()["bytes"] < before
        assert cache.prune(max_size=0) == 200 - removed


def test_an_unusable_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be made a cache folder"):
        ResponseCache(tmp_path / "file" / "c")
