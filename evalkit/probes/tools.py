"""Function calling: bfcl:CATEGORY, nexusraven:SET, with calls as text or (calls=native) by the server or template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Generate,
    Message,
    PromptStyle,
    Request,
    Response,
    SampleResult,
)
from evalkit.data.mirror import MirrorSource
from evalkit.metrics import calls
from evalkit.metrics.bfcl_languages import parser
from evalkit.metrics.calls import Unreadable
from evalkit.metrics.filters import first_paragraph
from evalkit.metrics.tool_use import NATIVE
from evalkit.probes import functions, options
from evalkit.store import paths
from evalkit.task import sample as samples_of
from evalkit.task.definition import Defined, Sample, load_task
from evalkit.task.documents import documents_of
from evalkit.task.native import NativeTask
from evalkit.task.rendering import Row
from evalkit.text.reading import Malformed, parse_json

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

CATEGORIES = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
SETS = ("cve_cpe", "emailrep", "virustotal", "toolalpaca")
FORMS = {
    "bfcl:simple_python:calls=native": "function calling: a kind of the Berkeley leaderboard's single turns; calls as "
    "text, or by the server's or the template's own tools",
    "nexusraven:cve_cpe:calls=native": "function calling: one of NexusRaven's APIs (cve_cpe, emailrep, virustotal, "
    "toolalpaca)",
}
_CALLS = options.one_of((NATIVE, "prompted"))
READERS: Mapping[str, options.Readers] = {
    "bfcl": {"category": options.one_of(CATEGORIES), "calls": _CALLS},
    "nexusraven": {"set": options.one_of(SETS), "calls": _CALLS},
}
FIRST = {"bfcl": "category", "nexusraven": "set"}
FILE = "BFCL_v4_{}"
_OPTION = re.compile(
    r"<func_start>(?:def )?(.*?)<func_end>\s*<docstring_start>\s*\"*(.*?)\"*\s*<docstring_end>", re.DOTALL
)


class ToolTask(NativeTask):
    """One turn, and functions to call. A row has ``turns`` ({role, content}), ``functions``, ``calls``, ``names``."""

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One request a document. UserError for native calls without a chat template."""
        for document in documents:
            yield (self._request(document.data, style),)

    def documents(self, data: DataSource) -> Documents:
        """As a `NativeTask`; the bundled items are completed as those of the full set are."""
        if not self.options.sample:
            return super().documents(data)
        if self.definition.sample is None:
            raise UserError(f"{self.info.name}: has no bundled items; run it on the full set")
        how = NATIVE if f"calls={NATIVE}" in self.info.name else "prompted"
        rows = samples_of.rows(self.definition.sample, self.info.split)
        whole = [{**row, **_complete(row, str(row["category"]), how)} for row in rows]
        return Documents(documents_of(whole, self._rendered))

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """As a `NativeTask`. Of a prompt without a template, after which a model may go on and on, the reply's first
        paragraph counts; of a conversation the whole reply, as in the official scripts.
        """
        if any(one.messages is not None for one in requests if isinstance(one, Generate)):
            return super().score(document, requests, responses)
        shown = [one if one.text is None else replace(one, text=first_paragraph(one.text)) for one in responses]
        return replace(super().score(document, requests, shown), responses=tuple(responses))

    def _request(self, row: Mapping[str, Any], style: PromptStyle) -> Generate:
        chosen = self._settings
        turns = [Message(str(one["role"]), str(one["content"])) for one in row["turns"]]
        if row["calls"] == NATIVE:
            if style.chat is None:
                raise UserError(
                    f"{self.info.name}: native calls are part of a conversation: add --apply_chat_template, or leave "
                    "calls=native out"
                )
            if style.system:
                turns.insert(0, Message("system", style.system))
            own = {function: name for name, function in row["names"].items()}
            offered = tuple(functions.tool(one, own[one["name"]]) for one in row["functions_shown"])
            messages = (Message(turns[0].role, turns[0].content, tools=offered), *turns[1:])
            return Generate(style.chat(messages, True), (), chosen.max_tokens, chosen.sampling, messages)
        shown = json.dumps(row["functions_shown"], indent=1, ensure_ascii=False)
        parts = [style.system, self.definition.instruction.replace("FUNCTIONS", shown)]
        parts += [one.content for one in turns if one.role == "system"]
        system = "\n\n".join(part for part in parts if part)
        asked = [one for one in turns if one.role != "system"]
        if style.chat is None:
            said = "\n".join(f"{one.role.capitalize()}: {one.content}" for one in asked)
            context = f"{system}\n\n{said}\nCalls:"
            return Generate(context, chosen.until, chosen.max_tokens, chosen.sampling)
        messages = (Message("system", system), *asked)
        return Generate(style.chat(messages, True), (), chosen.max_tokens, chosen.sampling, messages)


def _bfcl(category: str, how: str, dataset: DatasetRef, data: DataSource) -> list[Row]:
    file = FILE.format(category)
    answers: dict[str, Any] = {}
    if "relevance" not in category:
        possible = data.load(DatasetRef(dataset.id, "possible_answer", dataset.revision), file)
        answers = {str(one["id"]): one["ground_truth"] for one in possible}
    found: list[Row] = []
    for row in data.load(dataset, file):
        if answers and row["id"] not in answers:
            raise UserError(f"data set {dataset.id}: {file} has {row['id']}, and possible_answer/{file} has not")
        own = {"turns": row["question"][0], "functions": row["function"], "answers": answers.get(str(row["id"]), [])}
        found.append({"item": row["id"], "category": category, **own, **_complete(own, category, how)})
    return found


def _complete(row: Mapping[str, Any], category: str, how: str) -> dict[str, Any]:
    """What of a row follows from its functions and answers, and from how calls are asked for."""
    language = next((one for one in ("javascript", "java") if one in category), "python")
    wanted = row["answers"]
    return {
        "functions_shown": [functions.in_language(one, language) for one in row["functions"]],
        "names": functions.names(row["functions"]),
        "target": json.dumps(wanted, ensure_ascii=False) if wanted else _relevance(category),
        "calls": how,
    }


def _relevance(category: str) -> str:
    return "(no call)" if "irrelevance" in category else "(a call)"


def _nexus(chosen: str, how: str, dataset: DatasetRef, split: str, data: DataSource) -> list[Row]:
    rows = [_query(row, dataset.id) for row in data.load(dataset, split) if row["dataset"] == chosen]
    if not rows:
        raise UserError(f"data set {dataset.id}: has no queries of {chosen}")
    shared = [] if chosen == "toolalpaca" else _api(chosen, rows, dataset, data)
    found: list[Row] = []
    for row in rows:
        listed = shared or _described(str(row["docstring"]))
        found.append(
            {
                "turns": [{"role": "user", "content": row["query"]}],
                "functions": listed,
                "functions_shown": listed,
                "names": functions.names(listed),
                "target": row["reference"],
                "calls": how,
            }
        )
    return found


def _query(row: Row, id: str) -> dict[str, Any]:
    """A query with its reference, a call by the function's own name; of ToolAlpaca's turns the first, as NexusRaven."""
    try:
        said = parse_json(str(row["query_dict"]))
        if row["dataset"] == "toolalpaca":
            turn = said["turns_1"]
            reference, query = parse_json(turn["golden_answer"])[0], turn["instruction"]
            return {"query": query, "reference": reference, "docstring": turn["docstring"]}
        reference = said["reference"].removeprefix("r = ").replace("nvdlib.", "")
        return {"query": said["query"], "reference": reference, "docstring": ""}
    except (Malformed, KeyError, TypeError, IndexError) as error:
        raise UserError(f"data set {id}: a query is not of NexusRaven's form ({error}): fetch it again") from error


def _api(chosen: str, rows: Sequence[Row], dataset: DatasetRef, data: DataSource) -> list[functions.Function]:
    """The functions of one API: of the set's own list, or, in a mirror without it, what the references show."""
    config = "standardized_api_list"
    if not isinstance(data, MirrorSource) or config in data.configs(dataset.id):
        entries = data.load(DatasetRef(dataset.id, config, dataset.revision), "train")
        return [functions.of_entry(one) for one in entries if one["dataset"] == chosen]
    return functions.of_calls(call for row in rows for call in calls.of_text(str(row["reference"])))


def _described(docstring: str) -> list[functions.Function]:
    found = {}
    for signature, description in _OPTION.findall(docstring):
        try:
            one = functions.of_signature(signature, description)
        except Unreadable as error:
            raise UserError(f"NexusRaven's toolalpaca: {signature!r:.80}: {error}") from error
        found[one["name"]] = one
    return list(found.values())


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError for a parameter that is unknown."""
    prefix = name.partition(":")[0]
    asked = options.parse(name, READERS[prefix], FIRST[prefix])
    if FIRST[prefix] not in asked:
        raise UserError(
            f"task {name!r}: which {FIRST[prefix]}? Write {next(one for one in FORMS if one[:4] == name[:4])}"
        )
    chosen, how = asked[FIRST[prefix]], asked.get("calls", "prompted")
    template = load_task(paths.share("tasks") / prefix / "one.yaml")
    one = template.tasks[0]
    update: dict[str, Any] = {"name": name, "description": f"{one.description} Here: {chosen}."}
    if prefix == "bfcl":
        splits = one.dataset.splits.model_copy(update={"eval": FILE.format(chosen)})
        update["dataset"] = one.dataset.model_copy(update={"splits": splits})
        bundled = Sample(file=paths.share("tasks") / prefix / "sample.jsonl", where={"category": chosen})
        update["sample"] = bundled if samples_of.rows(bundled, FILE.format(chosen)) else None

    def rows(dataset: DatasetRef, split: str, data: DataSource) -> list[Row]:
        if "java" in chosen and how != NATIVE:
            parser("javascript" if "javascript" in chosen else "java")  # told before a model is loaded
        return _bfcl(chosen, how, dataset, data) if prefix == "bfcl" else _nexus(chosen, how, dataset, split, data)

    def build(definition: Any, source: Any, options: Any) -> Any:
        return ToolTask(definition, source, options, rows=rows)

    return Defined(template.source, (one.model_copy(update=update),), (), one.description, build=build)
