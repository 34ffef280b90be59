"""Models that read pictures (LLaVA, Qwen2-VL, SmolVLM, PaliGemma and their kin): one prompt at a time, by their own
processor and transformers' own generate.

A continuation is scored as it would be generated: generate is made to write it, and each step's own logits are read, so
that whatever a model does with positions, masks and caches behind a picture is what it does when it answers. The tokens
of a continuation are found by the rule of text models (`evalkit.engine.encode`), on the prompt as it is written, with
its pictures' marks. Continuations of one prompt that begin alike, as one-token choices do, are read from one pass;
beyond that nothing is shared. A prompt with pictures is never cut.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf import memory, vocabulary
from evalkit.backends.hf.architecture import IMAGE_TEXT
from evalkit.backends.hf.loaded import Generating
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.quiet import quiet
from evalkit.backends.hf.speculation import ScanRows, StepClock
from evalkit.contract.backend import GenerateRow
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Image, Message, Request, Response, Score, parts_of
from evalkit.engine.encode import boundary
from evalkit.engine.plausible import impossible
from evalkit.perf.clocks import Stopwatch
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store import pictures
from evalkit.store.identity import text_key

MARKS = ("boi_token", "image_token")
"""Where processors tell what stands for a picture in a text."""
TRIAL_SIDE = 56
"""Pixels of the picture that a model is tried on at load."""


class ImageTextBackend(Generating):
    """A transformers model of pictures and text as a TextBackend."""

    def __init__(self, parts: Parts, model: ModelSpec, engine: EngineSpec) -> None:
        super().__init__(parts, model, engine, sees=True)
        self.capabilities = IMAGE_TEXT
        self._processor = parts.processor
        self._by_template = bool(model.chat_template)
        self._add_bos = model.add_bos
        self._bos = self._tokens.tokenizer.bos_token or ""
        self._mark = self._picture_mark()
        window = model.max_length or vocabulary.window(self._model.config, parts.tokenizer)
        told = {"path": "pictures (one prompt at a time, one-token choices in one pass)", "picture": self._mark}
        self.info = self._info(parts, model, window, told)
        self._try(model.name)

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request; see `TextBackend.respond`."""
        scores: dict[Any, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            if isinstance(request, Score):
                scores[boundary(request)[0], _images(request)].append(index)
        for members in scores.values():
            yield from self._score([requests[index] for index in members], members)  # type: ignore[misc]
            self.after_pass()
        for index, request in enumerate(requests):
            if isinstance(request, Generate):
                yield index, self._generate(request)
                self.after_pass()
            elif not isinstance(request, Score):
                kind = type(request).__name__.lower()
                yield index, Response(status="error", error=f"a model of pictures and text is not asked to {kind}")

    # -- scoring --------------------------------------------------------------------------------------------------

    def _score(self, requests: Sequence[Score], places: Sequence[int]) -> Iterator[tuple[int, Response]]:
        """All continuations of one prompt."""
        try:
            context = boundary(requests[0])[0]
            read = self._read(context, _images(requests[0]))
            wanted = [self._continuation(request) for request in requests]
            given = int(read["input_ids"].shape[1])
            if refused := self._refused(given, max(map(len, wanted)) - 1):
                yield from ((place, refused) for place in places)
                return
            logits = self._logits(read, wanted)
        except Exception as error:
            yield from ((place, self._failed(error)) for place in places)
            return
        for place, tokens in zip(places, wanted, strict=True):
            yield place, _scored(tokens, [logits[tokens[:end]] for end in range(len(tokens))], given)

    def _continuation(self, request: Score) -> tuple[int, ...]:
        """The tokens of what is scored: those of the whole behind those of the context, both as they are written."""
        context, rest = boundary(request)
        short, whole = self._tokens.encode([context, context + rest], False)
        if len(whole) <= len(short):
            raise ValueError("the continuation has no tokens of its own")
        return tuple(whole[len(short) :])

    def _logits(self, read: Any, wanted: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], torch.Tensor]:
        """The logits behind every beginning of every continuation, [vocabulary]."""
        found: dict[tuple[int, ...], torch.Tensor] = {}
        for tokens in sorted(set(wanted), key=len, reverse=True):
            begun = tokens[:-1]
            if begun in found:
                continue
            steps = self._forced(read, begun)
            found |= {begun[:end]: logits for end, logits in enumerate(steps)}
        return found

    def _forced(self, read: Any, tokens: tuple[int, ...]) -> list[torch.Tensor]:
        """Each step's own logits where generate is made to write ``tokens``; one more than these."""
        length = int(read["input_ids"].shape[1])
        watch = Stopwatch(self._device)
        with torch.inference_mode(), quiet():
            output = self._model.generate(
                **read,
                max_new_tokens=len(tokens) + 1,
                min_new_tokens=len(tokens) + 1,
                do_sample=False,
                num_beams=1,
                eos_token_id=-1,  # a continuation may hold the end of text
                pad_token_id=self._generation.pad_id,
                logits_processor=[_Forced(tokens, length)],
                output_logits=True,
                return_dict_in_generate=True,
            )
            steps = [step[0].float() for step in output.logits]
        self.meter.read(length)
        self.meter.prefill(length + len(tokens), watch.lap())
        return steps

    # -- generating -----------------------------------------------------------------------------------------------

    def _generate(self, request: Generate) -> Response:
        try:
            read = self._read(request.context, _images(request))
            ids = read["input_ids"][0]
            if refused := self._refused(len(ids), request.max_tokens):
                return refused
            key = text_key(self.info.fingerprint, request)
            tokens = np.asarray(ids.cpu(), dtype=np.int32)
            row = GenerateRow(tokens, request.until, request.max_tokens, request.sampling, key)
            scan = self._generation.scan(row)
            clock = StepClock(self.meter, len(ids), 1, len(ids), self._device)
            by_steps = self._generation.by_steps(row)
            with torch.inference_mode():
                output = self._model.generate(
                    **read,
                    stopping_criteria=[clock, *([ScanRows([scan], len(ids))] if by_steps else [])],
                    **self._generation.settings(row),
                )
            if not by_steps:
                scan.extend(output[0, len(ids) :].tolist())
            answer = scan.answer()
        except Exception as error:
            return self._failed(error)
        return Response(
            text=answer.text,
            finish=answer.finish,
            prompt_tokens=len(ids),
            output_tokens=answer.output_tokens,
            thought=answer.thought,
        )

    # -- prompts --------------------------------------------------------------------------------------------------

    def _read(self, context: str, images: Sequence[Image]) -> Any:
        """What the processor makes of a prompt: ids [1, tokens], and its pictures."""
        return self._processed(context if self._by_template else self._marked(context, images), images)

    def _processed(self, text: str, images: Sequence[Image]) -> Any:
        if not text:
            ids = torch.tensor([[self.prefix_id]], device=self._device)
            return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        special = False if self._bos and text.startswith(self._bos) else self._add_bos
        shown = {"images": [[pictures.opened(one) for one in images]]} if images else {}
        settings = {} if special is None else {"add_special_tokens": special}
        read = self._processor(text=[text], return_tensors="pt", **shown, **settings)
        read.pop("labels", None)  # PaliGemma's, for training
        return read.to(self._device, dtype=self._model.dtype)  # pixels alone: ids are no floating-point numbers

    def _marked(self, context: str, images: Sequence[Image]) -> str:
        parts = parts_of(Message("user", context, tuple(images)))
        return "".join(part if isinstance(part, str) else self._mark for part in parts)

    def _picture_mark(self) -> str:
        """What stands for a picture in a prompt without a template: as the template writes it between two texts, else
        as the processor says.
        """
        before, behind = "evalkit-before", "evalkit-behind"
        try:
            template = self._tokens.template
        except UserError:  # the model has none
            template = None
        if template is not None and template.takes_parts:
            shown = Message("user", f"{before}<image>{behind}", (Image(b"", "image/png"),))
            text = template([shown], True)
            between = text.partition(before)[2].partition(behind)[0].strip()
            if between:
                return between
        found = (getattr(self._processor, name, None) for name in MARKS)
        return next((mark for mark in found if isinstance(mark, str) and mark), "<image>")

    def _try(self, name: str) -> None:
        """Raise UserError where processor and model do not take a picture: told now, and not of every item."""
        try:
            self._forced(self._processed(f"{self._mark}A", (pictures.blank(TRIAL_SIDE),)), ())
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"{name}: does not take a picture ({reason}): copy the model's own processor files there again"
            ) from error
        self.meter = type(self.meter)()  # the trial is none of the run's work

    def _refused(self, given: int, new: int) -> Response | None:
        """The answer to a prompt over the window: with pictures in it nothing can be cut off."""
        if given + new <= self.info.max_length:
            return None
        reason = (
            f"the prompt has {given:,} tokens with its pictures and {new:,} may follow, of {self.info.max_length:,}; "
            "prompts of pictures are not cut"
        )
        status = "unscored" if self._engine.overlength == "skip" else "error"
        return Response(status=status, error=reason, prompt_tokens=given)  # type: ignore[arg-type]

    def _failed(self, error: Exception) -> Response:
        if memory.is_out_of_memory(error):
            memory.release(self._device)
            return Response(status="error", error="the prompt with its pictures does not fit the memory")
        reason = " ".join(str(error).split())[:300]
        return Response(status="error", error=f"{type(error).__name__}: {reason}" if reason else type(error).__name__)


class _Forced:
    """A logits processor that leaves one token a step."""

    def __init__(self, tokens: Sequence[int], begin: int) -> None:
        self._tokens, self._begin = tokens, begin

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self._begin
        if step >= len(self._tokens):
            return scores
        only = torch.full_like(scores, -torch.inf)
        only[:, self._tokens[step]] = 0.0
        return only


def _images(request: Score | Generate) -> tuple[Image, ...]:
    return tuple(image for message in request.messages or () for image in message.images)


def _scored(tokens: Sequence[int], steps: Sequence[torch.Tensor], given: int) -> Response:
    total, greedy = 0.0, True
    for token, logits in zip(tokens, steps, strict=True):
        total += float(torch.log_softmax(logits, dim=-1)[token])
        greedy = greedy and int(logits.argmax()) == token
    if problem := impossible(total):
        return Response(status="error", error=problem, prompt_tokens=given)
    return Response(loglikelihood=total, is_greedy=greedy, prompt_tokens=given, output_tokens=len(tokens))
