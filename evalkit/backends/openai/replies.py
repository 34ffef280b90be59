"""What a server's words mean, whole or in pieces: errors told in a reply, its first choice, its text, its counts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TEXTS = ("content", "text")
"""Where a text stands: in a chat's message or delta, in a completion's choice."""

UNSPOKEN = ("reasoning_content", "reasoning")
"""Where a server puts what the model thought, apart from what it said."""

LARGEST_COUNT = 10**15
"""Tokens, parameters, bytes: a number beyond is no count."""

HIGHEST_LOGLIKELIHOOD = 1e-4
"""Nats: a probability is at most one; what rounding may add to its logarithm."""

_BY_WORD = (
    (re.compile(r"rate.?limit|too.?many|overload|capacity|quota.?exceeded|throttl", re.I), 429),
    (re.compile(r"time.?out|timed.?out", re.I), 408),
    (re.compile(r"unavailable|server.?error|internal|bad.?gateway|upstream|provider.?error", re.I), 503),
    (re.compile(r"auth|permission|api.?key", re.I), 401),
)
"""HTTP statuses that kinds of errors stand for, where a reply names a kind and no number."""


class Unusable(Exception):
    """The server answered, but not what was asked."""


class Withheld(Unusable):
    """The model answered, and the server keeps the answer back: asking again would change nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """An error that a server tells: its words, the HTTP status that they stand for (0: none), and the parameter of the
    request that it names.
    """

    message: str
    status: int = 0
    param: str | None = None
    code: str = ""
    """The server's own words for the kind of error."""
    wait: float | None = None
    """Seconds that it asks to wait."""


def told(reply: Any, always: bool = False) -> Told | None:
    """The error in a reply whatever its HTTP status: under "error" (OpenAI, OpenRouter, llama.cpp), in its first choice
    (OpenRouter), as an object of the kind "error" (vLLM) or, where the status says that there is one (``always``), the
    reply itself. None where it tells of none.
    """
    if not isinstance(reply, Mapping):
        return Told(str(reply)) if always and isinstance(reply, str) else None
    error = reply.get("error")
    if not error and reply.get("object") == "error":
        error = reply
    if not error:
        choices = reply.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        error = first.get("error") if isinstance(first, Mapping) else None
    if not error and always:
        error = reply
    if not error:
        return None
    if not isinstance(error, Mapping):
        return Told(str(error))
    inner = error.get("error")
    error = inner if isinstance(inner, Mapping) else error
    message, detail = error.get("message"), error.get("detail")
    words = message or detail or inner or error
    kinds = (error.get(key) for key in ("code", "type", "status"))
    code = " ".join(one for one in kinds if isinstance(one, str))
    return Told(str(words), _status(error, reply), _param(error, detail), code, _delay(error))


def _delay(error: Mapping[str, Any]) -> float | None:
    """Google's RetryInfo: "34s" among the details."""
    details = error.get("details")
    for one in details if isinstance(details, list) else ():
        text = one.get("retryDelay") if isinstance(one, Mapping) else None
        if isinstance(text, str) and re.fullmatch(r"\d{1,6}(\.\d{1,9})?s", text):
            return float(text[:-1])
    return None


_FILTERED = re.compile(r"content_filter|content_policy|ResponsibleAIPolicyViolation|moderation_blocked", re.I)
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context window|prompt is too long|input is too long"
    r"|input token count .{0,40}exceeds|exceeds? the (?:model's )?(?:maximum|context)|too many (?:input )?tokens",
    re.I,
)
_EMPTY = re.compile(r"insufficient_quota|insufficient.balance|credit balance is too low|billing_hard_limit", re.I)
_BAD_KEY = re.compile(r"API_KEY_INVALID|api key not valid|invalid api key|incorrect api key", re.I)


def is_filtered(code: str, message: str) -> bool:
    """Whether a refusal is a content filter's: Azure, OpenAI, OpenRouter."""
    return bool(_FILTERED.search(f"{code} {message}"))


def is_too_long(code: str, message: str) -> bool:
    """Whether a refusal is about a prompt that does not fit the window: OpenAI, Anthropic, Google, Bedrock, others."""
    return bool(_TOO_LONG.search(f"{code} {message}"))


def is_out_of_credit(code: str, message: str) -> bool:
    """Whether a refusal says that nothing more is paid for."""
    return bool(_EMPTY.search(f"{code} {message}"))


def is_bad_key(message: str) -> bool:
    """Whether a refusal without its HTTP status is about the key (Google says 400)."""
    return bool(_BAD_KEY.search(message))


def _status(error: Mapping[str, Any], reply: Mapping[str, Any]) -> int:
    for value in (error.get("code"), error.get("status"), error.get("status_code"), reply.get("status")):
        number = value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdigit() else 0
        if 400 <= number < 600:
            return number
    named = " ".join(str(error.get(key) or "") for key in ("code", "type", "status"))
    return next((status for words, status in _BY_WORD if words.search(named)), 0)


def _param(error: Mapping[str, Any], detail: Any) -> str | None:
    """The parameter that the server names: OpenAI's ``param``, or where pydantic found what it does not know."""
    if isinstance(error.get("param"), str):
        return str(error["param"])
    for one in detail if isinstance(detail, list) else ():
        place = one.get("loc") if isinstance(one, Mapping) else None
        if isinstance(place, list) and len(place) > 1 and place[0] == "body" and "extra" in str(one.get("type")):
            return str(place[1])
    return None


def first_choice(reply: Any) -> Mapping[str, Any]:
    """The choice with the index 0, or the first of choices without any. Raises Unusable."""
    choices = reply.get("choices") if isinstance(reply, Mapping) else None
    if not isinstance(choices, list) or not choices:
        raise Unusable("the server's reply has no choices")
    found = next((one for one in choices if isinstance(one, Mapping) and is_first(one)), None)
    if found is None:
        raise Unusable("the server's reply has no first choice (index 0)")
    return found


def is_first(choice: Mapping[str, Any]) -> bool:
    """Whether a choice is the one that was asked for; one was, so a choice without an index is it."""
    index = choice.get("index")
    return index is None or (index == 0 and not isinstance(index, bool))


def text_in(part: Mapping[str, Any]) -> str | None:
    """The text of a message, delta or choice, also where it comes as a list of parts; None where there is none."""
    for name in TEXTS:
        value = part.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            texts = [one.get("text") for one in value if isinstance(one, Mapping) and one.get("type") in (None, "text")]
            if all(isinstance(one, str) for one in texts) and (texts or not value):
                return "".join(map(str, texts))
    return None


def thought_in(part: Mapping[str, Any]) -> str:
    """What the model thought, of a message or delta; empty where the server does not tell it apart."""
    found = (part.get(name) for name in UNSPOKEN)
    return next((one for one in found if isinstance(one, str) and one), "")


def calls_in(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, arguments as JSON) of the functions that a message calls; the older ``function_call`` counts too. What is
    malformed is kept as it is: whoever reads the calls judges it.
    """
    listed = part.get("tool_calls")
    found = [one.get("function") for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    if isinstance(part.get("function_call"), Mapping):
        found.append(part["function_call"])
    return [(str(one.get("name") or ""), _json(one.get("arguments"))) for one in found if isinstance(one, Mapping)]


def _json(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return "{}" if arguments is None else json.dumps(arguments, ensure_ascii=False)


def verdict(text: str | None, refusal: str | None, finish: Any) -> str:
    """The answer in a finished reply, streamed or whole: its text, else the model's own words of refusal, else an empty
    text where the model ended by itself or was cut. Raises Unusable where the server withheld what was said, or where
    there is no text for another reason.
    """
    if finish == "content_filter" and not text:
        raise Withheld("the server withheld the text (content_filter)")
    if text or refusal:
        return text or refusal or ""
    if text is None and finish not in ("stop", "length", "eos"):
        raise Unusable("the server's reply has no text")
    return ""


def count(usage: Mapping[str, Any], key: str) -> int | None:
    """A number of tokens; None where it is missing or no possible number."""
    return counted(usage.get(key))


def counted(value: Any) -> int | None:
    """``value`` if it can be a count, else None."""
    possible = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT
    return value if possible else None


def loglikelihood(value: Any) -> float:
    """A log-probability in nats. Raises Unusable for what is none: no number, not finite, or above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unusable("a log-probability that came back is not a finite number")
    if value > HIGHEST_LOGLIKELIHOOD:
        raise Unusable(f"a log-probability that came back is above zero ({value:g})")
    return float(value)


def best(values: Iterable[Any]) -> float | None:
    """The highest of the log-probabilities; None where there is none."""
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    return max(numbers, default=None)
