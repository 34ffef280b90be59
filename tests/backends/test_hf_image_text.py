"""Models that read pictures, beside transformers called row by row, over tiny random ones of several families."""

from __future__ import annotations

import importlib.util
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import tiny_vision as tiny
import torch
from PIL import Image as Pillow

import evalkit
from evalkit.backends import hf
from evalkit.contract.types import Generate, Image, Message, Rolling, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytestmark = pytest.mark.slow
FAMILIES = [
    *tiny.KINDS,
    *(
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                not importlib.util.find_spec("torchvision"), reason="needs torchvision, which the processor imports"
            ),
        )
        for kind in tiny.WITH_VIDEO
    ),
]


def picture(color: str, size: tuple[int, int] = (40, 30)) -> Image:
    """Two fields of different colors: a resized picture is not all one value."""
    drawn = Pillow.new("RGB", size, color)
    drawn.paste("white", (0, 0, size[0] // 2, size[1] // 2))
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return Image(out.getvalue(), "image/png")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("vision")
    return lru_cache(lambda kind: tiny.save(kind, home / kind))


def backend(folder: Path, **spec: Any) -> Any:
    return hf.load(ModelSpec(name=str(folder), **spec), EngineSpec())


def answers(loaded: Any, requests: list[Any]) -> list[Any]:
    found = dict(loaded.respond(requests))
    assert sorted(found) == list(range(len(requests)))
    return [found[index] for index in range(len(requests))]


def reference(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    return AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder).eval()


def by_steps(processor: Any, model: Any, text: str, shown: list[Image], target: str) -> float:
    """The log-likelihood of ``target``: each token by its own call of generate over the prompt written out so far."""
    read = processor(text=[text], images=[[Pillow.open(io.BytesIO(one.data)) for one in shown]], return_tensors="pt")
    read.pop("labels", None)
    ids = processor.tokenizer(target, add_special_tokens=False)["input_ids"]
    total = 0.0
    with torch.inference_mode():
        output = model(**read, use_cache=True)
        for place, token in enumerate(ids):
            total += float(output.logits[0, -1].float().log_softmax(-1)[token])
            if place + 1 < len(ids):
                output = model(
                    input_ids=torch.tensor([[token]]), past_key_values=output.past_key_values, use_cache=True
                )
    return total


@pytest.mark.parametrize("kind", FAMILIES)
def test_scores_and_texts_are_transformers_own(kind: str, folders: Any) -> None:
    loaded = backend(folders(kind))
    processor, model = reference(folders(kind))
    mark = loaded.info.details["picture"]
    red, blue = picture("red"), picture("blue", (30, 50))
    prompts: list[tuple[str, tuple[Image, ...]]] = [("<image>Color?", (red,)), ("<image>Color?", (blue,))]
    if kind not in ("paligemma",):  # several pictures
        prompts.append(("a<image>b<image>c", (red, blue)))
    requests: list[Any] = []
    for text, shown in prompts:
        turn = (Message("user", text, shown),)
        requests += [Score(text, target, turn) for target in ("A", "B", " red", " rose")]
        requests.append(Generate(text, max_tokens=4, messages=turn))
    found = answers(loaded, requests)
    assert len({one.loglikelihood for one in found if one.text is None}) == 4 * len(prompts)
    for request, got in zip(requests, found, strict=True):
        assert got.status == "ok", got.error
        asked = list(request.messages[0].images)
        text = request.context.replace("<image>", mark)
        if isinstance(request, Score):
            want = by_steps(processor, model, text, asked, request.continuation)
            assert got.loglikelihood == pytest.approx(want, abs=1e-3)
            continue
        opened = [[Pillow.open(io.BytesIO(one.data)) for one in asked]]
        read = processor(text=[text], images=opened, return_tensors="pt")
        read.pop("labels", None)
        made = model.generate(**read, max_new_tokens=4, do_sample=False)[0, read["input_ids"].shape[1] :]
        assert got.text == processor.tokenizer.decode(made, skip_special_tokens=True)
    loaded.close()


def test_a_template_places_the_pictures(folders: Any) -> None:
    loaded = backend(folders("llava"), chat_template=True)
    turns = [Message("system", "Be brief."), Message("user", "See <image> and <image>.", (picture("red"),) * 2)]
    text = loaded.chat(turns, True)
    assert text == "system: Be brief.user: See <image> and <image>.assistant:"
    unmarked = loaded.chat([Message("user", "Look.", (picture("red"),))], True)
    assert unmarked == "user: <image>Look.assistant:"
    asked = Generate(text, max_tokens=2, messages=tuple(turns))
    (got,) = answers(loaded, [asked])
    assert got.status == "ok"
    early = hf.load_tokens(ModelSpec(name=str(folders("llava")), chat_template=True))
    assert early.chat(turns, True) == text
    loaded.close()


def test_what_cannot_be_is_an_error_of_its_item(folders: Any) -> None:
    loaded = backend(folders("llava"), max_length=24)
    shown = (picture("red"),)
    found = answers(
        loaded,
        [
            Rolling("a text"),
            Generate("<image><image>", max_tokens=2, messages=(Message("user", "<image><image>", shown),)),
            Generate("<image>" + "x" * 30, max_tokens=2, messages=(Message("user", "<image>" + "x" * 30, shown),)),
            Score("<image>x", "", (Message("user", "<image>x", shown),)),
            Generate("no picture", max_tokens=2),
        ],
    )
    assert [one.status for one in found] == ["error"] * 4 + ["ok"]
    assert "2 marks <image> for 1 images" in found[1].error
    assert "not cut" in found[2].error
    loaded.close()


def test_a_folder_without_its_processor_is_refused(folders: Any, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "llava"
    shutil.copytree(folders("llava"), folder)
    (folder / "processor_config.json").unlink()
    with pytest.raises(evalkit.UserError, match="processor"):
        backend(folder)


def test_a_model_that_sees_nothing_is_not_asked_to(tmp_path: Path) -> None:
    with pytest.raises(evalkit.UserError, match="pictures=maybe"):
        hf.load(ModelSpec(name="smollm2-135m", args={"pictures": "maybe"}), EngineSpec())
