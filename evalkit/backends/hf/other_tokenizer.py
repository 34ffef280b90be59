"""A tokenizer that is not the model's own (--model_args tokenizer=...): where it lies, and what it is known by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.backends.hf import folder_files, local_files
from evalkit.backends.hf.fingerprint import file_hash
from evalkit.backends.hf.hub import look_up
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec


@dataclass(frozen=True)
class Place:
    """What transformers and vLLM load it from."""

    source: str
    revision: str | None
    """Of the Hub, the commit."""
    identity: Any
    """The hashes of its files, or its name and commit on the Hub."""


def find(spec: ModelSpec) -> Place | None:
    """The tokenizer that ``spec`` asks for; None where it is the model's own. Raises UserError where it is nowhere."""
    if "tokenizer" not in spec.args:
        return None
    name = str(spec.args["tokenizer"])
    try:
        folder = _folder(name)
        if folder is None:
            found = look_up(name, None)
            source = str(found.cached or name)
            return Place(source, None if found.cached else found.revision, {"name": name, "revision": found.revision})
    except UserError as error:
        raise UserError(f"--model_args tokenizer={name}: {error}") from None
    files = [path for path in sorted(folder.iterdir()) if folder_files.of_tokenizer(path)]
    return Place(str(folder), None, {path.name: file_hash(path) for path in files})


def _folder(name: str) -> Path | None:
    folder = Path(name).expanduser()
    if folder.is_dir():  # it may hold a tokenizer alone
        folder_files.check(folder)
        return folder
    return local_files.local_folder(ModelSpec(name=name))


def load(place: Place, name: str, settings: dict[str, Any]) -> Any:
    """transformers' tokenizer. Raises UserError where it does not load."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(place.source, revision=place.revision, trust_remote_code=False, **settings)
    except Exception as error:
        folder = Path(place.source)
        reason = (folder_files.blame(folder) if folder.is_dir() else None) or " ".join(str(error).split())[:300]
        raise UserError(f"--model_args tokenizer={name}: does not load: {reason}") from error
