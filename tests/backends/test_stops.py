"""Where a generation ends: stop strings as text, as special tokens, as both, and cut by tokens or within letters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import tiny_models as tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.backends.hf.backend import HfBackend
from evalkit.backends.hf.generation import Generation
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.tokens import Tokens
from evalkit.backends.stops import StopScan, before_stops, cut_at_stops
from evalkit.contract.types import UNFINISHED, Sampling
from evalkit.spec.models import EngineSpec, ModelSpec

SPECIAL = {900: "<|im_end|>", 901: "<|tool|>"}


def decode(tokens: Sequence[int], special: bool = False) -> str:
    """A byte a token, but for special ones."""
    text, held = "", b""
    for token in tokens:
        if token in SPECIAL:
            text += held.decode("utf-8", "replace") + (SPECIAL[token] if special else "")
            held = b""
        elif token < 256:
            held += bytes([token])
    return text + held.decode("utf-8", "replace")


def ids(text: str) -> list[int]:
    """The tokens of a text; names of special tokens are these."""
    for token, name in SPECIAL.items():
        if name in text:
            before, after = text.split(name, 1)
            return [*ids(before), token, *ids(after)]
    return list(text.encode())


def scanned(text: str, until: Sequence[str], **settings: Any) -> StopScan:
    scan = StopScan(until, decode, **settings)
    scan.extend(ids(text))
    return scan


@pytest.mark.parametrize(
    ("made", "until", "text", "taken"),
    [
        (" 42<|im_end|>789", ["<|im_end|>"], " 42", 4),
        (" 42\n<|im_end|>789", ["\n<|im_end|>"], " 42", 5),
        (" 42<|im_end|>\n789", ["<|im_end|>\n"], " 42", 5),
        ("<|tool|>so<|im_end|>x", ["<|im_end|>"], "so", 4),
        (" 42é789", ["é"], " 42", 5),
        (" 42<|im_end|>7\n8", ["\n", "<|im_end|>"], " 42", 4),
        ("a😀b", ["😀"], "a", 5),
        ("ab", ["bc"], "ab", 2),
        ("Q: x", ["Q:"], "", 2),
        ("the end", [""], "the end", 7),
    ],
)
def test_a_row_ends_with_its_first_stop_string(made: str, until: list[str], text: str, taken: int) -> None:
    scan = scanned(made, until)
    answer = scan.answer()
    assert (answer.text, answer.output_tokens) == (text, taken)


def test_an_ending_token_is_no_part_of_the_text_and_nothing_is_taken_after_the_end() -> None:
    scan = scanned("ab<|im_end|>cd", [], ends=frozenset([900]))
    assert (scan.answer().text, scan.answer().output_tokens, scan.finish) == ("ab", 2, "stop")
    assert scan.add(65)
    assert scan.answer().text == "ab"


def test_length_ends_a_row_and_a_stop_string_at_the_last_token_is_a_stop() -> None:
    assert scanned("abcdef", ["z"], max_tokens=3).finish == "length"
    assert scanned("abcdef", ["c"], max_tokens=3).finish == "stop"


def test_ids_that_are_no_text_do_not_hide_a_stop_string() -> None:
    scan = StopScan(["ab"], decode, size=902)
    assert not scan.extend([97, *[5000] * 40])
    assert scan.add(98)


TEXT = st.text(alphabet="ab\né😀x ", max_size=20)


@settings(max_examples=300, deadline=None)
@given(TEXT, st.lists(st.text(alphabet="ab\né😀", min_size=1, max_size=3), max_size=3))
def test_token_by_token_gives_the_text_cut_at_once(text: str, until: list[str]) -> None:
    ends = [text.find(stop) + len(stop) for stop in until if stop in text]
    said = text[: min(ends)] if ends else text
    scan = scanned(text, until)
    assert scan.answer().text == cut_at_stops(said, until)
    # Behind blanks alone a thought may begin, within which no stop counts: the next token tells.
    assert decode(scan.tokens) == said or (not said.strip() and decode(scan.tokens).startswith(said))
    assert before_stops(ids(text), until, decode) == cut_at_stops(text, until)


def going_on(text: str) -> Any:
    """A tiny model that says the next character of a fixed circle after each character, whatever comes before."""
    model = copy.deepcopy(tiny.model("llama"))
    tokens = tiny.tokenizer()(text)["input_ids"]
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for place, token in enumerate(dict.fromkeys(tokens)):
            model.model.embed_tokens.weight[token, place] = 1.0
        for one, following in zip(tokens, [*tokens[1:], tokens[0]], strict=True):
            model.lm_head.weight[following, list(dict.fromkeys(tokens)).index(one)] = 1.0
    return model


@pytest.mark.parametrize("engine", [{}, {"share_prefixes": False}, {"share_prefixes": False, "batch_size": 1}])
@pytest.mark.parametrize("until", [("e",), ("de",), ("zz",), ("c", "e")])
def test_both_paths_stop_alike(engine: dict[str, Any], until: tuple[str, ...]) -> None:
    backend = tiny.backend(going_on("abcdefg"), max_length=64, **engine)
    rows = [tiny.generate_row(backend.encode([text])[0], 9, until) for text in ("ga", "gab", "efga", "abcd")]
    texts = {"ga": "bcdefgabc", "gab": "cdefgabcd", "efga": "bcdefgabc", "abcd": "efgabcdef"}
    for row, answer in zip(rows, tiny.answers(backend.generate, rows), strict=True):
        whole = texts[backend.decode(row.tokens.tolist())]
        cut = cut_at_stops(whole, until)
        assert answer.text == cut
        assert answer.finish == ("length" if cut == whole else "stop")


@pytest.mark.parametrize("engine", [{}, {"share_prefixes": False}])
def test_the_models_own_generation_settings_hold_on_both_paths(engine: dict[str, Any]) -> None:
    model = going_on("abcdefg")
    model.lm_head.weight.data[tiny.CHARACTERS.index("k"), 2] = 0.5  # after c, where d must not come
    model.generation_config.suppress_tokens = [tiny.CHARACTERS.index("d")]
    backend = tiny.backend(model, max_length=64, **engine)
    assert backend.info.details["generation_config"] == {"suppress_tokens": [tiny.CHARACTERS.index("d")]}
    answer = tiny.answers(backend.generate, [tiny.generate_row(backend.encode(["ab"])[0], 2)])[0]
    assert answer.text == "ck"


@pytest.mark.parametrize("engine", [{}, {"share_prefixes": False}])
def test_the_tokenizers_end_of_text_ends_where_the_model_names_none(engine: dict[str, Any]) -> None:
    model = going_on("abcd")
    end = tiny.VOCABULARY - 1
    model.lm_head.weight.data[:, 3] = 0
    model.lm_head.weight.data[end, 3] = 1.0  # after d
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    backend = tiny.backend(model, max_length=64, **engine)
    answer = tiny.answers(backend.generate, [tiny.generate_row(backend.encode(["ab"])[0], 9)])[0]
    assert (answer.text, answer.finish, answer.output_tokens) == ("cd", "stop", 2)


def test_sampling_settings_of_the_models_own_count_for_sampled_rows_only() -> None:
    model = copy.deepcopy(tiny.model("llama"))
    model.generation_config.min_p = 0.2
    generation = Generation(model, Tokens(tiny.tokenizer()))
    assert not generation.only_by_generate(tiny.generate_row([1, 2]))
    assert generation.only_by_generate(tiny.generate_row([1, 2], sampling=Sampling(temperature=1.0)))
    assert generation.only_by_generate(tiny.generate_row([1], sampling=Sampling(extra=(("num_beams", 2),))))


@pytest.mark.parametrize("engine", [{}, {"share_prefixes": False}, {"share_prefixes": False, "batch_size": 1}])
def test_both_paths_count_stops_behind_the_thought_alike(engine: dict[str, Any]) -> None:
    model = ModelSpec(name="tiny", max_length=64, think_start="bc", think_end="ef")
    parts = Parts(going_on("abcdefg"), tiny.tokenizer(), torch.device("cpu"), "made", "llama")
    backend = HfBackend(parts, model, EngineSpec(**engine))
    asked = [("ga", 12, ("d", "a")), ("gabc", 12, ("d", "a")), ("fg", 3, ("d",)), ("ga", 3, ("d",)), ("cd", 6, ("b",))]
    rows = [tiny.generate_row(backend.encode([text])[0], most, until) for text, most, until in asked]
    found = tiny.answers(backend.generate, rows)
    assert [(one.text, one.thought, one.finish) for one in found] == [
        ("g", "bcdef", "stop"),
        ("g", "def", "stop"),  # the prompt ends with the mark of a thought
        ("abc", None, "length"),
        ("", "bcd", UNFINISHED),
        ("efga", None, "stop"),
    ]
