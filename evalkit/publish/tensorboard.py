"""`--log-to tensorboard[:FOLDER]`: event files that TensorBoard shows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.publish.figures import configuration, metrics, name_of, results_table
from evalkit.publish.sinks import Published, Sink

LARGEST = 100
"""Rows of the text tab's table."""


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """Scalars, the results as a table and the configuration as text, in FOLDER/<run> (default: in the run's folder)."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = Path(settings["folder"]) / name_of(run.result) if "folder" in settings else run.path / "tensorboard"
    for old in folder.glob("events.out.tfevents.*"):  # of the same run, sent before
        old.unlink()
    writer = EventFileWriter(str(folder))
    try:
        scalars = [Summary.Value(tag=key, simple_value=value) for key, value in metrics(run).items()]
        texts = [_text("results", _markdown(run)), _text("configuration", _code(configuration(run.result)))]
        writer.add_event(Event(wall_time=time.time(), step=0, summary=Summary(value=[*scalars, *texts])))
    finally:
        writer.close()
    return f"tensorboard: {folder}" + ("; it has no tables for samples" if samples else "")


def _text(tag: str, text: str) -> Any:
    """A summary for the text tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text import metadata
    from tensorboard.util import tensor_util

    described = metadata.create_summary_metadata(display_name=tag, description="")
    return Summary.Value(tag=tag, metadata=described, tensor=tensor_util.make_tensor_proto([text]))


def _markdown(run: Published) -> str:
    columns = ["task", "level", "metric", "filter", "value", "stderr", "ci_low", "ci_high", "n"]
    rows = results_table(run).reindex(columns=columns).head(LARGEST)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += [
        "| " + " | ".join("" if one is None or one != one else str(one) for one in row) + " |" for row in rows.values
    ]
    return "\n".join(lines)


def _code(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    return "\n".join("    " + line for line in text.splitlines())


SINK = Sink(log, "folder", frozenset({"folder"}), "tensorboard", "tensorboard", "tensorboard")
