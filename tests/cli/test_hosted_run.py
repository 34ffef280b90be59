"""`evalkit run` on a hosted model: what it may cost, what it cost, its limit, and going on behind it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from provider_server import KEY, Provider, Reply, error, serving

pytest.importorskip("aiohttp", reason="needs the extra hosted")
pytest.importorskip("genai_prices", reason="needs the extra hosted")

TASK = ("--tasks", "triviaqa", "--bundled")
PRICE = ("--price", "in=1,out=10")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def counters(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())["evalkit"]["counters"]


def line(url: str, *more: str, model: str = "openai/small-1", path: str = "openai/v1") -> tuple[str, ...]:
    return ("run", "--model", model, "--model_args", f"base_url={url}/{path},num_concurrent=2", *TASK, *PRICE, *more)


def test_a_run_stops_at_its_limit_and_goes_on_behind_it(evalkit: Any, tmp_path: Path) -> None:
    provider = Provider(answer=lambda prompt: Reply("Mercury is it", cached=1, hidden=4))
    with serving(provider) as url:
        first = evalkit(*line(url, "--output", "out", "--max-cost", "0.0035"))
        assert first.exit_code == 130, first.output
        assert "stopped at --max-cost 0.0035 USD" in first.stderr
        assert "evalkit run --resume out" in first.stderr
        assert "partial results" in first.stdout
        spent, asked = counters(tmp_path / "out")["cost"]["usd"], len(provider.seen)
        assert 0.0005 < spent <= 0.0035
        assert 0 < asked < 24

        again = evalkit("run", "--resume", "out")  # the same limit: nothing more is asked
        assert again.exit_code == 130
        assert len(provider.seen) == asked

        last = evalkit("run", "--resume", "out", "--max-cost", "1")
        assert last.exit_code == 0, last.output
    assert len(provider.seen) == 24  # nobody was asked twice
    found = counters(tmp_path / "out")
    read, written = found["prompt_tokens"], found["output_tokens"]
    assert found["cost"]["usd"] == pytest.approx((read * 1 + written * 10) / 1e6)
    assert found["tasks"]["triviaqa"]["cost_usd"] == pytest.approx(found["cost"]["usd"])
    assert (found["cost"]["cached_tokens"], found["cost"]["reasoning_tokens"]) == (24, 96)
    assert f"{read:,} tokens read (24 from the provider's cache)" in last.stdout
    assert "Cost" in (tmp_path / "out" / "report.html").read_text()
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes(), file


def test_a_second_run_that_takes_answers_from_the_cache_pays_nothing(evalkit: Any, tmp_path: Path) -> None:
    provider = Provider()
    with serving(provider) as url:
        for name in ("one", "two"):
            done = evalkit(*line(url, "--output", name, "--cache", "answers", "--limit", "4", "--quiet"))
            assert done.exit_code == 0, done.output
    assert len(provider.seen) == 4
    assert counters(tmp_path / "one")["cost"]["usd"] > 0
    assert counters(tmp_path / "two")["cost"]["usd"] == 0


def test_a_dry_run_tells_the_cost_and_asks_nothing(evalkit: Any, tmp_path: Path) -> None:
    provider = Provider()
    with serving(provider) as url:
        done = evalkit(*line(url, "--dry-run", "--output", "out"))
    assert done.exit_code == 0, done.output
    assert "at 1 USD a million tokens read, 10 written (--price)" in done.stderr
    assert "at most 6,144 to write" in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert not provider.seen
    assert not (tmp_path / "out").exists()


def test_a_task_by_log_likelihoods_is_refused_before_anything_is_paid(evalkit: Any, tmp_path: Path) -> None:
    provider = Provider(answer=lambda prompt: Reply("A"))
    with serving(provider) as url:
        args = f"base_url={url}/anthropic/v1"
        run = (
            "run",
            "--model",
            "anthropic/small-1",
            "--tasks",
            "boolq",
            "--bundled",
            "--limit",
            "4",
            "--output",
            "out",
        )
        refused = evalkit(*run, "--model_args", args)
        assert refused.exit_code == 2
        assert "--model_args mc=generate" in refused.stderr
        assert not provider.seen
        assert not (tmp_path / "out").exists()
        done = evalkit(*run, "--model_args", f"{args},mc=generate")
    assert done.exit_code == 0, done.output
    assert len(provider.seen) == 4


def test_withheld_answers_are_counted_and_said(evalkit: Any) -> None:
    faults = [error("openai", 400, "content_filter", "The prompt was filtered")]
    with serving(Provider(faults=faults)) as url:
        done = evalkit(*line(url, "--limit", "3", "--output", "out"))
    assert done.exit_code == 0, done.output
    assert "items without a score: triviaqa 1" in done.stdout
    assert "triviaqa: 1 answer withheld by the provider's content filter (no score)" in done.stdout


def test_without_the_packages_the_extra_is_named(evalkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec

    def find(name: str, *more: str) -> object:
        return None if name == "tenacity" else real(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr("evalkit.backends.hosted.find_spec", find)
    done = evalkit("run", "--model", "openai/gpt-4o-mini", *TASK)
    assert done.exit_code == 2
    assert "pip install 'evalkit-harness[hosted]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_providers_are_listed_with_their_keys_present_or_absent(evalkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    done = evalkit("models", "list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["providers"]}
    assert rows["openai/MODEL"]["key"] == "set"
    assert rows["groq/MODEL"]["key"] == "not set"
    assert KEY not in done.stdout
    assert "OPENAI_API_KEY" in evalkit("models", "list").stdout


def test_ctrl_c_waits_for_what_is_under_way_and_paid(evalkit: Any, tmp_path: Path) -> None:
    provider = Provider(gate=threading.Event())
    assert provider.gate is not None
    with serving(provider) as url:
        command = [sys.executable, "-m", "evalkit", *line(url, "--output", "out")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(provider.seen) < 2 and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        told = process.stderr.readline() if process.stderr else ""
        while told and "stopping after" not in told:
            told = process.stderr.readline() if process.stderr else ""
        provider.gate.set()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130, errors
        assert len(provider.seen) == 2
        assert counters(tmp_path / "out")["cost"]["usd"] > 0
        assert evalkit("run", "--resume", "out", "--quiet").exit_code == 0
    assert len(provider.seen) == 24


PAGE = (Path(__file__).parents[2] / "docs" / "hosted.md").read_text("utf-8")


def test_the_pages_commands_run(evalkit: Any, tmp_path: Path) -> None:
    commands = [shlex.split(one) for one in re.findall(r"^    evalkit (run .*)$", PAGE, re.MULTILINE)]
    commands = [one for one in commands if "batch=true" not in " ".join(one)]  # tests/cli/test_batches.py plays those
    assert len(commands) == 2
    with serving(Provider(headers={"x-ratelimit-remaining-requests": "99"})) as url:
        dry, real = (
            evalkit(*one, "--bundled", "--output", "out", "--model_args", f"base_url={url}/openai/v1")
            for one in commands
        )
    assert (dry.exit_code, real.exit_code) == (0, 0), dry.output + real.output
    assert "USD a million tokens read" in dry.stderr
    assert counters(tmp_path / "out")["cost"]["usd"] == pytest.approx(24 * (16 * 0.15 + 0.6) / 1e6, rel=0.2)


def test_the_pages_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with serving(Provider()) as url:
        more = f'max_cost=1.0, bundled=True, model_args={{"base_url": "{url}/openai/v1"}}'
        exec(code.replace("max_cost=1.0", more), {})
    assert 0 < float(capsys.readouterr().out.splitlines()[-1]) < 0.001


def test_every_provider_is_in_the_pages_table() -> None:
    from evalkit.api.listing import model_rows

    for row in model_rows()["providers"]:
        (line,) = (one for one in PAGE.splitlines() if one.startswith(f"| `{row['name'].partition('/')[0]}/"))
        assert row["provider"] in line
        assert all(variable in line for variable in row["variable"].split(" or ")) or row["key"] == "-"


def test_what_failed_and_why_and_how_to_go_on_are_said(evalkit: Any) -> None:
    faults = [error("openai", 400, "bad_request", "the flux is not aligned")] * 2
    with serving(Provider(faults=faults)) as url:
        failed = evalkit(*line(url, "--limit", "3", "--output", "out"))
        assert failed.exit_code == 1
        assert "triviaqa: 2 items failed: HTTP 400: the flux is not aligned" in failed.stdout
        assert evalkit("retry", "out").exit_code == 0
    with serving(Provider(faults=[error("openai", 401, "invalid_api_key", "no")])) as url:
        refused = evalkit(*line(url, "--limit", "3", "--output", "other"))
    assert refused.exit_code == 2
    assert "evalkit run --resume other" in refused.stderr
    assert "set the environment variable OPENAI_API_KEY" in refused.stderr
