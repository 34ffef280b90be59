"""A run with something planted in every field, for tests of what shows runs."""

from __future__ import annotations

from pathlib import Path

import made_runs as made

from evalkit.contract.types import Document, Generate, Response, SampleResult

PLANTS = (
    "<script>window.planted=1</script>",
    "</script><script>window.planted=2</script>",
    "<img src=x onerror=window.planted=3>",
    '" onmouseover="window.planted=4',
    "<a href='javascript:window.planted=5'>x</a>",
    "[x](javascript:window.planted=6)",
    "{{ 7*7 }}{% for x in y %}{{ self.__init__ }}",
    "<!--<script>",
    "\u202egnp.exe\u2066 \u200bzero",
    "]]><svg/onload=window.planted=7>",
    "\ud800 lone",
    "http://evil.example/?q=",
    "a|b`c`\n# head",
)


def planted_run(folder: Path) -> Path:
    """A run with something planted in every field that a run directory lets through."""
    every = " ".join(PLANTS).replace("\ud800", "")
    tasks = []
    for number, plant in enumerate(PLANTS):
        name = plant.replace("\ud800", "?")
        task = made.info(
            f"t{number} {name}",
            version=name,
            description=name,
            alias=name,
            citation=name,
            primary="f1,none",
            higher_is_better={"f1,none": True},
            kind="generate",
        )
        sample = SampleResult(
            document=Document(0, {"question": plant}, made.digest(f"p{number}")),
            requests=(Generate(plant),),
            responses=(Response(text=plant, finish="stop"),),
            target=[plant],
            filtered={"none": plant},
            metrics={"f1,none": 1.0},
            extra={plant: plant},
        )
        failed = SampleResult(
            document=Document(1, {"question": plant}, made.digest(f"q{number}")),
            requests=(Generate(plant),),
            responses=(Response(status="error", error=plant),),
            target=plant,
            status="error",
            error=plant,
        )
        tasks.append((task, [sample, failed]))
    return made.write_run(
        folder,
        tasks,
        label=every,
        model=every,
        groups=(),
        counters={every: {every: every}},
        environment={"command": every, every: every},
    )
