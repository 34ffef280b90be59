"""The study of adaptation on a tiny model and bundled items: what it keeps, how it goes on, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_models as tiny
import yaml
from typer.testing import CliRunner

from evalkit.api.adapting import study_adaptation
from evalkit.cli.study import app
from evalkit.contract.errors import UserError
from evalkit.study import scoring
from evalkit.study.config import Adaptation, LoraHub, load
from evalkit.study.splitting import splits
from evalkit.training.examples import examples_of

pytest.importorskip("peft", reason="adapters need the package peft")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny.model("llama", max_position_embeddings=1024, initializer_range=0.1).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def study(model: Path, **own: object) -> Adaptation:
    values = {
        "model": str(model),
        "train": ["sst2", "cola"],
        "untouched": ["piqa"],
        "methods": [{"method": "lora", "rank": 2, "modules": ["q_proj"]}, "bitfit"],
        "steps": 2,
        "evaluate_at": [1],
        "batch_size": 2,
        "train_items": 5,
        "eval_items": 5,
        "untouched_items": 4,
        "bundled": True,
    }
    return Adaptation.model_validate(values | own)


@pytest.mark.slow
def test_a_study_ends_after_a_stop_as_it_would_have_and_is_done_once(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(model)
    whole = study_adaptation(asked, tmp_path / "whole")
    assert [(one.task, one.method) for one in whole.parts] == [
        (task, method) for task in ("sst2", "cola") for method in ("lora r2", "bitfit")
    ]
    for one in whole.parts:
        assert set(one.scores) == {"sst2", "cola", "piqa"}
        assert set(one.on_training) == {one.task}
        assert set(one.curve) == {1, 2}
        assert one.scores[one.task] == one.curve[2][one.task]
        assert len(one.losses) == 2
        assert set(one.against) == set(one.scores)
        for task, change in one.against.items():
            assert change.n == one.scores[task].n
            if one.scores[task].metric != "mcc":  # of a share the difference over the same items is that of the shares
                assert change.value == pytest.approx(one.scores[task].value - whole.base.scores[task].value)
        assert one.tokens > 0 < one.trainable
    assert set(whole.base.on_training) == {"sst2", "cola"}

    def stop(text: str) -> None:
        if text.startswith("bitfit on sst2, seed 1: step 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study_adaptation(asked, tmp_path / "stopped", note=stop)
    told: list[str] = []
    again = study_adaptation(asked, tmp_path / "stopped", note=told.append)
    assert "bitfit on sst2, seed 1: going on from step 1" in told
    assert not any(text.startswith("lora r2 on sst2") for text in told)
    for one, other in zip(whole.parts, again.parts, strict=True):
        assert (one.scores, one.losses, one.curve) == (other.scores, other.losses, other.curve)
    # All is there: nothing is loaded, and the reports are written anew.
    monkeypatch.setattr(scoring, "load", lambda study: pytest.fail("the model was loaded again"))
    (tmp_path / "whole" / "report.html").unlink()
    assert study_adaptation(asked, tmp_path / "whole") == whole
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(asked.model_dump(mode="json", exclude_none=True)), "utf-8")
    told_by = CliRunner().invoke(app, ["adaptation", str(file), "--output", str(tmp_path / "whole")])
    assert told_by.exit_code == 0
    assert "report.html" in told_by.stdout
    page = (tmp_path / "whole" / "report.html").read_text("utf-8")
    for title in ("Quality against tuned share", "Score by step", "Generalization gap", "Transfer", "Forgetting"):
        assert f">{title}</h2>" in page
    assert "| lora r2 |" in (tmp_path / "whole" / "report.md").read_text("utf-8")
    assert not list((tmp_path / "whole").rglob("checkpoint*"))
    config = json.loads(next((tmp_path / "whole").rglob("adapter_config.json")).read_text("utf-8"))
    assert config["base_model_name_or_path"] == str(model)
    with pytest.raises(UserError, match=r"holds a study with another steps: give --output another folder"):
        study_adaptation(study(model, steps=3), tmp_path / "whole")


def test_nothing_that_is_held_out_is_trained_on(model: Path) -> None:
    for one in splits(study(model), ["sst2", "cola", "e2e_nlg"], 6, 6):
        assert len(one.trained) == len(one.held_out) == 6
        taught = {document.hash for document in one.training()}
        assert not taught & {one.documents[place].hash for place in one.held_out}
    for made in examples_of(one.task, one.training()):
        assert made.prompt.endswith("Description:")
        assert made.completion.startswith(" ")
        assert made.completion.endswith(".\n")
        assert not made.ends


def test_the_files_that_are_shown_are_studies() -> None:
    root = Path(__file__).parents[2]
    load(Adaptation, root / "examples" / "adaptation.yaml")
    load(LoraHub, root / "examples" / "lorahub.yaml")
    page = (root / "docs" / "studies.md").read_text("utf-8")
    blocks = [yaml.safe_load(part.partition("```")[0]) for part in page.split("```yaml\n")[1:]]
    assert [Adaptation.model_validate(one).steps for one in blocks if "train" in one] == [200]
    assert [LoraHub.model_validate(one).steps for one in blocks if "modules" in one] == [100]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps: 0", r"study\.yaml:4: steps: .*greater than or equal to 1"),
        ("step: 3", r"study\.yaml:4: step: there is no such key.*steps"),
        ("steps: 2\nmethods: [lora, lora]", r"study\.yaml:1: study: methods: 'lora r8' stands there twice"),
        ("steps: 2\nmethods: [{method: full, rank: 2}]", r"full takes no rank: leave it out"),
        ("steps: 2\nevaluate_at: [3]", r"evaluate_at 3: steps go from 1 to 2"),
    ],
)
def test_mistakes_in_the_file_are_one_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "study.yaml"
    first = "model: m\ntrain: sst2\n" + ("" if "methods" in text else "methods: [full]\n")
    path.write_text(first + text, "utf-8")
    with pytest.raises(UserError, match=told):
        load(Adaptation, path)


def test_tasks_that_cannot_be_studied_are_refused_before_a_model_is_loaded(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "load", lambda study: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match=r"mmlu stands for \d+ tasks: name single ones"):
        study_adaptation(study(model, train="mmlu"), tmp_path / "a")
    with pytest.raises(UserError, match="sst2 has 20 items, too few for 24 to train on"):
        study_adaptation(study(model, train_items=24), tmp_path / "b")
    with pytest.raises(UserError, match="lambada_openai: cannot be trained on"):
        study_adaptation(study(model, train="lambada_openai"), tmp_path / "c")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds other files and no study"):
        study_adaptation(study(model), tmp_path / "d")
