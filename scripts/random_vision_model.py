"""Saves a small model that reads pictures, with random weights, its tokenizer and its processor: to try what is for
such models on any machine, and to test it. Nothing is downloaded, and what it answers means nothing.

    python scripts/random_vision_model.py --output tiny-llava [--kind llava]
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path
from typing import Any

import torch

SIDE = 28
"""Pixels of a picture's side."""
CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.4,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 14,
    "initializer_range": 0.4,
}
PALIGEMMA_TOKENS = 1152
"""Places and segments that its processor adds to the vocabulary."""
KINDS = ("llava", "idefics3", "paligemma")
WITH_VIDEO = ("qwen2_vl", "qwen2_5_vl")
"""Those whose processor wants torchvision."""


def save(kind: str, folder: Path, seed: int = 0) -> Path:
    """A model of one kind with seeded random weights, in float32."""
    import transformers

    tokenizer = _tokenizer()
    config, processor, image = _PARTS[kind](tokenizer)
    processor.chat_template = CHAT.replace("IMAGE", image)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForImageTextToText.from_config(config)
        for parameter in model.parameters():  # far from zero, so that every pixel shows in the scores
            parameter.data.normal_(0, 0.3)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = [*string.printable[:95], "Ġ", "Ċ"]
    vocabulary = {character: index for index, character in enumerate(dict.fromkeys(characters))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>", bos_token="<bos>")
    special = ("<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>",
               "<fake_token_around_image>", "<end_of_utterance>", "<global-img>")  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    tokenizer.add_tokens([f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)])
    return tokenizer


def _ids(tokenizer: Any, more: int = 0) -> dict[str, Any]:
    return {"vocab_size": len(tokenizer) + more, "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}  # fmt: skip


def _llava(tokenizer: Any) -> tuple[Any, Any, str]:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION, projection_dim=32),
        text_config=LlamaConfig(**TEXT, **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=4,
    )
    size = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size)
    made = LlavaProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return config, made, "<image>"


def _qwen(family: str, vision: dict[str, Any]) -> Any:
    def parts(tokenizer: Any) -> tuple[Any, Any, str]:
        import transformers
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
               for name in ("image_pad", "video_pad", "vision_start", "vision_end")}  # fmt: skip
        own = getattr(transformers, f"{family}Config")
        text = {**TEXT, **_ids(tokenizer), "rope_parameters": {
            "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}}  # fmt: skip
        config = own(
            text_config=text,
            vision_config=vision,
            image_token_id=ids["image_pad"],
            video_token_id=ids["video_pad"],
            vision_start_token_id=ids["vision_start"],
            vision_end_token_id=ids["vision_end"],
        )
        images = Qwen2VLImageProcessorPil(min_pixels=SIDE * SIDE, max_pixels=4 * SIDE * SIDE)
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

        made = getattr(transformers, f"{family}Processor")(images, tokenizer, Qwen2VLVideoProcessor())
        return config, made, "<|vision_start|><|image_pad|><|vision_end|>"

    return parts


def _idefics3(tokenizer: Any) -> tuple[Any, Any, str]:
    from transformers import Idefics3Config, Idefics3Processor, LlamaConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    config = Idefics3Config(
        vision_config={**VISION, "patch_size": 7},
        text_config=LlamaConfig(**TEXT, **_ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    return config, Idefics3Processor(images, tokenizer, image_seq_len=4), "<image>"


def _paligemma(tokenizer: Any) -> tuple[Any, Any, str]:
    from transformers import GemmaConfig, PaliGemmaConfig, PaliGemmaProcessor, SiglipVisionConfig
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    vision = {name: value for name, value in VISION.items() if name != "initializer_range"}
    config = PaliGemmaConfig(
        vision_config=SiglipVisionConfig(**vision).to_dict() | {"projection_dim": 32},
        text_config=GemmaConfig(**TEXT, **_ids(tokenizer, PALIGEMMA_TOKENS), head_dim=8).to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    images: Any = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    images.image_seq_length = 4
    return config, PaliGemmaProcessor(images, tokenizer), "<image>"


_PARTS: dict[str, Any] = {
    "llava": _llava,
    "qwen2_vl": _qwen("Qwen2VL", {
        "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "mlp_ratio": 2,
    }),
    "qwen2_5_vl": _qwen("Qwen2_5_VL", {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "num_heads": 2, "patch_size": 14,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56, "fullatt_block_indexes": [1],
    }),
    "idefics3": _idefics3,
    "paligemma": _paligemma,
}  # fmt: skip


def main() -> None:
    """Save one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kind", choices=(*KINDS, *WITH_VIDEO), default="llava")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(save(args.kind, args.output, args.seed))


if __name__ == "__main__":
    main()
