"""The journal: whatever happens to the process or the file, answers are kept or computed again, never read wrong."""

import hashlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from needs import seeds

from evalkit.contract.errors import UserError
from evalkit.contract.types import UNFINISHED, Response
from evalkit.store import Journal, codec
from evalkit.store.answers import AnswerFile


def key(n):
    return hashlib.sha256(b"%d" % n).hexdigest()


def answer(n, long=False):
    """The one right answer for request n, so that a wrong one is recognised."""
    text = f"answer {n} é\n" + ("x" * 9000 if long and n % 7 == 0 else "")
    return Response(loglikelihood=-n / 7, is_greedy=bool(n % 2), text=text, finish="stop", prompt_tokens=n)


def fill(path, count, long=False):
    with Journal(path, "spec") as journal:
        for n in range(count):
            journal.put(key(n), answer(n, long))


def test_answers_come_back_bit_for_bit(tmp_path):
    odd = Response(loglikelihood=-0.1 - 0.2, is_greedy=None, text="\ud800 \x00 漢", output_tokens=3, truncated=2)
    with Journal(tmp_path / "j") as journal:
        assert journal  # an empty book is still a book
        journal.put(key(1), answer(1))
        journal.put(key(2), odd)
        before_commit = journal.get([key(1), key(2), key(3)])
        journal.flush()
        assert journal.get([key(1), key(2), key(3)]) == before_commit == {key(1): answer(1), key(2): odd}
    with Journal(tmp_path / "j") as journal:
        assert journal.get([key(2), key(1)]) == before_commit
        assert journal.count() == 2


def test_many_keys_in_chunks(tmp_path):
    with Journal(tmp_path / "j") as journal:
        for n in range(5000):
            journal.put(key(n), answer(n))
        got = journal.get(key(n) for n in range(4000, 9000))
        assert len(got) == 1000
        assert got[key(4321)] == answer(4321)


def test_errors_are_kept_apart_until_an_answer_comes(tmp_path):
    failed, skipped = Response(status="error", error="boom"), Response(status="unscored", error="too long")
    with Journal(tmp_path / "j") as journal:
        journal.put(key(1), failed)
        journal.put(key(2), skipped)
        journal.put(key(3), answer(3))
        assert journal.get([key(1), key(2), key(3)]) == {key(3): answer(3)}
        assert journal.failures() == {key(1): failed, key(2): skipped}
        journal.put(key(1), answer(1))
        journal.put(key(3), failed)  # an error never takes an answer's place
        assert journal.failures() == {key(2): skipped}
        assert journal.get([key(1), key(3)]) == {key(1): answer(1), key(3): answer(3)}
        journal.put(key(4), answer(4))
        journal.put(key(4), failed)
        journal.flush()
        assert journal.get([key(4)]) == {key(4): answer(4)}


def test_what_is_no_answer_is_refused(tmp_path):
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(ValueError, match="nan is an error"):
            journal.put(key(1), Response(loglikelihood=float("nan")))
        with pytest.raises(ValueError):
            journal.put("short", answer(1))
    with pytest.raises(UserError, match="is closed"):
        journal.put(key(1), answer(1))
    journal.close()


def test_another_runs_journal_is_refused(tmp_path):
    fill(tmp_path / "j", 3)
    with pytest.raises(UserError, match="belongs to another spec"):
        Journal(tmp_path / "j", "other")
    with Journal(tmp_path / "j", "spec") as journal:
        assert journal.count() == 3


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/.."]
from test_journal import key, answer
from evalkit.store import Journal, codec
journal = Journal(Path(sys.argv[1]), "spec", interval=0.02)
n = int(sys.argv[2])
while True:
    for _ in range(100):
        journal.put(key(n), answer(n))
        n += 1
    journal.flush()
    print(n, flush=True)
"""


def test_kill_at_random_moments_loses_nothing_flushed(tmp_path):
    from pathlib import Path

    rng = random.Random(11)
    code = WRITER.format(tests=str(Path(__file__).parent))
    flushed = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "j"), str(flushed)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(rng.randint(1, 4)):
            flushed = int(process.stdout.readline())
        time.sleep(rng.random() * 0.05)
        process.kill()
        flushed = max([flushed, *(int(line) for line in process.stdout.read().split("\n") if line.strip())])
        process.wait()
        with Journal(tmp_path / "j", "spec") as journal:
            assert journal.notice is None
            got = journal.get(key(n) for n in range(flushed + 400))
        assert set(got) >= {key(n) for n in range(flushed)}
        assert all(got[key(n)] == answer(n) for n in range(flushed + 400) if key(n) in got)


def read_all(path, count):
    """Answers of a damaged journal; checks that none is wrong. None: refused with a clear message."""
    try:
        with Journal(path, "spec") as journal:
            got = dict(journal.get(key(n) for n in range(count)))
            # It is writable again: what was lost is computed anew.
            journal.put(key(count), answer(count))
            journal.flush()
            assert journal.get([key(count)]) == {key(count): answer(count)}
            notice = journal.notice
    except UserError as error:
        return None, str(error)
    for n in range(count):
        if key(n) in got:
            assert got[key(n)] == answer(n, long=True)
    return got, notice


@pytest.mark.parametrize("seed", seeds(8, 300))
def test_garbled_bytes_are_never_read_as_answers(tmp_path, seed):
    rng = random.Random(seed)
    path = tmp_path / "j"
    fill(path, 600, long=True)
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 5, 60])):
        at = rng.randrange(len(data))
        end = min(len(data), at + rng.choice([1, 8, 300, 5000]))
        data[at:end] = rng.randbytes(end - at)
    path.write_bytes(data)
    got, notice = read_all(path, 600)
    assert got is not None or str(path) in notice


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.77, 0.999])
def test_a_truncated_journal_is_recovered(tmp_path, share):
    path = tmp_path / "j"
    fill(path, 600, long=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    got, notice = read_all(path, 600)
    assert got is not None
    if share >= 0.3:
        assert len(got) > 600 * (share - 0.2)  # most of what the file still holds
    if 0.3 <= share < 0.99:  # a cut within the last page may touch but one row, whose own check finds it
        assert "recovered" in notice
        assert (tmp_path / "j.corrupt-1").read_bytes() == whole[: int(len(whole) * share)]


def test_a_lost_header_costs_only_long_rows(tmp_path):
    path = tmp_path / "j"
    fill(path, 600, long=True)
    data = bytearray(path.read_bytes())
    data[:4096] = bytes(4096)
    path.write_bytes(data)
    got, notice = read_all(path, 600)
    assert "is not a database" in notice
    assert set(got) >= {key(n) for n in range(600) if n % 7}


def test_a_flipped_bit_in_a_row_is_noticed(tmp_path):
    path = tmp_path / "j"
    fill(path, 50)
    path.write_bytes(path.read_bytes().replace(b"answer 33 ", b"answer 38 "))
    with Journal(path, "spec") as journal:
        assert key(33) not in journal.get([key(33), key(34)])
        assert journal.damaged == 1
        journal.put(key(33), answer(33))
    with Journal(path, "spec") as journal:
        assert journal.get([key(33)]) == {key(33): answer(33)}


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {tests!r} + "/.."]
from test_journal import key, answer
from evalkit.contract.errors import UserError
from evalkit.store import Journal, codec
journal = Journal(Path(sys.argv[1]), "spec", interval=0.02)
for n in range(300):
    journal.put(key(n), answer(n))
journal.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    for n in range(300, 100_000):
        journal.put(key(n), answer(n))
        if n % 500 == 0:
            journal.flush()
except UserError as error:
    print(error)
    try:
        journal.close()
    except UserError:
        sys.exit(2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file-size limits are POSIX")
def test_a_full_disk_is_said_and_leaves_a_resumable_journal(tmp_path):
    from pathlib import Path

    code = FULL_DISK.format(tests=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "could not be used" in done.stdout
    assert "run the same command again" in done.stdout
    assert "Traceback" not in done.stderr
    with Journal(tmp_path / "j", "spec") as journal:
        got = journal.get(key(n) for n in range(3000))
        assert set(got) >= {key(n) for n in range(300)}
        assert all(got[key(n)] == answer(n) for n in range(3000) if key(n) in got)
        journal.put(key(99), answer(99))


def test_a_failing_writer_is_reported_at_the_next_call(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "j", interval=0.01)

    def full(self, batch):
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(AnswerFile, "commit", full)
    journal.put(key(1), answer(1))
    with pytest.raises(UserError, match="disk is full"):
        journal.flush()
    with pytest.raises(UserError, match="check free space"):
        journal.put(key(2), answer(2))
    with pytest.raises(UserError):
        journal.close()


def test_a_journal_that_waits_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("evalkit.store.answers.MAX_PENDING", 50)
    with Journal(tmp_path / "j", interval=30) as journal:
        for n in range(400):
            journal.put(key(n), answer(n))
            assert journal.waiting <= 50
    with Journal(tmp_path / "j") as journal:
        assert journal.count() == 400


def test_a_schema_of_the_future_is_refused(tmp_path):
    fill(tmp_path / "j", 1)
    with sqlite3.connect(tmp_path / "j") as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(UserError, match="schema '9'"):
        Journal(tmp_path / "j", "spec")


def test_replacing_keeps_the_last_answer(tmp_path):
    with Journal(tmp_path / "j") as journal:
        journal.put(key(1), answer(1))
        journal.flush()
        journal.put(key(1), replace(answer(1), text="newer"))
        assert journal.get([key(1)])[key(1)].text == "newer"


@pytest.mark.parametrize(
    "response",
    [
        Response(text="Paris", finish="stop", thought="<think>\n\ud83d é</think>"),
        Response(text="", finish=UNFINISHED, thought="<think>", output_tokens=3),
        Response(values=(-0.1, -2.5, 1e-300), prompt_tokens=4, truncated=1),
        Response(values=(3.25,)),
    ],
)
def test_what_a_response_holds_besides_comes_back_as_it_was(response: Response) -> None:
    key = bytes(range(32))
    packed = codec.pack(response)
    assert codec.unpack(key, codec.check(key, packed), packed) == response
    assert len(json.loads(codec.pack(Response(text="x"))[len(codec.MAGIC) + 4 :])) == 9, "others are as they were"


@pytest.mark.parametrize("values", ['["a"]', "[true]", "[null]", "[[1.0]]", "{}", "1.5"])
def test_a_row_with_values_of_another_kind_is_no_answer(values: str) -> None:
    key = bytes(range(32))
    body = f'["ok",null,null,null,null,null,0,0,0,null,{values}]'.encode()
    packed = codec.MAGIC + len(body).to_bytes(4, "little") + body
    assert codec.unpack(key, codec.check(key, packed), packed) is None
