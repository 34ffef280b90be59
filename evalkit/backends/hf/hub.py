"""One question to the Hub before a download: is the model there, and which commit is it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.backends.hf.architecture import HEAD, asks_for_pictures, reads_pictures
from evalkit.backends.hf.local_files import KNOWN, local_folder
from evalkit.contract.errors import UserError
from evalkit.spec.models import ModelSpec
from evalkit.store.files import read_json

TIMEOUT = 10.0
"""Seconds for the question; the Hub client's own retries for each file would take minutes without a network."""


def is_classifier(model: ModelSpec) -> bool:
    """Whether a model's config.json names a head for classes. A model of the Hub is asked there for its configuration;
    UserError for one that is nowhere.
    """
    if model.name.endswith(".gguf") or any(model.name == known.name for known in KNOWN):
        return False
    kinds = _config(model).get("architectures")
    return isinstance(kinds, list) and any(str(kind).endswith(HEAD) for kind in kinds)


def has_eyes(model: ModelSpec) -> bool:
    """Whether a model is loaded to read pictures, from its config.json and the user's wish."""
    config = _config(model)
    if not any("vision" in str(key) for key in config) or find_spec("transformers") is None:
        return False  # transformers' list of architectures takes seconds to import
    return reads_pictures(config.get("model_type"), asks_for_pictures(model))


def window(model: ModelSpec) -> int | None:
    """The context window in tokens that is asked for, else the configuration's; None where that says nothing."""
    if model.max_length is not None:
        return model.max_length
    config = _config(model)
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        for key in ("n_positions", "max_position_embeddings", "n_ctx"):
            if isinstance(part.get(key), int) and part[key] > 0:
                return int(part[key])
    return None


def _config(model: ModelSpec) -> dict[str, Any]:
    """A model's config.json; empty where there is none to be had, which loading will tell."""
    if model.name.endswith(".gguf") or any(model.name == known.name for known in KNOWN):
        try:
            folder = local_folder(model)
        except UserError:
            return {}
        path = folder / "config.json" if folder is not None else Path()
    else:
        path = Path(model.name).expanduser() / "config.json"
        if not path.parent.is_dir():
            if model.name.startswith((".", "/", "~")) or find_spec("huggingface_hub") is None:
                return {}
            found = look_up(model.name, model.revision)
            path = found.cached / "config.json" if found.cached else _config_file(model.name, found.revision)
    try:
        config = read_json(path, "configuration of a model")
    except UserError:
        return {}
    return config if isinstance(config, dict) else {}


def _config_file(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", revision=revision))
    except Exception:  # loading says what is wrong
        return Path()


@dataclass(frozen=True)
class HubModel:
    """Where a Hub id stands: the commit to load, and the local cache's folder where that must do."""

    revision: str | None
    cached: Path | None = None


@lru_cache(maxsize=32)
def look_up(name: str, revision: str | None) -> HubModel:
    """Ask the Hub for a model's commit, once a process. Without a network the local cache serves if it has the model.

    Raises UserError for a model that is nowhere.
    """
    from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    cached = None
    try:
        if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
            cached = Path(snapshot_download(name, revision=revision, local_files_only=True))
        if HF_HUB_OFFLINE and cached:
            return HubModel(cached.name, cached)
        return HubModel(HfApi().model_info(name, revision=revision, timeout=TIMEOUT).sha)
    except HFValidationError:
        reason = "is neither a folder here nor a name the Hub allows"
    except RevisionNotFoundError:
        raise UserError(f"{name}: the Hub has the model, but not its revision {revision!r}; check --revision") from None
    except RepositoryNotFoundError:
        reason = "is not on the Hub, or needs a login (hf auth login)"
    except Exception as error:  # the HTTP client's own errors, which differ between its versions
        if cached:
            return HubModel(cached.name, cached)  # a snapshot's folder is named by its commit
        line = " ".join(str(error).split())[:150] or type(error).__name__
        reason = f"is not a folder here, and the Hub cannot be reached ({line})"
    raise UserError(
        f"model {name!r} {reason}; check the name, give --model a folder with the weights, or take a name from "
        f"`evalkit models list`"
    )
