"""samples/<task>.parquet: one row a document, with everything needed to look at it, score it again and check it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Classify,
    Embed,
    Generate,
    Image,
    Request,
    Response,
    Rolling,
    SampleResult,
    Score,
    TaskInfo,
)
from evalkit.store import pictures
from evalkit.store.files import clean, plain, replacing
from evalkit.store.held import Samples, images_of
from evalkit.store.identity import canonical, without_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import TypeAdapter

SCHEMA = "1"
_encode = json.JSONEncoder(ensure_ascii=False).encode
_answer_fields = attrgetter(*Response.__slots__)
ROWS_AT_ONCE = 2_000
"""Rows in one row group: what is held in memory beside the samples themselves."""


def sha256(text: str) -> str:
    """Hex SHA-256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def dump(value: Any) -> str:
    """A JSON text that holds the plain form of ``value``."""
    return _encode(plain(value))


def prompt_of(request: Request) -> str:
    """What the model is shown: a context, or the whole text of a rolling request."""
    return clean(request.text if isinstance(request, Rolling) else request.context)


def target_hash(target: Any) -> str:
    """SHA-256 of the target's text, as lm-eval hashes it."""
    return sha256(str(plain(target)))


def document_text(data: Mapping[str, Any]) -> str:
    """The canonical JSON whose SHA-256 is the document's hash; NaN and infinities, which no prompt needs to have used,
    as Python writes them. Bytes (of a picture) stand there as their own hash.
    """
    data = without_bytes(data)
    try:
        return canonical(data).decode()
    except UserError:
        return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def schema(metric_keys: Sequence[str], info: TaskInfo, images: bool = False) -> pa.Schema:
    """Columns of the samples file; metrics have a column-like field each, and are left out if there are none. Of tasks
    with ``images`` small copies of these stand there, with the hashes of what the model was shown.
    """
    import pyarrow as pa

    text = pa.string()
    response = pa.struct(
        [
            ("text", text),
            ("loglikelihood", pa.float64()),
            ("is_greedy", pa.bool_()),
            ("status", text),
            ("error", text),
            ("finish", text),
            ("prompt_tokens", pa.int64()),
            ("output_tokens", pa.int64()),
            ("truncated", pa.int64()),
            ("thought", text),
            ("values", pa.list_(pa.float64())),
        ]
    )
    columns: list[tuple[str, pa.DataType]] = [
        ("doc_id", pa.int64()),
        *((name, text) for name in ("doc_hash", "prompt_hash", "target_hash", "status", "error", "document", "prompt")),
        ("prompts", pa.list_(text)),
        ("target", text),
        ("choices", pa.list_(text)),
        ("responses", pa.list_(response)),
        ("filtered", text),
    ]
    if metric_keys:
        columns.append(("metrics", pa.struct([(key, pa.float64()) for key in metric_keys])))
    columns += [("statistics", text), ("extra", text)]
    if images:
        picture = pa.struct([("sha256", text), ("media_type", text), ("shown", text)])
        columns.append(("pictures", pa.list_(picture)))
    return pa.schema(columns, metadata={"evalkit.schema": SCHEMA, "evalkit.task": dump(info)})


def row(sample: SampleResult, metric_keys: Sequence[str]) -> dict[str, Any]:
    """One sample as plain values for `schema`."""
    prompts = [prompt_of(request) for request in sample.requests]
    first = prompts[0] if prompts else ""
    record = {
        "doc_id": sample.document.id,
        "doc_hash": sample.document.hash,
        "prompt_hash": sha256(first),
        "target_hash": target_hash(sample.target),
        "status": sample.status,
        "error": None if sample.error is None else clean(sample.error),
        "document": document_text(sample.document.data),
        "prompt": first,
        "prompts": prompts if any(prompt != first for prompt in prompts) else None,
        "target": dump(sample.target),
        "choices": [clean(r.continuation) for r in sample.requests if isinstance(r, Score)],
        "responses": [_as_row(response) for response in sample.responses],
        "filtered": dump(sample.filtered),
        "statistics": dump(sample.statistics),
        "extra": dump(sample.extra),
    }
    if shown := images_of(sample.requests):
        record["pictures"] = [_small(image) for image in shown]
    if metric_keys:
        record["metrics"] = {key: plain(_number(sample.metrics.get(key))) for key in metric_keys}
    return record


@lru_cache(maxsize=256)
def _small(image: Image) -> dict[str, str]:
    """A picture for pages: written anew, as a data URL; empty where it cannot be opened."""
    shown = ""
    with suppress(Exception):  # Pillow's decoders each have their own; the item's answer says what is wrong
        shown = pictures.data_url(pictures.small(image))
    return {"sha256": pictures.sha256(image), "media_type": image.media_type, "shown": shown}


def _as_row(response: Response) -> dict[str, Any]:
    """``plain(response)``; of the values only texts and numbers with a fraction can need a change."""
    return {
        name: value if value is None or type(value) in (int, bool) else plain(value)
        for name, value in zip(Response.__slots__, _answer_fields(response), strict=True)
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def write_parquet(path: Path, samples: Sequence[SampleResult], info: TaskInfo) -> None:
    """All samples of a task, atomically. Raises UserError if the file cannot be saved."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys: Sequence[str] = (
        samples.metric_keys
        if isinstance(samples, Samples)
        else list(dict.fromkeys(key for sample in samples for key in sample.metrics))
    )
    images = samples.images if isinstance(samples, Samples) else any(images_of(one.requests) for one in samples)
    shape = schema(keys, info, images)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, shape, compression="zstd") as writer:
        ahead = iter(samples)
        while rows := [row(sample, keys) for sample in islice(ahead, ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=shape))


def read_table(path: Path, columns: Sequence[str] | None = None, limit: int | None = None) -> pa.Table:
    """The samples as an Arrow table: the ``columns`` that are there, the first ``limit`` rows. Raises UserError if the
    file is missing or broken.
    """
    import pyarrow as pa

    with _opened(path) as file:
        wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        if limit is None or limit >= file.metadata.num_rows:
            return file.read(columns=wanted)
        batches: list[pa.RecordBatch] = []
        for batch in file.iter_batches(min(limit, ROWS_AT_ONCE), columns=wanted):
            batches.append(batch.slice(0, limit))
            limit -= batches[-1].num_rows
            if limit <= 0:
                break
        return pa.Table.from_batches(batches)


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of a few columns one by one, a part of the file in memory at a time. Raises UserError as above."""
    with _opened(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def read_rows(path: Path, places: Sequence[int]) -> list[dict[str, Any]]:
    """The rows at ``places``, in their order; only the parts of the file that hold them are read. Raises UserError as
    above.
    """
    found: dict[int, dict[str, Any]] = {}
    with _opened(path) as file:
        begin = 0
        for number in range(file.metadata.num_row_groups):
            end = begin + file.metadata.row_group(number).num_rows
            inside = [place for place in places if begin <= place < end]
            if inside:
                rows = file.read_row_group(number).take([place - begin for place in inside]).to_pylist()
                found.update(zip(inside, rows, strict=True))
            begin = end
    return [found[place] for place in places]


def holding(path: Path, text: str) -> list[int]:
    """The places of the rows whose prompt, target, choices or replies hold ``text``, in upper or lower case alike.
    Raises UserError as above.
    """
    import pyarrow.compute as pc

    found: list[int] = []
    with _opened(path) as file:
        columns = [name for name in ("prompt", "target", "choices", "responses") if name in file.schema_arrow.names]
        begin = 0
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            inside: set[int] = set()
            for name in columns:
                values = batch.column(name)
                if name in ("choices", "responses"):
                    parents = pc.list_parent_indices(values).to_pylist()
                    values = pc.list_flatten(values)
                    values = pc.struct_field(values, "text") if name == "responses" else values
                else:
                    parents = list(range(batch.num_rows))
                hits = pc.match_substring(values, text, ignore_case=True).to_pylist()
                inside.update(place for place, hit in zip(parents, hits, strict=True) if hit)
            found += [begin + place for place in sorted(inside)]
            begin += batch.num_rows
    return found


def count(path: Path) -> int:
    """Documents in a samples file. Raises UserError as above."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no samples here: give a run that has finished and a task of it") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error}): run the same command again") from None


def read_info(path: Path) -> TaskInfo:
    """The task whose samples a file holds, from its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pydantic import ValidationError

    try:
        metadata = pq.read_schema(path).metadata or {}
        return _info_adapter().validate_json(metadata[b"evalkit.task"])
    except (OSError, pa.ArrowException, KeyError, ValidationError) as error:
        raise UserError(f"{path}: not a samples file of evalkit ({error}): run the same command again") from None


@cache
def _info_adapter() -> TypeAdapter[TaskInfo]:
    from pydantic import TypeAdapter

    return TypeAdapter(TaskInfo)


# -- JSONL in lm-eval's layout ----------------------------------------


def write_jsonl(path: Path, samples: Sequence[SampleResult]) -> None:
    """One line a document and filter, with the fields of lm-eval's --log_samples. Raises UserError as above."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for sample in samples:
            for line in jsonl_records(sample):
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def jsonl_records(sample: SampleResult) -> Iterator[dict[str, Any]]:
    """The records of one sample, one for each filter among its metrics."""
    filters = list(dict.fromkeys(key.partition(",")[2] or "none" for key in sample.metrics)) or ["none"]
    arguments, answers = _arguments(sample)
    prompt = prompt_of(sample.requests[0]) if sample.requests else ""
    for name in filters:
        metrics = {
            key.partition(",")[0]: plain(v) for key, v in sample.metrics.items() if key.partition(",")[2] == name
        }
        filtered = plain(sample.filtered.get(name)) if name in sample.filtered else [answer[0] for answer in answers]
        yield {
            "doc_id": sample.document.id,
            "doc": plain(without_bytes(sample.document.data)),
            "target": str(plain(sample.target)),
            "arguments": {f"gen_args_{index}": argument for index, argument in enumerate(arguments)},
            "resps": answers,
            "filtered_resps": filtered if isinstance(filtered, list) else [filtered],
            "filter": name,
            "metrics": list(metrics),
            "doc_hash": sample.document.hash,
            "prompt_hash": sha256(prompt),
            "target_hash": target_hash(sample.target),
            "status": sample.status,
            **({"error": clean(sample.error)} if sample.error else {}),
            **metrics,
        }


def _arguments(sample: SampleResult) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """lm-eval's "arguments" and "resps": repeats of one generation share an entry."""
    arguments: list[dict[str, Any]] = []
    answers: list[list[Any]] = []
    for request, response in zip(sample.requests, sample.responses, strict=True):
        argument: dict[str, Any] = {"arg_0": prompt_of(request)}
        if isinstance(request, Score):
            argument["arg_1"] = clean(request.continuation)
        elif isinstance(request, Generate):
            sampling = request.sampling
            argument["arg_1"] = {
                "until": [clean(stop) for stop in request.until],
                "max_gen_toks": request.max_tokens,
                "do_sample": sampling.temperature > 0,
                "temperature": sampling.temperature,
            }
        if isinstance(request, Generate) and request.repeat and arguments and arguments[-1] == argument:
            answers[-1].append(_answer(request, response))
        else:
            arguments.append(argument)
            answers.append([_answer(request, response)])
    return arguments, answers


def _answer(request: Request, response: Response) -> Any:
    if response.status != "ok":
        return None
    if isinstance(request, Generate):
        return None if response.text is None else clean(response.text)
    if isinstance(request, Rolling):
        return str(response.loglikelihood)
    if isinstance(request, Classify | Embed):
        return [str(value) for value in response.values]
    return [str(response.loglikelihood), str(response.is_greedy)]
