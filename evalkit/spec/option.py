"""What a setting is called and how it is written: the metadata that every field of `evalkit.spec.models` carries.

A field and its ``Option`` are all there is to a setting: `evalkit.spec.table` makes the flag, its help, the YAML key
and the rules of resuming from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Reader = Callable[[str, str], Any]
"""(the setting's name for errors, text) -> value. Raises UserError."""

MODEL, TASKS, DOCUMENTS, SPEED, OUTPUT = "Model", "Tasks and prompts", "Documents", "Speed", "Output"
DATA_DIR = "EVALKIT_DATA_DIR"
"""The environment variable that names a mirror of data sets."""
COMET_PYTHON = "EVALKIT_COMET_PYTHON"
"""The environment variable that names the Python which has unbabel-comet."""

PANELS = (MODEL, TASKS, DOCUMENTS, SPEED, OUTPUT)
"""The headings of `evalkit run --help`, in order."""


@dataclass(frozen=True, slots=True)
class Option:
    """How one field is asked for on the command line and in a YAML file.

    Example::

        limit: Annotated[float | None, Option("First N documents a task.", DOCUMENTS, short="-L")] = None
    """

    help: str
    panel: str
    name: str = ""
    """The key in a YAML file and, with dashes, the flag; empty: the field's own name."""
    short: str = ""
    """A flag of one letter, "-L"."""
    aliases: tuple[str, ...] = ()
    """Other keys and flags that mean the same, most of them lm_eval's."""
    metavar: str = ""
    """What stands for the value in the help; empty: by the field's type."""
    default: str = ""
    """What happens without the setting, where the field's default does not say it."""
    advice: str = ""
    """What a value must be, for the error about one that is not."""
    read: Reader | None = None
    """Reads a value that was given as text in a small language of its own."""
    bare: str = ""
    """What the flag means without a value; empty: it needs one."""
    joined: bool = False
    """Several words may follow the flag; they are joined with commas."""
    repeated: bool = False
    """The flag may be given several times."""
    model_arg: str = ""
    """The name in lm_eval's --model_args of what is a setting of its own here."""
    env: str = ""
    """The environment variable that stands in where the setting is left out."""
    free: bool = False
    """A resumed run may have another value: it changes no answer beyond rounding."""
