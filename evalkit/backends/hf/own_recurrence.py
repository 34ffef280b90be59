"""Recurrent layers whose own code starts anew for several tokens, brought to go on from the state that they keep.

transformers' selective scan (Mamba, Jamba, Falcon-Mamba) takes no initial state, and Griffin's recurrent block
(RecurrentGemma) keeps its state in itself and not in the cache. Within a call of `continuing` these classes compute the
same recurrences from their own weights, beginning with the cache's state; everywhere else their own code runs, which
the trial at load compares with.

* Selective state space (Mamba, arXiv 2312.00752, section 3.2): h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t,
  y_t = C_t h_t + D x_t, gated by silu(z).
* RG-LRU (Griffin, arXiv 2402.19427, section 2.4): a_t = exp(-8 r_t softplus(p)), h_t = a_t h_(t-1) +
  sqrt(1 - a_t^2) (i_t x_t); at a text's first token the input stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

Forward = Callable[..., Any]

STRETCH = 64
"""Tokens of a scan whose decays and states exist at a time."""

_underway: list[bool] = []


@contextmanager
def going_on() -> Iterator[None]:
    """Layers brought here compute from the cache's state."""
    _underway.append(True)
    try:
        yield
    finally:
        _underway.pop()


def adapt(model: Any) -> bool:
    """Bring the recurrent layers of ``model`` here where their class is known; whether any was. Layers whose weights
    are read from elsewhere in every call (accelerate's hooks) keep their own code.
    """
    found = [
        (place, module, ADAPTERS[type(module).__name__])
        for place, layer in enumerate(getattr(model.base_model, "layers", ()))
        for module in layer.modules()
        if type(module).__name__ in ADAPTERS and type(module).__module__.startswith("transformers.models.")
    ]
    if any(hasattr(part, "_hf_hook") for _, module, _ in found for part in module.modules()):
        return False
    for place, module, made in found:
        module.forward = _while_going_on(made(module, place), module.forward)
    return bool(found)


def _while_going_on(ours: Forward, own: Forward) -> Forward:
    def forward(*arguments: Any, **settings: Any) -> Any:
        return (ours if _underway else own)(*arguments, **settings)

    return forward


def _selective(module: Any, place: int) -> Forward:
    decay_rates: list[torch.Tensor] = []

    def forward(hidden_states: torch.Tensor, cache_params: Any = None, attention_mask: Any = None, **_: Any) -> Any:
        if attention_mask is not None:
            raise ValueError("rows with padding do not go on from a state")
        if not decay_rates:
            decay_rates.append(-torch.exp(module.A_log.float()))
        values, gate = module.in_proj(hidden_states).chunk(2, dim=-1)
        values = module.act(_convolved(module.conv1d, values, cache_params, place))
        rank, size = module.time_step_rank, module.ssm_state_size
        step, into, out_of = module.x_proj(values).split([rank, size, size], dim=-1)
        if hasattr(module, "dt_layernorm"):
            step, into, out_of = module.dt_layernorm(step), module.b_layernorm(into), module.c_layernorm(out_of)
        step = functional.softplus(module.dt_proj(step).float())
        begun = cache_params.get_recurrent_state(place, state_idx=0) if cache_params is not None else None
        found, state = _scanned(step, decay_rates[0], step * values.float(), into.float(), out_of.float(), begun)
        if cache_params is not None:
            cache_params.update_recurrent_state(state, place)
        found = (found + values.float() * module.D.float()) * functional.silu(gate.float())
        return module.out_proj(found.to(hidden_states.dtype))

    return forward


def _scanned(
    step: torch.Tensor,
    rates: torch.Tensor,
    inputs: torch.Tensor,
    into: torch.Tensor,
    out_of: torch.Tensor,
    begun: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a selective state space says, [rows, tokens, width], and its state behind, [rows, width, size]: ``step`` and
    ``inputs`` [rows, tokens, width], ``rates`` [width, size], ``into`` and ``out_of`` [rows, tokens, size].
    """
    rows, length, width = step.shape
    state = step.new_zeros((rows, width, rates.shape[-1])) if begun is None else begun.float()
    found = torch.empty_like(step)
    for begin in range(0, length, STRETCH):
        some = slice(begin, min(begin + STRETCH, length))
        # Tokens first: each step of the loop then reads memory in one piece.
        decay = torch.exp(step[:, some].transpose(0, 1).unsqueeze(-1) * rates)
        states = inputs[:, some].transpose(0, 1).unsqueeze(-1) * into[:, some].transpose(0, 1).unsqueeze(-2)
        state = recur(decay, states, state)
        found[:, some] = torch.einsum("trws,rts->rtw", states, out_of[:, some])
    return found, state


def recur(decay: torch.Tensor, inputs: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """Make ``inputs`` [tokens, ...] the states h_t = decay_t * h_(t-1) + inputs_t that begin with ``state`` [...]; the
    last of them.
    """
    for token in range(len(inputs)):
        state = torch.addcmul(inputs[token], decay[token], state, out=inputs[token])
    return state.clone()


def _convolved(conv: Any, values: torch.Tensor, cache: Any, place: int) -> torch.Tensor:
    """A causal convolution by channel of ``values`` [rows, tokens, width], behind those that the cache has."""
    length, before = values.shape[1], conv.kernel_size[0] - 1
    values = values.transpose(1, 2)
    if cache is not None:
        values = cache.update_conv_state(values, place, conv_kernel_size=conv.kernel_size[0])
    values = functional.pad(values, (max(0, length + before - values.shape[-1]), 0))[..., -(length + before) :]
    return functional.conv1d(values, conv.weight, conv.bias, groups=conv.groups).transpose(1, 2)


def _griffin(module: Any, place: int) -> Forward:
    unit = module.rg_lru

    def gate(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        # One product with its bias, as the layer's own code has it: in half precision each rounding shows.
        by_head = values.unflatten(-1, (unit.num_attention_heads, unit.block_width)).flatten(0, 1).transpose(0, 1)
        return torch.sigmoid(torch.baddbmm(bias[:, None], by_head, weight).transpose(0, 1).reshape(values.shape))

    def forward(
        hidden: torch.Tensor, position_ids: torch.Tensor, attention_mask: Any = None, use_cache: bool = True,
        past_key_values: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        cache = past_key_values
        other = module.act_fn(module.linear_y(hidden))
        values = _convolved(module.conv_1d, module.linear_x(hidden), cache, place)
        first = position_ids[:, :, None] == 0
        rate = gate(values, unit.recurrent_gate_weight, unit.recurrent_gate_bias)
        rate = -8.0 * rate * functional.softplus(unit.recurrent_param)
        scale = torch.where(first, 1.0, torch.sqrt(1 - torch.exp(2 * rate)))
        inputs = values * gate(values, unit.input_gate_weight, unit.input_gate_bias) * scale.type(values.dtype)
        decay = (torch.exp(rate) * ~first).float()
        begun = cache.get_recurrent_state(place, state_idx=0) if cache is not None else None
        if begun is None:
            begun = inputs.new_zeros((len(inputs), inputs.shape[-1]), dtype=torch.float32)
        states = inputs.float().transpose(0, 1).contiguous()
        state = recur(decay.transpose(0, 1).expand_as(states).contiguous(), states, begun)
        if cache is not None:
            cache.update_recurrent_state(state, place)
        return module.linear_out(states.transpose(0, 1).to(hidden.dtype) * other), None

    return forward


ADAPTERS: dict[str, Callable[[Any, int], Forward]] = {
    "MambaMixer": _selective,
    "FalconMambaMixer": _selective,
    "JambaMambaMixer": _selective,
    "RecurrentGemmaRecurrentBlock": _griffin,
}
"""By the name of a layer's class in transformers: what makes its replacement."""
