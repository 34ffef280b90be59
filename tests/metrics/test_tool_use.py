"""Calls are read as syntax trees, and judged as the Berkeley leaderboard's and NexusRaven's scripts judge them."""

from __future__ import annotations

import itertools
import json

import pytest
from bfcl_answers import items, native, right, spoiled, text

from evalkit.contract.types import PromptStyle, Response
from evalkit.data import open_source
from evalkit.metrics import bfcl, calls, tool_use
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.calls import Call, Unreadable
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve

CATEGORIES = (
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
)
NEVER_RIGHT = {"simple_java_36", "simple_java_65", "live_simple_106-63-0"}
"""Items that the official script has no right answer for: a list of Java objects is read as texts, of which numbers and
booleans are wanted; a required list has no possible answer."""
VERDICTS = {
    "simple_python": "000000000000100000000000000000001000000000000000000000000000",
    "simple_java": "010001000000010000000100010000000000000001000000000000000100",
    "simple_javascript": "010001010000010001000101000000000000000000000000010000000100",
    "multiple": "000000000000000000000000000000000001000000000000001000000010",
    "parallel": "010001000000000000000000000000000010001001000000000010001000",
    "parallel_multiple": "000000000000000000010000010000000000010000000000000001000010",
    "live_simple": "000000000010001001000010000000100111101000000010000000010000",
    "live_multiple": "010001001100100000001000100010001000100010010110000100001000",
    "live_parallel": "010001000100010001000",
    "live_parallel_multiple": "010001001010000000000000100100",
}
"""Of the first spoiled calls of each category, every seventh of them, what bfcl_eval 2026.3.23's ast_checker says (1:
right)."""
OFFICIAL = 60
WRONG = ("another name", "one call more", "no call", "a parameter more")
"""What no item allows."""


def score(category: str, row, answers, reply: str, how: str = "native") -> float | None:
    document = {"category": category, "functions": row["function"], "answers": answers, "calls": how}
    return tool_use.call_accuracy.per_item(ScoringInput(text=reply, document=document))


def some_spoiled(mirror, category: str):
    """(row, answers, how, calls)."""
    for row, answers in items(mirror, category):
        for how, spoilt in spoiled(right(row["function"], answers, category)):
            yield row, answers, how, spoilt


@pytest.mark.parametrize("category", CATEGORIES)
def test_possible_answers_are_right(mirror, category):
    found = {
        row["id"]: score(category, row, answers, native(right(row["function"], answers, category)))
        for row, answers in items(mirror, category)
    }
    assert {key for key, value in found.items() if value != 1.0} == NEVER_RIGHT & found.keys()


@pytest.mark.parametrize("category", [one for one in CATEGORIES if "java" not in one])
def test_possible_answers_written_as_text_are_right(mirror, category):
    left = []
    for row, answers in items(mirror, category):
        reply = text(right(row["function"], answers, category))
        try:
            compile(reply, "reply", "eval")
        except SyntaxError:  # names that are none of Python's
            left.append(row["id"])
            continue
        assert score(category, row, answers, f"\n{reply}\n", "prompted") == 1.0 or row["id"] in NEVER_RIGHT
    assert len(left) <= 12, left


def test_corrupted_calls_are_wrong(mirror):
    tried = 0
    for category in CATEGORIES:
        chosen = (one for one in some_spoiled(mirror, category) if one[2] in WRONG)
        for row, answers, how, spoilt in itertools.islice(chosen, 12):
            assert score(category, row, answers, native(spoilt)) == 0.0, (row["id"], how)
            tried += 1
    assert tried >= 100


def test_verdicts_are_the_official_scripts(mirror):
    found = {
        category: "".join(
            str(int(bfcl.problem(row["function"], spoilt, answers, category) is None))
            for row, answers, _, spoilt in itertools.islice(some_spoiled(mirror, category), 0, 7 * OFFICIAL, 7)
        )
        for category in CATEGORIES
    }
    assert found == VERDICTS


@pytest.mark.parametrize("category", ["simple_python", "multiple", "parallel", "irrelevance"])
def test_the_bundled_items_have_answers(category):
    model = {"name": "mock", "backend": "mock"}
    spec = RunSpec.model_validate({"model": model, "tasks": [{"name": f"bfcl:{category}"}], "sample": True})
    (task,) = resolve(spec).tasks
    documents = task.documents(open_source(None))
    assert len(documents) >= 6
    for document, asked in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        reply = (
            text(right(document.data["functions"], document.data["answers"], category))
            if document.data["answers"]
            else "No."
        )
        values = [
            task.score(document, asked, [Response(text=one, finish="stop")]).metrics["call_accuracy,none"]
            for one in (reply, "[another(call=1)]")
        ]
        assert values == [1.0, 0.0], document.data["turns"]


def test_relevance_asks_whether_there_is_a_call():
    def of(category: str, reply: str) -> float | None:
        return score(category, {"function": []}, [], reply, "prompted")

    assert [of("irrelevance", one) for one in ("I cannot.", "[]", "[f(a=1)]", "")] == [1.0, 1.0, 0.0, 1.0]
    assert [of("live_relevance", one) for one in ("I cannot.", "[]", "[f(a=1)]", "f()")] == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("[f(a=1, b='x')]", [Call("f", {"a": 1, "b": "x"})]),
        (
            "f(a=-1.5), g.h(x=[1, {'k': (2, True)}])",
            [Call("f", {"a": -1.5}), Call("g.h", {"x": [1, {"k": (2, True)}]})],
        ),
        ("```\n[f(a=name, b=g(c=1), d=h(2), e=x[0], i=...)]\n```", None),
        ("[f(a=2*3, b='x'+'y', c=2**10)]", [Call("f", {"a": 6, "b": "xy", "c": 1024})]),
        ("f(__import__('os').system('true'))", [Call("f", {}, ("__import__('os').system('true')",))]),
        ("[]", []),
    ],
)
def test_calls_as_text(reply, found):
    made = calls.of_text(reply)
    assert made == (
        found
        if found is not None
        else [Call("f", {"a": "name", "b": Call("g", {"c": 1}), "d": "h(2)", "e": "x[0]", "i": "..."})]
    )


@pytest.mark.parametrize(
    "reply",
    [
        "I would call f(a=1).",
        "[f(a=lambda: 1)]",
        "[f(a=[x for x in y])]",
        "[f(a=9**9**9)]",
        "[f(a=2**64**2)]",
        "[f(a='x'*10000000000)]",
        "[f(a={[1]: 2})]",
        "(" * 5000,
        "[f(a=" + "-" * 20_000 + "1)]",
        "f(a=" + "[" * 150 + "]" * 150 + ")" * 2,
        "x" * 60_000,
        "[f(a=1)]\x00",
    ],
    ids=range(12),
)
def test_what_is_no_call_is_told_and_never_run(reply):
    with pytest.raises(Unreadable):
        calls.of_text(reply)


@pytest.mark.parametrize(
    "reply",
    [
        '<tool_call>\n{"name": "f", "arguments": {"a": [1, null]}}\n</tool_call>',
        'Sure.\n<tool_call>{"name": "f", "arguments": "{\\"a\\": [1, null]}"}</tool_call>',
        '<|python_tag|>{"name": "f", "parameters": {"a": [1, null]}}',
        '[TOOL_CALLS] [{"name": "f", "arguments": {"a": [1, null]}}]',
        '```json\n[{"type": "function", "function": {"name": "f", "arguments": {"a": [1, null]}}}]\n```',
        "[f(a=[1, None])]",
    ],
)
def test_calls_of_templates_and_servers(reply):
    assert calls.native(reply) == [Call("f", {"a": [1, None]})]


def test_several_calls_without_marks():
    two = [Call("f", {"a": 1}), Call("g", {"b": "; "})]
    first, second = '{"name": "f", "parameters": {"a": 1}}', '{"name": "g", "parameters": {"b": "; "}}'
    for reply in (
        f"{first}; {second}",
        f"{first}\n{second}\n",
        f"<|python_tag|>{first};{second}",
        f"[{first}, {second}]",
    ):
        assert calls.native(reply) == two
    for reply in (f"{first} and {second}", first[:-1], "[" * 20_000, '{"a": 1}', "3"):
        with pytest.raises(Unreadable):
            calls.of_json(reply)


def test_java_and_javascript_are_read_by_their_grammars():
    pytest.importorskip("tree_sitter", reason="needs tree-sitter (pip install 'evalkit-harness[tools]')")
    from evalkit.metrics.bfcl_calls import of_source

    java = '[Geo.create(area=mapArea, title="A \\u00e9", n=5L, xs=new int[]{1, 2}, ok=true, by=Sort.by("x"))]'
    assert of_source(java, "java") == [
        Call(
            "Geo.create",
            {
                "area": "mapArea",
                "title": "A \\u00e9",
                "n": "5L",
                "xs": "new int[]{1,2}",
                "ok": "true",
                "by": 'Sort.by("x")',
            },
        )
    ]
    script = "validate(field='name', done=true, rows=[1, 'a'], how={deep: 1})"
    assert of_source(script, "javascript") == [
        Call("validate", {"field": "name", "done": "true", "rows": "[1, 'a']", "how": "{deep: 1}"})
    ]
    assert of_source("nothing", "javascript") == of_source("int nothing;", "java") == []
    with pytest.raises(Unreadable):
        of_source("f(a==)", "java")
    with pytest.raises(Unreadable, match="twice"):
        of_source("f(a=1, a=2)", "javascript")


@pytest.mark.parametrize("name", ["cve_cpe", "emailrep", "virustotal", "toolalpaca"])
def test_references_of_nexusraven_are_right(mirror, name):
    spec = RunSpec.model_validate(
        {"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": f"nexusraven:{name}"}]}
    )
    (task,) = resolve(spec).tasks
    documents = task.documents(open_source(mirror))
    for document, asked in zip(documents, task.requests(documents, PromptStyle()), strict=True):
        reference = task.target(document)
        wrong = reference.replace("(", "_x(", 1)
        for reply, value in ((reference, 1.0), (f"`{reference}`\nThat is it.", 1.0), (wrong, 0.0), ("No.", 0.0)):
            sample = task.score(document, asked, [Response(text=reply, finish="stop")])
            assert sample.metrics["call_match,none"] == value, (reference, reply)


def test_nested_calls_positions_and_defaults():
    def function(name: str, *required: str, **defaults):
        properties = {one: {"type": "any"} for one in required} | {
            k: {"type": "any", "default": v} for k, v in defaults.items()
        }
        return {"name": name, "parameters": {"properties": properties, "required": list(required)}}

    listed = [function("pay", "who", "amount", note=None), function("find", "name", limit=1)]

    def of(reply: str) -> float | None:
        document = {"functions": listed, "calls": "prompted"}
        target = "pay(who=find(name='Ann'), amount=3)"
        return tool_use.call_match.per_item(ScoringInput(target=target, text=reply, document=document))

    right_ones = ["pay(find('Ann'), 3)", "pay(who=find(name='Ann', limit=1), amount=3.9, note=None)"]
    wrong_ones = [
        "pay(find('Bob'), 3)",
        "pay(find('Ann', limit=2), 3)",
        "pay(find('Ann'))",
        "pay(who='Ann', amount=3)",
        "pay(find('Ann'), 3, tip=1)",
        "find('Ann')",
        "pay(find(Ann), 3)",
        json.dumps({"name": "pay"}),
    ]
    assert [of(one) for one in (*right_ones, *wrong_ones)] == [1.0] * 2 + [0.0] * 8
