"""Encoder-decoders: transformers' own numbers of each row by itself, lm-eval's for whole requests, in any batch."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch

from evalkit.backends.hf import load
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Rolling, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec

V, END = tiny.VOCABULARY, tiny.VOCABULARY - 1
T5 = {
    "vocab_size": V, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4,
    "eos_token_id": END, "pad_token_id": END, "decoder_start_token_id": END,
}  # fmt: skip
BART = {
    "vocab_size": V, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_position_embeddings": 96,
    "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": END, "decoder_start_token_id": END,
    "forced_eos_token_id": None,
}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5ForConditionalGeneration", T5),
    "flan-t5": ("T5ForConditionalGeneration", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("MT5ForConditionalGeneration", {**T5, "tie_word_embeddings": False}),
    "bart": ("BartForConditionalGeneration", BART),
    "pegasus": ("PegasusForConditionalGeneration", BART),
}
ENGINES: dict[str, dict[str, Any]] = {"auto": {}, "one": {"batch_size": 1}, "three": {"batch_size": 3}}


@lru_cache
def made(kind: str) -> Any:
    import transformers

    name, settings = KINDS[kind]
    config = getattr(transformers, name.split("For")[0] + "Config")(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = getattr(transformers, name)(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.3)
    return model.eval()


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each kind, with a tokenizer that puts an end behind every text, as T5's does."""
    from tokenizers import processors

    path = tmp_path_factory.mktemp("models") / str(request.param)
    made(request.param).save_pretrained(path)
    tokenizer = tiny.copied_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {tiny.EOS}", special_tokens=[(tiny.EOS, END)]
    )
    tokenizer.save_pretrained(path)
    return path


def opened(folder: Path, **engine: Any) -> Any:
    return load(ModelSpec(name=str(folder)), EngineSpec(**engine))


def alone(model: Any, context: list[int], continuation: list[int]) -> float:
    """The log-likelihood of one continuation by transformers' own forward with labels."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([context]), labels=torch.tensor([continuation])).logits[0]
    return float(logits.log_softmax(-1)[torch.arange(len(continuation)), torch.tensor(continuation)].sum())


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_scored_and_continued_as_by_themselves(folder: Path, engine: str) -> None:
    backend, model = opened(folder, **ENGINES[engine]), made(folder.name)
    draw = np.random.default_rng(2).integers(1, V - 1, 200).tolist()
    pairs = [(draw[:9], draw[50:52]), (draw[:9], draw[52:59]), (draw[10:40], draw[60:61]), (draw[3:5], draw[70:80])]
    rows = [tiny.score_row([*context, *continuation], len(context)) for context, continuation in pairs]
    found = [one.loglikelihood for one in tiny.answers(backend.score, rows)]
    assert found == pytest.approx([alone(model, *pair) for pair in pairs], abs=1e-3)
    prompts = [draw[:9], draw[20:60], draw[5:7], draw[:9]]
    texts = []
    for prompt in prompts:
        with torch.inference_mode():
            made_of_it = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=8, num_beams=1)[0, 1:]
        texts.append(tiny.tokenizer().decode([t for t in made_of_it.tolist() if t != END], skip_special_tokens=True))
    got = tiny.answers(backend.generate, [tiny.generate_row(prompt, 8) for prompt in prompts])
    assert [one.text for one in got] == texts
    assert texts[0] == texts[3]


def test_requests_are_answered_as_lm_eval_does(folder: Path) -> None:
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="the comparison needs lm-eval")
    from lm_eval.api.instance import Instance

    theirs = huggingface.HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1)
    assert theirs.backend == "seq2seq"
    pairs = [("The", "cat"), ("Thecatsat", "onamat."), ("x" * 40, "yes"), ("Thecatsat", "no")]
    asked = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
    spec = EngineSpec()
    ours = answer(opened(folder), [Score(*pair) for pair in pairs], None, spec)
    for mine, (loglikelihood, greedy) in zip(ours, theirs.loglikelihood(asked, disable_tqdm=True), strict=True):
        assert mine.loglikelihood == pytest.approx(loglikelihood, abs=1e-3)
        assert mine.is_greedy == greedy
    until = {"until": ["!"], "max_gen_toks": 6, "do_sample": False}
    prompts = ["The", "Thecatsatonamat", "abc"]
    wanted = theirs.generate_until(
        [Instance("generate_until", {}, (prompt, until), index) for index, prompt in enumerate(prompts)],
        disable_tqdm=True,
    )
    made_by_us = answer(opened(folder), [Generate(prompt, ("!",), 6) for prompt in prompts], None, spec)
    for mine, text in zip(made_by_us, wanted, strict=True):
        # lm-eval lets a decoder write as many tokens more as its prompt has (`max_length` counts the prompt too).
        assert mine.text is not None
        assert text.startswith(mine.text) if mine.finish == "length" else text == mine.text


def test_a_long_context_loses_its_beginning_and_not_for_a_long_continuation(tmp_path: Path) -> None:
    path = tmp_path / "bart"
    made("bart").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    backend = load(ModelSpec(name=str(path), max_length=20), EngineSpec())
    pairs = [("ab" * 10, "cd" * 9), ("x" + "ab" * 10, "cd" * 9), ("ab", "cd" * 11)]
    one, other, third = answer(backend, [Score(*pair) for pair in pairs], None, EngineSpec())
    assert (one.truncated, other.truncated) == (0, 1)
    assert one.loglikelihood == other.loglikelihood
    assert third.status == "error"
    whole = answer(backend, [Rolling("ab" * 30)], None, EngineSpec())[0]
    assert whole.status == "ok"


def test_what_only_decoders_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t5"
    made("t5").save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    with pytest.raises(UserError, match="--prompt-lookup"):
        load(ModelSpec(name=str(path), prompt_lookup=4), EngineSpec())
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "num_decoder_layers": 3}))
    with pytest.raises(UserError, match=r"lack \d+ weights of T5ForConditionalGeneration \(decoder\.block\.2"):
        load(ModelSpec(name=str(path)), EngineSpec())
