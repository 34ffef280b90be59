"""Entries of judged conversations: a model's grade on MT-Bench, its win rates on AlpacaEval, with the judge's name."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit import __version__
from evalkit.judge.chat import Chat, Standing
from evalkit.judge.chat_sets import ChatSet
from evalkit.leaderboard.entry import Entry, Model, Result, Score

GRADE, WIN_RATE, CONTROLLED = "judge score,none", "win rate,none", "length-controlled win rate,none"
"""As published figures are called."""


def entries(chat: Chat, asked: ChatSet, n_total: int, own_prompts: bool = False) -> Iterator[Entry]:
    """An entry a model, for sets whose figures are published under a name (`ChatSet.benchmark`). ``own_prompts``: the
    benchmark's own judged.
    """
    if not asked.benchmark:
        return
    judge = str(chat.record["model"]["name"])
    own = {str(row["model"]) for row in asked.outputs}
    for one in chat.standings:
        metrics = dict(_scores(one, asked.benchmark, f"judge:{judge}|v:evalkit-{__version__}"))
        if metrics and one.model not in own:
            result = Result(
                n=len(asked.questions),
                n_total=n_total,
                errors=one.failed,
                primary=next(iter(metrics)),
                metrics=metrics,
                protocol=f"{judge} as judge, by {'MT-Bench' if own_prompts else 'evalkit'}'s prompts",
            )
            yield Entry(
                evalkit=__version__,
                model=Model(name=one.model[:400], type="instruction-tuned"),
                results={asked.benchmark: result},
            )


def _scores(one: Standing, benchmark: str, signature: str) -> Iterator[tuple[str, Score]]:
    if benchmark == "MT-Bench" and one.graded and (mean := one.graded.mean):
        yield GRADE, Score(value=mean.value, interval=mean.interval, n=mean.n, unit="1-10", signature=signature)
    if benchmark == "AlpacaEval" and one.win_rate:
        yield (
            WIN_RATE,
            Score(
                value=one.win_rate.value,
                interval=one.win_rate.interval,
                n=one.win_rate.n,
                proportion=True,
                signature=signature,
            ),
        )
        if one.controlled:
            yield (
                CONTROLLED,
                Score(
                    value=one.controlled.rate,
                    interval=one.controlled.interval,
                    n=one.controlled.n,
                    proportion=True,
                    signature=signature,
                ),
            )
