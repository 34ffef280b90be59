"""The parts of a report as a list: each has a title, makes what it shows from runs, and writes HTML and Markdown.

evalkit's own sections and a package's come through one door, entry points of the group ``evalkit.report_sections``
(a program registers one while it runs with `evalkit.contract.registry.register`). The name is the section's anchor.
See docs/reports.md for an example.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.contract.registry import SECTIONS
from evalkit.render import templates
from evalkit.render.page import Attachment
from evalkit.render.view import Run, View
from evalkit.store import RunDir
from evalkit.store.paths import share

LAST = 550
"""Behind all of evalkit's own but "reproduce", which is 600."""
NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
TAKEN = re.compile(r"main|title|theme|controls|browser|manifest|[bh]-.*|[ci]\d.*")
"""What the page itself calls its elements."""
Format = Literal["html", "md"]


@dataclass(frozen=True, slots=True)
class Source:
    """The runs of a report: ``runs`` with names and results, ``opened`` (their directories, in the same order) with the
    samples, ``view`` with everything that evalkit's own tables show.
    """

    runs: tuple[Run, ...]
    opened: tuple[RunDir, ...]
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of a report.

    ``build`` makes its value from the runs; None leaves the section out. ``html`` and ``markdown`` are Jinja templates
    (text, or the file that holds it) of ``value``, ``view`` and ``runs``; "" leaves it out of that format. In HTML what
    is not marked as markup is escaped; ``| visible`` shows hidden characters too, which Markdown's ``| md`` (one line)
    and ``| code`` (a block) always do.

    ``order``: where it stands; evalkit's own are summary 100, tasks 200, beside 210, documents 220, plots 300,
    performance 400, samples 500, reproduce 600. ``block``: not a section with a place in the page's menu but a folded
    part of the section before it, with ``note`` beside its title. ``heading``: the title in Markdown where it is
    another ("" for none).

    ``attach`` and ``hashes`` are for what evalkit's own scripts read: data beside the markup, and hashes of code that
    the page's policy lets them start.
    """

    title: str
    build: Callable[[Source], Any]
    html: str | Path = ""
    markdown: str | Path = ""
    order: int = LAST
    block: bool = False
    note: str = ""
    heading: str | None = None
    attach: Callable[[Any], Iterable[Attachment]] | None = None
    hashes: Callable[[Any], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A section as the page's frame takes it."""

    name: str
    section: Section
    value: Any
    body: str
    blocks: list[Shown] = field(default_factory=list)

    @property
    def title(self) -> str:
        """In HTML."""
        return self.section.title

    @property
    def note(self) -> str:
        """Beside the title of a block."""
        return self.section.note

    @property
    def heading(self) -> str:
        """In Markdown; "" for none."""
        return self.section.title if self.section.heading is None else self.section.heading


def listed() -> list[tuple[str, Section]]:
    """All sections with their anchors, in their order. What a package offers that is no section, cannot be loaded, or
    cannot be an anchor, becomes a section that says so: runs are not lost because of it.
    """
    found = [(name, _load(name)) for name in registry.names(SECTIONS)]
    if not any(_own(name) for name, _ in found):
        raise UserError(f"no report sections (entry points {SECTIONS}): evalkit's installation is older than its code")
    found = [(name if _anchor(name) else f"section-{place}", section) for place, (name, section) in enumerate(found)]
    return sorted(found, key=lambda pair: (pair[1].order, pair[0]))


def _load(name: str) -> Section:
    try:
        section = registry.load(SECTIONS, name)
        if isinstance(section, Section) and _anchor(name):
            return section
        problem = f"is of type {type(section).__name__}, not Section"
        if isinstance(section, Section):
            problem = "has a name that cannot be an anchor of the page: use lower-case letters, digits, - and _"
        raise UserError(f"report section {name!r}, from {registry.provider(SECTIONS, name)}, {problem}")
    except UserError as error:
        if _own(name):
            raise
        return _failed(name, str(error))


def _anchor(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and not TAKEN.fullmatch(name)


def _own(name: str) -> bool:
    return registry.provider(SECTIONS, name).partition(" ")[0] in ("evalkit-harness", "evalkit")


def _failed(title: str, problem: str, section: Section | None = None) -> Section:
    """A section, in the place of ``section``, that shows what is wrong."""
    return Section(
        title=title,
        build=lambda source: f"This section could not be made: {problem}",
        html=share("reports") / "failed.html.j2",
        markdown=share("reports") / "failed.md.j2",
        order=section.order if section else LAST,
        block=section.block if section else False,
    )


def shown(source: Source, kind: Format) -> list[Shown]:
    """Every section that has something to show, built and written. A package's section that fails says so in its place:
    it takes nothing away from the rest of the report.
    """
    written: list[Shown | None] = []
    for name, section in listed():
        try:
            written.append(_write(name, section, source, kind))
        except UserError:
            raise
        except Exception as error:
            if _own(name):
                raise
            written.append(
                _write(name, _failed(section.title, f"{type(error).__name__}: {error}", section), source, kind)
            )
    return [one for one in written if one is not None]


def nested(parts: Iterable[Shown]) -> list[Shown]:
    """Blocks below the section that they stand behind."""
    found: list[Shown] = []
    for part in parts:
        if part.section.block and found:
            found[-1].blocks.append(part)
        else:
            found.append(part)
    return found


def _write(name: str, section: Section, source: Source, kind: Format) -> Shown | None:
    text = section.html if kind == "html" else section.markdown
    value = section.build(source) if text else None
    if value is None:
        return None
    template = templates.with_text(share("reports"), f"{name}.{kind}.j2", text)
    body = template.render(value=value, view=source.view, runs=source.runs)
    if not body.strip():
        return None
    return Shown(name, section, value, templates.markup(body) if kind == "html" else body.strip("\n"))
