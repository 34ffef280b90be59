"""A lm-eval task as an evalkit task: lm-eval writes the prompts, filters the answers and scores them.

Filters run on one document's answers when that document is scored: lm-eval's own filters look at each document by
itself, so this gives what lm-eval gives. A task with filters of its own making may look over all documents at once;
for those the summary applies the filters once more over all documents together, as lm-eval does, and counts that.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    DataSource,
    Document,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    TaskInfo,
)
from evalkit.store.identity import digest
from evalkit.task.lm_eval import summary, visuals
from evalkit.task.lm_eval.plain import number, numbers, plain
from evalkit.task.lm_eval.requests import from_instances, to_instances

_PER_DOCUMENT = "lm_eval.filters."
"""Filters defined below this package look at each document by itself; only "custom" can do otherwise."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of datasets."""
    import datasets

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


class LmEvalTask:
    """evalkit's Task around lm-eval's, with shots and settings applied. ``seed`` draws few-shot examples."""

    def __init__(self, info: TaskInfo, task: Any, seed: int) -> None:
        self.info = info
        self._task = task
        self._seed = seed
        self._repeats = int(getattr(task.config, "repeats", 1) or 1)

    def renamed(self, name: str) -> LmEvalTask:
        """The same task under another name in results."""
        other = copy.copy(self)
        other.info = replace(self.info, name=name)
        return other

    def documents(self, data: DataSource) -> Sequence[Document]:
        """lm-eval's documents, processed by the task; it has loaded them itself, from the mirror or the Hub."""
        return [self._document(index, doc) for index, doc in enumerate(self._loaded())]

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """Prompts as lm-eval's build_all_requests makes them; the few-shot generator starts afresh."""
        self._task.set_fewshot_seed(seed=self._seed)
        for document in documents:
            turns: dict[str, tuple[Message, ...]] = {}
            try:
                instances = self._instances(document, style, turns)
            except UserError:
                raise
            except Exception as error:
                raise UserError(
                    f"lm_eval:{self.info.name}: lm-eval cannot write the prompt of document {document.id}: "
                    f"{type(error).__name__}: {_line(error)}"
                ) from error
            yield from_instances_or_error(self.info.name, instances, self._repeats, self._seed, turns)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Filters and process_results of lm-eval on one document. What its code raises makes the document an error."""
        doc = self._doc(document)
        bare = SampleResult(document, requests, tuple(responses), None)
        for status in ("error", "unscored"):
            bad = next((response for response in responses if response.status == status), None)
            if bad is not None:
                return replace(bare, status=bad.status, error=bad.error)
        try:
            instances = self._answered(document, requests, responses)
            values = self._values([(doc, instances)])[0]
            target = plain(self._task.doc_to_target(doc))
        except Exception as error:
            reason = f"lm-eval's scoring failed: {type(error).__name__}: {_line(error)}"
            return replace(bare, status="error", error=reason)
        return replace(
            bare,
            target=target,
            filtered={
                name: plain([instance.filtered_resps[name] for instance in instances])
                for name in instances[0].filtered_resps
            },
            metrics={key: number(value) for key, value in values.items()},
            statistics={key: pair for key, value in values.items() if (pair := numbers(value)) is not None},
            extra={
                key: plain(value) for key, value in values.items() if number(value) is None and numbers(value) is None
            },
        )

    def target(self, document: Document) -> Any:
        """The right answer as lm-eval's task gives it."""
        return plain(self._task.doc_to_target(self._doc(document)))

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """lm-eval's aggregation of the samples whose status is "ok", with evalkit's intervals."""
        scored = [sample for sample in samples if sample.status == "ok"]
        scalar = all(value is not None for sample in scored for value in sample.metrics.values())
        if scalar and self._filters_look_at_one_document():
            rows: list[Mapping[str, Any]] = [sample.metrics for sample in scored]
        else:
            rows = list(
                self._values(
                    [
                        (self._doc(one.document), self._answered(one.document, one.requests, one.responses))
                        for one in scored
                    ]
                )
            )
        return summary.metrics(self.info, self._task, rows, self._seed)

    def _loaded(self) -> list[Any]:
        with quiet():
            return list(self._task.eval_docs)

    def _doc(self, document: Document) -> Any:
        """lm-eval's own object, which may hold more than JSON can: the document's item."""
        return self._loaded()[document.id] if document.item is None else document.item()

    def _document(self, index: int, doc: Any) -> Document:
        data = plain(doc) if isinstance(doc, Mapping) else {"text": plain(doc)}
        return Document(index, data, digest(data), partial(_itself, doc))

    def _instances(self, document: Document, style: PromptStyle, turns: dict[str, tuple[Message, ...]]) -> list[Any]:
        """lm-eval's instances of one document; ``turns`` is filled with the conversation behind each prompt."""
        doc, chat = self._doc(document), style.chat
        where = f"lm_eval:{self.info.name}, document {document.id}"
        images = visuals.images_of(self._task.doc_to_image(doc), where) if self._shows_pictures else ()

        def render(history: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
            assert chat is not None
            messages = visuals.shown(history, images, where)
            prompt = chat(messages, add_generation_prompt)
            turns[prompt] = messages
            return prompt

        template = render if chat is not None else None
        context = self._task.fewshot_context(
            doc,
            num_fewshot=self.info.num_fewshot,
            system_instruction=style.system,
            apply_chat_template=chat is not None,
            fewshot_as_multiturn=chat is not None and style.multiturn,
            chat_template=template,
            gen_prefix=self._task.doc_to_prefix(doc),
        )
        made = self._task.construct_requests(
            doc=doc,
            ctx=context,
            metadata=(self._task.config["task"], document.id, self._repeats),
            apply_chat_template=chat is not None,
            chat_template=template,
        )
        every = made if isinstance(made, list) else [made]
        if images and chat is None:
            for prompt in {one.args[0] for one in every}:
                turns[prompt] = visuals.shown([{"role": "user", "content": prompt}], images, where)
        return every

    @property
    def _shows_pictures(self) -> bool:
        return bool(getattr(self._task, "MULTIMODAL", False) and self._task.get_config("doc_to_image"))

    def _answered(self, document: Document, asked: Sequence[Request], got: Sequence[Response]) -> list[Any]:
        return to_instances(self.info.name, document.id, self._doc(document), asked, got, self._repeats)

    def _values(self, answered: Sequence[tuple[Any, Sequence[Any]]]) -> list[dict[str, Any]]:
        """lm-eval's metric values of each document, by "metric,filter"; filters see all of them at once."""
        everything = [instance for _, instances in answered for instance in instances]
        if not everything:
            return []
        for ensemble in self._task._filters:
            ensemble.apply(everything)
        rows = []
        for doc, instances in answered:
            row: dict[str, Any] = {}
            for name in instances[0].filtered_resps:
                results = self._task.process_results(doc, [instance.filtered_resps[name] for instance in instances])
                row.update({f"{metric},{name}": value for metric, value in results.items()})
            rows.append(row)
        return rows

    def _filters_look_at_one_document(self) -> bool:
        for ensemble in self._task._filters:
            for part in ensemble.filters:
                kind = getattr(part, "func", part)
                module = getattr(kind, "__module__", "")
                if not module.startswith(_PER_DOCUMENT) or module.endswith(".custom"):
                    return False
        return True


def _itself(doc: Any) -> Any:
    return doc


def from_instances_or_error(
    task: str, instances: Sequence[Any], repeats: int, seed: int, turns: Mapping[str, tuple[Message, ...]]
) -> tuple[Request, ...]:
    """The requests; UserError where lm-eval made prompts that are no text."""
    made = from_instances(task, instances, repeats, seed, turns)
    for request in made:
        parts = [getattr(request, name, "") for name in ("context", "continuation", "text")]
        if not all(isinstance(part, str) for part in parts):
            raise UserError(f"lm_eval:{task}: lm-eval made a prompt that is no text: {str(parts)[:200]}")
    return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
