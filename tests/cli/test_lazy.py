"""`evalkit --help` must be quick: nothing heavy is imported for it."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "transformers",
    "pandas",
    "numpy",
    "scipy",
    "statsmodels",
    "datasets",
    "sacrebleu",
    "lm_eval",
}


@pytest.mark.parametrize("line", [["--help"], ["run", "--help"], ["tasks", "--help"], ["version"]])
def test_help_imports_nothing_heavy(line):
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from evalkit.cli.app import app\n"
        f"result = CliRunner().invoke(app, {line!r})\n"
        "assert result.exit_code == 0, result.output\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_tasks_imports_no_model_code():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from evalkit.cli.app import app\n"
        "assert CliRunner().invoke(app, ['tasks', 'list']).exit_code == 0\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'lm_eval'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
