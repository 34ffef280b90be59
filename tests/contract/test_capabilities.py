"""Backends say of themselves what they can; nobody else holds lists of them or looks into them."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_args

import pytest

import evalkit
from evalkit.backends import opening
from evalkit.contract import registry
from evalkit.contract.capabilities import BackendType, Capabilities, backend_type
from evalkit.contract.errors import UserError
from evalkit.contract.optional import ByDocument, StopsBetweenPasses, capabilities
from evalkit.contract.types import Image, Message, Score
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import text_key

PACKAGE = Path(evalkit.__file__).parent
FILES = sorted(file for room in ("engine", "runner") for file in (PACKAGE / room).rglob("*.py"))


def module_of(file: Path):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def calls(file: Path, *names: str) -> list[ast.Call]:
    tree = ast.parse(file.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [node for node in found if isinstance(node.func, ast.Name) and node.func.id in names]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_engine_and_runner_feel_for_no_attributes(file: Path) -> None:
    """A method called by its name, as a message to a worker names it, is no feature felt for; nor is what Python itself
    has on some systems only.
    """
    module = module_of(file)
    for call in calls(file, "getattr", "hasattr"):
        subject, name = call.args[:2]
        of_a_module = isinstance(subject, ast.Name) and isinstance(vars(module).get(subject.id), type(ast))
        by_message = len(call.args) == 2 and not isinstance(name, ast.Constant) and call.func.id == "getattr"
        assert of_a_module or by_message, f"{file}:{call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_engine_and_runner_ask_for_protocols_and_values_only(file: Path) -> None:
    module = module_of(file)
    for call in calls(file, "isinstance"):
        asked = eval(compile(ast.Expression(call.args[1]), str(file), "eval"), vars(module))
        for kind in asked if isinstance(asked, tuple) else get_args(asked) or [asked]:
            own = kind.__module__.startswith("evalkit")
            protocol = getattr(kind, "_is_protocol", False)
            value = issubclass(kind, tuple) or (is_dataclass(kind) and kind.__dataclass_params__.frozen)
            assert not own or protocol or value or issubclass(kind, BaseException), f"{file}:{call.lineno}: {kind}"


def test_no_file_outside_names_a_backend_of_evalkit() -> None:
    """The runner opens backends by way of `opening` alone, and `opening` imports none."""
    for file in [*FILES, PACKAGE / "backends" / "opening.py"]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evalkit.backends"):
                assert node.module == "evalkit.backends", f"{file}:{node.lineno}"
                assert [one.name for one in node.names] == ["opening"], f"{file}:{node.lineno}"


def test_every_backend_declares_itself_without_heavy_packages() -> None:
    code = (
        "import sys\nfrom evalkit.backends import opening\nfrom evalkit.contract import registry\n"
        "for name in registry.names(registry.BACKENDS): assert opening.type_of(name).name == name\n"
        "print([one for one in ('torch', 'transformers', 'pandas', 'scipy', 'datasets') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_are_fields_of_the_models_spec() -> None:
    for name in registry.names(registry.BACKENDS):
        assert opening.type_of(name).settings <= set(ModelSpec.model_fields)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("predictions:answers.jsonl", "predictions"),
        ("cascade:mock,smollm2-135m", "cascade"),
        ("http://localhost:1/v1", "openai"),
        ("https://example.org/v1", "openai"),
        ("smollm2-135m", "hf"),
        ("mock", "mock"),
        ("Qwen/Qwen3-0.6B", "hf"),
        ("gpt2", "hf"),
    ],
)
def test_names_go_to_the_backend_that_claims_them(name: str, backend: str) -> None:
    assert opening.resolve(ModelSpec(name=name)).backend == backend


@pytest.mark.parametrize(
    ("backend", "setting", "value"),
    [
        ("mock", "quant", "nf4"),
        ("mock", "dtype", "bfloat16"),
        ("predictions", "add_bos", True),
        ("openai", "peft", ("adapter",)),
        ("gguf", "dtype", "float16"),
    ],
)
def test_a_setting_that_a_backend_does_not_take_is_refused(backend: str, setting: str, value: object) -> None:
    name = "http://localhost:1/v1" if backend == "openai" else "x"
    flag = setting.replace("_", "-")
    told = rf"--{flag}: .* backend {backend}, which does not take it"
    with pytest.raises(UserError, match=told):
        opening.resolve(ModelSpec(name=name, backend=backend, **{setting: value}))


def test_a_device_is_no_mistake_where_none_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    """lm_eval's command lines give one by habit; it changes no answer, and its being ignored is said."""
    assert opening.resolve(ModelSpec(name="x", backend="mock", device="cpu")).backend == "mock"
    assert "--device: ignored: the backend mock does not choose it" in caplog.text


def test_two_backends_that_claim_a_name_are_told_apart_by_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {name: BackendType(name, lambda *_: None, prefixes=("both:",)) for name in ("one", "two")}  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(registry, "names", lambda group: tuple(kinds))
    monkeypatch.setattr(registry, "load", lambda group, name: kinds[name])
    with pytest.raises(UserError, match="one and two both claim it: say which with --backend"):
        opening.resolve(ModelSpec(name="both:x"))
    assert opening.resolve(ModelSpec(name="both:x", backend="two")).backend == "two"


def test_a_bare_load_is_a_backend_with_default_capabilities() -> None:
    kind = backend_type("plain", lambda model, engine: (model.name, engine.batch_size))
    assert kind(ModelSpec(name="x"), EngineSpec()) == ("x", "auto")
    assert kind.capabilities == Capabilities()
    assert not kind.prefixes
    assert "quant" not in kind.settings


def test_a_backend_that_declares_nothing_is_taken_by_its_protocols() -> None:
    class Old:
        def __init__(self) -> None:
            self.after_pass = lambda: None

        def bind(self, documents, requests, task="") -> None: ...

        def finish(self) -> None: ...

    assert isinstance(Old(), ByDocument)
    assert isinstance(Old(), StopsBetweenPasses)
    assert capabilities(Old()) == Capabilities(by_document=True, stops_between_passes=True)
    assert capabilities(object()) == Capabilities()


def test_images_are_part_of_a_requests_identity() -> None:
    def key(*images: Image) -> str:
        return text_key("m", Score("c", " d", (Message("user", "what is this?", images),)))

    cat, dog = Image(b"cat", "image/png"), Image(b"dog", "image/png")
    assert len({key(), key(cat), key(dog), key(cat, dog), key(dog, cat), key(Image(b"cat", "image/jpeg"))}) == 6
