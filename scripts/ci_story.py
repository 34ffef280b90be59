"""Runs the story of docs/ci.md, plan, gate and check on SmolLM2 and its variants, and writes down what was printed.

    python scripts/ci_story.py --folder story --cache cache --write docs/ci.md    # data: EVALKIT_DATA_DIR or the Hub
    python scripts/ci_story.py --folder story --mock                              # the same commands on a mock model

Commands run in the folder; what they print on stdout, and the last lines of stderr, stand between the page's two marks.
A step that ends in another exit code than the story tells stops the script.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- story: python scripts/ci_story.py -->", "<!-- end of the story -->"
ROOT = Path(__file__).resolve().parent.parent
POLICY = "average: {tasks: [%s], margin: 0.03}\n"
TOLD = ("evalkit: look", "plan:")
"""Lines of stderr that belong to the story."""


@dataclass(frozen=True)
class Step:
    """A command with what is said before it, and the exit codes that the story can go on with."""

    text: str
    command: str
    codes: tuple[int, ...] = (0,)
    shown: bool = True


def steps(mock: bool, items: int, cache: str) -> list[Step]:
    """The story."""
    tasks = "arc_easy,boolq,piqa" if mock else "arc_easy,hellaswag,piqa"
    more = " --bundled" if mock else f" --limit {items}"
    kept = f" --cache {cache}" if cache else ""
    own = "mock" if mock else "smollm2-135m --dtype float32"
    variants = (
        {"int8": "mock", "lora": "mock", "broken": "mock --model-args seed=3"}
        if mock
        else {
            "int8": f"{own} --quant int8",
            "lora": f"{own} --peft adapters/lora",
            "broken": f"{own} --peft adapters/broken",
        }
    )
    quick = " --draws 50" if mock else ""
    # Bundled items are too few to show anything: whatever comes out, the commands are the same.
    free = (0, 1, 3)
    passes, fails = (free, free) if mock else ((0,), (1,))

    def check(name: str) -> str:
        return (
            f"evalkit check --baseline baseline.json --policy gate.yaml --model {variants[name]} --label {name} "
            f"--output runs/check-{name} -q{kept}"
        )

    return [
        Step("", f"evalkit run --model {own} --tasks {tasks}{more} --label base --output runs/base -q{kept}",
             shown=False),
        Step("The base model is evaluated once, and what it answered becomes a file to commit. Saving it says what a "
             "gate by the default policy (two points, every task by itself) can show:",
             "evalkit baseline save runs/base --output baseline.json"),
        Step("Not much: so few items a task cannot show two points, and three tests must all pass. The plan says what "
             "would. Judged as one, by their average, the same items are worth more "
             f"(`gate.yaml`: `{(POLICY % tasks.replace(',', ', ')).strip()}`):",
             f"evalkit plan --baseline baseline.json --flips 0.05{quick}"),
        Step("", f"evalkit plan --baseline baseline.json --policy gate.yaml --flips 0.05 --loss 0.04{quick}"),
        Step("A LoRA adapter of eight training steps. `evalkit check` asks what the baseline was asked, in random "
             "order, and stops when the verdict is shown:", check("lora"), passes),
        Step("An adapter that was broken on purpose:", check("broken"), fails),
        Step("The same model in int8:", check("int8"), free),
        Step("`evalkit gate` judges a run that is there, made of all items:",
             f"evalkit run --model {variants['lora']} --label lora --tasks {tasks}{more} --output runs/lora -q{kept}",
             shown=False),
        Step("", "evalkit gate --baseline baseline.json --candidate runs/lora --policy gate.yaml", passes),
        Step("With an earlier run in hand the plan need not assume how many items change:",
             f"evalkit plan --baseline baseline.json --policy gate.yaml runs/lora{quick}"),
    ]  # fmt: skip


Ran = tuple[int, str, str]
"""Exit code, stdout and stderr."""


def run(command: list[str], folder: Path) -> Ran:
    """Run a command of evalkit in the folder, by the evalkit of this Python."""
    line = [sys.executable, "-m", *command]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def told(step: Step, folder: Path, run: Callable[[list[str], Path], Ran] = run) -> str:
    """The step as Markdown, after it has run."""
    code, stdout, stderr = run(shlex.split(step.command), folder)
    if code not in step.codes:
        raise SystemExit(f"{step.command}: exit code {code}, not {step.codes}:\n{stdout}{stderr}")
    text = f"{step.text}\n\n" if step.text else ""
    if not step.shown:
        return text
    aside = [line for line in stderr.splitlines() if line.startswith(TOLD)]
    if len(aside) > 4:
        aside = [*aside[:2], "...", aside[-1]]
    printed = "\n".join(line.rstrip() for line in (*aside, *stdout.splitlines()) if line.strip())
    shown = step.command.partition(" --cache ")[0]
    end = f"\n(exit code {code})" if step.command.split()[1] in ("check", "gate") else ""
    return f"{text}```console\n$ {shown}\n{printed}{end}\n```\n\n"


def main() -> None:
    """Run all steps; print the story, or write it into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where runs and adapters go")
    parser.add_argument("--items", type=int, default=200, help="items a task of the baseline")
    parser.add_argument("--cache", default="", help="folder of answers, to tell the story again quickly")
    parser.add_argument("--mock", action="store_true", help="a mock model on bundled items")
    parser.add_argument("--write", type=Path, help="the page to write the story into")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    tasks = "arc_easy, boolq, piqa" if asked.mock else "arc_easy, hellaswag, piqa"
    (asked.folder / "gate.yaml").write_text(POLICY % tasks, "utf-8")
    if not asked.mock and not (asked.folder / "adapters").is_dir():
        script = [sys.executable, str(ROOT / "scripts/train_adapters.py"), "--output", "adapters"]
        subprocess.run([*script, "--only", "lora,broken"], cwd=asked.folder, check=True)
    story = "".join(told(step, asked.folder) for step in steps(asked.mock, asked.items, asked.cache))
    if asked.write is None:
        print(story)
        return
    page = asked.write.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    asked.write.write_text(f"{before}{BEGIN}\n\n{story}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
