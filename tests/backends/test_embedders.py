"""Embedders: pooling beside sentence-transformers' own, servers over HTTP, instructions, windows, refusals."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from evalkit.backends import opening
from evalkit.contract.embedding import Collection
from evalkit.contract.errors import UserError
from evalkit.contract.types import Embed, Response, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec

TEXTS = ["A cat sat.", "The dog of my neighbour barks at night, and I cannot sleep.", "Rain", "A cat sat."]


def opened(name: str, engine: EngineSpec = EngineSpec(), **more):
    return opening.open_backend(ModelSpec(name=name, **more), engine)


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A small BERT with random weights, and a tokenizer of words."""
    pytest.importorskip("torch")
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for text in TEXTS for word in text.replace(".", " .").replace(",", " ,").split()})
    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        eos_token="[SEP]", model_max_length=12,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(1)
    BertModel(
        BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                   intermediate_size=64, max_position_embeddings=32, initializer_range=0.3)
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.mark.parametrize(("pooling", "theirs"), [("mean", "mean"), ("last", "lasttoken"), ("cls", "cls")])
def test_pooling_is_sentence_transformers(bert, pooling, theirs, tmp_path):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(bert), max_seq_length=12)
    whole = SentenceTransformer(modules=[body, Pooling(32, pooling_mode=theirs)], device="cpu")
    expected = whole.encode(TEXTS)
    ours = opened(f"embed:{bert}", args={"pooling": pooling})
    assert np.abs(ours.embed(TEXTS) - expected).max() < 1e-5
    whole.save(str(tmp_path / "st"))
    again = opened(f"st:{tmp_path / 'st'}")
    assert np.abs(again.embed(TEXTS) - expected).max() < 1e-5
    assert again.info.details["modules"] == ["Transformer", "Pooling"]


def test_instructions_and_the_fingerprint(bert):
    plain = opened(f"embed:{bert}")
    asked = opened(f"embed:{bert}", args={"query_prefix": "A dog ", "prefix": "Rain "})
    assert np.allclose(asked.embed(["sat."], "query"), plain.embed(["A dog sat."]), atol=1e-6)
    assert np.allclose(asked.embed(["sat."], "passage"), plain.embed(["Rain sat."]), atol=1e-6)
    assert asked.info.fingerprint != plain.info.fingerprint
    assert asked.info.details["query_prefix"] == "A dog "


def test_a_text_over_the_window_is_cut_and_counted_or_left_out(bert):
    long = "A cat sat . " * 5

    def asked(overlength: str) -> Response:
        backend = opened(f"embed:{bert}", EngineSpec(overlength=overlength))
        request = Embed(long, "first", lambda one: Response(values=(float(one.embed([long])[0, 0]),)), ((long, ""),))
        return answer(backend, [request], None, EngineSpec())[0]

    cut = asked("truncate")
    assert (cut.status, cut.prompt_tokens, cut.truncated) == ("ok", 12, 22 - 12)
    assert asked("skip").status == "unscored"
    assert asked("error").status == "error"


def test_a_decoder_pooled_at_its_last_token_does_not_see_its_padding(smollm2_folder):
    backend = opened("embed:smollm2-135m", args={"pooling": "last", "append_eos": True})
    together, alone = backend.embed(TEXTS), backend.embed(TEXTS[:1])
    assert np.abs(together[0] - alone[0]).max() < 1e-3
    assert np.array_equal(together[0], together[3])
    assert together.shape == (4, 576)


def test_what_it_computes_from_and_what_fails(bert):
    backend = opened(f"embed:{bert}")
    shared = Collection("one", tuple(TEXTS[:3]))

    def nearest(one) -> Response:
        scores = one.collection(shared) @ one.embed(["Rain"], "query")[0]
        return Response(text=str(int(scores.argmax())), values=tuple(scores.tolist()))

    def fails(one) -> Response:
        raise ZeroDivisionError("no")

    requests = [Embed("Rain", "nearest", nearest, (("Rain", "query"),)), Embed("b", "fails", fails)]
    first, second = answer(backend, requests, None, EngineSpec())
    assert (first.status, first.prompt_tokens, len(first.values)) == ("ok", 3, 3)
    assert (second.status, second.error) == ("error", "ZeroDivisionError: no")
    with pytest.raises(UserError, match="gives vectors"):
        list(backend.respond([Score("a", "b")]))


class Handler(BaseHTTPRequestHandler):
    """A server of vectors: each text's counts of letters. "down" is refused."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/embeddings" or body["model"] != "letters":
            self._send(404, {"error": {"message": "no such model"}})
            return
        if "down" in body["input"]:
            self._send(400, {"error": {"message": "not this text"}})
            return
        data = [
            {"index": place, "embedding": [text.count(letter) + 0.5 for letter in "aeiou"]}
            for place, text in enumerate(body["input"])
        ]
        self._send(200, {"data": data[::-1], "usage": {"prompt_tokens": 3 * len(data)}})

    def _send(self, status: int, reply: object) -> None:
        text = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *given: object) -> None:
        """Nothing is told."""


@pytest.fixture
def url() -> Iterator[str]:
    pytest.importorskip("aiohttp")
    pytest.importorskip("tenacity")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()


def test_a_server_of_embeddings(url):
    backend = opened(f"embeddings:{url}/embeddings", EngineSpec(batch_size=2), args={"model": "letters", "prefix": "e"})
    assert backend.embed(["aa", "i", "aa", "o"]).tolist() == [
        [2.5, 1.5, 0.5, 0.5, 0.5], [0.5, 1.5, 1.5, 0.5, 0.5], [2.5, 1.5, 0.5, 0.5, 0.5], [0.5, 1.5, 0.5, 1.5, 0.5]
    ]  # fmt: skip
    backend.close()
    backend = opened(f"embeddings:{url}", args={"model": "letters"})
    bad = Embed("x", "x", lambda one: Response(values=(1.0,)), (("down", ""),))
    (found,) = answer(backend, [bad], None, EngineSpec())
    assert (found.status, "not this text" in found.error) == ("error", True)
    backend.close()
    with pytest.raises(UserError, match="not this model"):
        opened(f"embeddings:{url}", args={"model": "other"})
    with pytest.raises(UserError, match="which of the server's models"):
        opened(f"embeddings:{url}")


@pytest.mark.parametrize(
    ("args", "message"),
    [({"pooling": "max"}, "pooling"), ({"poling": "mean"}, "did you mean pooling"), ({"dim": 3}, "does not know dim")],
)
def test_arguments_are_checked(bert, args, message):
    with pytest.raises(UserError, match=message):
        opened(f"embed:{bert}", args=args)


def test_pickled_weights_are_refused(tmp_path):
    pytest.importorskip("sentence_transformers")
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "pytorch_model.bin").write_bytes(b"0")
    with pytest.raises(UserError, match="pickled"):
        opened(f"st:{tmp_path}")
