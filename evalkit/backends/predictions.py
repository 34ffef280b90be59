"""Scores outputs made elsewhere: ``--model predictions:FILE``.

FILE is JSONL with one object a document, or plain text with one output a line, in the order of the documents. An
object says whose it is and what was answered:

    {"prompt": "...", ...}         the prompt exactly as this run makes it
    {"doc_hash": "...", ...}       the document's hash, as samples files have it
    {"doc_id": 3, ...}             the document's index in its split ("id" means the same)
    {...}                          none of these: one object a document, in order
    "text" ("prediction", "response") the output, kept as it is: no stop string is applied; a thought at its beginning
                                   ("<think>...</think>", or --think-start and --think-end) is told apart
    "loglikelihoods": [-1.2, ...]  one a choice, in order; with "is_greedy": [true, ...] where a metric needs it
    "error": "..."                 the document could not be answered
    "task": "mmlu_anatomy"         needed where one file serves several tasks by doc_id

A run of several tasks takes them in the order of the plan. Nothing is guessed: an output that is missing, left over or
given twice is an error that names file and line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from evalkit.backends.chat_template import prompting_identity
from evalkit.backends.thinking import Marks, answer_of, marks_of
from evalkit.contract.capabilities import BackendType, Capabilities
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Generate, ModelInfo, Request, Response, Rolling, Score
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest, text_key
from evalkit.text.reading import Malformed, decode, parse_json, read_bytes

PREFIX = "predictions:"
KEYS = ("prompt", "doc_hash", "doc_id", "id")
TEXTS = ("text", "prediction", "response")
NOT_FROM_HERE = 1 << 30
"""Window in tokens: outputs made elsewhere have none here."""


@dataclass(frozen=True, slots=True)
class Output:
    """One document's answer and where it stands in the file (line numbers from 1)."""

    line: int
    key: str | int | None
    task: str | None = None
    text: str | None = None
    loglikelihoods: tuple[float, ...] | None = None
    is_greedy: tuple[bool, ...] | None = None
    error: str | None = None


@dataclass(slots=True)
class _Table:
    """The file's outputs, by what they are known by: one of KEYS, or "order"."""

    path: Path
    by: str
    outputs: list[Output]
    index: dict[tuple[str | None, str | int], Output] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.by == "order":
            return
        for output in self.outputs:
            assert output.key is not None
            known = self.index.setdefault((output.task, output.key), output)
            if known is not output:
                raise UserError(
                    f"{self.path}:{output.line}: {self.by} {output.key!r} stands in line {known.line} already: "
                    "give each document one output"
                )

    def find(self, task: str | None, key: str | int, of: str) -> Output:
        """Raises UserError that names the document without an output."""
        found = self.index.get((task, key)) or self.index.get((None, key))
        if found is None:
            shown = key if isinstance(key, int) else f"{key[:60]!r}"
            raise UserError(f"{self.path}: no output for {of} with {self.by} {shown}: add a line for it")
        return found


CAPABILITIES = Capabilities(
    answers=frozenset(("loglikelihood", "generate")), by_document=True, modalities=frozenset(("text", "image"))
)


class PredictionsBackend:
    """An `evalkit.contract.backend.TextBackend` over a file of outputs.

    Answers belong to places in the run, not to prompts.
    """

    capabilities = CAPABILITIES

    def __init__(self, info: ModelInfo, table: _Table, marks: Marks) -> None:
        self.info = info
        self._marks = marks
        self._table = table
        self._bound: list[tuple[Request, Output, int]] = []
        self._used: set[int] = set()
        self._next = 0

    def bind(self, documents: Sequence[Document], requests: Sequence[tuple[Request, ...]], task: str = "") -> None:
        """Say which requests belong to which document, once a task in the order of the plan and before `respond`.
        Needed for doc_hash, and for doc_id wherever not all documents run. Raises UserError for a missing output.
        """
        for document, asked in zip(documents, requests, strict=True):
            place = 0
            output = self._for_document(document, asked, task)
            scores = sum(isinstance(request, Score) for request in asked)
            self._check_count(output, scores)
            for request in asked:
                self._bound.append((request, output, place))
                place += isinstance(request, Score)

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request, in order. Raises UserError if counts or kinds do not fit."""
        if self._bound:
            yield from self._respond_bound(requests)
            return
        table = self._table
        if table.by == "doc_hash":
            raise UserError(f"{table.path}: known by doc_hash, but the run gave no documents: use doc_id or prompt")
        if table.by == "prompt":
            places: dict[int, int] = {}
            for index, request in enumerate(requests):
                output = table.find(None, _prompt(request), "a request")
                place = places.get(output.line, 0)
                places[output.line] = place + isinstance(request, Score)
                yield index, _response(table.path, request, output, place, self._marks)
            return
        yield from self._respond_in_order(requests)

    def close(self) -> None:
        """Nothing to free."""

    def finish(self) -> None:
        """After every task is bound: raises UserError if outputs by order are left over."""
        if self._table.by == "order" and self._next != len(self._table.outputs):
            self._wrong_count(self._next)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _for_document(self, document: Document, asked: tuple[Request, ...], task: str) -> Output:
        table = self._table
        of = f"a document of {task}" if task else "a document"
        if table.by == "doc_hash":
            return table.find(task, document.hash, of)
        if table.by in ("doc_id", "id"):
            return table.find(task, document.id, of)
        if table.by == "prompt":
            return table.find(task, _prompt(asked[0]), of)
        if self._next >= len(table.outputs):
            raise UserError(
                f"{table.path}: only {len(table.outputs)} outputs, but the run has more documents: "
                "give one output a document, in order"
            )
        self._next += 1
        return table.outputs[self._next - 1]

    def _respond_bound(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """Whole runs by place; parts of one (a resumed run) by looking each request up."""
        if len(requests) == len(self._bound) and all(r == b[0] for r, b in zip(requests, self._bound, strict=True)):
            for index, (request, output, place) in enumerate(self._bound):
                yield index, _response(self._table.path, request, output, place, self._marks)
            return
        lookup: dict[str, tuple[Output, int]] = {}
        for request, output, place in self._bound:
            known = lookup.setdefault(text_key("", request), (output, place))
            if known[0] is not output and _answer(known[0], known[1]) != _answer(output, place):
                raise UserError(
                    f"{self._table.path}:{output.line}: the same request is answered otherwise in line "
                    f"{known[0].line}: identical documents need identical outputs here"
                )
        for index, request in enumerate(requests):
            found = lookup.get(text_key("", request))
            if found is None:
                raise UserError(f"{self._table.path}: a request belongs to no document of the run: run it anew")
            output, place = found
            yield index, _response(self._table.path, request, output, place, self._marks)

    def _respond_in_order(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        table = self._table
        outputs = table.outputs
        if table.by != "order":  # doc_id or id without documents: their order is the documents'
            if len({output.task for output in outputs}) > 1:
                raise UserError(f"{table.path}: outputs of several tasks, but the run gave no documents: use prompt")
            outputs = sorted(outputs, key=lambda output: int(output.key or 0))
        slots = [(output, place) for output in outputs for place in range(_size(output))]
        if len(slots) != len(requests):
            self._wrong_count(len(requests), len(slots))
        for index, (request, (output, place)) in enumerate(zip(requests, slots, strict=True)):
            yield index, _response(table.path, request, output, place, self._marks)

    def _check_count(self, output: Output, scores: int) -> None:
        given = output.loglikelihoods
        if scores and given is not None and len(given) != scores:
            raise UserError(
                f"{self._table.path}:{output.line}: {len(given)} loglikelihoods for a document with {scores} choices: "
                "give one a choice, in order"
            )

    def _wrong_count(self, wanted: int, given: int | None = None) -> None:
        given = len(self._table.outputs) if given is None else given
        raise UserError(
            f"{self._table.path}: {given} outputs for {wanted} requests: give one output a document, in order "
            "(check --limit), or name documents by doc_id, doc_hash or prompt"
        )


def load(model: ModelSpec, engine: EngineSpec) -> PredictionsBackend:
    """The outputs in the file that ``model.name`` (predictions:FILE) or the argument ``file`` names.

    Raises UserError naming file and line for a broken line, a missing key or a value of the wrong kind.
    """
    name = model.name.removeprefix(PREFIX) if model.name.startswith(PREFIX) else str(model.args.get("file", ""))
    if not name:
        raise UserError("predictions: no file given: write --model predictions:FILE")
    path = Path(name)
    data = read_bytes(path, "file of outputs")
    try:
        text = decode(data)
    except Malformed as error:
        raise UserError(f"{path}:{error.line or 1}: {error}: save the file as UTF-8") from None
    given = prompting_identity(model)
    fingerprint = f"predictions:{hashlib.sha256(data).hexdigest()}" + (f":{digest(given)}" if given else "")
    info = ModelInfo(
        name=model.label or path.stem,
        backend="predictions",
        fingerprint=fingerprint,
        max_length=model.max_length or NOT_FROM_HERE,
        details={"file": path.name},
    )
    return PredictionsBackend(info, _parse_file(path, text), marks_of(model))


def _parse_file(path: Path, text: str) -> _Table:
    # Only \n ends a line: an output may hold the other line separators that Unicode has.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
    if not lines:
        raise UserError(f"{path}: is empty: give one output a document")
    if path.suffix.lower() not in (".jsonl", ".json", ".ndjson"):
        return _Table(path, "order", [Output(number, None, text=line) for number, line in enumerate(lines, 1)])
    by = None
    outputs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _record(path, number, line)
        if by is None:
            by = next((key for key in KEYS if key in record), "order")
        outputs.append(_output(f"{path}:{number}", number, record, by))
    if by is None:
        raise UserError(f"{path}: is empty: give one output a document")
    return _Table(path, by, outputs)


def _record(path: Path, number: int, line: str) -> Mapping[str, Any]:
    try:
        record = parse_json(line)
    except Malformed as error:
        raise UserError(f"{path}:{number}: not valid JSON ({error}): give one JSON object a line") from None
    if not isinstance(record, dict):
        raise UserError(f'{path}:{number}: not a JSON object: write {{"doc_id": 0, "text": "..."}}')
    return record


def _output(where: str, line: int, record: Mapping[str, Any], by: str) -> Output:
    key = record.get(by) if by != "order" else None
    wanted = int if by in ("doc_id", "id") else str
    if by != "order" and (not isinstance(key, wanted) or isinstance(key, bool)):
        problem = "has no" if key is None else "has a wrong"
        raise UserError(f"{where}: {problem} {by!r}, which the lines before have: give every line one")
    texts = [record[name] for name in TEXTS if name in record]
    numbers = _list(where, record, "loglikelihoods", float)
    greedy = _list(where, record, "is_greedy", bool)
    error = record.get("error")
    if not texts and numbers is None and not error:
        raise UserError(f'{where}: no output: give "text" (or prediction, response), "loglikelihoods" or "error"')
    if texts and not isinstance(texts[0], str):
        raise UserError(f"{where}: the output is no text but {type(texts[0]).__name__}: give a string")
    if greedy is not None and len(greedy) != len(numbers or ()):
        raise UserError(f"{where}: is_greedy has {len(greedy)} entries, loglikelihoods {len(numbers or ())}")
    return Output(
        line=line,
        key=key,
        task=None if record.get("task") is None else str(record["task"]),
        text=texts[0] if texts else None,
        loglikelihoods=numbers,
        is_greedy=greedy,
        error=None if not error else str(error),
    )


def _list(where: str, record: Mapping[str, Any], name: str, kind: type) -> tuple[Any, ...] | None:
    values = record.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not values:
        raise UserError(f"{where}: {name} is not a list of values: give one a choice")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not (number if kind is float else isinstance(value, bool)):
            raise UserError(
                f"{where}: {name} holds {value!r}: give {'finite numbers' if kind is float else 'booleans'}"
            )
    return tuple(kind(value) for value in values)


def _prompt(request: Request) -> str:
    return request.text if isinstance(request, Rolling) else request.context


def _size(output: Output) -> int:
    return len(output.loglikelihoods) if output.loglikelihoods is not None else 1


def _answer(output: Output, place: int) -> tuple[Any, ...]:
    number = output.loglikelihoods[place] if output.loglikelihoods and place < len(output.loglikelihoods) else None
    return output.text, number, output.error


def _response(path: Path, request: Request, output: Output, place: int, marks: Marks) -> Response:
    if output.error is not None:
        return Response(status="error", error=output.error)
    if isinstance(request, Generate):
        if output.text is None:
            raise UserError(f'{path}:{output.line}: the task asks for text, the line has none: give "text"')
        found = answer_of(output.text, (), marks, marks.opened_by(request.context))
        return Response(text=found.text, finish=found.finish, thought=found.thought)
    if isinstance(request, Score):
        if output.loglikelihoods is None or place >= len(output.loglikelihoods):
            raise UserError(
                f"{path}:{output.line}: the task scores choices, and the line has no log-likelihood for choice "
                f'{place + 1}: give "loglikelihoods", one a choice, or use a task that generates'
            )
        greedy = None if output.is_greedy is None else output.is_greedy[place]
        return Response(loglikelihood=output.loglikelihoods[place], is_greedy=greedy)
    raise UserError(f"{path}: perplexity of a text cannot come from outputs made elsewhere: leave such tasks out")


kind = BackendType(
    "predictions",
    load,
    settings=frozenset(("max_length", "think_start", "think_end")),
    prefixes=(PREFIX,),
    capabilities=CAPABILITIES,
    replicas=False,
)
