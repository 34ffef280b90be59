"""The client for servers by itself: requests a second and processor time a request, against a server that answers at
once, beside lm-evaluation-harness's local-completions at the same concurrency.

    python benchmarks/server_client.py                                # 2,000 scored continuations, 4, 32 and 64 at once
    python benchmarks/server_client.py --requests 500 --concurrency 32 --repetitions 1

Each measurement runs in a fresh process, the server in another. Both programs get the same four continuations of
contexts of 60 words, ask for them by echo, one request each, and read the log-likelihoods out of the replies; lm-eval
tokenizes them first, as it does against any server. Printed are medians (smallest to largest). Processor time is that
of the client's process alone, between its first request and its last answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from workloads import public, surroundings, wide_console

WORDS = ("river", "stone", "cloud", "maple", "copper", "lantern", "harbor", "velvet", "thunder", "orchard", "silver")


def main() -> None:
    """Measure and print a table; in a child process, be the server or carry out one measurement."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve())
        return
    if sys.argv[1:2] == ["--child"]:
        job = json.loads(sys.argv[2])
        print(json.dumps((by_evalkit if job["program"] == "evalkit" else by_lm_eval)(job)))
        return
    options = parser().parse_args()
    found: dict[str, Any] = {"command": public(["benchmarks/server_client.py", *sys.argv[1:]]), **surroundings()}
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        found["runs"] = [
            {
                "concurrency": number,
                **{name: measured(name, url, number, options) for name in options.programs.split(",")},
            }
            for number in map(int, options.concurrency.split(","))
        ]
    finally:
        server.terminate()
        server.wait()
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--requests", type=int, default=2000)
    made.add_argument("--concurrency", default="4,32,64")
    made.add_argument("--repetitions", type=int, default=3)
    made.add_argument("--programs", default="evalkit,lm_eval")
    made.add_argument("--output", type=Path, help="JSON file for the results")
    return made


def measured(program: str, url: str, concurrency: int, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of the repetitions of one program; the first run is not counted."""
    job = json.dumps({"program": program, "url": url, "concurrency": concurrency, "requests": options.requests})
    runs = []
    for _ in range(options.repetitions + 1):
        done = subprocess.run([sys.executable, __file__, "--child", job], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{program}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    runs = runs[1:] if len(runs) > 1 else runs
    return {
        name: {"median": median(values), "min": min(values), "max": max(values)}
        for name in ("rate", "cpu_ms")
        for values in [[run[name] for run in runs]]
    } | {"sum": runs[0]["sum"]}


def pairs(count: int) -> list[tuple[str, str]]:
    """Contexts with four continuations each."""
    draw = random.Random(1)
    contexts = [" ".join(draw.choices(WORDS, k=60)) for _ in range(-(-count // 4))]
    return [(context, " " + " ".join(draw.choices(WORDS, k=12))) for context in contexts for _ in range(4)][:count]


def by_evalkit(job: dict[str, Any]) -> dict[str, float]:
    """The backend for servers."""
    from evalkit.backends import opening
    from evalkit.contract.types import Score
    from evalkit.spec.models import EngineSpec, ModelSpec

    args = {"num_concurrent": job["concurrency"], "scoring": "echo"}
    backend: Any = opening.open_backend(ModelSpec(name=job["url"], args=args), EngineSpec())
    requests = [Score(*pair) for pair in pairs(job["requests"])]
    list(backend.respond(requests[:8]))
    begun, cpu = time.perf_counter(), time.process_time()
    answers = dict(backend.respond(requests))
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    backend.close()
    assert all(one.status == "ok" for one in answers.values())
    return told(seconds, cpu, len(requests), sum(one.loglikelihood for one in answers.values()))


def by_lm_eval(job: dict[str, Any]) -> dict[str, float]:
    """lm-eval's local-completions."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    from evalkit.backends.hf.local_files import local_folder
    from evalkit.spec.models import ModelSpec

    lm = LocalCompletionsAPI(
        base_url=job["url"] + "/completions", model="tiny", tokenizer=str(local_folder(ModelSpec(name="smollm2-135m"))),
        num_concurrent=job["concurrency"], max_length=4096,
    )  # fmt: skip
    asked = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs(job["requests"]))]
    lm.loglikelihood(asked[:8], disable_tqdm=True)
    begun, cpu = time.perf_counter(), time.process_time()
    answers = lm.loglikelihood(asked, disable_tqdm=True)
    return told(time.perf_counter() - begun, time.process_time() - cpu, len(asked), sum(value for value, _ in answers))


def told(seconds: float, cpu: float, count: int, total: float) -> dict[str, float]:
    return {"rate": count / seconds, "cpu_ms": 1e3 * cpu / count, "sum": total}


def show(found: dict[str, Any]) -> None:
    """The table."""
    from rich.table import Table

    table = Table(title=f"requests a second, and ms of processor time a request; {found['machine']['cpu']}")
    names = [name for name in ("evalkit", "lm_eval") if name in found["runs"][0]]
    for column in ("at once", *(f"{name} {what}" for name in names for what in ("requests/s", "CPU ms")), "ratio"):
        table.add_column(column, justify="right")
    for run in found["runs"]:
        cells = [shown(run[name][what], digits) for name in names for what, digits in (("rate", 0), ("cpu_ms", 2))]
        ratio = f"{run['evalkit']['rate']['median'] / run['lm_eval']['rate']['median']:.1f}x" if len(names) > 1 else "-"
        table.add_row(str(run["concurrency"]), *cells, ratio)
    wide_console().print(table)


def shown(value: dict[str, float], digits: int) -> str:
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}-{value['max']:.{digits}f})"


# -- the server, in a process of its own --------------------------


class Answering(asyncio.Protocol):
    """HTTP/1.1 with kept connections, as little of it as the two clients send."""

    def connection_made(self, transport: Any) -> None:
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
            reply = completion(json.loads(body)) if head.startswith(b"post") else b'{"data": [{"id": "tiny"}]}'
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply
            )


def completion(body: dict[str, Any]) -> bytes:
    """The prompt's tokens and one more, each worth minus one: of a text, its words; of token ids, as many."""
    prompt = body["prompt"]
    prompt = prompt[0] if isinstance(prompt, list) and isinstance(prompt[0], list) else prompt
    if isinstance(prompt, str):
        tokens = [word if not place else " " + word for place, word in enumerate(prompt.split(" "))]
    else:
        tokens = ["word"] * len(prompt)
    report = {
        "tokens": [*tokens, " next"],
        "token_logprobs": [None, *([-1.0] * len(tokens))],
        "top_logprobs": [None, *({token: -1.0} for token in [*tokens[1:], " next"])],
    }
    choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": report}
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


async def serve() -> None:
    """Listen on a free port, whose number is printed."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
