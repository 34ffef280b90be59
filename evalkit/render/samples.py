"""The sample browser's data: the documents of every run, in compressed pieces that the page opens on demand.

A task becomes one index (an outcome letter a run and a short title, enough to filter and list) and chunks of
``CHUNK`` documents with prompts and answers. Both are JSON, gzipped, in base64: nothing in them can be markup.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from evalkit.render.page import Attachment
from evalkit.store.rows import as_json, as_list, as_number, as_text, join_keys, metrics_of, title_of

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 250
PART = 100_000
"""Documents of a task that a page draws on; of larger tasks it shows these, the first ones, and says so."""
PICTURES = 24_000_000
"""Characters of pictures in one page; of those beyond it says that they are left out."""
FOLDED = "Document"
"""What stands in place of the title of a folded item, before its number."""
SHARED_FROM = 200
"""Characters from which a prefix that all prompts of a chunk share (few-shot examples) is kept only once."""


class SampleReader(Protocol):
    """What is needed of a run directory."""

    def samples(self, task: str, columns: Sequence[str] | None = None, limit: int | None = None) -> pd.DataFrame: ...

    def sample_count(self, task: str) -> int: ...

    def tasks(self) -> list[str]: ...


class Browser:
    """Makes the pieces task by task, and knows afterwards what the page needs to find them."""

    def __init__(
        self,
        labels: Sequence[str],
        tasks: Sequence[tuple[str, str]],
        sides: Sequence[SampleReader],
        folded: Collection[str] = (),
    ):
        """``tasks``: (name, primary metric key). ``sides``: one reader a run. ``folded``: tasks whose items are shown
        by their numbers until a reader asks.
        """
        self._tasks, self._sides, self._folded = tasks, sides, folded
        self.manifest: dict[str, Any] = {"runs": list(labels), "tasks": []}
        self._pictures = 0
        self.note = part_of(sides, [name for name, _ in tasks]).strip()

    def pieces(self) -> Iterator[Attachment]:
        """All pieces; ``manifest`` is complete once this is exhausted."""
        for number, (name, metric) in enumerate(self._tasks):
            frames = [_frame(side, name) for side in self._sides]
            items = _Joined(frames, metric)
            if not items.keys:
                continue
            titles: list[str] = []
            codes: list[str] = []
            chunks: list[str] = []
            for start in range(0, len(items.keys), CHUNK):
                keys = items.keys[start : start + CHUNK]
                records = [self._within(items.record(key)) for key in keys]
                if name in self._folded:
                    titles += [f"{FOLDED} {record['id']}" for record in records]
                else:
                    titles += [items.title(key) for key in keys]
                codes += ["".join(code_of(answer, metric) for answer in record["r"]) for record in records]
                piece = Attachment(f"c{number}-{len(chunks)}", pack(share_prefix(records)))
                chunks.append(piece.id)
                yield piece
            index = Attachment(f"i{number}", pack({"titles": titles, "codes": codes}))
            self.manifest["tasks"].append(
                {
                    "name": name,
                    "metric": metric,
                    "n": len(titles),
                    "of": max(side.sample_count(name) for side in self._sides if name in side.tasks()),
                    "index": index.id,
                    "chunks": chunks,
                    "size": CHUNK,
                    **({"folded": True} if name in self._folded else {}),
                }
            )
            yield index

    def _within(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record, with its pictures while the page has room for them."""
        size = sum(map(len, record.get("i", ())))
        if size == 0 or self._pictures + size > PICTURES:
            return {**record, "i": [""] * len(record["i"])} if size else record
        self._pictures += size
        return record


def pack(value: Any) -> str:
    """Compact JSON, gzipped (without a time stamp, so that the same run gives the same page), in base64."""
    return base64.b64encode(gzip.compress(compact(value), 6, mtime=0)).decode()


def compact(value: Any) -> bytes:
    """JSON without spaces; a lone surrogate, which no UTF-8 can hold, is replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def _frame(side: SampleReader, task: str) -> pd.DataFrame | None:
    return side.samples(task, limit=PART) if task in side.tasks() else None


def part_of(sides: Sequence[SampleReader], tasks: Sequence[str]) -> str:
    """A sentence on what the page leaves out of ``tasks``; empty where it shows everything."""
    counts = {
        name: max((side.sample_count(name) for side in sides if name in side.tasks()), default=0) for name in tasks
    }
    left = [f"{name} ({count:,})" for name, count in counts.items() if count > PART]
    if not left:
        return ""
    return f" Of tasks with more items the first {PART:,} are shown: {', '.join(left[:3])}{', ...' * (len(left) > 3)}."


class _Joined:
    """The documents of one task over all runs, joined by document hash."""

    def __init__(self, frames: Sequence[pd.DataFrame | None], metric: str) -> None:
        self._metric = metric
        self._rows: list[dict[str, dict[str, Any]]] = []
        for frame in frames:
            if frame is None:
                self._rows.append({})
                continue
            keys = join_keys([str(value) for value in frame["doc_hash"]])
            records = (dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None))
            self._rows.append(dict(zip(keys, records, strict=True)))
        self.keys = list(dict.fromkeys(key for rows in self._rows for key in rows))

    def record(self, key: str) -> dict[str, Any]:
        """What the page shows of one document."""
        return record_of([rows.get(key) for rows in self._rows])

    def title(self, key: str) -> str:
        """One line that tells the document from its neighbours: its question, else the end of the prompt."""
        row = next(rows[key] for rows in self._rows if key in rows)
        return title_of(row.get("document"), row.get("prompt"))


def record_of(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """What a page shows of one document, from its row in each run (None: not there); a run's own prompt only where it
    differs from the first's.
    """
    first = next(row for row in rows if row is not None)
    prompt = as_text(first.get("prompt"))
    answers = [None if row is None else _answer(row, prompt) for row in rows]
    return {
        "id": as_number(first.get("doc_id")),
        "h": str(first.get("doc_hash"))[:12],
        "p": prompt,
        "g": as_json(first.get("target")),
        "c": [as_text(choice) for choice in as_list(first.get("choices"))],
        **({"ps": prompts} if (prompts := [as_text(one) for one in as_list(first.get("prompts"))]) else {}),
        **({"i": shown} if (shown := _pictures(first)) else {}),
        "r": answers,
    }


def _pictures(row: Mapping[str, Any]) -> list[str]:
    """The small copies that a row holds, as data URLs; of one that could not be opened an empty text."""
    return [as_text(one.get("shown")) for one in as_list(row.get("pictures")) if isinstance(one, Mapping)]


def _answer(row: Mapping[str, Any], prompt: str) -> dict[str, Any]:
    """One run's answer to one document, with short keys because there are many."""
    responses = [response for response in as_list(row.get("responses")) if isinstance(response, Mapping)]
    answer: dict[str, Any] = {
        "s": str(row.get("status")),
        "m": {name: value for name, value in metrics_of(row).items() if value is not None},
        "l": [as_number(response.get("loglikelihood")) for response in responses],
        "o": [as_text(response.get("text")) for response in responses if response.get("text") is not None],
    }
    own = as_text(row.get("prompt"))
    failures = [as_text(response.get("error")) for response in responses if response.get("error")]
    optional = {
        "e": as_text(row.get("error")) or "; ".join(dict.fromkeys(failures)),
        "p": own if own != prompt else "",
        "f": as_json(row.get("filtered")),
        "x": as_json(row.get("extra")),
        "t": sum(int(as_number(response.get("truncated")) or 0) for response in responses),
        "z": ", ".join(
            dict.fromkeys(as_text(response.get("finish")) for response in responses if response.get("finish"))
        ),
    }
    return answer | {name: value for name, value in optional.items() if value}


ABSENT = "-"
"""The letter of a document that a run does not have."""


def code_of(answer: Mapping[str, Any] | None, metric: str) -> str:
    """One letter an answer: r right, w wrong, s scored (neither), u unscored, e error, - absent."""
    return ABSENT if answer is None else letter(str(answer["s"]), answer["m"].get(metric))


def letter(status: str, value: float | None) -> str:
    """The same from an item's status and its value of the primary metric."""
    if status in ("error", "unscored"):
        return status[0]
    return {1.0: "r", 0.0: "w"}.get(value, "s") if value is not None else "s"


def share_prefix(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A chunk: what all prompts begin with, once, then the records with the rest. Cut at the end of a line."""
    prompts = [record["p"] for record in records]
    first, last = min(prompts), max(prompts)
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    shared = first[: first.rfind("\n", 0, length) + 1] if len(prompts) > 1 else ""
    if len(shared) < SHARED_FROM:
        shared = ""
    return {"shared": shared, "items": [record | {"p": record["p"][len(shared) :]} for record in records]}
