"""A row of a data set as a task sees it: question, choices, target, instruction."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import Classify, DatasetRef, Kind
from evalkit.store.identity import without_bytes
from evalkit.task.definition import Definition
from evalkit.task.prompt import Example
from evalkit.task.source import Source
from evalkit.task.templates import MissingField, compile_text, compile_value

Row = Mapping[str, Any]

KEPT = 50_000
"""Items of a task that are held rendered: as many as fit in some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Item:
    """One rendered row. ``target`` is the gold index, a list of them, a text or a list of texts, by the task's kind;
    ``problem`` says why the target cannot be used, where it cannot. With ``contexts`` there is a prompt for each
    choice, and ``continuation`` follows all of them.
    """

    row: Row
    question: str
    choices: tuple[str, ...]
    target: Any
    problem: str | None = None
    contexts: tuple[str, ...] = ()
    continuation: str = ""

    def example(self) -> Example:
        """The row as a solved few-shot example; of several right answers the first is shown."""
        answer = self.target[0] if isinstance(self.target, list) and self.target else self.target
        if self.contexts:
            return Example(self.contexts[answer], self.continuation)
        if isinstance(answer, int) and self.choices:
            answer = self.choices[answer]
        return Example(self.question, None if answer is None or answer == [] or answer == "" else str(answer))


class Reader:
    """The compiled templates of one definition. UserError names the file, line and key of bad syntax."""

    def __init__(self, definition: Definition, source: Source) -> None:
        self.definition = definition
        self.source = source
        self._prompt = self._compiled("prompt", compile_text, definition.prompt)
        self._instruction = self._compiled("instruction", compile_text, definition.instruction)
        self._target = self._compiled("target", compile_value, definition.target)
        self._choices = (
            self._compiled("choices", compile_value, definition.choices) if definition.choices is not None else None
        )
        self._contexts = (
            self._compiled("contexts", compile_value, definition.contexts) if definition.contexts is not None else None
        )
        self._continuation = self._compiled("continuation", compile_text, definition.continuation or "")
        self._images = self._image_fields(definition.images)
        shown = definition.classify
        self._text = self._compiled("classify", compile_text, shown.text if shown else "")
        self._pair = self._compiled("classify", compile_text, shown.pair) if shown and shown.pair else None
        self._process = load_code(definition.process, source.locate("process")) if definition.process else None

    def view(self, row: Row, where: str) -> Row:
        """The row after the task's own ``process`` function, with ``config`` beside its fields."""
        if self._process is not None:
            try:
                row = self._process(dict(row))
            except KeyError as error:
                raise UserError(f"{where}: the field {error} is missing ({self.source.locate('process')})") from error
            except (TypeError, ValueError, AttributeError, LookupError) as error:
                raise UserError(
                    f"{where}: {self.source.locate('process')} fails: {type(error).__name__}: {error}"
                ) from error
            if not isinstance(row, Mapping):
                raise UserError(f"{self.source.locate('process')}: must return a mapping, not {type(row).__name__}")
        if self.definition.config is not None:
            row = {"config": self.definition.config, **row}
        return row

    def item(self, view: Row, where: str) -> Item:
        """Everything of a row that :meth:`view` gave."""
        rolling = self.definition.kind == "rolling"
        question = "" if rolling else self._apply("prompt", self._prompt, view, where)
        choices: tuple[str, ...] = ()
        if self._choices is not None:
            choices = self._as_choices(self._apply("choices", self._choices, view, where), where)
        contexts: tuple[str, ...] = ()
        if self._contexts is not None:
            contexts = self._as_choices(self._apply("contexts", self._contexts, view, where), where, "contexts")
            if len(contexts) != len(choices):
                raise UserError(
                    f"{where}: {self.source.locate('contexts')}: {len(contexts)} contexts for {len(choices)} choices"
                )
        raw = self._raw_target(view, choices, where)
        self._check_target(raw, where)
        target, problem = settle(raw, choices, self.definition.kind)
        continuation = str(self._apply("continuation", self._continuation, view, where))
        return Item(view, question, choices, target, problem, contexts, continuation)

    def instruction(self, view: Row, where: str) -> str:
        """The text before the few-shot examples."""
        return str(self._apply("instruction", self._instruction, view, where))

    def images(self, view: Row, where: str) -> list[Any]:
        """What the row holds of pictures, as it is there; None where it has none at that place."""
        found: list[Any] = []
        for template in self._images:
            value = self._apply("images", template, view, where)
            found += value if isinstance(value, list | tuple) else [value]
        return found

    def _image_fields(self, written: str | tuple[str, ...] | None) -> list[Callable[[Row], Any]]:
        fields = (written,) if isinstance(written, str) else written or ()
        return [self._compiled("images", compile_value, field) for field in fields]

    def classified(self, view: Row, where: str) -> Classify | None:
        """What a classifier is asked of the row; None where the definition does not say."""
        shown = self.definition.classify
        if shown is None:
            return None
        text = str(self._apply("classify", self._text, view, where))
        pair = None if self._pair is None else str(self._apply("classify", self._pair, view, where))
        labels = tuple((label,) if isinstance(label, str) else label for label in shown.labels)
        return Classify(text, pair, labels)

    def _compiled(self, key: str, compiler: Callable[[Any], Callable[[Row], Any]], text: Any) -> Callable[[Row], Any]:
        try:
            return compiler(text)
        except UserError as error:
            raise UserError(f"{self.source.locate(key)}: {error}") from error

    def _apply(self, key: str, template: Callable[[Row], Any], row: Row, where: str) -> Any:
        try:
            return template(row)
        except MissingField as error:
            raise UserError(
                f"{where}: the field {str(error)!r} is missing, which {self.source.locate(key)} asks for; the row has "
                f"{', '.join(sorted(map(str, row))[:12])}"
            ) from error
        except UserError as error:
            raise UserError(f"{where}: {self.source.locate(key)}: {error}") from error

    def _raw_target(self, view: Row, choices: tuple[str, ...], where: str) -> Any:
        """What the template gives. A bare word is a field, but where there is none, the choice of that name."""
        written = self.definition.target
        if isinstance(written, str) and written in choices and written not in view:
            return written
        return self._apply("target", self._target, view, where)

    def _check_target(self, raw: Any, where: str) -> None:
        """A target is a text or a number, or a list of them: of an object only its Python form could be compared."""
        inside = next((one for one in (raw if isinstance(raw, list | tuple) else [raw]) if not _plain(one)), None)
        if inside is None:
            return
        fields = [str(name) for name, value in inside.items() if _plain(value)] if isinstance(inside, Mapping) else []
        hint = f"choose a field of it ({', '.join(fields)})" if fields else "choose one of its parts"
        shown = self.definition.target
        example = f"{{{{ answers | map(attribute='{fields[0] if fields else 'text'}') | list }}}}"
        raise UserError(
            f"{where}: {self.source.locate('target')}: {shown!r} gives {raw!r:.80}, whose entries are no texts: "
            f"{hint}, for example {example}"
        )

    def _as_choices(self, value: Any, where: str, key: str = "choices") -> tuple[str, ...]:
        if isinstance(value, Mapping):
            value = list(value.values())
        if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
            raise UserError(f"{where}: {self.source.locate(key)}: must give a list of texts, not {value!r:.80}")
        return tuple(value)


class Rendered:
    """The item of a document, rendered when it is first asked for. The documents of a task keep theirs in ``kept``, at
    most KEPT of them: of a set of millions most are rendered again for their scores instead of held.
    """

    __slots__ = ("_kept", "_place", "_render", "_row")

    def __init__(self, render: Callable[[Row, int], Item], row: Row, place: int, kept: dict[int, Item]) -> None:
        self._render, self._row, self._place, self._kept = render, row, place, kept

    def __call__(self) -> Item:
        """The item; UserError where the row cannot be shown."""
        found = self._kept.get(self._place)
        if found is None:
            found = self._render(self._row, self._place)
            if len(self._kept) < KEPT:
                self._kept[self._place] = found
        return found


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def settle(raw: Any, choices: tuple[str, ...], kind: Kind) -> tuple[Any, str | None]:
    """A target in its kind's form, and what is wrong with it (None: nothing).

    For choices: an index, a choice's own text (also where that is a number), or an index as text; or a list of these.
    """
    if kind != "multiple_choice":
        if isinstance(raw, list | tuple):
            return [str(one) for one in raw], None if raw else "there is no right answer in the data"
        return ("" if raw is None else str(raw)), None if raw is not None else "there is no right answer in the data"
    if isinstance(raw, list | tuple):
        settled = [_index(one, choices) for one in raw]
        problem = next((problem for _, problem in settled if problem), None)
        return [index for index, _ in settled], problem or (None if settled else "no choice is marked right")
    return _index(raw, choices)


def _index(raw: Any, choices: tuple[str, ...]) -> tuple[int | None, str | None]:
    if isinstance(raw, str) and raw in choices:
        return choices.index(raw), None
    try:
        index = int(raw)
        if index != raw and not isinstance(raw, str):
            raise ValueError
    except (TypeError, ValueError):
        return None, f"the gold answer {raw!r:.60} is none of the choices"
    if not 0 <= index < len(choices):
        return None, f"the gold index {index} is out of range for {len(choices)} choices"
    return index, None


def _as_text(value: Any) -> Any:
    """What JSON does not know: bytes as their hash, as samples files have them (`store.samples.document_text`)."""
    return without_bytes(value) if isinstance(value, bytes) else str(value)


_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_as_text).encode


def row_hash(row: Row) -> str:
    """SHA-256 (hexadecimal) of a row's canonical JSON: keys sorted, no spaces, text as UTF-8."""
    return hashlib.sha256(_canonical(row).encode("utf-8", "surrogatepass")).hexdigest()


def split_name(dataset: DatasetRef, split: str) -> str:
    """How messages call a split: "cais/mmlu anatomy, split dev"."""
    return f"{dataset.id}{f' {dataset.config}' if dataset.config else ''}, split {split}"


def load_code(reference: str, where: str) -> Any:
    """The object "FOLDER/task.py:NAME". UserError (with ``where``) if the file or the name is not there."""
    path, _, name = reference.rpartition(":")
    if not Path(path).is_file():
        raise UserError(f"{where}: there is no file {path}")
    try:
        module = _module(Path(path), Path(path).stat().st_mtime_ns)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{where}: {path} cannot be loaded: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise UserError(f"{where}: {path} defines no {name!r}")
    return getattr(module, name)


@lru_cache(maxsize=256)
def _module(path: Path, modified: int) -> Any:
    label = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(f"evalkit_task_{path.parent.name}_{label}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
