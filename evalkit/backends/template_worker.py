"""The other side of `evalkit.backends.chat_template`: a process of its own that renders one chat template.

It is started by its path and imports nothing of evalkit. A template is a stranger's program: the sandbox keeps it from
the machine, and the operating system bounds what it computes and holds. The first line of standard input is the task
({"template", "variables", "clock", "seconds", "memory", "characters"}), every further one a conversation
({"messages", "add_generation_prompt"}); each is answered by one line, {"text"} or {"error"}.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """``{% generation %}`` marks what a model is trained on; here it stands for its body."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _refuse(message: object) -> None:
    raise jinja2.TemplateError(str(message))


def _no_file(name: str) -> None:
    raise jinja2.TemplateError(f"it includes another file ({name}), and a template stands for itself")


def _json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: Any = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=bool(sort_keys))


def environment(clock: datetime) -> jinja2.Environment:
    """transformers' dialect of Jinja, with a clock that stands still."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[Generation, "jinja2.ext.loopcontrols"],
        loader=jinja2.FunctionLoader(_no_file),
    )
    made.filters["tojson"] = _json
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = clock.strftime
    return made


def _answered(render: Callable[[], str], most: int, seconds: float) -> dict[str, str]:
    """What ``render`` gives, or why it fails. It ends the process where it computes for longer than ``seconds``."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        text = render()
        if len(text) > most:
            return {"error": f"it writes more than {most:,} characters"}
        return {"text": text}
    except MemoryError:
        return {"error": "it takes more memory than a template may"}
    except RecursionError:
        return {"error": "it calls itself without end"}
    except Exception as error:
        return {"error": str(error) or type(error).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """Answer line by line until standard input ends."""
    task = json.loads(sys.stdin.readline())
    memory = int(task["memory"])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for whoever asks
    found: list[jinja2.Template] = []

    def compiled() -> str:
        found.append(environment(datetime.fromisoformat(task["clock"])).from_string(task["template"]))
        return ""

    broken = _answered(compiled, 0, task["seconds"]).get("error", "")

    def rendered(asked: dict[str, Any]) -> Callable[[], str]:
        return lambda: found[0].render(**{"tools": None, "documents": None, **task["variables"], **asked})

    for line in sys.stdin:
        asked = json.loads(line)
        answer = {"error": broken}
        if not broken:
            answer = _answered(rendered(asked), task["characters"], task["seconds"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
