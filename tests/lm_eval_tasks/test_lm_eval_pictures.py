"""lm-eval's tasks with pictures: as lm_eval:NAME they ask and score what lm-eval's own hf-multimodal does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lm_eval
import pytest
import tiny_vision as tiny
from PIL import Image as Pillow

import evalkit

pytestmark = [pytest.mark.lm_eval, pytest.mark.slow]

YAML = """
task: ek_signs
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_image: [image]
doc_to_text: "<image>{{{{question}}}}\\nAnswer:"
doc_to_target: answer
generation_kwargs: {{until: ["\\n"], max_gen_toks: 5, do_sample: false, temperature: 0.0}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import datasets

    folder = tmp_path_factory.mktemp("signs")
    rows = [
        {"image": Pillow.new("RGB", (40, 30), color), "question": "What colour is it?", "answer": color}
        for color in ("red", "green", "blue")
    ]
    features = datasets.Features(
        {"image": datasets.Image(), "question": datasets.Value("string"), "answer": datasets.Value("string")}
    )
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(folder / "rows.parquet"))
    (folder / "signs.yaml").write_text(YAML.format(rows=folder / "rows.parquet"))
    return folder


@pytest.mark.parametrize("chat", [False, True])
def test_texts_equal_lm_evals_hf_multimodal(task: Path, tmp_path: Path, chat: bool) -> None:
    from lm_eval.tasks import TaskManager

    model = tiny.save("idefics3", tmp_path / "model")
    found = lm_eval.simple_evaluate(
        model="hf-multimodal",
        model_args={"pretrained": str(model), "dtype": "float32"},
        tasks=["ek_signs"],
        task_manager=TaskManager(include_path=str(task)),
        batch_size=1,
        device="cpu",
        bootstrap_iters=0,
        apply_chat_template=chat,
        log_samples=True,
    )
    theirs: list[dict[str, Any]] = found["samples"]["ek_signs"]
    run = evalkit.evaluate(
        str(model), "lm_eval:ek_signs", include_path=str(task), output=tmp_path / "run", chat_template=chat
    )
    ours = run.samples("ek_signs")
    assert [row[0]["text"] for row in ours["responses"]] == [one["resps"][0][0] for one in theirs]
    assert len(set(ours["doc_hash"])) == 3
    for prompt, one in zip(ours["prompt"], theirs, strict=True):
        assert prompt == one["arguments"][0][0]
    assert all(row[0]["shown"].startswith("data:image/png;base64,") for row in ours["pictures"])


def test_a_model_without_eyes_is_refused(task: Path, tmp_path: Path) -> None:
    with pytest.raises(evalkit.UserError, match="shows images, which mock does not read"):
        evalkit.evaluate("mock", "lm_eval:ek_signs", include_path=str(task), output=tmp_path / "run")
