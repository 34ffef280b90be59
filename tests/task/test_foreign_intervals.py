"""Corpus metrics of lm-eval's tasks get the interval of the jackknife, as evalkit's own do."""

from __future__ import annotations

import pytest

from evalkit.metrics.finding import combine_of
from evalkit.statistics.corpus import items_estimate

pytest.importorskip("lm_eval")


def test_a_function_of_all_items_is_judged_by_leaving_each_out() -> None:
    from evalkit.task.lm_eval.summary import with_error

    combine = combine_of("lm_eval:bleu")
    items = [
        (f"the cat sat on the mat number {n}", f"the {'cat' if n % 3 else 'dog'} sat on a mat number {n}")
        for n in range(24)
    ]
    value = float(combine.function(items))
    found = with_error(value, combine.function, "bleu", items, 1234)
    own = items_estimate(len(items), lambda rows: float(combine.function([items[row] for row in rows])))
    assert found.interval == pytest.approx(own.interval())
    assert found.method == "jackknife-t"
    few = with_error(float(combine.function(items[:4])), combine.function, "bleu", items[:4], 1234)
    assert few.interval is None
