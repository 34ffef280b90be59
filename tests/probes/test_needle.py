"""Needles: exact lengths, prefixes that are the same, scripted models that find everything, nothing, or by depth."""

from __future__ import annotations

import random

import pytest
from probe_runs import metrics_of

from evalkit.backends import mock
from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle, Response
from evalkit.probes.needle import layout, puzzles
from evalkit.probes.needle.family import KINDS
from evalkit.probes.needle.task import Grid, NeedleTask, effective_length, holds
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.task.catalog import Catalog, resolve


class NoData:
    name = "none"

    def load(self, dataset, split):
        raise AssertionError("a needle needs no data")


def backend(tokenizer: str = "word", **args):
    return mock.load(ModelSpec(name="mock", backend="mock", args={"tokenizer": tokenizer, **args}), EngineSpec())


def prompts(grid: Grid, tokenizer: str = "word", style: PromptStyle | None = None):
    model = backend(tokenizer)
    task = NeedleTask("needle", grid)
    documents = task.documents(NoData())
    style = style or PromptStyle(encode=model.encode, max_length=16384)
    return model, task, documents, list(task.requests(documents, style))


@pytest.mark.parametrize("tokenizer", ["word", "byte"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_prompt_is_exactly_as_long_as_its_cell(kind, tokenizer):
    lengths = (900, 1300) if tokenizer == "word" else (1500, 2100)
    grid = Grid(kind=kind, lengths=lengths, depths=(0, 50, 100), repeats=1)
    model, _, documents, asked = prompts(grid, tokenizer)
    for document, (request,) in zip(documents, asked, strict=True):
        assert len(model.encode([request.context])[0]) + grid.max_tokens == document.data["length"]
        for needle in document.data["needles"]:
            assert needle in request.context


def test_kinds_match_the_puzzles():
    assert set(KINDS) == set(puzzles.KINDS)


def test_a_chat_prompt_is_exact_too():
    model = backend()
    style = PromptStyle(chat=model.chat, system="Be brief.", encode=model.encode)
    _, _, documents, asked = prompts(Grid(lengths=(600,), depths=(50,), repeats=1, prefix=True), style=style)
    for (request,) in asked:
        assert len(model.encode([request.context])[0]) == 600 - 32
        assert request.messages[0].content == "Be brief."
        assert "Begin your answer with these words" in request.messages[1].content
    assert len(documents) == 2


def test_depths_questions_and_lengths_share_what_stands_before_the_needle():
    grid = Grid(lengths=(700, 1200), depths=(0, 50, 100), repeats=1)
    _, _, documents, asked = prompts(grid)
    by_cell = {
        (d.data["length"], d.data["depth"], d.data["number"]): request.context
        for d, (request,) in zip(documents, asked, strict=True)
    }

    def common(one: str, other: str) -> int:
        return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))

    needle = documents[0].data["needles"][0]
    for length in (700, 1200):
        half, end = by_cell[length, 50, 0], by_cell[length, 100, 0]
        assert common(half, end) >= half.index(needle)
        # Two questions about one haystack part only where the text ends.
        assert common(half, by_cell[length, 50, 1]) > half.index("Question:") - 80
    short, long = by_cell[700, 100, 0], by_cell[1200, 100, 0]
    assert common(short, long) >= short.index(needle)


def test_a_needle_lies_at_its_depth():
    _, _, documents, asked = prompts(Grid(lengths=(2000,), depths=(0, 25, 50, 75, 100), repeats=1))
    for document, (request,) in zip(documents, asked, strict=True):
        filling = request.context.split("\n\n")[1]
        share = filling.index(document.data["needles"][0]) / (len(filling) - len(document.data["needles"][0]))
        assert share == pytest.approx(document.data["depth"] / 100, abs=0.05)


def test_without_a_tokenizer_the_length_is_estimated_and_said_to_be():
    _, task, documents, asked = prompts(Grid(lengths=(512,), depths=(50,), repeats=1), style=PromptStyle())
    assert len(asked[0][0].context) == pytest.approx(4 * (512 - 32), abs=8)
    sample = task.score(documents[0], asked[0], [Response(text="nothing", prompt_tokens=470)])
    assert sample.extra["exact"] is False
    assert "estimated" in next(m for m in task.summarize([sample]) if m.name == "effective_length").signature


def test_what_does_not_fit_the_window_is_unscored_and_not_asked():
    model = backend()
    style = PromptStyle(encode=model.encode, max_length=600)
    _, task, documents, asked = prompts(Grid(lengths=(512, 1024), depths=(0,), repeats=1), style=style)
    assert [len(requests) for requests in asked] == [1, 1, 0, 0]
    assert task.score(documents[2], (), ()).status == "unscored"
    assert "1024" in task.score(documents[2], (), ()).error


def test_a_length_too_short_for_the_question_is_a_users_error():
    with pytest.raises(UserError, match="too few"):
        prompts(Grid(kind="variables", lengths=(64,), depths=(0,), repeats=1))


def test_a_text_of_ones_own(tmp_path):
    (tmp_path / "a.txt").write_text("First sentence here. " * 400)
    *_, asked = prompts(Grid(lengths=(512,), depths=(50,), repeats=1, text=tmp_path))
    assert "First sentence here. First sentence here." in asked[0][0].context
    (tmp_path / "a.txt").write_text("Too short.")
    with pytest.raises(UserError, match="more text"):
        prompts(Grid(lengths=(512,), depths=(50,), repeats=1, text=tmp_path))
    with pytest.raises(UserError, match="holds no text"):
        layout.from_folder(tmp_path / "nothing") if (tmp_path / "nothing").mkdir() is None else None


@pytest.mark.parametrize(
    ("reply", "answer", "found"),
    [
        ("It is 12345.", "12345", True),
        ("It is 12,345.", "12345", True),
        ("It is 123456.", "12345", False),
        ("the AMBER door", "amber", True),
        ("chamber", "amber", False),
        ("", "amber", False),
    ],
)
def test_answers_are_whole_words(reply, answer, found):
    assert holds(reply, answer) is found


def test_the_effective_length_has_no_hole_below_it():
    always, never = [1.0] * 50, [0.0] * 50
    assert effective_length({512: always, 1024: always, 2048: never}, 0.85) == (1024.0, (1024.0, 1024.0))
    assert effective_length({512: never, 1024: always}, 0.85) == (0.0, (0.0, 0.0))
    value, interval = effective_length({512: always, 1024: [1.0] * 9 + [0.0]}, 0.85)
    assert (value, interval) == (1024.0, (512.0, 1024.0))
    assert effective_length({}, 0.85) == (None, None)


def test_words_come_up_more_often_than_the_rest():
    puzzle = puzzles.words(random.Random(3), 3)
    pieces = [piece for _, piece in zip(range(150), puzzles.filling("words", puzzle, 1), strict=False)]
    counts = {word: pieces.count(f"{word},") for word in {piece.rstrip(",") for piece in pieces}}
    assert set(sorted(counts, key=counts.get, reverse=True)[:3]) == set(puzzle.questions[0].answers)


SMALL = "needle:single:lengths=512+1024:depths=0+50+100:repeats=1"


def test_a_model_that_never_finds_scores_nothing():
    metrics = metrics_of(SMALL, {"text": "I do not know."}, tokenizer="word")
    assert (metrics["found"], metrics["recall"], metrics["effective_length"]) == (0.0, 0.0, 0.0)


def test_a_model_that_reads_only_short_texts_has_a_short_effective_length():
    (row, *_) = [d.data for d in NeedleTask("x", Grid(lengths=(512,), repeats=1)).documents(NoData())]
    other = [d.data for d in NeedleTask("x", Grid(lengths=(512,), repeats=1)).documents(NoData())][1]
    reply = f"{row['answers'][0]}, {other['answers'][0]}"
    script = [{"match": r"(?s)^.{1600,}", "text": "no idea"}, {"text": reply}]
    metrics = metrics_of(SMALL, *script, tokenizer="word")
    assert metrics["found_512"] == 1.0
    assert metrics["found_1024"] == 0.0
    assert metrics["effective_length"] == 512.0
    assert metrics["found"] == 0.5


def test_names_are_checked():
    for name, message in {
        "needle:lengths=5": "64 or more",
        "needle:haystack": "choose one of",
        "needle:depths=120": "0 to 100",
        "needle:lenghts=512": "did you mean lengths",
        "needle:single:single": "NAME=VALUE",
        "needle:seed=1:seed=2": "given twice",
        "needle:text=/no/such/folder": "no file or folder",
    }.items():
        with pytest.raises(UserError, match=message):
            Catalog.of().require(name)


def test_the_group_has_every_kind():
    spec = RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": "needle"}], "sample": True})
    assert [task.info.name for task in resolve(spec).tasks] == [f"needle:{kind}" for kind in KINDS]


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("needle:passkey", None),
        ("needle:single:lengths=512+1024+2048:depths=0+50:repeats=1", "needle single 512 to 2,048"),
        ("needle:multi:lengths=4096:prefix=yes:seed=3", "needle multi 4,096, prefix yes, seed 3"),
        ("needle:words:repeats=2", "needle words"),
    ],
)
def test_reports_call_a_grid_by_a_short_name(name, alias):
    (task,) = resolve(RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": name}]})).tasks
    assert (task.info.name, task.info.alias) == (name, alias)


@pytest.mark.parametrize("lang", ["de", "fr", "es", "zh"])
def test_other_languages_hide_and_ask_in_their_own_words(lang):
    model, task, documents, asked = prompts(Grid(lengths=(900,), depths=(0, 50), repeats=1, lang=lang), "byte")
    for document, (request,) in zip(documents, asked, strict=True):
        assert len(model.encode([request.context])[0]) + task.grid.max_tokens == 900
        assert document.data["needles"][0] in request.context
        assert "Question" not in request.context or lang == "fr"
        assert document.data["answers"][0] in request.context
    with pytest.raises(UserError, match="only the kind single"):
        Catalog.of().require(f"needle:multi:lang={lang}")


def test_found_by_depth_is_a_metric_of_its_own():
    name = "needle:passkey:lengths=640:depths=0+100:repeats=2"
    rows = [one.data for one in NeedleTask("x", Grid(kind="passkey", lengths=(640,), repeats=2)).documents(NoData())]
    early = [
        {"match": rf"(?s)^.{{0,80}}The pass key is {row['answers'][0]}", "text": row["answers"][0]} for row in rows
    ]
    found = metrics_of(name, *early, {"text": "no"}, tokenizer="word")
    assert (found["found_at_0_percent"], found["found_at_100_percent"]) == (1, 0)
