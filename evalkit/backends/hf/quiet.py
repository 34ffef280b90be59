"""transformers without its progress bars and warnings."""

from __future__ import annotations

import logging as log
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO


@contextmanager
def no_bars() -> Iterator[None]:
    """Nothing on stderr: for progress bars of libraries that have no switch for them."""
    with redirect_stderr(StringIO()):
        yield


def no_notes_on_kernels() -> None:
    """Hide what these libraries log of kernels for other devices as they are imported; peft brings them too."""
    for name in ("torchao", "torch.utils._pytree", "bitsandbytes", "accelerate.big_modeling"):
        log.getLogger(name).setLevel(log.ERROR)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars or warnings of transformers while loading; errors still come as exceptions."""
    no_notes_on_kernels()
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
