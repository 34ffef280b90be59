"""Of every token of a text its log-probability, and mean and spread of the log-probabilities that the model gives to
the whole vocabulary there: what says whether the model has seen the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from evalkit.contract.backend import Tokens
from evalkit.contract.optional import TokenStatistics


def token_statistics(model: Any, device: torch.device, rows: Sequence[Tokens]) -> list[TokenStatistics]:
    """Rows one by one, in float64 behind the model's own logits: a row's numbers do not depend on the others."""
    found = []
    with torch.inference_mode():
        for row in rows:
            tokens = torch.from_numpy(row.astype(np.int64)).to(device)
            logits = model(input_ids=tokens[None, :-1]).logits[0].double()
            logs = logits.log_softmax(dim=-1)
            weights = logs.exp()
            # Entries of probability 0 have a log of minus infinity; their share of a moment is 0.
            mean = torch.nan_to_num(weights * logs, nan=0.0).sum(dim=-1)
            square = torch.nan_to_num(weights * logs.square(), nan=0.0).sum(dim=-1)
            spread = (square - mean.square()).clamp_min(0).sqrt()
            own = logs.gather(1, tokens[1:, None])[:, 0]
            found.append(TokenStatistics(*(one.cpu().numpy() for one in (own, mean, spread))))
    return found
