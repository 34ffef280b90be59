"""What a model is asked, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from evalkit.contract.embedding import Embedder, Role

Status = Literal["ok", "unscored", "error"]

UNFINISHED = "unfinished thought"
"""How a reply ended (``finish``) that was still a thought when the model stopped or was cut."""

WITHHELD = "content_filter"
"""How a reply ended (``finish``) that its provider keeps back, or a prompt that it refuses to ask."""

IMAGE_MARK = "<image>"
"""Where the next of a message's images stands in its text."""

ONLY_IF_SET = "only if set"
"""Marks a field that came later: while it is empty it is no part of a value's identity, so that old keys stay."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message: its bytes, and what they are ("image/png")."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; role is "system", "user" or "assistant". Each ``IMAGE_MARK`` of the content is where
    the next of ``images`` stands; without any mark they stand before the text. Only a backend whose capabilities name
    the modality "image" is asked with some.
    """

    role: str
    content: str
    images: tuple[Image, ...] = field(default=(), metadata={ONLY_IF_SET: True})
    tools: tuple[str, ...] = field(default=(), metadata={ONLY_IF_SET: True})
    """Functions that the model may call, on the conversation's first turn: each the JSON of one of OpenAI's tools,
    {"type": "function", "function": {"name", "description", "parameters"}}. A server gets them as ``tools``, a chat
    template as its variable of that name; calls that a server tells apart come back within the reply's text
    (`evalkit.text.tool_calls`)."""


def parts_of(message: Message) -> tuple[str | Image, ...]:
    """The texts and images of a message in reading order. ValueError where it has marks, but not one for each image."""
    if not message.images:
        return (message.content,)
    texts = message.content.split(IMAGE_MARK)
    if len(texts) == 1:
        return (*message.images, *([message.content] if message.content else []))
    if len(texts) != len(message.images) + 1:
        raise ValueError(f"the text has {len(texts) - 1} marks {IMAGE_MARK} for {len(message.images)} images")
    found: list[str | Image] = [texts[0]]
    for image, text in zip(message.images, texts[1:], strict=True):
        found += [image, text]
    return tuple(part for part in found if part != "")


@dataclass(frozen=True, slots=True)
class Score:
    """Ask for the log-likelihood of ``continuation`` after ``context`` (an empty context is legal)."""

    context: str
    continuation: str
    messages: tuple[Message, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen: greedy at temperature 0 (the default), seeded otherwise."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 1234
    extra: tuple[tuple[str, Any], ...] = ()
    """Backend-specific generation settings (``--gen_kwargs``), sorted by name; part of the identity."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask for text after ``context`` until a stop string, end-of-sequence or ``max_tokens`` new tokens.

    ``repeat`` numbers independent samples of the same prompt (self-consistency, pass@k).
    """

    context: str
    until: tuple[str, ...] = ()
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    messages: tuple[Message, ...] | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Rolling:
    """Ask for the log-likelihood of a whole text in disjoint windows (perplexity)."""

    text: str


@dataclass(frozen=True, slots=True)
class Classify:
    """Ask a classifier for the class of a text, or of a pair of texts. ``labels``: the names that each of the task's
    classes goes by, in the task's order; none at all: a number is asked for (regression).
    """

    text: str
    pair: str | None = None
    labels: tuple[tuple[str, ...], ...] = ()

    @property
    def context(self) -> str:
        """What the model is shown, as one text."""
        return self.text if self.pair is None else f"{self.text}\n{self.pair}"

    @property
    def messages(self) -> None:
        """A classifier has no conversations."""
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Embed:
    """Ask an embedder for what ``compute`` makes of its vectors (a similarity, a ranking): the vectors, with which any
    journal would overflow, stay with the model.

    ``context``: what is asked about, as one text. ``identity``: a digest of everything else that can change the answer.
    ``ahead``: the texts that ``compute`` will want, so that those of many requests are embedded in whole batches.
    """

    context: str
    identity: str
    compute: Callable[[Embedder], Response]
    ahead: tuple[tuple[str, Role], ...] = ()

    @property
    def messages(self) -> None:
        """An embedder has no conversations."""
        return None


Request = Score | Generate | Rolling | Classify | Embed


class Asked(tuple[Request, ...]):
    """The requests of one document, with a ``note`` of the task's own that it wants back when it scores them."""

    note: Any

    def __new__(cls, requests: Iterable[Request], note: Any) -> Asked:
        made = super().__new__(cls, requests)
        made.note = note
        return made


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider's bill counts of one answer beside its tokens."""

    cached_tokens: int = 0
    """Of the prompt's: read from the provider's cache, at a price of their own."""
    reasoning_tokens: int = 0
    """Of those written: thought, and paid, but no part of the text."""
    cost: float | None = None
    """USD; None: the price is not known."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request. A failure is a value: ``status`` "error" with its ``error`` reason.

    ``loglikelihood`` is in nats, summed over the continuation's tokens; ``is_greedy`` says whether every one
    of them was the arg-max. ``truncated`` counts prompt tokens dropped from the left to fit the window.
    """

    status: Status = "ok"
    loglikelihood: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    error: str | None = None
    finish: str | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    truncated: int = 0
    thought: str | None = field(default=None, metadata={ONLY_IF_SET: True})
    """What the model thought before its answer, with the marks around it; no part of ``text``."""
    values: tuple[float, ...] = field(default=(), metadata={ONLY_IF_SET: True})
    """Of a `Classify`: the log-probability of each class in nats, or the one number that was asked for. Of an `Embed`:
    what was computed."""
    usage: Usage | None = field(default=None, metadata={ONLY_IF_SET: True})
    """Of a model that is paid by the token."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a run records of its model. ``fingerprint`` covers everything that can change an answer."""

    name: str
    backend: str
    fingerprint: str
    max_length: int
    tokenizer: str = ""
    n_parameters: int | None = None
    dtype: str = ""
    device: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
