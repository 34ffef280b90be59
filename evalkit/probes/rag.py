"""Retrieval against long context: the same questions with k retrieved passages, and with the whole text.

rag:SET:k=1+4:retriever=wordllama. SET is a data set in SQuAD's form (context, question, answers, title). The whole text
is all passages of the question's article, in the data set's order; what is retrieved comes from those of all articles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.backends import opening
from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.embedding import Collection
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Asked,
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Generate,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Shots,
    TaskInfo,
)
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.filters import strip_thinking
from evalkit.metrics.qa import token_f1
from evalkit.probes import options, windows
from evalkit.probes.embedding.base import unit
from evalkit.probes.needle.task import holds
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store import paths
from evalkit.store.identity import digest
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "rag:SET:k=1+4:retriever=wordllama": "the same questions with k retrieved passages and with the whole text; SET: "
    "squad, or a data set in SQuAD's form",
}
READERS: options.Readers = {
    "set": options.given,
    "k": options.wholes(1, 1000),
    "retriever": options.given,
    "config": options.given,
    "split": options.given,
    "whole": options.one_of(("yes", "no", "only")),
}
SQUAD = DatasetRef("rajpurkar/squad_v2", "squad_v2", None)
WHOLE = "whole"
MAX_TOKENS = 32
SOURCE = "evalkit's probe of retrieval against long context, docs/long_context.md"
FOUND = base.Metric(name="found", kind="text", higher_is_better=True, binary=True, source=SOURCE)
F1 = base.share_metric("f1", lambda item: None, source="SQuAD's F1 (Rajpurkar et al. 2016, arXiv 1606.05250)")
RETRIEVED = base.Metric(name="retrieved", kind="text", higher_is_better=True, binary=True, source=SOURCE)
TOKENS = base.Metric(
    name="tokens", kind="text", higher_is_better=False, unit="tokens", bounds=(0.0, None), source="read and written"
)
COST = base.Metric(
    name="usd", kind="text", higher_is_better=False, unit="USD", bounds=(0.0, None), source="the provider's prices"
)
GAIN = base.Metric(
    name="whole_minus", kind="text", higher_is_better=True, bounds=(-1.0, 1.0), source=f"{SOURCE}; paired by question"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a name asks for."""

    dataset: DatasetRef = SQUAD
    split: str = "validation"
    k: tuple[int, ...] = (1, 4)
    retriever: str = "wordllama"
    whole: str = "yes"
    """With the whole text too; "only": with nothing else."""

    @property
    def arms(self) -> tuple[str, ...]:
        """ "k1", "k4", "whole"."""
        parts = () if self.whole == "only" else tuple(f"k{k}" for k in self.k)
        return parts if self.whole == "no" else (*parts, WHOLE)


class RagTask:
    """See `evalkit.contract.types.Task`: a document is a question in one arm. Prompts are written once the tokenizer is
    known, so that a whole text beyond the window is left out and not cut.
    """

    traits = TaskTraits(measures_prompts=True)

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
        keys = {"found": True}
        for arm in settings.arms:
            keys |= {f"found_{arm}": True, f"f1_{arm}": True, f"tokens_{arm}": False, f"usd_{arm}": False}
            keys |= {f"retrieved_{arm}": True, f"whole_minus_{arm}": True} if arm != WHOLE else {}
        self.info = TaskInfo(
            name=name,
            version="1.0",
            kind="generate",
            dataset=settings.dataset,
            split=settings.split,
            num_fewshot=0,
            primary="found,none",
            higher_is_better={f"{key},none": good for key, good in keys.items()},
            description="Questions with k retrieved passages, and with the whole text: answers, tokens, cost.",
            tags=("long_context", "retrieval"),
            config={
                "task": name,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "dataset_path": settings.dataset.id,
                "generation_kwargs": {"until": ["\n"], "max_gen_toks": MAX_TOKENS, "temperature": 0.0},
                "metadata": {"version": "1.0"},
                "rag": {"k": list(settings.k), "retriever": settings.retriever, "whole": settings.whole},
            },
            shots=Shots(0, "locked", "its prompts show none"),
        )

    def documents(self, data: DataSource) -> Documents:
        """Every answerable question in every arm; the passages are what they share."""
        rows = data.load(self._settings.dataset, self._settings.split)
        passages = list(dict.fromkeys(str(row["context"]) for row in rows))
        place = {text: at for at, text in enumerate(passages)}
        articles: dict[str, list[int]] = {}
        for row in rows:
            own = articles.setdefault(str(row.get("title", "")), [])
            if place[row["context"]] not in own:
                own.append(place[row["context"]])
        found: list[Document] = []
        for number, row in enumerate(rows):
            answers = list(dict.fromkeys(_answers(row)))
            if not answers:
                continue
            for arm in self._settings.arms:
                data_of = {
                    "question": row["question"],
                    "answers": answers,
                    "gold": place[row["context"]],
                    "article": str(row.get("title", "")),
                    "arm": arm,
                    "of": number,
                    "retriever": self._settings.retriever,
                }
                found.append(Document(len(found), data_of, digest(data_of)))
        return Documents(tuple(found), [passages, articles])

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """A prompt a question and arm. UserError for a retriever that is none."""
        assert isinstance(documents, Documents)
        passages, articles = documents.pool
        most = 0 if self._settings.whole == "only" else max(self._settings.k)
        nearest = self._nearest([one.data["question"] for one in documents], passages, most) if most else {}
        for document in documents:
            row = document.data
            if row["arm"] == WHOLE:
                shown = articles[row["article"]]
            else:
                shown = nearest[row["question"]][: int(row["arm"].removeprefix("k"))]
            context, messages = _prompt([passages[place] for place in shown], row["question"], style)
            if style.encode is not None and style.max_length is not None:
                tokens = len(style.encode([context])[0]) + MAX_TOKENS
                if tokens > style.max_length:
                    yield Asked((), f"the text has {tokens} tokens, the model's window {style.max_length}")
                    continue
            yield Asked((Generate(context, ("\n",), MAX_TOKENS, messages=messages),), list(shown))

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Whether an answer stands in the reply, SQuAD's F1, tokens, cost, and whether the passage was shown."""
        row = document.data
        arm, note = row["arm"], requests.note if isinstance(requests, Asked) else ()
        result = SampleResult(document, requests, tuple(responses), row["answers"])
        if not requests:
            return replace(result, status="unscored", error=str(note))
        (response,) = responses
        if response.status != "ok" or response.text is None:
            status = "error" if response.status == "ok" else response.status
            return replace(result, status=status, error=response.error or "the answer holds no text")
        if response.truncated:
            return replace(result, status="unscored", error=f"{response.truncated} tokens of the prompt were cut off")
        reply = strip_thinking()(response.text)
        found = float(any(holds(reply, answer) for answer in row["answers"]))
        cost = response.usage.cost if response.usage is not None else None
        # A server that counts no tokens gives none.
        tokens = float(response.prompt_tokens + response.output_tokens) if response.prompt_tokens else None
        metrics: dict[str, float | None] = {
            "found,none": found,
            f"found_{arm},none": found,
            f"f1_{arm},none": max(token_f1(reply, answer) for answer in row["answers"]),
            f"tokens_{arm},none": tokens,
            f"usd_{arm},none": cost,
        }
        if arm != WHOLE:
            metrics[f"retrieved_{arm},none"] = float(row["gold"] in note)
        return replace(result, filtered={"none": reply}, metrics=metrics, extra={"shown": list(note)})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """By arm, and how much more is found with the whole text, over the questions that both arms answered."""
        ok = [sample for sample in samples if sample.status == "ok"]
        clusters = [str(sample.document.data["of"]) for sample in ok]
        found = [aggregate(FOUND, windows.values(ok, "found,none"), primary=True, clusters=clusters or None)]
        by_arm: dict[str, dict[int, float]] = {}
        for sample in ok:
            by_arm.setdefault(sample.document.data["arm"], {})[sample.document.data["of"]] = (
                sample.metrics["found,none"] or 0.0
            )
        for arm in self._settings.arms:
            for metric in (FOUND, F1, TOKENS, COST, *((RETRIEVED,) if arm != WHOLE else ())):
                name = f"{metric.name}_{arm}"
                values = windows.values(ok, f"{name},none")
                if metric is not COST or any(value is not None for value in values):
                    found.append(aggregate(metric, values, name=name))
            whole, own = by_arm.get(WHOLE, {}), by_arm.get(arm, {})
            if arm != WHOLE and WHOLE in self._settings.arms:
                gains = [whole[number] - own[number] for number in own if number in whole]
                found.append(replace(aggregate(GAIN, gains, name=f"whole_minus_{arm}"), level="group"))
        return tuple(found)

    def _nearest(self, questions: Sequence[str], passages: Sequence[str], most: int) -> dict[str, list[int]]:
        """The places of the passages nearest to each question, by cosine."""
        import numpy as np

        model = opening.resolve(ModelSpec(name=self._settings.retriever))
        if opening.capabilities_of(model).architecture != "embedder":
            raise UserError(f"{self.info.name}: retriever={model.name} is no embedder (docs/embeddings.md)")
        backend: Any = opening.open_backend(model, EngineSpec())
        try:
            asked = list(dict.fromkeys(questions))
            vectors = unit(backend.collection(Collection(digest(list(passages)), passages)))
            scores = unit(backend.embed(asked, "query")) @ vectors.T
        finally:
            backend.close()
        order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        return {question: row.tolist() for question, row in zip(asked, order, strict=True)}


def _prompt(passages: Sequence[str], question: str, style: PromptStyle) -> tuple[str, tuple[Message, ...] | None]:
    asked = "\n\n".join(["Answer the question from the passages, in a few words.", *passages, f"Question: {question}"])
    if style.chat is None:
        head = f"{style.system}\n\n" if style.system else ""
        return f"{head}{asked}\nAnswer:", None
    messages = (*((Message("system", style.system),) if style.system else ()), Message("user", asked))
    return style.chat(messages, True), messages


def _answers(row: Mapping[str, Any]) -> list[str]:
    answers = row["answers"]
    return [str(one) for one in (answers["text"] if isinstance(answers, Mapping) else answers)]


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name``. UserError for a parameter that is unknown or makes no sense."""
    asked = options.parse(name, READERS, "set")
    chosen = asked.pop("set", "squad")
    config, split = asked.pop("config", None), asked.pop("split", "validation")
    if chosen != "squad" and "/" not in chosen:
        raise UserError(f"{name}: {chosen!r} is neither squad nor a data set's id (OWNER/NAME)")
    settings = Settings(SQUAD if chosen == "squad" else DatasetRef(chosen, config, None), split, **asked)
    template = load_task(paths.share("tasks") / "rag" / "one.yaml")
    one = template.tasks[0].model_copy(update={"name": name})

    def build(definition: Any, source: Any, options_of_run: Any) -> Any:
        return RagTask(name, settings)

    return Defined(template.source, (one,), (), one.description, build=build)
