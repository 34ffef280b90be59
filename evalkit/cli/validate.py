"""`evalkit judge validate`: how far a grader agrees with people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalkit.cli.judging import Output, check_output, interval_text, plain, save, spec_of
from evalkit.cli.options import Given, takes
from evalkit.cli.output import console
from evalkit.contract.errors import UserError
from evalkit.render.terminal import rows_table
from evalkit.spec.option import MODEL
from evalkit.spec.table import of_panel
from evalkit.spec.values import key_values

if TYPE_CHECKING:
    from evalkit.contract.grading import Grader
    from evalkit.judge.validation import Agreement, Figure

USUAL = "qags,aggrefact,wice,xsum_factuality,faithdial-audit,halueval_qa,wiki_bio"


def validate(
    settings: Given,
    grader: Annotated[str, typer.Option("--grader", help="lexical, embedding, nli, lm, or one of a plug-in.")],
    on: Annotated[str, typer.Option("--on", help="Labelled sets, separated by commas.")] = USUAL,
    grader_args: Annotated[
        str, typer.Option("--grader-args", metavar="K=V,...", help="Arguments of the grader (nli: supported=1).")
    ] = "",
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="A mirror of data sets.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-l", min=2, help="The first sources of each set.")] = None,
    output: Output = None,
) -> None:
    """How far a grader agrees with people: balanced accuracy, ROC AUC and Cohen's kappa with intervals over sources,
    and the rate of supported texts corrected by a part of people's labels. What is found stands in later records.
    """
    from evalkit.data import open_source
    from evalkit.judge import validation
    from evalkit.judge.labelled import labelled
    from evalkit.probes.grading import measured

    check_output(output)
    names = list(dict.fromkeys(name.strip() for name in on.split(",") if name.strip()))
    if not names:
        raise UserError("--on: name at least one labelled set, such as --on qags,wice")
    source = open_source(data_dir)
    sets = [labelled(name, source) for name in names]
    found = validation.validate(_grader(grader, settings, grader_args), sets, limit)
    rows = [_row(one) for one in found.sets]
    if len(rows) > 1:
        means = (_text(figure) for figure in (found.balanced_accuracy, found.roc_auc, found.kappa))
        rows.append(("mean of the sets", sum(one.n for one in found.sets), "", "", *means, "", "", ""))
    heads = ("set", "n", "sources", "supported", "balanced accuracy", "ROC AUC", "kappa", "grader's rate",
             "corrected", "people's rate")  # fmt: skip
    console().print(rows_table(heads, rows))
    typer.echo(f"grader: {found.grader}", err=True)
    for one in found.sets:
        notes = [f"{count} {reason}" for reason, count in sorted(one.left_out.items())]
        notes += [f"{one.no_verdict} without a verdict"] if one.no_verdict else []
        if notes:
            typer.echo(f"{one.name}: left out: {', '.join(notes)}", err=True)
    if limit is None:
        n = sum(one.n for one in found.sets)
        known = measured.Measured(found.kappa.value, found.kappa.interval, tuple(names), n)
        path = measured.keep(found.grader, known)
        typer.echo(f"remembered for later records: {path}", err=True)
    else:
        typer.echo("--limit: of a part of the sets, so later records do not cite it", err=True)
    if output:
        save(found, output)


def selfcheck(
    settings: Given,
    grader: Annotated[
        str, typer.Option("--grader", help="Also by this grader: lexical, embedding, nli, lm or a plug-in's.")
    ] = "",
    grader_args: Annotated[
        str, typer.Option("--grader-args", metavar="K=V,...", help="Arguments of the grader (nli: supported=1).")
    ] = "",
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="A mirror of data sets.")] = None,
    output: Output = None,
) -> None:
    """SelfCheckGPT on the labelled passages of WikiBio: areas under the precision-recall curve by sentence (NonFact,
    NonFact*, Factual) and correlations by passage, of its unigram scores and of any grader.
    """
    from evalkit.data import open_source
    from evalkit.judge import selfcheck_labels as labels

    check_output(output)
    found = labels.passages(open_source(data_dir))
    scores = labels.by_unigram(found)
    if grader:
        made = _grader(grader, settings, grader_args)
        scores[made.identity] = labels.by_grader(found, made)
    every = [labels.detection(name, found, own) for name, own in scores.items()]
    heads = ("score", "sentences", "passages", "NonFact", "NonFact*", "Factual", "Pearson", "Spearman")
    rows = [
        (one.score, one.sentences, one.passages, *map(_text, (one.nonfact, one.nonfact_star, one.factual, one.pearson,
                                                              one.spearman)))
        for one in every
    ]  # fmt: skip
    rows.append(("random", "", "", *(f"{share:.3f}" for share in every[0].random), "0", "0"))
    console().print(rows_table(heads, rows))
    if output:
        save({"scores": [plain(one) for one in every], "data": labels.DATA.id}, output)


_model = takes(*of_panel(MODEL), "chat_template", short={"model": "-M -m"})
command, selfcheck_command = _model(validate), _model(selfcheck)


def _grader(name: str, settings: Given, given: str) -> Grader:
    """The grader with its own arguments, and with the model's where a model is named."""
    from evalkit.probes.grading.finding import grader

    args: dict[str, Any] = dict(key_values("--grader-args", given)) if given else {}
    if settings.get("model"):
        spec = spec_of(settings, chat=name == "lm")
        plain = spec.model_dump(exclude_defaults=True, mode="json")
        args = {"model": plain.pop("name"), **plain, **args}
    elif settings:
        raise UserError(f"--{next(iter(settings)).replace('_', '-')}: belongs to a model; name it (--model)")
    return grader(name, args)


def _row(one: Agreement) -> tuple[Any, ...]:
    rate = one.rate
    return (
        one.name,
        one.n,
        one.clusters,
        f"{one.supported / one.n:.1%}",
        *(_text(figure) for figure in (one.balanced_accuracy, one.roc_auc, one.kappa)),
        "–" if rate is None else f"{rate.judge:.3f}",
        "–" if rate is None else f"{rate.value:.3f} ({interval_text(rate.interval, 3)}; {rate.labelled} labelled)",
        "–" if rate is None else f"{rate.people:.3f}",
    )


def _text(figure: Figure) -> str:
    return "–" if figure.value is None else f"{figure.value:.3f} ({interval_text(figure.interval, 3)})"
