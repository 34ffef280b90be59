"""A judge that is paid by the token: its price before and after, and a limit that it keeps to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from provider_server import KEY, Provider, Reply, serving
from typer.testing import CliRunner, Result

from evalkit.cli.app import app


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def run(url: str, *words: object) -> Result:
    model = ("--model", "openai/small-1", "--model_args", f"base_url={url}/openai/v1,num_concurrent=1")
    return CliRunner().invoke(app, ["judge", *map(str, words), *model, "--price", "in=1,out=10"])


def test_a_limit_is_kept_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "verdicts.json"
    pairs.write_text("".join(json.dumps({"question": f"q{n}", "a": "x", "b": "y"}) + "\n" for n in range(6)))
    provider = Provider(answer=lambda prompt: Reply("[[A]]"))
    with serving(provider) as url:
        first = run(url, "pairwise", pairs, "-o", out, "--max-cost", "0.002")
        assert first.exit_code == 130, first.output
        assert "ahead (pairwise), 12 prompts:" in first.output
        assert "cost: " in first.output
        assert "USD a million tokens read, 10 written (--price)" in first.output
        assert "stopped at --max-cost 0.002 USD" in first.output
        asked = len(provider.seen)
        assert 0 < asked < 12
        last = run(url, "pairwise", pairs, "-o", out, "--max-cost", "1")
        assert last.exit_code == 0, last.output
    assert len(provider.seen) == 12
    found = json.loads(out.read_text())
    cost = found["record"]["cost"]
    assert cost["cost"]["usd"] == pytest.approx((cost["prompt_tokens"] + 10 * cost["output_tokens"]) / 1e6)
    assert "the judge: cost: " in last.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "verdicts.json"]


def test_a_limit_needs_a_place_for_replies(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"question": "q", "a": "x", "b": "y"}\n')
    done = run("http://127.0.0.1:9", "pairwise", pairs, "--max-cost", "1")
    assert done.exit_code == 2
    assert "--max-cost: give --output too" in done.output


def test_one_limit_for_models_and_judge(tmp_path: Path) -> None:
    provider = Provider(answer=lambda prompt: Reply("[[7]]"))
    with serving(provider) as url:
        model = tmp_path / "small.yaml"
        model.write_text(
            f"model: openai/small-1\nmodel_args: {{base_url: {url}/openai/v1, num_concurrent: 1}}\n"
            "price: {in: 1, out: 10}\nlabel: small\n"
        )
        words = ("chat", "two_turn", "--of", model, "-o", tmp_path / "out", "--limit", 3, "--answer-tokens", 8)
        first = run(url, *words, "--max-cost", "0.0013")
        assert first.exit_code == 130, first.output
        assert "small: cost: " in first.output  # the answers were paid, the judge stopped
        assert "--max-cost" in first.output
        asked = len(provider.seen)
        last = run(url, *words, "--max-cost", "1")
        assert last.exit_code == 0, last.output
    assert 6 <= asked < 12
    assert len(provider.seen) == 12  # six answers, six grades, none asked twice
    found = json.loads((tmp_path / "out" / "chat.json").read_text())
    assert [(one["model"], one["graded"]["mean"]["value"]) for one in found["standings"]] == [("small", 7.0)]


def test_answers_have_a_bill_too(tmp_path: Path) -> None:
    with serving(Provider(answer=lambda prompt: Reply("Paris"))) as url:
        done = run(url, "answer", "-o", tmp_path / "answers.jsonl", "--max-tokens", "8")
    assert done.exit_code == 0, done.output
    assert done.output.count("ahead (answers), 12 prompts:") == 2  # a turn each
    assert "answers: cost: " in done.output
