"""Plays a new user's first hour in an environment that holds nothing but the built wheel.

    python scripts/first_hour.py --venv build/hour-venv      # builds the wheel, makes the environment, plays
    python scripts/first_hour.py --bin .venv/bin             # plays with an evalkit that is there

Every `evalkit` line of the README's blocks is played, on the mock model and bundled items where it names a model or
data of the reader's; then a task of one's own, a plug-in, comparing, gating, boards; then the messages about missing
packages, of which those of FOLLOWED are followed to the letter. A step that ends otherwise than it should stops the
script with exit code 1 and what was printed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_PLAYED = {
    "evalkit data pull": "needs the Hub: tests/cli/test_hub.py plays it against a stand-in",
}
"""Lines of the README that are left out, and why."""
READERS_OWN = re.compile(
    r"--model (?!mock)\S+( +--model_args \S+)?|--dtype \S+|--device \S+|--data-dir \S+|--limit 200(:random)?"
)
"""What of a README line names a model, a machine or data that this environment does not have."""

RUN_A = "evalkit run --model mock --tasks boolq,triviaqa --bundled --output runs/a --label a --quiet"
RUN_B = (
    "evalkit run --model mock --model-args seed=2 --tasks boolq,triviaqa --bundled --output runs/b --label b --quiet"
)


@dataclass(frozen=True)
class Step:
    """A command, the exit codes that are right, and what must stand in its output."""

    command: str
    codes: tuple[int, ...] = (0,)
    told: str = ""


MISSING = (
    Step("evalkit run --model smollm2-135m --tasks boolq@bundled", (2,), "hf"),
    Step("evalkit run --model http://127.0.0.1:9/v1 --model_args model=m --tasks triviaqa@bundled", (2,), "openai"),
    Step("evalkit run --model model.gguf --tasks boolq@bundled", (2,), ""),
    Step("evalkit run --model mock --tasks boolq@bundled --executor ray --replicas 2", (2,), "ray"),
    Step("evalkit run --model mock --tasks lm_eval:boolq", (2,), "lm-eval"),
    Step("evalkit run --model mock --tasks boolq@bundled --log-to wandb", (2,), "wandb"),
    Step("evalkit run --model mock --tasks boolq@bundled --log-to mlflow", (2,), "mlflow"),
    Step("evalkit run --model mock --tasks boolq@bundled --log-to trackio", (2,), "trackio"),
    Step("evalkit log runs/a --to tensorboard", (2,), "tensorboard"),
    Step("evalkit samples export runs/a --task boolq --output boolq.xlsx", (2,), "excel"),
    Step("evalkit data check --tasks boolq --bundled", (2,), "contamination"),
    Step("evalkit view runs --no-open --port 0", (2,), "view"),
)
"""Commands that need an extra, and which."""
FOLLOWED = ("excel", "view")
"""Extras that are installed by the message's own words; the command then works."""


def readme_steps(text: str) -> list[Step]:
    """The README's lines as this environment can play them."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.split(r"\s#", line)[0].strip()
            if line.startswith("evalkit ") and not line.startswith(tuple(NOT_PLAYED)):
                found.append(
                    Step(adapted(line), (0, 1, 3) if line.startswith(("evalkit gate", "evalkit check")) else (0,))
                )
    return found


def adapted(line: str) -> str:
    """The line with the mock model and bundled items in place of what is the reader's own."""
    if not line.startswith("evalkit run") or "--resume" in line:
        return line
    line = READERS_OWN.sub("", line)
    own = "--data " in line or "--bundled" in line
    return " ".join(f"{line} --model mock --quiet{'' if own else ' --bundled'}".split())


def hour(readme: str) -> list[Step]:
    """All steps in order. Files that they read are made by `prepare`."""
    return [
        Step("evalkit --version"),
        Step("evalkit --help", told="Evaluate a model on tasks"),
        Step("evalkit tasks list mmlu", told="mmlu"),
        Step(RUN_A, told="boolq@bundled"),
        Step(RUN_B),
        Step("evalkit baseline save runs/a --output baseline.json"),
        *readme_steps(readme),
        Step("evalkit tasks validate quiz", told="cannot be scored"),
        Step("evalkit run --model mock --tasks quiz --include-path quiz --output runs/quiz --quiet"),
        Step(
            "evalkit run --model mock --tasks plugin_capitals@bundled --output runs/plug --quiet",
            told="plugin_capitals",
        ),
        Step("evalkit compare runs/a runs/b", told="boolq"),
        Step("evalkit gate --baseline baseline.json --candidate runs/a", (0, 3)),
        Step("evalkit report runs/a runs/b --output both.html"),
        Step("evalkit rescore runs/a --output runs/again --metrics ece", told="scored again"),
        Step("evalkit log runs/a --to csv:all.csv", told="rows in"),
        Step("evalkit card runs/a", told="model-index"),
        Step("evalkit samples export runs/a --task boolq --output boolq.csv", told="24 rows"),
        Step("evalkit leaderboard build runs/ --output site", told="site"),
        Step("evalkit verify runs/a"),
        Step("evalkit rnu", (2,), "did you mean run"),
        *MISSING,
    ]


def prepare(folder: Path) -> None:
    """A reader's own files."""
    rows = ['{"question": "Two and two?", "answer": "four"}', '{"question": "Three and one?", "answer": "four"}'] * 6
    (folder / "qa.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    quiz = ["question,options,answer", *['Is water wet?,"[""yes"", ""no""]",yes'] * 8]
    (folder / "quiz.csv").write_text("\n".join(quiz) + "\n", "utf-8")
    examples = folder / "docs" / "examples"
    examples.mkdir(parents=True)


def environment(bins: Path, folder: Path) -> dict[str, str]:
    """A new user's: no mirror, no Hub, a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EVALKIT_", "HF_", "PYTHON"))}
    path = f"{bins.resolve()}{os.pathsep}{kept.get('PATH', '')}"
    return {**kept, "PATH": path, "HOME": str(folder), "HF_HUB_OFFLINE": "1", "COLUMNS": "80", "NO_COLOR": "1"}


def play(step: Step, folder: Path, surroundings: dict[str, str]) -> str:
    """What the command printed. SystemExit where it ended otherwise than it should."""
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", step.command], cwd=folder, env=surroundings, capture_output=True, text=True, timeout=600
    )
    printed = done.stdout + done.stderr
    print(f"{time.monotonic() - began:5.1f} s  {done.returncode}  {step.command}", flush=True)
    if done.returncode not in step.codes or step.told not in printed or "Traceback" in printed:
        raise SystemExit(
            f"{printed}\n{step.command}: exit code {done.returncode}, expected {step.codes} and {step.told!r}"
        )
    return printed


def extras(bins: Path) -> set[str]:
    """The extras that the installed distribution has."""
    code = "from importlib.metadata import metadata as m; print(*m('evalkit-harness').get_all('Provides-Extra'))"
    return set(subprocess.run([bins / "python", "-c", code], capture_output=True, text=True, check=True).stdout.split())


def follow(step: Step, printed: str, folder: Path, surroundings: dict[str, str], wheels: Path | None) -> None:
    """Do what the message says, with the built wheel for an index, and give the command again."""
    (command,) = re.findall(r"pip install '?evalkit-harness\[[\w-]+\]'?", printed)
    links = {"PIP_FIND_LINKS": str(wheels), "PIP_CONSTRAINT": str(ROOT / "constraints.txt")} if wheels else {}
    play(Step(f"python -m {command} --quiet --disable-pip-version-check"), folder, {**surroundings, **links})
    if step.told == "view":
        look(step.command, folder, surroundings)
    else:
        play(Step(step.command), folder, surroundings)


def look(command: str, folder: Path, surroundings: dict[str, str]) -> None:
    """Serve the folder's pages, fetch the first, and end it as Ctrl-C does."""
    words = [shutil.which(command.split()[0], path=surroundings["PATH"]) or "", *command.split()[1:]]
    with subprocess.Popen(words, cwd=folder, env=surroundings, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            found = next((re.search(r"http://\S+", line) for line in serving.stdout if "http://" in line), None)
            if found is None:
                raise SystemExit(f"{command}: ended without an address")
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(found[0], timeout=60) as page:
                shown = page.read().decode()
            serving.send_signal(signal.SIGINT)
            code = serving.wait(60)
        finally:
            serving.kill()
    if code not in (0, 130) or "boolq" not in shown:
        raise SystemExit(f"{shown[:2000]}\n{command}: exit code {code}, and the page speaks of no boolq")
    print(f"         {code}  {command}")


def made(venv: Path, wheels: Path) -> Path:
    """An empty environment with the wheel, built now, and the plug-in of tests/plugin; its folder of programs."""
    bins = venv / "bin"
    constraints = ["-c", str(ROOT / "constraints.txt")]
    for project in (ROOT, ROOT / "tests" / "plugin"):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels.resolve())]
        subprocess.run(build, cwd=project, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [bins / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *constraints, *map(str, wheels.glob("*.whl"))], check=True)
    return bins


def main() -> None:
    """Play it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--venv", type=Path, help="make this environment of the built wheel")
    where.add_argument("--bin", type=Path, help="an environment's folder of programs")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder, wheels = Path(place), Path(place) / "wheels"
        bins = asked.bin if asked.bin is not None else made(asked.venv, wheels)
        prepare(folder)
        examples = folder / "docs" / "examples"
        for file in (ROOT / "docs" / "examples").glob("*.yaml"):
            (examples / file.name).write_text(file.read_text("utf-8"), "utf-8")
        surroundings = environment(bins, folder)
        there = extras(bins)
        for step in hour((ROOT / "README.md").read_text("utf-8")):
            if asked.bin is not None and step in MISSING:
                continue  # an environment with more than the wheel has the packages
            printed = play(step, folder, surroundings)
            if step in MISSING and step.told:
                named = set(re.findall(r"evalkit-harness\[([\w-]+)\]", printed))
                if named != {step.told} or not named <= there:
                    raise SystemExit(f"{printed}\n{step.command}: names {named}, not the extra {step.told}")
                if step.told in FOLLOWED:
                    follow(step, printed, folder, surroundings, wheels)
    print(f"the first hour took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
