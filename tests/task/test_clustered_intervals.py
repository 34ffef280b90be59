"""Tasks whose items share passages get intervals of passages; their standard errors stay lm-eval's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evalkit
from evalkit.contract.clusters import shared_field
from evalkit.contract.types import Generate, Request


@pytest.mark.parametrize("shared", [True, False])
def test_a_runs_interval_takes_passages_for_independent_and_not_items(tmp_path: Path, shared: bool) -> None:
    folder = tmp_path / "tasks" / "sums"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(
        'name: sums\nversion: "1"\ndescription: Say a number.\n'
        "dataset: {id: example/sums, splits: {eval: test}}\nkind: generate\nprompt: 'Say {{ n }}:'\n"
        "target: n\nmetrics: [{metric: exact_match}]\nsample: sample.jsonl\n",
        "utf-8",
    )
    rows = [{"n": str(n), "passage": f"p{n // 8 if shared else n}", "_split": "test"} for n in range(80)]
    (folder / "sample.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")

    def answer(request: Request) -> str:
        assert isinstance(request, Generate)
        number = int(request.context.removeprefix("Say ").partition(":")[0])
        return str(number) if number // 8 % 2 or number % 8 == 0 else "no"

    run = evalkit.evaluate(
        evalkit.mock(answer),
        "sums@sample",
        include_path=[str(tmp_path / "tasks")],
        output=tmp_path / "r",
        progress=False,
    )
    metric = run["sums"]["exact_match"]
    assert metric.stderr == pytest.approx((metric.value * (1 - metric.value) / 79) ** 0.5)
    width = metric.interval[1] - metric.interval[0]
    if shared:
        assert "|clusters:10|" in metric.signature
        assert width > 2 * 1.96 * metric.stderr * 1.8
    else:
        assert "clusters" not in metric.signature
        assert width == pytest.approx(2 * 1.96 * metric.stderr, rel=0.05)


def test_the_shared_field_is_the_first_whose_values_repeat() -> None:
    documents = [{"passage": "a", "story": n // 2, "note": 1} for n in range(4)]
    assert shared_field(documents) == ("passage", ("0",) * 4)
    assert shared_field(documents, "story") == ("story", ("0", "0", "1", "1"))
    assert shared_field([{**one, "passage": None} for one in documents]) == ("story", ("0", "0", "1", "1"))
    assert shared_field([{"passage": str(n)} for n in range(4)]) == ("", None)
