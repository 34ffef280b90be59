"""`--model_args batch=true`: half the price, one batch a run, and a killed run takes up the batch that it paid for."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from batch_server import Batches, serving
from provider_server import KEY, Reply, error

pytest.importorskip("aiohttp", reason="needs the extra hosted")
pytest.importorskip("genai_prices", reason="needs the extra hosted")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


TASK = ("--tasks", "triviaqa", "--bundled")


def line(url: str, model: str, *more: str) -> list[str]:
    args = f"base_url={url}/{model.partition('/')[0]}/v1,batch=true,batch_poll=0.05"
    return ["run", "--model", model, "--model_args", args, *TASK, "--limit", "5", *more]


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


PAGE = (Path(__file__).parents[2] / "docs" / "hosted.md").read_text("utf-8")


def test_the_pages_commands_run(evalkit: Any) -> None:
    commands = re.findall(r"^    evalkit (run .*batch=true.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    provider = Batches(looks=0)
    with serving(provider) as url:
        for number, one in enumerate(commands):
            kind = "anthropic" if "anthropic" in one else "openai"
            words = re.sub(r"(openai|anthropic)/\S+", f"{kind}/small-1", one)
            words = words.replace("batch=true", f"batch=true,base_url={url}/{kind}/v1")
            done = evalkit(*words.split(), "--bundled", "--limit", "2", "-q", "--output", f"out{number}")
            assert done.exit_code == 0, done.output
    assert len(provider.batches) == 2


@pytest.mark.parametrize("model", ["openai/small-1", "anthropic/small-1"])
def test_a_run_is_one_batch(evalkit: Any, tmp_path: Path, model: str) -> None:
    provider = Batches(answer=lambda prompt: Reply(f"Mercury {len(prompt)}"))
    provider.faults.append(error(model.partition("/")[0], 500, "api_error", "it broke"))
    with serving(provider) as url:
        done = evalkit(*line(url, model, "--output", "out", "-q", "--max-error-rate", "0.5"))
    assert done.exit_code == 0, done.output
    assert len(provider.batches) == 1
    assert len(provider.seen) == 5
    counted = results(tmp_path / "out")["evalkit"]["counters"]["tasks"]["triviaqa"]
    assert counted["output_tokens"] > 0
    assert "it broke" in done.stdout
    (book,) = (tmp_path / "cache" / "batches").iterdir()
    assert book.read_text().splitlines()[-1] == '{"done": "batch0"}'
    assert KEY not in book.read_text()


def test_half_of_the_list_price_is_counted(evalkit: Any, tmp_path: Path) -> None:
    from evalkit.backends.hosted.settings import hosted
    from evalkit.spec.models import ModelSpec

    whole, half = (
        hosted(ModelSpec(name="openai/gpt-4o-mini", args=args)).terms(ModelSpec(name="openai/gpt-4o-mini"))
        for args in ({}, {"batch": True})
    )
    assert whole[0] is not None
    assert half[0] is not None
    assert half[0].cost(10_000, 1_000) == pytest.approx(whole[0].cost(10_000, 1_000) / 2)
    assert half[1].price == pytest.approx([one / 2 for one in whole[1].price or ()])
    assert "half of it in batches" in half[0].source
    with serving(Batches()) as url:
        args = f"batch=true,base_url={url}/openai/v1"
        told = evalkit(
            "run", "--model", "openai/small-1", "--model_args", args, *TASK, "--price", "in=1,out=2", "--dry-run"
        )
    assert "by batches, within 24 hours" in told.stderr


def test_a_killed_run_takes_up_its_batch(evalkit: Any, tmp_path: Path) -> None:
    provider = Batches(held=threading.Event())
    with serving(provider) as url:
        asked = line(url, "openai/small-1", "--output", str(tmp_path / "out"), "-q")
        run = subprocess.Popen([sys.executable, "-m", "evalkit", *asked], cwd=tmp_path)
        assert provider.waiting.wait(120)
        run.kill()
        run.wait()
        assert len(provider.batches) == 1
        assert provider.held is not None
        provider.held.set()
        done = evalkit(*asked)
        assert done.exit_code == 0, done.output
        assert len(provider.batches) == 1  # paid once
        other = evalkit(*line(url, "openai/small-1", "--output", "other", "-q"))
        assert other.exit_code == 0
    assert len(provider.batches) == 2  # a run of its own asks anew
    assert results(tmp_path / "out")["results"] == results(tmp_path / "other")["results"]


@pytest.mark.slow
def test_ctrl_c_stops_waiting_and_the_batch_is_taken_up(evalkit: Any, tmp_path: Path) -> None:
    provider = Batches(held=threading.Event())
    assert provider.held is not None
    with serving(provider) as url:
        asked = line(url, "openai/small-1", "--output", str(tmp_path / "out"), "-q")
        run = subprocess.Popen([sys.executable, "-m", "evalkit", *asked], stderr=subprocess.PIPE, text=True)
        assert provider.waiting.wait(120)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 130, errors
        assert "stopped waiting for the batch batch0, which goes on" in errors
        provider.held.set()
        assert evalkit("run", "--resume", str(tmp_path / "out"), "-q").exit_code == 0
    assert len(provider.batches) == 1


def test_a_batch_that_is_refused_ends_the_run_with_its_reason(evalkit: Any, tmp_path: Path) -> None:
    with serving(Batches(ends="failed")) as url:
        done = evalkit(*line(url, "openai/small-1", "--output", "out", "-q"))
    assert done.exit_code == 2
    assert "was refused: Enqueued token limit reached" in done.stderr


def test_expired_requests_are_errors_to_ask_again(evalkit: Any, tmp_path: Path) -> None:
    provider = Batches(ends="expired")
    with serving(provider) as url:
        done = evalkit(*line(url, "openai/small-1", "--output", "out", "-q"))
        assert done.exit_code == 1, done.output
        assert "ended without an answer to this request" in done.stdout
        provider.ends = "completed"
        again = evalkit("retry", "out")
    assert again.exit_code == 0, again.output
    assert [len(one["rows"]) for one in provider.batches.values()] == [5, 1]


def test_providers_without_batches_are_refused(evalkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    done = evalkit("run", "--model", "groq/x", "--model_args", "batch=true", "--tasks", "triviaqa", "--bundled")
    assert done.exit_code == 2
    assert "is not asked in batches here, only openai, anthropic" in done.stderr
