"""A long task's requests, responses and samples, held small (`store.packed`): made again as they are looked at."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, islice
from operator import attrgetter
from typing import Any, Protocol, overload, runtime_checkable

from evalkit.contract.types import (
    Asked,
    Classify,
    Document,
    Embed,
    Generate,
    Image,
    Message,
    Request,
    Response,
    Rolling,
    SampleResult,
    Sampling,
    Score,
    Usage,
)
from evalkit.store.packed import Packed

# -- responses ----------------------------------------------------------------------------------------------------

_response = attrgetter(*Response.__slots__)
_usage = attrgetter(*Usage.__slots__)


def responses(found: Iterable[Response] = ()) -> Packed[Response]:
    """Responses, packed; more may follow."""
    return Packed(found, _pack_response, _unpack_response)


def _pack_response(response: Response) -> list[Any]:
    *fields, values, usage = _response(response)
    return [*fields, list(values), None if usage is None else list(_usage(usage))]


def _unpack_response(fields: list[Any]) -> Response:
    *rest, values, usage = fields
    rest += [tuple(values), None if usage is None else Usage(*usage)]
    return Response(*rest)


class Window(Sequence[Response]):
    """Those of ``found`` from place ``begin`` to before ``end``: one task's of a run's."""

    def __init__(self, found: Sequence[Response], begin: int, end: int) -> None:
        self._found, self._range = found, range(begin, end)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, place: int) -> Response: ...
    @overload
    def __getitem__(self, place: slice) -> list[Response]: ...
    def __getitem__(self, place: int | slice) -> Response | list[Response]:
        if isinstance(place, slice):
            return [self._found[one] for one in self._range[place]]
        return self._found[self._range[place]]

    def __iter__(self) -> Iterator[Response]:
        begin, found = self._range.start, self._found
        rest = found.after(begin) if isinstance(found, Packed) else islice(found, begin, None)
        return islice(rest, len(self._range))


# -- requests -----------------------------------------------------------------------------------------------------


@runtime_checkable
class Counted(Protocol):
    """Requests of documents that know what is asked of them all."""

    kinds: set[type]
    images: bool

    @property
    def total(self) -> int:
        """Requests over all documents."""
        ...


class Requests(Sequence[tuple[Request, ...]]):
    """Each document's requests, packed, with what is asked of them all: ``kinds``, ``images`` (whether one has some)
    and ``total`` of single requests.
    """

    def __init__(self, asked: Iterable[tuple[Request, ...]]) -> None:
        self.kinds: set[type] = set()
        self.images = False
        self.begins = array("Q", [0])
        """Before each document, how many requests stand; and, behind the last one, all."""
        self._samplings: list[Sampling] = []
        self._packed = Packed(self._counted(asked), self._pack, self._unpack)

    @property
    def total(self) -> int:
        """Requests over all documents."""
        return self.begins[-1]

    def _counted(self, asked: Iterable[tuple[Request, ...]]) -> Iterator[tuple[Request, ...]]:
        for requests in asked:
            self.begins.append(self.begins[-1] + len(requests))
            self.kinds.update(map(type, requests))
            self.images = self.images or any(map(has_images, requests))
            yield requests

    def _pack(self, requests: tuple[Request, ...]) -> Any:
        if isinstance(requests, Asked):  # its note is the task's own affair
            return requests
        return [self._pack_one(request) for request in requests]

    def _pack_one(self, request: Request) -> Any:
        if isinstance(request, Rolling):
            return [request.text]
        if isinstance(request, Classify):
            return ["c", request.text, request.pair, [list(names) for names in request.labels]]
        turns = request.messages
        if isinstance(request, Embed) or (turns is not None and any(turn.images or turn.tools for turn in turns)):
            return request
        messages = None if turns is None else [[turn.role, turn.content] for turn in turns]
        if isinstance(request, Score):
            return ["s", request.context, request.continuation, messages]
        if request.sampling not in self._samplings:
            self._samplings.append(request.sampling)
        sampling = self._samplings.index(request.sampling)
        until = list(request.until)
        return ["g", request.context, until, request.max_tokens, sampling, messages, request.repeat]

    def _unpack(self, packed: list[list[Any]]) -> tuple[Request, ...]:
        return tuple(map(self._unpack_one, packed))

    def _unpack_one(self, fields: list[Any]) -> Request:
        if len(fields) == 1:
            return Rolling(fields[0])
        kind, context, *rest = fields
        if kind == "c":
            return Classify(context, rest[0], tuple(map(tuple, rest[1])))
        if kind == "s":
            return Score(context, rest[0], _messages(rest[1]))
        until, most, sampling, messages, repeat = rest
        return Generate(context, tuple(until), most, self._samplings[sampling], _messages(messages), repeat)

    def __len__(self) -> int:
        return len(self._packed)

    @overload
    def __getitem__(self, place: int) -> tuple[Request, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> list[tuple[Request, ...]]: ...
    def __getitem__(self, place: int | slice) -> tuple[Request, ...] | list[tuple[Request, ...]]:
        return self._packed[place]

    def __iter__(self) -> Iterator[tuple[Request, ...]]:
        return iter(self._packed)


def _messages(turns: list[list[str]] | None) -> tuple[Message, ...] | None:
    return None if turns is None else tuple(Message(role, content) for role, content in turns)


def has_images(request: Request) -> bool:
    """Whether a request shows images."""
    messages = None if isinstance(request, Rolling) else request.messages
    return messages is not None and any(message.images for message in messages)


def images_of(requests: Sequence[Request]) -> tuple[Image, ...]:
    """The images that requests show, each once, in reading order."""
    found: dict[Image, None] = {}
    for request in requests:
        for message in (None if isinstance(request, Rolling) else request.messages) or ():
            found.update(dict.fromkeys(message.images))
    return tuple(found)


class Flat(Sequence[Request]):
    """The requests of all documents one after another. A slice is a list."""

    def __init__(self, asked: Sequence[Sequence[tuple[Request, ...]]]) -> None:
        """``asked``: each task's requests by document."""
        self._asked = asked
        self._begins = [begins_of(one) for one in asked]
        self._tasks = list(accumulate((begins[-1] for begins in self._begins), initial=0))

    def __len__(self) -> int:
        return self._tasks[-1]

    @overload
    def __getitem__(self, place: int) -> Request: ...
    @overload
    def __getitem__(self, place: slice) -> list[Request]: ...
    def __getitem__(self, place: int | slice) -> Request | list[Request]:
        if not isinstance(place, slice):
            if not -len(self) <= place < len(self):
                raise IndexError(place)
            return next(self._from(place % len(self)))
        places = range(*place.indices(len(self)))
        if places.step == 1:
            return list(islice(self._from(places.start), len(places)))
        return [self[one] for one in places]

    def __iter__(self) -> Iterator[Request]:
        return (request for asked in self._asked for requests in asked for request in requests)

    def _from(self, place: int) -> Iterator[Request]:
        """The requests from ``place`` on."""
        if place >= len(self):
            return
        task = bisect_right(self._tasks, place) - 1
        left = place - self._tasks[task]
        document = bisect_right(self._begins[task], left) - 1
        left -= self._begins[task][document]
        own = self._asked[task]
        rest = chain((own[number] for number in range(document, len(own))), *self._asked[task + 1 :])
        yield from islice((request for requests in rest for request in requests), left, None)


def begins_of(asked: Sequence[tuple[Request, ...]]) -> Sequence[int]:
    """Before each document, how many requests stand; and, behind the last one, all."""
    return asked.begins if isinstance(asked, Requests) else list(accumulate(map(len, asked), initial=0))


# -- samples ------------------------------------------------------------------------------------------------------


class Samples(Sequence[SampleResult]):
    """Scored documents: what scoring found is packed, and joined with document, requests and responses as it is looked
    at. ``metric_keys`` are those of all samples, in the order in which they came.
    """

    def __init__(
        self, documents: Sequence[Document], requests: Sequence[tuple[Request, ...]], answers: Sequence[Response]
    ) -> None:
        """``answers``: those of the requests, one after another."""
        self._documents, self._requests, self._answers = documents, requests, answers
        self._begins = begins_of(requests)
        self._places = array("Q")
        self._own: Packed[Any] = Packed()
        self._keys: dict[str, None] = {}

    @property
    def images(self) -> bool:
        """Whether some were asked about with images."""
        asked = self._requests
        return asked.images if isinstance(asked, Counted) else any(has_images(one) for each in asked for one in each)

    @property
    def metric_keys(self) -> tuple[str, ...]:
        """Of all samples, in the order in which they came."""
        return tuple(self._keys)

    def add(self, place: int, sample: SampleResult, requests: object, responses: tuple[Response, ...]) -> None:
        """The sample of the document at ``place``, which was scored by these requests and responses."""
        self._places.append(place)
        self._keys.update(dict.fromkeys(sample.metrics))
        joined = sample.requests is requests and sample.responses == responses
        joined = joined and all(type(value) is tuple for value in sample.statistics.values())
        self._own.extend((_found(sample) if joined else sample,))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> SampleResult: ...
    @overload
    def __getitem__(self, place: slice) -> list[SampleResult]: ...
    def __getitem__(self, place: int | slice) -> SampleResult | list[SampleResult]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        own, at = self._own[place], self._places[place]
        answers = self._answers[self._begins[at] : self._begins[at + 1]]
        return _joined(self._documents[at], self._requests[at], tuple(answers), own)

    def __iter__(self) -> Iterator[SampleResult]:
        scored = zip(self._places, self._own, strict=True)
        wanted, own = next(scored, (-1, None))
        ahead = iter(self._answers)
        for place, (document, requests) in enumerate(zip(self._documents, self._requests, strict=True)):
            answers = tuple(islice(ahead, len(requests)))
            if place == wanted:
                yield _joined(document, requests, answers, own)
                wanted, own = next(scored, (-1, None))


def _found(sample: SampleResult) -> list[Any]:
    """What scoring added. Statistics are tuples, which JSON does not know."""
    statistics = {key: list(value) for key, value in sample.statistics.items()}
    return [
        sample.target,
        sample.status,
        sample.error,
        _nothing(sample.filtered),
        _nothing(sample.metrics),
        _nothing(statistics),
        _nothing(sample.extra),
    ]


def _nothing(values: Any) -> Any:
    return values or None


def _joined(document: Document, requests: tuple[Request, ...], answers: tuple[Response, ...], own: Any) -> SampleResult:
    if isinstance(own, SampleResult):
        return own
    target, status, error, filtered, metrics, statistics, extra = own
    pairs = {key: tuple(value) for key, value in statistics.items()} if statistics else {}
    return SampleResult(
        document, requests, answers, target, status, error, filtered or {}, metrics or {}, pairs, extra or {}
    )
