"""Classifiers: transformers' own numbers of each text by itself, and whose class is whose."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models as tiny
import torch
from architectures import ALL, BASE, GPT, HEADS, IDS

import evalkit
from evalkit.backends.hf.classifier import ClassifierBackend
from evalkit.backends.hf.labels import fit, fit_number
from evalkit.backends.hf.loading import Parts
from evalkit.contract.errors import UserError
from evalkit.contract.types import Classify, Response, Score
from evalkit.spec.models import EngineSpec, ModelSpec

BERT = {**BASE, "num_attention_heads": 4, "type_vocab_size": 2}
SMALL = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4}
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", BERT),
    "roberta": ("Roberta", {**BERT, "type_vocab_size": 1}),
    "distilbert": ("DistilBert", {**IDS, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}),
    "electra": ("Electra", {**BERT, "embedding_size": 32}),
    "deberta": ("DebertaV2", {**BERT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "llama": ("Llama", HEADS),
    "llama_unpadded": ("Llama", {**HEADS, "pad_token_id": None}),
    "gpt2": ("GPT2", GPT),
    "opt": ("OPT", {**ALL, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "t5": ("T5", {**IDS, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}),
    "bart": (
        "Bart",
        {**IDS, **SMALL, "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
         "max_position_embeddings": 128},
    ),
}  # fmt: skip
LABELS = (("bad", "negative"), ("good",), ("neither",))
TEXTS = ["abc", "defghij", "abcabc", "k", "xyz", "aabbccddeeffgghhii", "ZYX", "0123456789"]


def tokenizer() -> Any:
    """One token a character, and an end behind every text, which heads of encoder-decoders read at."""
    from tokenizers import processors

    made = tiny.copied_tokenizer()
    end = (tiny.EOS, made.eos_token_id)
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {tiny.EOS}", pair=f"$A:0 {tiny.EOS}:0 $B:1 {tiny.EOS}:1", special_tokens=[end]
    )
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made


def model(kind: str, **settings: Any) -> Any:
    import transformers

    name, given = CLASSIFIERS[kind]
    config = getattr(transformers, f"{name}Config")(
        **{**given, "num_labels": 3, "id2label": {0: "GOOD", 1: "Neither", 2: "bad"}, **settings}
    )
    if kind == "bart":
        config.decoder_start_token_id = tiny.VOCABULARY - 1
    if kind == "t5":
        config.decoder_start_token_id = 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = transformers.AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for weights in made.parameters():
                if weights.dim() > 1:
                    weights.normal_(0, 0.3)
    return made


def backend(made: Any, words: Any, max_length: int | None = 128, **engine: Any) -> ClassifierBackend:
    parts = Parts(copy.deepcopy(made), words, torch.device("cpu"), "random", "tiny", family="classifier")
    return ClassifierBackend(parts, ModelSpec(name="tiny", max_length=max_length), EngineSpec(**engine))


def answers(one: ClassifierBackend, requests: list[Classify]) -> list[Response]:
    found = dict(one.respond(requests))
    return [found[index] for index in range(len(requests))]


def names(made: Any, words: Any) -> Any:
    """The tokenizer as this model is given it: type ids only where it knows them."""
    if getattr(made.config, "type_vocab_size", 0) != 2:
        words.model_input_names = ["input_ids", "attention_mask"]
    return words


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_text_gets_transformers_own_numbers(kind: str) -> None:
    made = model(kind)
    words = names(made, tokenizer())
    asked = [Classify(text, None, LABELS) for text in TEXTS] + [
        Classify(a, b, LABELS) for a in TEXTS for b in TEXTS[:3]
    ]
    expected = []
    for one in asked:
        given = words(one.text, one.pair, return_tensors="pt")
        with torch.inference_mode():
            own = made(**{name: given[name] for name in words.model_input_names}).logits[0].log_softmax(-1)
        expected.append([float(own[2]), float(own[0]), float(own[1])])
    for engine in ({}, {"batch_size": 3}):
        found = answers(backend(made, words, **engine), asked)
        assert np.abs(np.array([one.values for one in found]) - np.array(expected)).max() < 1e-5
    assert len({round(one.values[0], 6) for one in found}) > len(asked) / 2, "the texts matter"


def test_a_number_is_the_model_s_one_output() -> None:
    made = model("bert", num_labels=1, id2label={0: "LABEL_0"})
    words = tokenizer()
    found = answers(backend(made, words), [Classify(text, "abc") for text in TEXTS])
    given = [words(text, "abc", return_tensors="pt") for text in TEXTS]
    with torch.inference_mode():
        expected = [float(made(**{name: one[name] for name in words.model_input_names}).logits[0, 0]) for one in given]
    assert [one.values[0] for one in found] == pytest.approx(expected, abs=1e-5)


def test_a_text_over_the_window_is_cut_left_out_or_an_error() -> None:
    made, long = model("bert"), [Classify("abcdefgh", None, LABELS), Classify("ab", None, LABELS)]
    words = tokenizer()
    cut, short = answers(backend(made, words, 5), long)
    assert (cut.status, cut.prompt_tokens, cut.truncated, short.truncated) == ("ok", 5, 4, 0)
    assert cut.values == answers(backend(made, words), [Classify("abcd", None, LABELS)])[0].values
    for setting, status in (("skip", "unscored"), ("error", "error")):
        one, other = answers(backend(made, words, 5, overlength=setting), long)
        assert (one.status, one.error) == (status, "the text has 9 tokens, the model takes 5")
        assert other.status == "ok"
    assert backend(model("roberta"), words, None).info.max_length < 128, "positions before the padding's are none"


def test_logits_that_are_no_numbers_are_an_error() -> None:
    asked = backend(model("bert"), tokenizer())
    asked._model.classifier.bias.data[0] = float("nan")  # behind the check at load
    (found,) = answers(asked, [Classify("abc", None, LABELS)])
    assert (found.status, found.error) == ("error", "the model's logits are not finite")


def test_it_is_asked_for_classes_alone() -> None:
    with pytest.raises(UserError, match="is a classifier, which gives classes of texts: asked to score"):
        list(backend(model("bert"), tokenizer()).respond([Score("a", "b")]))  # type: ignore[list-item]


# -- whose class is whose ---------------------------------------------------------------------------------------------

TWO = (("negative", "neg"), ("positive", "pos"))


@pytest.mark.parametrize(
    ("given", "places", "by"),
    [
        (["NEGATIVE", "POSITIVE"], (0, 1), "by their names"),
        (["Pos", "neg"], (1, 0), "by their names"),
        (["LABEL_0", "LABEL_1"], (0, 1), "by their order, for they have no names"),
        (["0", "1"], (0, 1), "by their order, for they have no names"),
    ],
)
def test_classes_go_by_name_or_by_order(given: list[str], places: tuple[int, ...], by: str) -> None:
    found = fit("m", TWO, given)
    assert (found.places, found.by) == (places, by)
    assert found.record()["model"] == [given[place] for place in places]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["entailment", "not_entailment"], "its classes are entailment, not_entailment, and the task's negative"),
        (["negative", "other"], "its classes are negative, other"),
        (["negative", "neg"], "its classes are negative, neg"),
        (["LABEL_0", "positive"], "its classes are LABEL_0, positive"),
        (["a", "b", "c"], r"has 3 classes \(a, b, c\), and the task has 2 \(negative, positive\)"),
        (["LABEL_0"], r"gives one number \(regression\), and the task has the classes negative, positive"),
    ],
)
def test_classes_that_do_not_fit_are_refused(given: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"m: {told}"):
        fit("m", TWO, given)


def test_a_number_needs_one_output_and_one_class_each_excludes_the_others() -> None:
    with pytest.raises(UserError, match=r"gives 2 classes .*, and the task asks for a number"):
        fit_number("m", ["a", "b"])
    with pytest.raises(UserError, match="several classes at once"):
        fit("m", TWO, ["negative", "positive"], multiple=True)


# -- whole runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved classifier of sentiment over words that the samples hold."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("classifier")
    lines = (Path(__file__).parents[2] / "tasks" / "sst2" / "sample.jsonl").read_text().splitlines()
    known = sorted({word for line in lines for word in json.loads(line)["sentence"].split()})
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[END]": 2, **{word: place + 3 for place, word in enumerate(known)}}
    made = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", eos_token="[END]"
    )
    words.save_pretrained(path)
    sizes = {**BERT, "vocab_size": len(vocabulary), "pad_token_id": 0, "eos_token_id": 2}
    config = transformers.BertConfig(**sizes, id2label={0: "positive", 1: "negative"})
    torch.manual_seed(5)
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    return path


def test_a_run_scores_records_and_says_whose_class_is_whose(folder: Path, tmp_path: Path, caplog: Any) -> None:
    import transformers

    with caplog.at_level(logging.WARNING, "evalkit.hf"):
        done = evalkit.evaluate(str(folder), ["sst2@bundled"], output=tmp_path / "run")
    assert "its classes go by their names: negative = negative, positive = positive" in caplog.text
    record = done.result.model["details"]
    assert record["labels"] == [
        {"task": ["negative", "positive"], "model": ["negative", "positive"], "outputs": [1, 0], "by": "by their names"}
    ]
    own = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    frame = done.samples("sst2")
    rows = [json.loads(text) if isinstance(text, str) else text for text in frame["document"]]
    with torch.inference_mode():
        said = [1 - int(own(**words(row["sentence"], return_tensors="pt")).logits.argmax()) for row in rows]
    right = [said_one == row["label"] for said_one, row in zip(said, rows, strict=True)]
    metric = done["sst2"]["acc"]
    assert metric.value == pytest.approx(sum(right) / len(rows))
    assert [bool(value) for value in frame["acc,none"]] == right
    assert (metric.baseline, metric.n) == (0.5, len(rows))
    again = evalkit.evaluate(str(folder), ["sst2@bundled"], output=tmp_path / "run")
    assert again["sst2"]["acc"].value == metric.value, "from the journal"


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("boolq", "is a classifier, and the task does not say what a classifier is shown"),
        ("rte", "its classes are positive, negative, and the task's entailment, not_entailment"),
        ("stsb", "gives 2 classes .* and the task asks for a number"),
    ],
)
def test_tasks_that_it_cannot_answer_are_refused_in_a_line(task: str, told: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        evalkit.evaluate(str(folder), [f"{task}@bundled"], output=tmp_path / "run")
    with pytest.raises(UserError, match="sees no examples"):
        evalkit.evaluate(str(folder), ["sst2@bundled"], num_fewshot=2, output=tmp_path / "run")


def test_the_tasks_are_a_language_model_s_too(tmp_path: Path) -> None:
    done = evalkit.evaluate("mock", ["glue@bundled"], output=tmp_path / "run")
    assert {task.info.name for task in done.result.tasks} == {"cola", "sst2", "mrpc", "stsb", "qnli", "rte"}
    assert all(task.n >= 20 and not task.n_error for task in done.result.tasks)
