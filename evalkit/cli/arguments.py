"""Reading a command line as a user of lm_eval writes it.

lm_eval spells options with underscores and lets some take several words; ours have dashes and take one. The
functions here turn the first into the second, by what `evalkit.spec.table` says of each setting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evalkit.contract.errors import UserError
from evalkit.spec.table import SETTINGS
from evalkit.spec.values import key_values

KEPT_APART: Mapping[str, tuple[bool, str]] = {
    "--cache-requests": (True, "ignored: the token ids of prompts are always kept (evalkit cache stats)"),
    "--check-integrity": (False, "ignored: evalkit tasks validate NAME renders every row of a task"),
    "--show-config": (False, "ignored: results.json has every task's definition, evalkit tasks show NAME prints it"),
    "--trust-remote-code": (False, "ignored: no code of a model or a data set is run"),
    "--verbosity": (True, "ignored: --quiet says less, --debug shows tracebacks"),
    "--wandb-config-args": (True, "ignored: --log-to wandb sends the run's whole configuration"),
    "--write-out": (False, "ignored: evalkit tasks show NAME prints a prompt, the samples hold all of them"),
}
"""Flags of lm_eval that change no number here: whether a value may follow, and what is said of them."""

TURNED = ("--wandb-args", "--trackio-args", "--hf-hub-log-args")
"""Flags of lm_eval that say where the numbers go, which --log-to says here."""

REFUSED: Mapping[str, str] = {
    "--metadata": "lm_eval's settings of single tasks; here they are part of a name, as in needle:single:lengths=4096",
}
"""Flags of lm_eval that would change the numbers and are not here."""


def without_lm_eval_only(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """The line without the flags of lm_eval that have no counterpart, and a note for each. Raises UserError for one
    that would change the numbers.
    """
    kept: list[str] = []
    notes: list[str] = []
    queue = list(args)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return [*kept, word, *queue], notes
        name, equals, _ = word.partition("=")
        flag = name.replace("_", "-") if name.startswith("--") else name
        if flag in TURNED:
            given = [word.partition("=")[2]] if equals else _take_values(queue)
            place, note = _place(flag, key_values(flag, ",".join(part.strip(",") for part in given)))
            kept += ["--log-to", place] if place else []
            notes.append(f"{flag}: {note}")
            continue
        if flag in REFUSED:
            raise UserError(f"{flag}: not here: {REFUSED[flag]}")
        if flag not in KEPT_APART:
            kept.append(word)
            continue
        takes_value, note = KEPT_APART[flag]
        if takes_value and not equals:
            _take_values(queue)
        notes.append(f"{flag}: {note}")
    return kept, notes


def _place(flag: str, given: Mapping[str, object]) -> tuple[str, str]:
    """The place for --log-to that lm_eval's arguments name, "" for none, and the note about it."""
    told = {key: str(value) for key, value in given.items() if value is not None}
    if flag != "--hf-hub-log-args":
        name = flag.removeprefix("--").removesuffix("-args")
        settings = ",".join(f"{key}={value}" for key, value in told.items())
        place = f"{name}:{settings}" if settings else name
        return place, f"read as --log-to {place}"
    wanted = {key for key in ("push_results_to_hub", "push_samples_to_hub") if told.get(key) == "True"}
    names = ("results_repo_name", "details_repo_name", "hub_repo_name")
    name = next((told[key] for key in names if told.get(key)), "lm-eval-results")
    if not wanted or not told.get("hub_results_org"):
        return "", "ignored: it names no hub_results_org, or asks for nothing to be pushed (evalkit push does later)"
    place = f"hub:repo={told['hub_results_org']}/{name},private={told.get('public_repo') != 'True'}"
    place += ",samples=True" if "push_samples_to_hub" in wanted else ""
    return place, f"read as --log-to {place}"


def normalize(args: Sequence[str], keys: Collection[str] = tuple(SETTINGS)) -> list[str]:
    """The same command line in our spelling: dashes, and exactly one word after an option that takes one; ``keys`` name
    the command's parameters, of which those count that are settings.
    """
    settings = [SETTINGS[key] for key in keys if key in SETTINGS]
    ours = {f"--{alias.replace('_', '-')}": one.flag for one in settings for alias in one.option.aliases}
    joined = {flag for one in settings if one.option.joined for flag in (one.flag, one.option.short)}
    bare = {one.flag: one.option.bare for one in settings if one.option.bare}
    off = {f"--no-{flag.removeprefix('--')}": flag for flag, value in bare.items() if value == "true"}
    words: list[str] = []
    queue = list(args)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return [*words, word, *queue]
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            name = ours.get(dashed := name.replace("_", "-"), dashed)
        if name in off and not equals:
            words += [off[name], "false"]
            continue
        words.append(name + equals + value if word.startswith("-") else word)
        if equals or not name.startswith("-"):
            continue
        if name in joined:
            values = _take_values(queue)
            words += [",".join(part.strip(",") for part in values)] if values else []
        elif name in bare:
            words.append(_take_value(queue) or bare[name])
    return words


def _take_values(queue: list[str]) -> list[str]:
    values = []
    while queue and not queue[0].startswith("-"):
        values.append(queue.pop(0))
    return values


def _take_value(queue: list[str]) -> str | None:
    return queue.pop(0) if queue and not queue[0].startswith("-") else None
