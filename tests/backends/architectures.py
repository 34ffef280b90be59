"""Tiny models of many architectures, with random weights that matter; windows and factors are small enough to cross."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import tiny_models as tiny
import torch

V, END = tiny.VOCABULARY, tiny.VOCABULARY - 1
IDS = {"vocab_size": V, "bos_token_id": None, "eos_token_id": END, "pad_token_id": END}
BASE = {**IDS, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 128}
HEADS = {**BASE, "num_attention_heads": 4, "num_key_value_heads": 2}
ALL = {**HEADS, "num_key_value_heads": 4}
NARROW = {**HEADS, "head_dim": 8}
GPT = {**IDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
FALCON = {**IDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
HALF = 4
"""Half a head's width: LongRoPE has one factor for each."""
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0] * HALF,
    "long_factor": [1.0, 3.0, 9.0, 20.0],
    "original_max_position_embeddings": 32,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}

TREE, PLAIN = "tree", "plain"

ARCHITECTURES: dict[str, tuple[str, dict[str, Any], str]] = {
    # decoders whose rows all share prefixes
    "llama": ("Llama", HEADS, TREE),
    "qwen2": ("Qwen2", HEADS, TREE),
    "qwen3": ("Qwen3", NARROW, TREE),
    "mixtral": ("Mixtral", {**HEADS, "num_local_experts": 4, "sliding_window": None}, TREE),
    "qwen3_moe": ("Qwen3Moe", {**NARROW, **EXPERTS}, TREE),
    "olmo2": ("Olmo2", HEADS, TREE),
    "gpt2": ("GPT2", GPT, TREE),
    "opt": ("OPT", {**ALL, "ffn_dim": 48, "word_embed_proj_dim": 32}, TREE),
    "gpt_neox": ("GPTNeoX", ALL, TREE),
    "phi3": ("Phi3", {**HEADS, "sliding_window": None}, TREE),
    # logits scaled after the output embedding; values narrower than keys
    "cohere": ("Cohere", {**HEADS, "logit_scale": 0.0625}, TREE),
    "granite": ("Granite", {**HEADS, "logits_scaling": 8.0}, TREE),
    "deepseek_v3": (
        "DeepseekV3",
        {
            **ALL, "moe_intermediate_size": 24, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
            "topk_group": 1, "first_k_dense_replace": 1,
        },
        TREE,
    ),
    # windows, caps and sinks of attention's scores; encodings that long rows feel
    "mistral_window": ("Mistral", {**NARROW, "sliding_window": 6}, TREE),
    "qwen2_window": (
        "Qwen2",
        {**HEADS, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 0},
        TREE,
    ),
    "gemma3": ("Gemma3Text", {**NARROW, "num_hidden_layers": 7, "sliding_window": 8}, TREE),
    "gemma2": ("Gemma2", {**NARROW, "sliding_window": 8, "query_pre_attn_scalar": 8}, TREE),
    "gpt_oss": (
        "GptOss",
        {**NARROW, "sliding_window": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
        TREE,
    ),
    "olmo3": ("Olmo3", {**HEADS, "num_hidden_layers": 4, "sliding_window": 7}, TREE),
    "cohere2": ("Cohere2", {**NARROW, "num_hidden_layers": 4, "sliding_window": 7, "logit_scale": 0.25}, TREE),
    "phi3_longrope": ("Phi3", {**HEADS, "sliding_window": None, "rope_parameters": LONGROPE}, TREE),
    "llama_longrope": ("Llama", {**HEADS, "rope_parameters": LONGROPE}, TREE),
    "llama_dynamic": ("Llama", {**HEADS, "max_position_embeddings": 32, "rope_parameters": DYNAMIC}, TREE),
    # attention outside of transformers' interface, biases by distance, parallel blocks
    "stablelm": ("StableLm", ALL, TREE),
    "gptj": ("GPTJ", {**GPT, "rotary_dim": 4}, TREE),
    "gpt_neo": (
        "GPTNeo",
        {
            **IDS, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "intermediate_size": 48, "window_size": 6,
            "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 128,
        },
        TREE,
    ),
    "bloom": ("Bloom", {**IDS, "hidden_size": 32, "n_layer": 2, "n_head": 4}, TREE),
    "mpt": ("Mpt", {**IDS, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128}, TREE),
    "falcon": (
        "Falcon", {**IDS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True}, TREE,
    ),
    "codegen": ("CodeGen", {**GPT, "rotary_dim": 4, "n_ctx": 128}, TREE),
    "falcon_rotary": ("Falcon", {**FALCON, "alibi": False, "parallel_attn": True}, TREE),
    "falcon_new": (
        "Falcon", {**FALCON, "alibi": False, "new_decoder_architecture": True, "num_kv_heads": 2}, TREE,
    ),
    # layers that are no attention
    "rwkv": (
        "Rwkv",
        {**IDS, "hidden_size": 32, "attention_hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "context_length": 128},
        PLAIN,
    ),
    "mamba": ("Mamba", {**IDS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}, PLAIN),
    "mamba2": (
        "Mamba2",
        {**IDS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "num_heads": 8, "head_dim": 8,
         "n_groups": 1, "chunk_size": 16},
        PLAIN,
    ),
    "jamba": (
        "Jamba",
        {
            **HEADS, "num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
            "expert_layer_offset": 1, "num_experts": 2, "mamba_d_state": 8,
        },
        PLAIN,
    ),
    "lfm2": ("Lfm2", {**HEADS, "layer_types": ["conv", "full_attention"]}, PLAIN),
    "falcon_h1": (
        "FalconH1",
        {**HEADS, "mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8,
         "mamba_chunk_size": 16},
        PLAIN,
    ),
    "qwen3_next": (
        "Qwen3Next",
        {
            **NARROW, **EXPERTS, "num_hidden_layers": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2,
            "linear_key_head_dim": 8, "linear_value_head_dim": 8, "shared_expert_intermediate_size": 24,
        },
        PLAIN,
    ),
    "hrm_text": ("HrmText", {**NARROW, "num_hidden_layers": 4}, PLAIN),
    "recurrent_gemma": (
        "RecurrentGemma",
        {**NARROW, "num_hidden_layers": 3, "num_key_value_heads": 1, "lru_width": 32, "attention_window_size": 8},
        PLAIN,
    ),
}  # fmt: skip
"""By name: transformers' configuration class, its settings, and the path of rows within every window."""


@lru_cache
def made(name: str) -> Any:
    """A model in float32 with seeded weights far from zero: scores differ from token to token."""
    import transformers

    kind, settings, _ = ARCHITECTURES[name]
    config = getattr(transformers, f"{kind}Config")(**settings)
    config.initializer_range = 0.4
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = transformers.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1 and float(parameter.std()) < 0.1:
                    parameter.normal_(0, 0.3)
    return model.eval()
