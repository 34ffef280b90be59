"""`evalkit bench` and `evalkit estimate`: the arithmetic, on the mock model and on configurations alone."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner
from virtual_clock import virtual_time

from evalkit.bench import tables
from evalkit.bench.bench import Bench, Measured, Plan, bench
from evalkit.bench.estimate import estimate
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec

DELAY = 0.002


@pytest.fixture(scope="module")
def done() -> Bench:
    spec = ModelSpec(name="mock", backend="mock", args={"delay_s": DELAY})
    with pytest.MonkeyPatch.context() as patch:
        virtual_time(patch)
        return bench(spec, EngineSpec(), Plan((20, 40), (8,), (1, 2), (0, 16), warmup=0, repetitions=2))


def test_every_combination_is_measured_under_llama_benchs_names(done: Bench) -> None:
    names = [(test.name, test.batch, test.depth) for test in done.tests]
    assert names[:3] == [("pp20", 1, 0), ("pp40", 1, 0), ("tg8", 1, 0)]
    assert names[-1] == ("tg8 @ d16", 2, 16)
    assert len(names) == 2 * 2 * 3


def test_known_delays_give_speed_and_latency(done: Bench) -> None:
    reading = next(test for test in done.tests if test.name == "pp40" and test.batch == 1)
    assert reading.mean == pytest.approx(1 / DELAY)
    deep = next(test for test in done.tests if test.name == "pp40 @ d16" and test.batch == 2)
    assert deep.mean == pytest.approx(1 / DELAY)
    writing = next(test for test in done.tests if test.name == "tg8" and test.batch == 1)
    assert writing.mean == pytest.approx(1 / DELAY)
    assert writing.latencies["itl"]["p50_s"] == pytest.approx(DELAY)
    assert writing.latencies["tpot"]["mean_s"] == pytest.approx(DELAY)


def test_mean_and_deviation_are_of_the_raw_speeds() -> None:
    test = Measured("pp100", "pp", 100, 2, 0, (1.0, 2.0))
    assert test.speeds == (200.0, 100.0)
    assert test.mean == 150.0
    assert test.deviation == pytest.approx(70.7107, abs=1e-4)
    assert tables.speed(test) == "150.00 ± 70.71"
    assert Measured("pp1", "pp", 1, 1, 0, (1.0,)).deviation is None


def test_json_and_csv_keep_the_raw_values(done: Bench) -> None:
    plain = json.loads(tables.as_json(done))
    assert len(plain["tests"][0]["tokens_per_s"]) == len(plain["tests"][0]["seconds"]) == 2
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(done))))
    assert rows[0]["test"] == "pp20"
    assert len(rows[0]["samples_ts"].split()) == 2
    assert tables.as_markdown(done).startswith("| model | size | params | backend |")


def test_a_test_longer_than_the_window_is_refused() -> None:
    spec = ModelSpec(name="mock", backend="mock", max_length=64)
    with pytest.raises(UserError, match="pp100 is longer than the model's window of 64"):
        bench(spec, EngineSpec(), Plan((100,), (8,)))


def test_the_command_line(tmp_path: Path) -> None:
    line = ["bench", "--model", "mock", "-p", "16", "-n", "4", "-r", "2", "-o", "csv", "--to", str(tmp_path / "b.csv")]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "b.csv").read_text().startswith("model,size,params")
    refused = CliRunner().invoke(app, ["bench", "--model", "mock", "-p", "many"])
    assert refused.exit_code == 2
    assert "--n-prompt many: write whole numbers" in refused.stderr


CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
"""The published shape of Llama-3.1-8B."""


@pytest.fixture
def config_folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def test_an_estimate_of_an_8b_shape_is_its_known_size(config_folder: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers (pip install 'evalkit-harness[hf]')")
    found = estimate(ModelSpec(name=str(config_folder)), context=8192, batch=4)
    assert found.parameters == 8_030_261_248
    assert found.weight_bytes == 2 * 8_030_261_248
    assert found.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2
    assert found.kv_bytes == 4 * 8192 * 131_072
    assert found.attention == "grouped"
    assert not found.fits["16 GB"]
    assert found.fits["40 GB"]
    assert found.total_bytes == found.weight_bytes + found.kv_bytes + found.activation_bytes


def test_quantization_shrinks_the_linear_layers_alone(config_folder: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers (pip install 'evalkit-harness[hf]')")
    found = estimate(ModelSpec(name=str(config_folder), quant="nf4"), context=1, batch=1)
    embeddings = 2 * 128_256 * 4096
    linear = 32 * (4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336)
    norms = 8_030_261_248 - embeddings - linear
    assert found.weight_bytes == (embeddings + norms) * 2 + int(linear * 4.5 / 8)


def test_an_unreadable_configuration_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs transformers (pip install 'evalkit-harness[hf]')")
    (tmp_path / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(UserError, match="configuration cannot be read"):
        estimate(ModelSpec(name=str(tmp_path)), 10, 1)
