"""MBPP and MBPP+: the tests of a row, and the names in them that the program must define."""

import ast
import re


def process(row):
    code = row["code"].replace("\r\n", "\n")
    tests = [row.get("test_setup_code") or "", *(row.get("test_imports") or ()), *(row.get("test_list") or ())]
    if row.get("test"):  # MBPP+: one program with all inputs and results
        tests = [row["test"]]
    tests = [text.replace("\r\n", "\n") for text in tests if text.strip()]
    words = set(re.findall(r"\w+", "\n".join(tests)))
    defined = [one.name for one in ast.parse(code).body if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    names = [name for name in defined if name in words]
    shown = [text.replace("\r\n", "\n") for text in (row.get("test_list") or tests)[:3]]
    text = row.get("text") or row["prompt"]
    check = {"tests": tests, "names": names}
    return {**row, "code": code, "task": text, "shown": "\n".join(shown), "check": check}
