"""What must not be written down: secrets are replaced by *** wherever text leaves for a record or a message.

One function, `mask_text`, knows secrets by their name (``api_key=...``), their place (``Authorization: Bearer``,
``user:password@``) and their shape; `mask` applies it to JSON values; `blot` removes a key that is known by its value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

# Names whose value is a secret. Tokenizer settings (pad_token, eos_token, max_tokens) are none.
_SECRET = (
    r"(?:[\w.-]*(?:(?:api|access|private|account|subscription|signing|encryption)[_-]?key|secret|passw(?:or)?d"
    r"|passphrase|credentials?|authorization)|(?:[\w.-]*[_-])?pwd"
    r"|(?:[\w.-]*(?:hf|auth|access|api|bearer|refresh|session|github|hub|wandb)[_-])?token)"
)
_NAME = re.compile(rf"^-*(?:{_SECRET})$", re.IGNORECASE)
# Words are taken whole (++ gives nothing back), so that the time grows with the text's length and no faster.
_ASSIGNED = re.compile(
    r"""(?<![\w.-])(?P<name>["']?(?P<word>[\w.-]++)["']?\s*+[=:]\s*+)(?P<value>"[^"]*+"?|'[^']*+'?|[^\s,;&}]++)"""
)
_QUERY = re.compile(r"(?P<name>[?&](?:key|sig|signature|code|token|x-(?:amz|goog)-signature)=)[^\s&#'\"]+", re.I)
_BEARER = re.compile(r"\b(?P<name>(?:Bearer|Basic)\s+)[\w.~+/=-]+", re.IGNORECASE)
_USERINFO = re.compile(r"(?<![\w+.-])(?P<name>[a-z][\w+.-]*+://)[^/\s@]++@", re.IGNORECASE)
_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)

# Shapes of the widely used access tokens, wherever they stand: as their makers or GitHub's secret scanning
# (docs.github.com, "Supported secret scanning patterns") describe them.
_SHAPES = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"[spr]k-[\w-]{16,}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # OpenAI, Anthropic, OpenRouter, Langfuse; Stripe
    r"|hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\w-]{16,}"  # GitHub, GitLab
    r"|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}|nvapi-[\w-]{16,}|pplx-[A-Za-z0-9]{16,}"  # Groq, xAI, NVIDIA
    r"|r8_[A-Za-z0-9]{16,}|fw_[A-Za-z0-9]{16,}|tgp_v1_[\w-]{16,}|dop_v1_[a-f0-9]{16,}"  # Replicate, Fireworks, Together
    r"|AIza[\w-]{30,}|ya29\.[\w.-]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16}"  # Google, AWS
    r"|xox[a-z]-[\w-]{10,}|xapp-[\w-]{16,}|npm_[A-Za-z0-9]{16,}|pypi-[\w-]{16,}|dckr_pat_[\w-]{16,}"  # Slack
    r"|(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*)?"  # JSON Web Token (RFC 7519)
    r")"
)

PLACEHOLDERS = frozenset({"none", "empty", "dummy", "null", "token", "key", "secret", "sk-no-key-required"})
"""What servers that need no key are given for one: common words, which a model may well say."""
SHORTEST = 8
"""Characters: a shorter key is a word, and cutting it out of what a model says would change answers."""


def mask_text(text: str) -> str:
    """``text`` with the values of secrets (api_key=..., Authorization: ..., user:password@) replaced by ***."""
    text = _BLOCK.sub(MASK, text)
    text = _BEARER.sub(rf"\g<name>{MASK}", text)
    text = _ASSIGNED.sub(lambda found: found["name"] + MASK if is_secret_name(found["word"]) else found[0], text)
    text = _QUERY.sub(rf"\g<name>{MASK}", text)
    text = _USERINFO.sub(rf"\g<name>{MASK}@", text)
    return _SHAPES.sub(MASK, text)


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name (``--api-key``, ``HF_TOKEN``) holds a secret."""
    return bool(_NAME.match(name[-64:]))


def mask(value: Any) -> Any:
    """A copy of plain JSON values with every secret replaced by ***, by its name or by its shape."""
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(item, str) and item and is_secret_name(str(key)) else mask(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    return mask_text(value) if isinstance(value, str) else value


def blot(text: str, key: str) -> str:
    """``text`` without ``key``, as it is or as an address spells it; a key that is a mere word is left."""
    from urllib.parse import quote

    if len(key) < SHORTEST or key.lower() in PLACEHOLDERS:
        return text
    for spelling in {key, quote(key, safe=""), quote(key)}:
        text = text.replace(spelling, MASK)
    return text
