"""What a backend says of itself: its kind before anything is loaded, and what the loaded one can do.

An entry point of the group ``evalkit.backends`` is a `BackendType`, or only its ``load(model, engine)``. Nothing here
imports a heavy package, so that a kind can be asked about without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from evalkit.contract.backend import Backend
    from evalkit.contract.optional import TextPart

RequestKind = Literal["loglikelihood", "loglikelihood_rolling", "generate", "classify", "embed"]
Architecture = Literal["causal", "encoder_decoder", "classifier", "embedder"]
Modality = Literal["text", "image"]

ALL_KINDS: frozenset[RequestKind] = frozenset(("loglikelihood", "loglikelihood_rolling", "generate"))
"""What a language model can be asked; ``classify`` is for models with a head for it, ``embed`` for embedders."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do. Each flag goes with a protocol of `evalkit.contract.optional` that says how."""

    answers: frozenset[RequestKind] = ALL_KINDS
    """The requests that it answers; a run with others is refused before a model is loaded."""
    by_document: bool = False
    """Its answers belong to documents: all requests in document order in one call, no duplicates dropped, nothing taken
    from or put into a journal (`ByDocument`)."""
    reproduces_batches: bool = False
    """`score` takes ``known`` rows and computes the others in the batches of an unbroken run (`ReproducesBatches`)."""
    shares_prefixes: bool = False
    """What rows have in common at their beginning is computed once."""
    counts_tokens: bool = False
    """Responses say how many tokens they took."""
    stops_between_passes: bool = False
    """It calls ``after_pass`` between two passes and may be stopped there (`StopsBetweenPasses`)."""
    ignores_end: bool = False
    """It can go on past end-of-text, as benchmarks want (`IgnoresEnd`)."""
    architecture: Architecture = "causal"
    modalities: frozenset[Modality] = frozenset(("text",))
    """What a message may hold."""
    answers_images: frozenset[RequestKind] | None = None
    """Of the requests that it answers, those that may show images; None: all of them."""
    window: int | None = None
    """The context window in tokens, where it is known before the weights are loaded."""


@runtime_checkable
class Declares(Protocol):
    """A backend object that says what it can."""

    @property
    def capabilities(self) -> Capabilities: ...


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name of its own: a file that a Python package carries, or, without one, nothing to install."""

    name: str
    description: str
    package: str = ""
    file: str = ""
    extra: str = ""
    """The extra of evalkit that brings the package."""
    assembled: bool = False
    """The package carries the file in parts, and puts it together by its function ``assemble(path)``."""


@dataclass(frozen=True, slots=True)
class TaskTraits:
    """What a task says of itself beside its `info`."""

    measures_prompts: bool = False
    """Its prompts are made to a length in tokens: they are written once the model's tokenizer is known."""
    warnings: tuple[str, ...] = ()
    """What a user should know before the run."""
    scores_early: bool = False
    """Items may be scored, and numbers of some of them made, while others are still being answered: that starts no
    program and loads no model."""
    executes: bool = False
    """Scoring it runs programs that the model has written; a run must allow that."""


@runtime_checkable
class HasTraits(Protocol):
    """A task that says more of itself."""

    @property
    def traits(self) -> TaskTraits: ...


@runtime_checkable
class KnowsTarget(Protocol):
    """A task that tells a document's right answer without any response."""

    def target(self, document: Any) -> Any: ...


@runtime_checkable
class Converses(Protocol):
    """A task whose next question depends on the answers so far."""

    def follow(self, document: Any, requests: Any, responses: Any, style: Any) -> tuple[Any, ...]:
        """What is asked next of a document, after these requests and responses; nothing at the conversation's end."""
        ...


@runtime_checkable
class ScoresTogether(Protocol):
    """A task that works out part of its scores for many documents at once, before each is scored."""

    def ahead(self, answered: Any) -> None:
        """``answered``: (document, its responses) pairs."""
        ...


@runtime_checkable
class FollowsWindow(Protocol):
    """A task whose lengths follow the model's window."""

    def fitted(self, window: int) -> Any:
        """The task for a model with a window of so many tokens."""
        ...


def traits(task: Any) -> TaskTraits:
    """What ``task`` says of itself; of one that says nothing, that there is nothing to say."""
    return task.traits if isinstance(task, HasTraits) else TaskTraits()


@dataclass(frozen=True, slots=True)
class Quote:
    """What a paid model costs, as far as it is known before it is asked anything."""

    price: tuple[float, float] | None
    """USD a million tokens, read and written; None: not known."""
    source: str
    """Where the price is from, or where to look for it."""
    at_once: int
    """Requests under way at a time."""
    at: str = ""
    """Who is asked, for people; empty: the model's name says it."""
    within: str = ""
    """The time that the provider takes for itself ("24 hours"); empty: as long as the answers take."""


PAID_SETTINGS = frozenset(("price", "max_cost"))
"""What a backend heeds whose models may be paid by the token."""

CHAT_SETTINGS = frozenset(("chat_template_args", "enable_thinking", "think_start", "think_end"))
"""What a backend heeds that writes conversations by a template, or lets a server do so, and reads thoughts apart."""

COMMON_SETTINGS = frozenset(("dtype", "device", "revision", "max_length", "add_bos"))
"""What a backend that only offers ``load`` is taken to heed."""


@dataclass(frozen=True, slots=True)
class BackendType:
    """One kind of backend. Calling it loads a model.

    ``settings`` are the fields of `evalkit.spec.models.ModelSpec` about loading that it heeds; another one that a user
    sets is refused before anything is recorded, rather than passed over.
    """

    name: str
    load: Callable[[Any, Any], Backend]
    """``load(model: ModelSpec, engine: EngineSpec)``; UserError for a model that cannot be loaded."""
    settings: frozenset[str] = COMMON_SETTINGS
    prefixes: tuple[str, ...] = ()
    """Model names that begin so are this backend's: "predictions:", "http://"."""
    suffixes: tuple[str, ...] = ()
    """Files that it reads: ".gguf"."""
    models: tuple[KnownModel, ...] = ()
    """Names of its own, as `evalkit models list` shows them."""
    claims_rest: bool = False
    """Hub ids, folders and all names that no other backend claims are this backend's."""
    needs: tuple[str, ...] = ()
    """Modules that it cannot do without; where one is missing, a file is left to the next backend that reads it."""
    extra: str = ""
    """The extra of evalkit that brings them: without them a run is refused before its folder is made."""
    require: Callable[[Any], None] | None = None
    """``require(model: ModelSpec)``: MissingExtra for what this one model needs beside them, and UserError for what can
    be known to be wrong without loading anything; imports nothing heavy."""
    capabilities: Capabilities = Capabilities()
    """What is known before loading; the loaded backend may say more."""
    load_tokens: Callable[[Any], TextPart] | None = None
    """``load_tokens(model: ModelSpec)``: tokenizer and chat template without the weights."""
    check: Callable[[Any], None] | None = None
    """``check(model: ModelSpec)``: UserError for arguments that must not be recorded or can never work."""
    translate: Callable[[Any], Any] | None = None
    """``translate(model: ModelSpec)``: the model with what other programs call its arguments put as its settings; the
    same again where nothing is left to put. UserError for what cannot be."""
    find: Callable[[Any], None] | None = None
    """``find(model: ModelSpec)``: UserError for a model that is nowhere, told before data sets are read; a second at
    most, and silent where it cannot know."""
    claims: Callable[[str], bool] | None = None
    """``claims(name)``: whether this backend serves the model of that name, where prefixes do not tell it."""
    quote: Callable[[Any], Quote | None] | None = None
    """``quote(model: ModelSpec)``: its price, for a model that is paid by the token; None for one that is not."""
    providers: Callable[[], list[dict[str, str]]] | None = None
    """Rows of `evalkit models list` for models that others serve: "name", "provider", the "variable" of its key,
    whether the "key" is set, and the "address".
    """
    describe: Callable[[Any], Capabilities] | None = None
    """``describe(model: ModelSpec)``: what is known of this one model before its weights are loaded, where that differs
    from model to model."""
    replicas: bool = True
    """Whether several copies of a model can share the work (--replicas)."""
    arrange: Callable[[Any, Any], tuple[Any, Any]] | None = None
    """``arrange(model: ModelSpec, engine: EngineSpec)``: both with its own arguments about copies of the model put as
    the engine's settings; UserError for what cannot be."""

    def __call__(self, model: Any, engine: Any) -> Backend:
        """Load ``model``."""
        return self.load(model, engine)


def backend_type(name: str, found: Any) -> BackendType:
    """What an entry point offers, as a `BackendType`: itself, or one around a bare ``load(model, engine)``."""
    return found if isinstance(found, BackendType) else BackendType(name, found)
