"""A cascade: models from cheap to dear, each asked only what the ones before it were not sure of (FrugalGPT, Chen et
al., arXiv 2305.05176).

``--model cascade:CHEAP,DEAR`` with arguments (``--model_args``):

    rule=max_prob|margin   how sure an answer among choices is: the softmax probability of the likeliest choice, or how
                           far it is above the second. A generated answer's is the geometric mean of its tokens'
                           probabilities, for which the stage scores its own text.
    scorer=FILE            in place of the rule: the probability that the answer is right, by a scorer that
                           `evalkit study cascade` trained on labelled answers of these models
    threshold=0.6          a stage's answer is taken where it is at least so sure; a list gives one for each stage but
                           the last, which always answers
    prices=[0.1,1.0]       price of a million tokens, one a stage; [[in,out],...] tells prompt and output apart
    alone=true             also ask every stage everything, so that the run shows each model alone
    stages=[...]           in a configuration file: the models as mappings (name, backend, args, dtype, ...)

A decision needs all requests of a document, so the backend is told which belong together (`bind`) and takes the whole
run at once; its answers are no answers of one model and are not journaled. With ``--cache`` each stage's answers are
kept under that stage's own identity, so that nothing is computed twice, neither after an interruption nor when a stage
runs alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, cast

from evalkit.backends import answer_scorer, opening
from evalkit.backends.answer_scorer import Linear, answered
from evalkit.backends.cascade_settings import PREFIX, prices_of, require, settings, specs_of, thresholds_of
from evalkit.backends.confidence import Rule, confidence, own_text
from evalkit.contract.backend import Backend
from evalkit.contract.capabilities import CHAT_SETTINGS, BackendType, Capabilities
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasChatTemplate, HasWeights, Report, capabilities
from evalkit.contract.store import ResponseStore
from evalkit.contract.types import Document, Generate, ModelInfo, Request, Response, Rolling
from evalkit.engine import answer
from evalkit.perf.meter import Meter, Metered
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store import ResponseCache
from evalkit.store.identity import digest


@dataclass
class Stage:
    """One model of the cascade and what it did. ``seconds`` and tokens count what was decided with, not the rest."""

    backend: Backend
    threshold: float
    """Confidence, or score, from which on its answers are taken; 0 for the last."""
    price: tuple[float, float] | None
    """A million prompt tokens, a million output tokens."""
    scorer: Linear | None = None
    """Says how likely its answers are right; None: the cascade's rule says how sure it is."""
    asked: int = 0
    answered: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    responses: dict[int, Response] = field(default_factory=dict)
    """Its own answers by the request's place in the run."""

    @property
    def meter(self) -> Meter:
        """What it computed, for decisions and for being shown alone; where it counts nothing itself, its answers are
        so many requests whose tokens nobody counted.
        """
        if isinstance(self.backend, Metered):
            return self.backend.meter
        found = Meter()
        found.uncounted = len(self.responses)
        return found

    @property
    def cost(self) -> float | None:
        """Tokens times price."""
        return self._priced(self.prompt_tokens, self.output_tokens)

    @property
    def cost_alone(self) -> float | None:
        """The same for everything that it answered, as if there were no other stage and no confidence to compute."""
        answers = self.responses.values()
        return self._priced(sum(one.prompt_tokens for one in answers), sum(one.output_tokens for one in answers))

    def _priced(self, prompt: int, output: int) -> float | None:
        return None if self.price is None else (prompt * self.price[0] + output * self.price[1]) / 1e6


CAPABILITIES = Capabilities(by_document=True, counts_tokens=True)


class CascadeBackend:
    """An `evalkit.contract.backend.TextBackend` that is several."""

    capabilities = CAPABILITIES

    def __init__(self, info: ModelInfo, stages: Sequence[Stage], rule: Rule, alone: bool, engine: EngineSpec) -> None:
        self.info = info
        self.stages = list(stages)
        self._rule: Rule = rule
        self._alone = alone
        self._engine = engine
        self._sizes: list[int] = []
        self._documents = 0

    def bind(self, documents: Sequence[Document], requests: Sequence[tuple[Request, ...]], task: str = "") -> None:
        """Which requests belong to one document, in the order of the run."""
        self._sizes += [len(asked) for asked in requests]

    def finish(self) -> None:
        """All tasks are bound."""

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request, those of one document from one stage."""
        groups = self._groups(len(requests))
        open_groups = groups
        with ExitStack() as stack:
            book = self._book(stack)
            for stage in self.stages:
                taken = self._ask(stage, requests, open_groups, book)
                for group in taken:
                    yield from ((index, stage.responses[index]) for index in group)
                answered = {group.start for group in taken}
                open_groups = [group for group in open_groups if group.start not in answered]
            if self._alone:
                for stage in self.stages:
                    self._complete(stage, requests, book)
        self._documents = len(groups)

    @property
    def meter(self) -> Meter:
        """The work of all stages together."""
        whole = Meter()
        for stage in self.stages:
            whole.add(stage.meter)
        return whole

    @property
    def weight_bytes(self) -> int:
        """Weights of the stages that tell theirs; all of them are loaded at once."""
        return sum(stage.backend.weight_bytes for stage in self.stages if isinstance(stage.backend, HasWeights))

    def parts(self) -> dict[str, dict[str, Any]]:
        """Each stage's counters by its place and name; together they are the run's."""
        return {
            "by_stage": {
                f"{place} {stage.backend.info.name}": stage.meter.counters()
                for place, stage in enumerate(self.stages, 1)
            }
        }

    def alternatives(self) -> list[list[Response]]:
        """Each stage's answers to everything, in the order of the stages; empty where they were not asked for."""
        if not self._alone:
            return []
        return [[stage.responses[index] for index in sorted(stage.responses)] for stage in self.stages]

    def report(self, scores: Sequence[Mapping[str, Mapping[str, float | None]]]) -> Report:
        """What was decided where, and what it cost: prices where they were given, seconds always (what a cache
        answered takes none); with ``scores`` also each model alone. See `Reporting`.
        """
        found = self._decided()
        for stage, alone in zip(found["stages"], scores, strict=False):
            stage["alone"] = alone
        return Report("cascade", found, tuple(lines(found)))

    def _decided(self) -> dict[str, Any]:
        documents = self._documents
        stages = [
            {
                "model": stage.backend.info.name,
                "threshold": stage.threshold if place < len(self.stages) - 1 else None,
                "documents_asked": stage.asked,
                "documents_answered": stage.answered,
                "share_answered": stage.answered / documents if documents else 0.0,
                "prompt_tokens": stage.prompt_tokens,
                "output_tokens": stage.output_tokens,
                "seconds": round(stage.seconds, 4),
                "cost": stage.cost,
                "cost_alone": stage.cost_alone if self._alone else None,
            }
            for place, stage in enumerate(self.stages)
        ]
        costs = [stage.cost for stage in self.stages]
        total = sum(cost for cost in costs if cost is not None) if None not in costs else None
        learned = any(stage.scorer is not None for stage in self.stages)
        return {"rule": "scorer" if learned else self._rule, "documents": documents, "stages": stages, "cost": total}

    def close(self) -> None:
        """Close every stage."""
        for stage in self.stages:
            stage.backend.close()

    def _groups(self, count: int) -> list[range]:
        sizes = self._sizes or [1] * count
        if sum(sizes) != count:
            raise UserError(f"the cascade was told of {sum(sizes)} requests and is asked {count}")
        groups, begin = [], 0
        for size in sizes:
            groups.append(range(begin, begin + size))
            begin += size
        return groups

    def _book(self, stack: ExitStack) -> ResponseStore | None:
        if self._engine.cache is None:
            return None

        return stack.enter_context(ResponseCache(self._engine.cache))

    def _ask(
        self, stage: Stage, requests: Sequence[Request], groups: Sequence[range], book: ResponseStore | None
    ) -> list[range]:
        """Ask ``stage`` the documents of ``groups`` and return those whose answer is taken."""
        if not groups:
            return []
        places = [index for group in groups for index in group]
        begun = time.perf_counter()
        stage.responses |= dict(zip(places, self._answer(stage, [requests[i] for i in places], book), strict=True))
        last = stage is self.stages[-1]
        sure = {} if last else self._confidences(stage, requests, groups, book)
        taken = [group for group in groups if last or sure[group.start] >= stage.threshold]
        stage.seconds += time.perf_counter() - begun
        stage.asked += len(groups)
        stage.answered += len(taken)
        stage.prompt_tokens += sum(stage.responses[index].prompt_tokens for index in places)
        stage.output_tokens += sum(stage.responses[index].output_tokens for index in places)
        return taken

    def _confidences(
        self, stage: Stage, requests: Sequence[Request], groups: Sequence[range], book: ResponseStore | None
    ) -> dict[int, float]:
        """How sure ``stage`` is of each document, by the document's first request. A failed answer is not sure."""
        tells = "loglikelihood" in capabilities(stage.backend).answers
        generated = [i for group in groups for i in group if tells and isinstance(requests[i], Generate)]
        told = {i: response for i in generated if (response := stage.responses[i]).status == "ok" and response.text}
        again = [own_text(cast(Generate, requests[i]), response) for i, response in told.items()]
        scored = dict(zip(told, self._answer(stage, again, book), strict=True)) if again else {}
        stage.prompt_tokens += sum(one.prompt_tokens + one.output_tokens for one in scored.values())
        if stage.scorer is None:
            return {
                group.start: confidence([(requests[i], scored.get(i, stage.responses[i])) for i in group], self._rule)
                for group in groups
            }
        whole = {i: _with_likelihood(stage.responses[i], scored.get(i)) for group in groups for i in group}
        found = stage.scorer.scores([answered([(requests[i], whole[i]) for i in group]) for group in groups])
        return {group.start: float(score) for group, score in zip(groups, found, strict=True)}

    def _complete(self, stage: Stage, requests: Sequence[Request], book: ResponseStore | None) -> None:
        left = [index for index in range(len(requests)) if index not in stage.responses]
        answers = self._answer(stage, [requests[index] for index in left], book)
        stage.responses |= dict(zip(left, answers, strict=True))

    def _answer(self, stage: Stage, requests: Sequence[Request], book: ResponseStore | None) -> list[Response]:

        return list(answer(stage.backend, [_for(stage.backend, request) for request in requests], book, self._engine))


def lines(report: Mapping[str, Any]) -> list[str]:
    """A cascade's report, one line a stage."""
    found = []
    for stage in report["stages"]:
        cost = "" if stage["cost"] is None else f", cost {stage['cost']:.6g}"
        if stage["cost_alone"] is not None:
            cost += f" (alone {stage['cost_alone']:.6g})"
        found.append(
            f"cascade: {stage['model']} answered {stage['share_answered']:.1%} of {report['documents']} documents "
            f"(asked {stage['documents_asked']}) in {stage['seconds']:.3g} s{cost}"
        )
    return found


def _with_likelihood(response: Response, scored: Response | None) -> Response:
    """A generated reply with how likely its model finds it, where that is known."""
    if scored is None or scored.loglikelihood is None:
        return response
    return replace(response, loglikelihood=scored.loglikelihood, output_tokens=scored.output_tokens)


def _for(backend: Backend, request: Request) -> Request:
    """The request with its conversation rendered by this stage's own template."""
    if not isinstance(backend, HasChatTemplate) or isinstance(request, Rolling) or request.messages is None:
        return request
    return replace(request, context=backend.chat(request.messages, True))


def load(model: ModelSpec, engine: EngineSpec) -> CascadeBackend:
    """Load every stage. Raises UserError for bad arguments and for a stage that cannot be loaded."""

    chosen = settings(model)
    specs = specs_of(model, chosen)
    thresholds = thresholds_of(chosen, len(specs))
    prices = prices_of(chosen, len(specs))
    scorer = None if chosen.scorer is None else answer_scorer.read(chosen.scorer)
    backends: list[Backend] = []
    try:
        for spec in specs:
            backends.append(opening.open_backend(spec, engine.model_copy(update={"replicas": 1, "executor": "local"})))
    except BaseException:
        for backend in backends:
            backend.close()
        raise
    names = [backend.info.name for backend in backends]
    stages = [
        Stage(backend, threshold, price) for backend, threshold, price in zip(backends, thresholds, prices, strict=True)
    ]
    if scorer is not None:
        for stage in stages[:-1]:
            stage.scorer = scorer.of(stage.backend.info.name)
    decides: dict[str, Any] = {"rule": chosen.rule} if scorer is None else {"scorer": scorer.identity}
    info = ModelInfo(
        name=model.label or PREFIX + ",".join(names),
        backend="cascade",
        fingerprint=digest({"stages": [b.info.fingerprint for b in backends], **decides, "thresholds": thresholds}),
        max_length=min(backend.info.max_length for backend in backends),
        device=", ".join(dict.fromkeys(backend.info.device for backend in backends if backend.info.device)),
        details={"stages": names},
    )
    return CascadeBackend(info, stages, chosen.rule, chosen.alone, engine)


kind = BackendType(
    "cascade",
    load,
    settings=CHAT_SETTINGS | {"device"},
    prefixes=(PREFIX,),
    capabilities=CAPABILITIES,
    replicas=False,
    require=require,
)
