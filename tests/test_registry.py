"""The registry: lazy, with useful errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.contract import registry
from evalkit.contract.errors import UserError


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Write a distribution's metadata (and modules) into a folder on sys.path."""

    def write(name: str, entry_points: str, **modules: str) -> None:
        folder = tmp_path / name
        info = folder / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    return write


def test_loads_what_a_package_offers(install) -> None:  # type: ignore[no-untyped-def]
    install("reg_good", "[evalkit.metrics]\nreg_answer = reg_good_mod:VALUE\n", reg_good_mod="VALUE = 42\n")
    assert "reg_answer" in registry.names(registry.METRICS)
    assert registry.load(registry.METRICS, "reg_answer") == 42
    assert registry.provider(registry.METRICS, "reg_answer") == "reg_good 1.2"


def test_unknown_name_suggests(install) -> None:  # type: ignore[no-untyped-def]
    install("reg_near", "[evalkit.backends]\nllamafile = reg_near_mod:load\n")
    with pytest.raises(UserError, match=r"unknown backend 'lamafile'; did you mean llamafile\?"):
        registry.load(registry.BACKENDS, "lamafile")


def test_broken_plugin_is_named(install) -> None:  # type: ignore[no-untyped-def]
    install(
        "reg_bad", "[evalkit.backends]\nreg_broken = reg_bad_mod:load\n", reg_bad_mod="import no_such_module_here\n"
    )
    with pytest.raises(UserError) as caught:
        registry.load(registry.BACKENDS, "reg_broken")
    message = str(caught.value)
    assert "reg_bad_mod:load" in message
    assert "reg_bad 1.2" in message
    assert "No module named 'no_such_module_here'" in message


def test_name_claimed_twice(install) -> None:  # type: ignore[no-untyped-def]
    install("reg_one", "[evalkit.metrics]\nreg_same = reg_one_mod:A\n")
    install("reg_two", "[evalkit.metrics]\nreg_same = reg_two_mod:B\n")
    with pytest.raises(UserError, match="defined twice"):
        registry.load(registry.METRICS, "reg_same")


def test_group_without_entries() -> None:
    assert registry.names("evalkit.nothing") == ()
    with pytest.raises(UserError, match=r"unknown nothing 'x'$"):
        registry.load("evalkit.nothing", "x")
