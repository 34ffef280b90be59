"""The one reader of JSON and YAML: what is read, what is refused, and where an error points."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.text import reading

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
BAD_YAML = {
    "deep flow": ("[" * 100_000 + "]" * 100_000, "nested", 1),
    "deep block": ("- " * 100_000 + "x", "nested", 1),
    "digits": ("a: 1\nb: " + "9" * 5000, "5000 digits", 2),
    "bomb": (BOMB, "aliases", 6),
    "merge bomb": (
        "a0: &a0 {x: 1, y: 2, z: 3, u: 4, v: 5, w: 6}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9)),
        "aliases",
        6,
    ),
    "self": ("a: &a [*a]", "contains itself", 1),
    "NUL": ("a: 1\n\0", "NUL", 2),
    "control": ("a: 1\nb: \x07", "U+0007", 2),
    "twice": ("a: 1\nb: 2\na: 3", "a: is written twice (first on line 1)", 3),
    "object": ("a: 1\nb: !!python/object/apply:os.getcwd []", "tag", 2),
    "binary": ("a: !!binary aGk=", "tag", 1),
    "list as key": ("? [a]\n: 1", "key", 1),
    "two documents": ("a: 1\n---\nb: 2", "document", 2),
    "no number": ("a: !!int x", "number", 1),
    "unknown alias": ("a: *b", "alias", 1),
    "half a surrogate": ('a: "\\ud83d"', "", 1),
}
BAD_JSON = {
    "deep list": ("[" * 100_000 + "]" * 100_000, "nested", None),
    "deep object": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested", None),
    "deeper than is walked": ("[" * 300 + "]" * 300, "nested", None),
    "digits": ('{"a": ' + "9" * 5000 + "}", "5000 digits", None),
    "NUL": ('{"a": 1,\n"b": "\0"}', "", 2),
    "cut": ('{"a":\n', "", 2),
    "empty": ("", "", 1),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_that_is_refused(name: str) -> None:
    text, said, line = BAD_YAML[name]
    with pytest.raises(reading.Malformed) as refused:
        reading.parse_yaml(text)
    assert said in refused.value.reason
    assert refused.value.line == line
    assert len(refused.value.reason) < 250


@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_refused(name: str) -> None:
    text, said, line = BAD_JSON[name]
    with pytest.raises(reading.Malformed) as refused:
        reading.parse_json(text)
    assert said in refused.value.reason
    assert refused.value.line == line


def test_words_are_texts_and_only_true_and_false_are_booleans() -> None:
    value, _ = reading.parse_yaml(
        "answers: [yes, no, on, off, Yes, NO, y, n]\nbooleans: [true, False]\nnothing: [~, null, ]\nno: 1\n1: x\n"
    )
    assert value["answers"] == ["yes", "no", "on", "off", "Yes", "NO", "y", "n"]
    assert value["booleans"] == [True, False]
    assert value["nothing"] == [None, None]
    assert value["no"] == 1
    assert value["1"] == "x"


def test_numbers_and_dates() -> None:
    value, _ = reading.parse_yaml("[010, 0o10, 0x1F, 1_000, -3, 1e-5, .5, 1., -.inf, 2024-13-45, 12:30:00, '7', <<]")
    assert value == [10, 8, 31, 1000, -3, 1e-5, 0.5, 1.0, float("-inf"), "2024-13-45", "12:30:00", "7", "<<"]


def test_merged_mappings_keep_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("\ufeffbase: &base\n  x: 1\nown:\n  <<: *base\n  y: [a,\n   b]\n", encoding="utf-8")
    found = reading.read_yaml(file)
    assert found.data["own"] == {"x": 1, "y": ["a", "b"]}
    assert found.locate("own", "y", 1) == f"{file}:6: own.y[1]"
    assert found.locate("own", "z") == f"{file}:3: own.z"  # not there: the nearest that is
    assert found.locate() == f"{file}:1"


def test_values_that_json_may_have() -> None:
    assert reading.parse_json(b'\xef\xbb\xbf{"a": [1, -2, 3.5, 1e3, true, null, "\\u00e9"]}') == {
        "a": [1, -2, 3.5, 1000.0, True, None, "é"]
    }
    assert reading.parse_json("[" * 200 + "]" * 200)
    assert reading.parse_json("9" * 300) == int("9" * 300)


@pytest.mark.parametrize("read", [reading.read_json, reading.read_yaml, reading.read_text])
@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{\xff}", "not UTF-8"), ("{}".encode("utf-16"), "UTF-16"), (None, "No such file"), ("folder", "cannot be read")],
)
def test_a_file_that_is_no_text(tmp_path: Path, read: object, content: bytes | str | None, said: str) -> None:
    file = tmp_path / "given"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    with pytest.raises(UserError, match=said) as refused:
        read(file, "list")  # type: ignore[operator]
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_that_no_file_can_have() -> None:
    with pytest.raises(UserError, match="cannot be read"):
        reading.read_text(Path("a\0b"))


def test_a_file_without_end() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero here")
    with pytest.raises(UserError, match="longer than 1 MiB"):
        reading.read_text(Path("/dev/zero"), limit=1 << 20)


def test_errors_in_lines_name_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = ["\ufeff{}\n", "\n", "{\n"]
    found = reading.json_lines(file, lines)
    assert next(found) == (1, {})
    with pytest.raises(UserError, match=r"rows\.jsonl:3: not valid JSON"):
        next(found)


def test_the_tasks_that_are_shipped_read_as_before(tmp_path: Path) -> None:
    """YAML 1.1, as it was read until now, and the core schema agree on every file that ships."""
    import yaml

    from evalkit.store.paths import share

    files = sorted(share("tasks").rglob("*.yaml"))
    assert len(files) > 50
    for file in files:
        assert reading.read_yaml(file).data == yaml.safe_load(file.read_text("utf-8")), file
