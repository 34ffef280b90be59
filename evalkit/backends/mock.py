"""A scriptable model without weights: for tests, demonstrations and measuring everything that is not the model.

It has a tokenizer of its own, answers deterministically (a hash of the prompt unless a script says otherwise), and
fails on command. Arguments (``--model_args``):

    script=FILE           YAML or JSON list of rules (or {"rules": [...]}), first match wins; or the list itself
    tokenizer=byte|word   one token a byte (default), or one for up to three bytes of a word
    max_length=N          context window in tokens (default 16384)
    seed=N                another seed is another model
    delay_s=X             seconds slept for each token computed
    batch_delay_s=X       seconds slept for each batch
    refuse_batch_above=N  raise MemoryError for a batch of more than N rows, as a full device would
    fail_first=K          the first K rows fail
    chat=false            as a model without a chat template

The rules of a script: evalkit.backends.mock_script.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from evalkit.backends.chat_template import prompting_identity, variables
from evalkit.backends.mock_script import NO_RULE, Rule, read_script
from evalkit.backends.thinking import answer_of, marks_of
from evalkit.contract.backend import (
    GenerateResult,
    GenerateRow,
    LoglikelihoodResult,
    LoglikelihoodRow,
    OnResult,
    Tokens,
    no_op,
)
from evalkit.contract.capabilities import CHAT_SETTINGS, BackendType, Capabilities, KnownModel
from evalkit.contract.errors import UserError
from evalkit.contract.types import Message, ModelInfo
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store.identity import digest, is_greedy, pack

EOT, BOS, SPECIALS = 0, 1, 2
NO_THOUGHT = "<think>\n\n</think>\n\n"
"""What the mock model's template begins the answer with where its variable ``enable_thinking`` is false."""
TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% if enable_thinking is false %}"
    + NO_THOUGHT.replace("\n", "\\n")
    + "{% endif %}{% endif %}"
)
"""The template that the mock model's conversations follow, for the record."""
_WORDS = (
    "alpha",
    "bravo",
    "carbon",
    "delta",
    "ember",
    "forest",
    "granite",
    "harbor",
    "indigo",
    "jasper",
    "kelp",
    "lumen",
)


class Tokenizer:
    """Exactly reversible, with no vocabulary file. ``byte``: id 2 + byte, so any cut of a text is a token boundary.
    ``word``: words with their leading space, cut into pieces of up to three bytes whose id holds the bytes; as with
    real tokenizers, a text that ends inside a word tokenizes differently when the word goes on.
    """

    _PIECES = re.compile(rb" ?[\w\x80-\xff]+|\s|[^\w\s]", re.ASCII)

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def encode(self, text: str) -> list[int]:
        """Token ids, no special ones."""
        data = text.encode("utf-8", "surrogatepass")
        if self.kind == "byte":
            return [byte + SPECIALS for byte in data]
        pieces = (piece[i : i + 3] for piece in self._PIECES.findall(data) for i in range(0, len(piece), 3))
        # A leading 1 keeps the length of a piece that begins with a zero byte.
        return [SPECIALS + int.from_bytes(b"\x01" + piece, "big") for piece in pieces]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text, special tokens left out; broken UTF-8 (a cut character) shows as U+FFFD."""
        ids = (token - SPECIALS for token in tokens if token >= SPECIALS)
        if self.kind == "byte":
            data = bytes(ids)
        else:
            data = b"".join(i.to_bytes((i.bit_length() + 7) // 8, "big")[1:] for i in ids)
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Settings:
    """The backend's arguments, validated."""

    rules: tuple[Rule, ...] = ()
    tokenizer: str = "byte"
    max_length: int = 16_384
    seed: int = 0
    delay_s: float = 0.0
    batch_delay_s: float = 0.0
    refuse_batch_above: int | None = None
    fail_first: int = 0
    chat: bool = True


CAPABILITIES = Capabilities(counts_tokens=True, stops_between_passes=True)


class MockBackend:
    """An `evalkit.contract.backend.TokenBackend`. A reply is what greedy generation gives; a continuation that a reply
    begins with is greedy and likely, any other gets a hash-based log-likelihood that is additive over its tokens.
    """

    capabilities = CAPABILITIES
    eot_id = EOT
    prefix_id = BOS

    def __init__(self, settings: Settings, info: ModelInfo, model: ModelSpec) -> None:
        self.info = info
        self.settings = settings
        self.meter = Meter()
        self.after_pass: Callable[[], None] = no_op
        self.rows_computed = 0
        """Rows answered or failed since the start, for tests that count work."""
        self.batches: list[int] = []
        """Sizes of the batches that were accepted."""
        self._tokenizer = Tokenizer(settings.tokenizer)
        self._add_bos = bool(model.add_bos)
        self._marks = marks_of(model)
        self._variables = variables(model)
        self._to_fail = settings.fail_first

    def encode(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """As the protocol says; the only special token is BOS, absent unless asked for or add_bos."""
        begin = [BOS] if (self._add_bos if special is None else special) else []
        return [begin + self._tokenizer.encode(text) for text in texts]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids."""
        return self._tokenizer.decode(tokens)

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """``<|role|>``, the content and a line's end for each turn; tools before them in the same way."""
        if not self.settings.chat:
            raise UserError("the mock model was made without a chat template: leave --chat-template out, or chat=true")
        offered = "".join(f"<|tool|>\n{tool}\n" for message in messages for tool in message.tools)
        turns = offered + "".join(f"<|{message.role}|>\n{message.content}\n" for message in messages)
        if not add_generation_prompt:
            return turns
        return f"{turns}<|assistant|>\n" + (NO_THOUGHT if self._variables.get("enable_thinking") is False else "")

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """As the protocol says."""
        for row in rows:
            if not 1 <= row.start < len(row.tokens) <= self.info.max_length + 1:
                raise ValueError(f"row of {len(row.tokens)} tokens from {row.start}: outside the backend's contract")
        self._begin_batch(len(rows))
        self._each(rows, done, self._score_one)

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """As the protocol says."""
        self._begin_batch(len(rows))
        self._each(rows, done, self._generate_one)

    def close(self) -> None:
        """Nothing to free."""

    # -- inside -------------------------------------------------------------------------------------------------------

    def _begin_batch(self, size: int) -> None:
        limit = self.settings.refuse_batch_above
        if limit is not None and size > limit:
            raise MemoryError(f"mock: a batch of {size} rows is above {limit}")
        self.batches.append(size)
        if self.settings.batch_delay_s:
            time.sleep(self.settings.batch_delay_s)

    def _each(self, rows: Sequence[Any], done: OnResult, answer: Callable[[Any], Any]) -> None:
        for index, row in enumerate(rows):
            self.rows_computed += 1
            done(index, self._answer_or_failure(row, answer))
            self.after_pass()

    def _answer_or_failure(self, row: Any, answer: Callable[[Any], Any]) -> Any:
        if self._to_fail > 0:
            self._to_fail -= 1
            return RuntimeError(f"mock: row failed on command ({self._to_fail} more to fail)")
        try:
            return answer(row)
        except _Scripted as error:
            return RuntimeError(str(error))

    def _rule(self, prompt: str, continuation: str | None) -> Rule:
        rule = next((rule for rule in self.settings.rules if rule.applies(prompt, continuation)), NO_RULE)
        if rule.error is not None:
            raise _Scripted(rule.error)
        return rule

    def _sleep(self, rule: Rule, tokens: int) -> None:
        if delay := rule.delay_s or self.settings.delay_s:
            time.sleep(delay * tokens)

    def _prefill(self, rule: Rule, tokens: int) -> None:
        watch = Stopwatch()
        self.meter.read(tokens)
        self._sleep(rule, tokens)
        self.meter.prefill(tokens, watch.lap())

    def _score_one(self, row: LoglikelihoodRow) -> LoglikelihoodResult:
        rule, continuation = NO_RULE, ""
        if self.settings.rules:
            ids = row.tokens.tolist()
            continuation = self.decode(ids[row.start :])
            rule = self._rule(self.decode(ids[: row.start]), continuation)
        self._prefill(rule, len(row.tokens) - 1)
        if rule.nan:
            return LoglikelihoodResult(float("nan"), False)
        greedy = any(reply.strip().startswith(continuation.strip()) for reply in rule.replies())
        if rule.loglikelihood is not None:
            return LoglikelihoodResult(rule.loglikelihood, greedy)
        if rule.replies():
            # Within [-0.5, 0) if wanted, else at most -10: no hash can turn the script's order round.
            share = _share(self._state(row.tokens).digest())
            return LoglikelihoodResult(-0.5 * share, True) if greedy else LoglikelihoodResult(-10.0 - share, False)
        return self._hashed(row)

    def _hashed(self, row: LoglikelihoodRow) -> LoglikelihoodResult:
        """Sum over tokens of a value in [-8, 0) that depends on everything up to that token."""
        state = self._state(row.tokens[: row.start])
        total, greedy = 0.0, True
        for token in row.tokens[row.start :].tolist():
            state.update(pack((token,)))
            value = -8.0 * _share(state.copy().digest())
            total += value
            greedy = greedy and value > -1.0
        return LoglikelihoodResult(total, greedy)

    def _generate_one(self, row: GenerateRow) -> GenerateResult:
        rule = self._rule(self.decode(row.tokens.tolist()), None) if self.settings.rules else NO_RULE
        if rule.nan:
            raise _Scripted("mock: logits are NaN")
        draw = self._state(row.tokens)
        if not is_greedy(row.sampling):
            draw.update(f"{row.key}/{row.sampling.seed}/{row.sampling.temperature}".encode())
        noise = draw.digest()
        replies = rule.replies()
        if replies:
            reply = replies[0] if is_greedy(row.sampling) else replies[noise[0] % len(replies)]
        else:
            reply = " " + " ".join(_WORDS[byte % len(_WORDS)] for byte in noise[: 3 + noise[-1] % 6])
        answer = self._cut(reply, row)
        watch = Stopwatch()
        self._prefill(rule, len(row.tokens))
        self.meter.first(watch.lap())
        for _ in range(answer.output_tokens - 1):
            self._sleep(rule, 1)
            self.meter.step(1, watch.lap())
        return answer

    def _cut(self, reply: str, row: GenerateRow) -> GenerateResult:
        tokens = self._tokenizer.encode(reply)
        whole = len(tokens) <= row.max_tokens
        shown = reply if whole else self.decode(tokens[: row.max_tokens])
        opened = self._marks.opened_by_tokens(row.tokens, lambda ids, special: self.decode(ids))
        answer = answer_of(shown, row.until, self._marks, opened, "stop" if whole else "length")
        if answer.finish != "stop" and not whole:
            made = row.max_tokens
        else:  # and the end-of-text token
            made = len(self._tokenizer.encode((answer.thought or "") + answer.text)) + 1
        return GenerateResult(answer.text, made, answer.finish, answer.thought)

    def _state(self, tokens: Tokens) -> Any:
        return hashlib.blake2b(b"%d/" % self.settings.seed + pack(tokens), digest_size=16)


class _Scripted(Exception):
    """A failure that the script asks for."""


def _share(noise: bytes) -> float:
    """A number in (0, 1] from 8 bytes of hash."""
    return (int.from_bytes(noise[:8], "little") + 1) / 2**64


# -- loading ------------------------------------------------------------------------------------------------


def load(model: ModelSpec, engine: EngineSpec) -> MockBackend:
    """The mock model that ``model.args`` describe. Raises UserError for an unknown argument or a broken script."""
    args = dict(model.args)
    rules = read_script(args.pop("script", None))
    known = {field.name for field in fields(Settings)} - {"rules"}
    for name in args:
        if name not in known:
            raise UserError(f"mock: unknown argument {name!r}: known are script, {', '.join(sorted(known))}")
    values = {name: _value(name, value) for name, value in args.items() if value is not None}
    if model.max_length is not None:
        values["max_length"] = model.max_length
    settings = Settings(rules=rules, **values)
    if settings.tokenizer not in ("byte", "word"):
        raise UserError(f"mock: tokenizer={settings.tokenizer} is unknown: use byte or word")
    identity = {
        "backend": "mock",
        "seed": settings.seed,
        "tokenizer": settings.tokenizer,
        "max_length": settings.max_length,
        "add_bos": bool(model.add_bos),
        "rules": [answer for rule in rules if (answer := rule.answers()) is not None],
        **prompting_identity(model),
    }
    info = ModelInfo(
        name=model.label or model.name,
        backend="mock",
        fingerprint=digest(identity),
        max_length=settings.max_length,
        tokenizer=f"mock-{settings.tokenizer}",
        dtype="none",
        device="cpu",
        details={"rules": len(rules), "seed": settings.seed, **_template(settings, model)},
    )
    return MockBackend(settings, info, model)


def _template(settings: Settings, model: ModelSpec) -> dict[str, Any]:
    given = variables(model)
    return {
        **({"chat_template": TEMPLATE} if model.chat_template and settings.chat else {}),
        **({"template_variables": given} if given else {}),
    }


def _value(name: str, value: Any) -> Any:
    kinds: dict[str, Callable[[Any], Any]] = {"tokenizer": str, "chat": _flag, "delay_s": float, "batch_delay_s": float}
    try:
        number = kinds.get(name, int)(value)
    except (TypeError, ValueError):
        wanted = {float: "number", str: "text", _flag: "true or false"}.get(kinds.get(name, int), "whole number")
        raise UserError(f"mock: {name}={value!r} is no {wanted}") from None
    if isinstance(number, int | float) and not isinstance(number, bool) and name != "seed":
        least = 1 if name in ("max_length", "refuse_batch_above") else 0
        if not number >= least:
            raise UserError(f"mock: {name}={value!r} must be at least {least}")
    return number


def _flag(value: Any) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ValueError
    return str(value).lower() == "true"


def load_tokens(model: ModelSpec) -> MockBackend:
    """The tokenizer and the template; there are no weights beside them."""
    return load(model, EngineSpec())


kind = BackendType(
    "mock",
    load,
    settings=CHAT_SETTINGS | {"max_length", "add_bos"},
    models=(KnownModel("mock", "a scriptable model for tests"),),
    capabilities=CAPABILITIES,
    load_tokens=load_tokens,
)
