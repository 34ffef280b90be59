"""Pictures in prompts: where they come from, where they stand, what is refused; and that a server sees the pixels."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from provider_server import KEY, Provider, Reply, serving
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.contract.types import Generate, Image, Message, PromptStyle, Response, Score
from evalkit.data import open_source
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.store import RunDir
from evalkit.store.identity import text_key
from evalkit.store.pictures import MOST_PIXELS, opened
from evalkit.task.catalog import resolve


def drawn(color: str = "red", size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", size, color).save(out, kind)
    return out.getvalue()


PNG = drawn()
TASK = """
name: seen
version: "1"
dataset: {path: rows.jsonl}
kind: generate
images: %s
prompt: "%s"
target: answer
metrics: [{metric: exact_match}]
"""


def asked(folder: Path, row: dict[str, Any], images: str = "image", prompt: str = "{{ q }}", **spec: Any) -> Any:
    """The only request of a task with one row."""
    folder.mkdir(exist_ok=True)
    (folder / "task.yaml").write_text(TASK % (images, prompt))
    (folder / "rows.jsonl").write_text(json.dumps({"q": "What?", "answer": "x", **row}) + "\n")
    run = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name="seen"),), include_path=(folder,))
    (task,) = resolve(run).tasks
    documents = task.documents(open_source(folder))
    ((request,),) = task.requests(documents, PromptStyle(**spec))
    return request


@pytest.mark.parametrize(
    "held",
    [
        base64.b64encode(PNG).decode(),
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        {"bytes": base64.b64encode(PNG).decode(), "path": None},
        {"bytes": None, "path": "shown/a.png"},
        "shown/a.png",
    ],
)
def test_a_picture_is_read_in_every_form(held: Any, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "a.png").write_bytes(PNG)
    request = asked(tmp_path, {"image": held})
    assert request.context == "<image>What?"
    assert request.messages == (Message("user", "<image>What?", (Image(PNG, "image/png"),)),)
    assert opened(request.messages[0].images[0]).getpixel((0, 0)) == (255, 0, 0)


def test_marks_say_where_pictures_stand(tmp_path: Path) -> None:
    red, blue = ({"bytes": base64.b64encode(drawn(color)).decode()} for color in ("red", "blue"))
    row = {"a": red, "b": None, "c": blue, "q": "See <image 3>, then <image 1>."}
    request = asked(tmp_path, row, "[a, b, c]")
    (turn,) = request.messages
    assert turn.content == "See <image>, then <image>."
    assert [opened(one).getpixel((0, 0)) for one in turn.images] == [(0, 0, 255), (255, 0, 0)]
    one_named = asked(tmp_path, {**row, "q": "See <image 3>."}, "[a, b, c]").messages[0]
    assert one_named.content == "<image>See <image>."
    inside = asked(tmp_path, {"image": [red, blue]}, prompt="a <image> b <image> {{ q }}").messages[0]
    assert inside.content == "a <image> b <image> What?"
    none = asked(tmp_path, {"image": None})
    assert (none.context, none.messages) == ("What?", None)


def bomb() -> bytes:
    """A few hundred bytes whose header says two thousand million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"bytes": base64.b64encode(bomb()).decode()}, "pixels"),
        (base64.b64encode(drawn(size=(MOST_PIXELS // 5000 + 1, 5000))).decode(), "pixels, of 40,000,000 at most"),
        ("../secret.png", "leads out of the data's folder"),
        ("/etc/secret.png", "leads out of the data's folder"),
        ("link.png", "leads out of the data's folder"),
        ("absent.png", "there is no picture 'absent.png'"),
        ("no base64!", "neither base64 nor the path"),
        (base64.b64encode(b"%PDF-1.4").decode(), "no picture that can be read"),
        (base64.b64encode(drawn(kind="BMP")).decode(), "no picture that can be read"),
        (base64.b64encode(drawn(size=(64, 64), kind="JPEG")[:-300]).decode(), "damaged|no picture"),
        ({"bytes": None, "path": None}, "neither bytes nor a path"),
        (7, "not int"),
    ],
)
def test_what_is_no_picture_is_one_line(held: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(evalkit.UserError, match=said) as caught:
        asked(folder, {"image": held})
    assert "row 1" in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("<image> <image> {{ q }}", "2 marks <image> in the prompt for 1 pictures"),
        ("<image 2> {{ q }}", "names <image 2>, and the row has no such picture"),
        ("<image> <image 1> {{ q }}", "write one kind"),
    ],
)
def test_marks_that_do_not_fit_are_refused(prompt: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(evalkit.UserError, match=said):
        asked(tmp_path, {"image": base64.b64encode(PNG).decode()}, prompt=prompt)


def test_a_key_holds_the_picture_and_a_texts_key_is_as_before() -> None:
    red, blue = (
        Generate("c", messages=(Message("user", "c", (Image(drawn(one), "image/png"),)),)) for one in ("red", "blue")
    )
    plain = Generate("c", messages=(Message("user", "c"),))
    assert len({text_key("f", one) for one in (red, blue, plain)}) == 3


def test_a_model_that_sees_nothing_is_refused_by_name_before_it_loads(tmp_path: Path) -> None:
    with pytest.raises(evalkit.UserError, match="task mmbench shows images, which mock does not read"):
        evalkit.evaluate("mock", ["mmbench@bundled"], output=tmp_path / "run")
    with pytest.raises(evalkit.UserError, match="task textvqa shows images, which smollm2-135m does not read"):
        evalkit.evaluate("smollm2-135m", ["textvqa@bundled"], output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(evalkit.UserError, match=r"log-likelihoods of choices behind images.*mc=generate"):
        evalkit.evaluate("http://127.0.0.1:9/v1", ["mmbench@bundled"], output=tmp_path / "run")


@pytest.mark.parametrize("name", ["mmbench", "scienceqa", "mmmu_Math", "mmmu_Art", "textvqa", "docvqa"])
def test_bundled_items_are_whole(name: str, tmp_path: Path) -> None:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=f"{name}@bundled", num_fewshot=0),))
    (task,) = resolve(spec).tasks
    documents = task.documents(open_source(tmp_path))
    assert len({document.hash for document in documents}) == len(documents) >= 10
    for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        target = task.target(document)  # type: ignore[attr-defined]
        assert target or target == 0
        assert isinstance(requests[0], Score | Generate)
        shown = requests[0].messages
        assert (shown is not None) == (name != "scienceqa" or document.data["image"] is not None)


@pytest.mark.parametrize("name", ["order:scienceqa", "nota:scienceqa", "noise:scienceqa", "fct:scienceqa"])
def test_probes_made_of_a_task_show_its_pictures(name: str, tmp_path: Path) -> None:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=f"{name}@bundled"),))
    (task,) = resolve(spec).tasks
    documents = task.documents(open_source(tmp_path))
    shown = [requests[0].messages for requests in task.requests(documents, PromptStyle())]  # type: ignore[union-attr]
    held = [any(document.data["pictures"]) for document in documents]
    assert [turns is not None for turns in shown] == held
    assert any(held)
    assert not all(held)


def test_mmbench_in_every_order_is_its_circular_evaluation(tmp_path: Path) -> None:
    """A model that sees is always right; one that likes the first place never is."""

    def sees(request: evalkit.Request) -> str:
        assert isinstance(request, Score)
        assert request.messages is not None
        color, fill, _ = look(request.messages[0].images[0].data)
        shape = "square" if fill > 0.9 else "circle" if fill > 0.65 else "triangle"
        wanted = color if "colour" in request.context else shape
        options = {line[3:].strip(): line[0] for line in request.context.split("\n") if line[1:3] == ". "}
        return f" {options[wanted]}"

    for name, answer, right in (("sees", sees, 1.0), ("first", lambda request: " A", 0.0)):
        run = evalkit.evaluate(evalkit.mock(answer), "order:mmbench@bundled", output=tmp_path / name, limit=2 * 7)
        assert run["order:mmbench"]["circular"].value == right
        assert run["order:mmbench"]["circular"].n == 4


@pytest.mark.parametrize("options", ["['a', 'b'", "[" * 5000, "__import__('os')", "{'a': 1}", "['a'] * 9"])
def test_options_of_mmmu_are_read_and_not_run(options: str, tmp_path: Path) -> None:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name="mmmu_Math"),))
    (task,) = resolve(spec).tasks
    row = {"options": options, "question": "?", "answer": "A", **{f"image_{n}": None for n in range(1, 8)}}
    home = tmp_path / "MMMU" / "MMMU" / "Math"
    home.mkdir(parents=True)
    (home / "validation.jsonl").write_text(json.dumps(row) + "\n")
    documents = task.documents(open_source(tmp_path))
    with pytest.raises(evalkit.UserError, match="options are no list"):
        list(task.requests(documents, PromptStyle()))


def test_an_open_question_of_mmmu_has_no_score(tmp_path: Path) -> None:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name="mmmu_Math"),))
    (task,) = resolve(spec).tasks
    row = {"options": "[]", "question": "?", "answer": "42", **{f"image_{n}": None for n in range(1, 8)}}
    home = tmp_path / "MMMU" / "MMMU" / "Math"
    home.mkdir(parents=True)
    (home / "validation.jsonl").write_text(json.dumps(row) + "\n")
    documents = task.documents(open_source(tmp_path))
    (requests,) = task.requests(documents, PromptStyle())
    scored = task.score(documents[0], requests, [Response(loglikelihood=-1.0)] * 2)
    assert scored.status == "unscored"


BENCHMARK = """
import evalkit

class Signs(evalkit.Benchmark):
    name = "signs_in_python"
    items = "items.jsonl"
    images = "sign"

    def prompt(self, row):
        return "See <image>: which colour?"

    def target(self, row):
        return row["colour"]
"""


def test_a_benchmark_in_python_shows_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "signs"
    folder.mkdir()
    (folder / "benchmark.py").write_text(BENCHMARK)
    (folder / "red.png").write_bytes(drawn("red"))
    (folder / "items.jsonl").write_text(json.dumps({"sign": "red.png", "colour": "red", "_split": "test"}) + "\n")
    seen: list[Any] = []

    def sees(request: evalkit.Request) -> str:
        assert isinstance(request, Generate)
        seen.append(request.messages)
        return "red"

    run = evalkit.evaluate(evalkit.mock(sees), "signs_in_python", include_path=tmp_path, output=tmp_path / "run")
    assert run["signs_in_python"]["exact_match"].value == 1.0
    assert seen == [(Message("user", "See <image>: which colour?", (Image(drawn("red"), "image/png"),)),)]


def test_rows_of_the_hub_keep_their_bytes_out_of_samples(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder, run = tmp_path / "seen", tmp_path / "run"
    folder.mkdir()
    (folder / "task.yaml").write_text((TASK % ("image", "{{ q }}")).replace("rows.jsonl", "rows.parquet"))
    rows = [
        {"q": f"{color}?", "image": {"bytes": drawn(color), "path": f"{color}.png"}, "answer": color}
        for color in ("red", "blue")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")

    def sees(request: evalkit.Request) -> str:
        assert isinstance(request, Generate)
        assert request.messages is not None
        pixel = opened(request.messages[0].images[0]).getpixel((0, 0))
        return "red" if pixel == (255, 0, 0) else "blue"

    found = evalkit.evaluate(evalkit.mock(sees), "seen", include_path=tmp_path, output=run)
    assert found["seen"]["exact_match"].value == 1.0
    samples = RunDir(run).samples("seen")
    held = json.loads(samples["document"][0])["image"]
    assert held == {"bytes": {"sha256": hashlib.sha256(drawn("red")).hexdigest()}, "path": "red.png"}
    assert samples["pictures"][0][0]["sha256"] == held["bytes"]["sha256"]
    assert CliRunner().invoke(app, ["verify", str(run)]).exit_code == 0


# -- a server that looks ----------------------------------------------------------------------------------------------


def look(data: bytes) -> tuple[str, float, float]:
    """The colour of what is drawn on white, the share of its frame that it fills, and its width over its height."""
    picture = Pillow.open(io.BytesIO(data)).convert("RGB")
    colors: dict[tuple[int, int], Any] = {
        (x, y): picture.getpixel((x, y)) for x in range(picture.width) for y in range(picture.height)
    }
    inked = [place for place, color in colors.items() if min(color) < 200]
    red, green, blue = (sum(colors[place][part] for place in inked) / len(inked) for part in range(3))
    across = max(x for x, _ in inked) - min(x for x, _ in inked) + 1
    down = max(y for _, y in inked) - min(y for _, y in inked) + 1
    color = "yellow" if red > 150 and green > 150 else max((red, "red"), (green, "green"), (blue, "blue"))[1]
    return color, len(inked) / (across * down), across / down


def test_a_server_that_reads_the_pixels_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra openai")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider = Provider()

    def answer(prompt: str) -> Reply:
        shown = [look(data) for _, data in provider.pictures]
        provider.pictures.clear()
        options = {line[3:].strip(): line[0] for line in prompt.split("\n") if line[1:3] == ". "}
        if "colour" in prompt:
            return Reply(options[shown[0][0]])
        if "Which shape" in prompt:
            fill = shown[0][1]
            return Reply(options["square" if fill > 0.9 else "circle" if fill > 0.65 else "triangle"])
        if "more shapes" in prompt:
            return Reply("A" if shown[0][2] > shown[1][2] else "B")
        wanted = prompt.partition("painted in ")[2].partition("?")[0]
        return Reply("A" if shown[0][0] == wanted else "B")

    provider.answer = answer
    with serving(provider) as url:
        args = {"mc": "generate", "model": "small-1", "num_concurrent": 1}
        tasks = ["mmbench@bundled", "mmmu_Math@bundled", "mmmu_Art@bundled"]
        run = evalkit.evaluate(f"{url}/openai/v1", tasks, model_args=args, output=tmp_path / "run")
    for name, n in (("mmbench", 24), ("mmmu_Math", 10), ("mmmu_Art", 10)):
        assert len(run.samples(name)) == n
        assert run[name]["acc_generative"].value == 1.0
    rows = RunDir(tmp_path / "run").samples("mmmu_Art")
    for row in rows["pictures"]:
        assert [one["shown"][:22] for one in row] == ["data:image/png;base64,"] * 2
    documents = [json.loads(text) for text in rows["document"]]
    assert all(one["image_1"]["bytes"] for one in documents)
    run.report(tmp_path / "r.html")
    assert (
        "data:image/png;base64,iVBOR" not in (tmp_path / "r.html").read_text()
    )  # pieces are packed, and opened by the page
