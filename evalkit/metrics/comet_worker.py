"""Asks unbabel-comet for scores: JSON in, JSON out. Runs by itself in the environment that has the package, so it
imports nothing of evalkit and nothing newer than Python 3.8.
"""

import json
import os
import sys
from typing import Any, List, Mapping  # noqa: UP035


def predict(asked: Mapping[str, Any]) -> "List[float]":  # noqa: UP006
    """A score for each of ``asked["data"]`` ({"src", "mt"}, and "ref" where the model takes one), in their order, by
    ``asked["model"]``: a name on the Hub or the path of a checkpoint.
    """
    from comet import download_model, load_from_checkpoint  # type: ignore[import-not-found]

    name = asked["model"]
    model = load_from_checkpoint(name if name.endswith(".ckpt") else download_model(name))
    found = model.predict(
        asked["data"],
        batch_size=asked["batch_size"],
        gpus=asked["gpus"],
        accelerator="auto" if asked["gpus"] else "cpu",
        progress_bar=False,
    )
    return [float(score) for score in found.scores]


if __name__ == "__main__":
    # A script's own folder comes first in the search, and this one has a module comet too.
    sys.path[:] = [one for one in sys.path if os.path.abspath(one) != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120
    scores = predict(json.load(sys.stdin))
    # What the package prints stands on lines before.
    print("\n" + json.dumps(scores))
