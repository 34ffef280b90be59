"""lm-eval tasks, beyond evalkit's own, that the mirror can serve: what the adapter is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParityTask:
    """A task's name, the shots to ask for (None: its own), and how many documents a fast test takes."""

    name: str
    shots: int | None = None
    limit: int = 25


TASKS = (
    ParityTask("arc_challenge_chat"),
    ParityTask("arc_challenge_llama"),
    ParityTask("boolq-seq2seq", shots=2),
    ParityTask("super_glue-boolq-t5-prompt"),
    ParityTask("lambada_openai_cloze_yaml"),
    ParityTask("truthfulqa_gen", limit=6),
    ParityTask("mmlu_anatomy_continuation", shots=5),
    ParityTask("mmlu_abstract_algebra_generative", shots=5),
    ParityTask("mmlu_llama_anatomy"),
    ParityTask("mmlu_flan_n_shot_generative_anatomy", shots=2),
    ParityTask("mmlu_flan_n_shot_loglikelihood_virology", shots=3),
    ParityTask("mmlu_flan_n_shot_loglikelihood_abstract_algebra"),
)
