"""`evalkit version`: what is installed, for a bug report."""

from __future__ import annotations

from evalkit import __version__

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy", "pandas", "scipy", "lm_eval")


def version() -> None:
    """Print the versions of evalkit, Python and the libraries that decide its numbers."""
    import platform
    from importlib import metadata

    import typer

    typer.echo(f"evalkit {__version__}")
    typer.echo(f"python {platform.python_version()} ({platform.system()} {platform.machine()})")
    for package in PACKAGES:
        try:
            typer.echo(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            typer.echo(f"{package} not installed")
