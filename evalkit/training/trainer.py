"""A training that goes on where it was killed: tuned tensors and AdamW's state in one safetensors file, no pickle."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from evalkit.contract.errors import UserError
from evalkit.store.files import replacing
from evalkit.training.attaching import Tunable
from evalkit.training.examples import Example
from evalkit.training.recipe import Method, schedule

CHECKPOINT = "checkpoint.safetensors"
SECONDS = 30.0
"""Least time between two checkpoints that no evaluation asks for."""
PATIENCE = 20
"""Of the time that saving takes, at least so many times as much passes before the next."""
BETAS, EPSILON, DECAY = (0.9, 0.999), 1e-8, 0.0


@dataclass(frozen=True)
class Encoded:
    """An example in tokens; those from ``start`` on are learned."""

    tokens: tuple[int, ...]
    start: int


@dataclass
class Spent:
    """What a training took so far. ``tokens`` are those read, without padding; ``learned`` those with a loss."""

    step: int = 0
    tokens: int = 0
    learned: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def encoded(tokenizer: Any, examples: Sequence[Example], most: int) -> tuple[list[Encoded], int]:
    """The examples in tokens, at most ``most`` of them each, and how many lost the beginning of their prompt for that.
    UserError where an answer alone is longer.
    """
    found, cut = [], 0
    for one in examples:
        before = tokenizer(one.prompt, add_special_tokens=False)["input_ids"]
        whole = tokenizer(one.prompt + one.completion, add_special_tokens=False)["input_ids"]
        if one.ends and tokenizer.eos_token_id is not None:
            whole = [*whole, tokenizer.eos_token_id]
        start = min(len(before), len(whole) - 1)
        if start < 1:  # something must stand before what is learned
            whole, start = [tokenizer.eos_token_id or 0, *whole], 1
        lost = max(0, len(whole) - most)
        if lost >= start:
            raise UserError(
                f"max_length {most}: an answer has {len(whole) - start} tokens, and none of its prompt would be left: "
                "raise max_length"
            )
        cut += bool(lost)
        found.append(Encoded(tuple(whole[lost:]), start - lost))
    return found, cut


def order(count: int, batch_size: int, step: int, seed: int) -> list[int]:
    """The examples of one step: every epoch is shuffled anew, by the seed and its number alone."""
    places = range(step * batch_size, (step + 1) * batch_size)
    return [random.Random(f"{seed}:{place // count}").sample(range(count), count)[place % count] for place in places]


class Training:
    """AdamW over the tuned tensors of ``tunable``. ``folder`` holds the checkpoint; one that is there is gone on
    from.
    """

    def __init__(
        self,
        tunable: Tunable,
        items: Sequence[Encoded],
        method: Method,
        steps: int,
        batch_size: int,
        seed: int,
        folder: Path,
    ) -> None:
        self._tunable, self._items, self._steps = tunable, items, steps
        self._batch, self._seed, self._rate = batch_size, seed, method.rate
        self._path = folder / CHECKPOINT
        self._tuned = tunable.tuned()
        if not self._tuned:
            raise UserError(f"{method.label}: tunes nothing of this model: leave it out")
        self._optimizer = torch.optim.AdamW(
            self._tuned.values(), lr=self._rate, betas=BETAS, eps=EPSILON, weight_decay=DECAY, foreach=False
        )
        self.spent = Spent()
        self._saved_at, self._save_took = time.monotonic(), 0.0
        if self._path.exists():
            self._restore()

    def to(self, step: int, note: Callable[[Spent], None] = lambda _: None) -> None:
        """Train until ``step`` steps are done, and save; ``note`` is told after each step."""
        model = self._tunable.model
        model.train()
        while self.spent.step < step:
            began = time.perf_counter()
            self._step(model)
            self.spent.seconds += time.perf_counter() - began
            note(self.spent)
            if time.monotonic() - self._saved_at > max(SECONDS, PATIENCE * self._save_took):
                self.save()
        model.eval()
        self.save()

    def _step(self, model: Any) -> None:
        spent = self.spent
        batch = [self._items[place] for place in order(len(self._items), self._batch, spent.step, self._seed)]
        device = next(iter(self._tuned.values())).device
        longest = max(len(one.tokens) for one in batch)
        tokens = torch.zeros((len(batch), longest), dtype=torch.long)
        mask, labels = torch.zeros_like(tokens), torch.full_like(tokens, -100)
        for row, one in enumerate(batch):
            found = torch.tensor(one.tokens)
            tokens[row, : len(found)], mask[row, : len(found)] = found, 1
            labels[row, one.start : len(found)] = found[one.start :]
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * schedule(spent.step, self._steps)
        with torch.enable_grad():
            loss = model(
                input_ids=tokens.to(device), attention_mask=mask.to(device), labels=labels.to(device), use_cache=False
            ).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._tuned.values()), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        spent.losses.append(round(float(loss.detach()), 6))
        spent.step += 1
        spent.tokens += int(mask.sum())
        spent.learned += int((labels >= 0).sum())

    def fingerprint(self) -> str:
        """SHA-256 of the tuned tensors."""
        found = hashlib.sha256()
        for name, one in sorted(self._tuned.items()):
            found.update(name.encode())
            found.update(one.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
        return found.hexdigest()

    def save(self) -> None:
        """Write the checkpoint: whole or not at all."""
        from safetensors.torch import save_file

        began = time.monotonic()
        tensors = {f"tuned/{name}": one.detach().contiguous() for name, one in self._tuned.items()}
        for name, one in self._tuned.items():
            state = self._optimizer.state.get(one, {})
            tensors |= {f"{key}/{name}": state[key].contiguous() for key in ("exp_avg", "exp_avg_sq") if key in state}
        with replacing(self._path) as draft:
            save_file(tensors, draft, metadata={"spent": json.dumps(vars(self.spent))})
        self._saved_at = time.monotonic()
        self._save_took = self._saved_at - began

    def forget(self) -> None:
        """Delete the checkpoint, once nothing more is to be asked of these weights."""
        self._path.unlink(missing_ok=True)

    def _restore(self) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path, "pt") as file:
                spent = Spent(**json.loads(file.metadata()["spent"]))
                held = set(file.keys())
                with torch.no_grad():
                    for name, one in self._tuned.items():
                        one.copy_(file.get_tensor(f"tuned/{name}"))
                        if f"exp_avg/{name}" in held:
                            self._optimizer.state[one] = {
                                "step": torch.tensor(float(spent.step)),
                                "exp_avg": file.get_tensor(f"exp_avg/{name}").to(one.device),
                                "exp_avg_sq": file.get_tensor(f"exp_avg_sq/{name}").to(one.device),
                            }
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{self._path}: cannot be gone on from ({reason}): delete it to train anew") from None
        self.spent = spent
