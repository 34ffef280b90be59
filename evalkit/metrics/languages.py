"""Programs of other languages than Python, tested as MultiPL-E tests them (Cassano et al. 2023, arXiv 2208.08227):
prompt, answer and tests are one program, and it passes if it compiles and ends by itself with status 0.

Such a program holds its own tests, so one that ends itself with status 0 before them would pass. Therefore the tests
end with a mark of this run's own, printed behind them, and without it nothing passes. A program that reads its own
source for the mark and prints it is not found out (docs/security.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.sandbox.checking import Verdict
from evalkit.sandbox.jail import Jail
from evalkit.sandbox.limits import MIB, Limits
from evalkit.sandbox.running import SandboxFailed, run

_SECRET = token_hex(16)
_found: dict[tuple[str, str], bool] = {}


@dataclass(frozen=True, slots=True)
class Language:
    """``file``: what the program is called. ``command``: the shell's words that compile and run it, in /tmp with the
    program there. ``needs``: the programs of it. ``last``: the statement that prints MARK at the end of everything.
    """

    file: str
    command: str
    needs: tuple[str, ...]
    last: str
    address_space: bool = True


LANGUAGES: Mapping[str, Language] = {
    "py": Language("a.py", "python3 -I a.py", ("python3",), "\nprint('MARK')\n"),
    "js": Language("a.js", "node a.js", ("node",), "\nconsole.log('MARK');\n", False),
    "sh": Language("a.sh", "bash a.sh", ("bash",), "\necho MARK\n"),
    "pl": Language("a.pl", "perl a.pl", ("perl",), '\nprint "MARK\\n";\n'),
    "rb": Language("a.rb", "ruby a.rb", ("ruby",), '\nputs "MARK"\n'),
    "lua": Language("a.lua", "lua a.lua", ("lua",), '\nprint("MARK")\n'),
    "php": Language("a.php", "php a.php", ("php",), '\necho "MARK";\n'),
    "r": Language("a.R", "Rscript a.R", ("Rscript",), '\ncat("MARK")\n'),
    "jl": Language("a.jl", "julia a.jl", ("julia",), '\nprint("MARK")\n', False),
    "ts": Language("a.ts", "tsc --target es2020 a.ts && node a.js", ("tsc", "node"), "\nconsole.log('MARK');\n", False),
    "cpp": Language("a.cpp", "g++ -std=c++17 -o a a.cpp && ./a", ("g++",), ""),
    "java": Language("Problem.java", "javac Problem.java && java -ea Problem", ("javac", "java"), "", False),
    "rs": Language("a.rs", "rustc -o a a.rs && ./a", ("rustc",), ""),
    "go": Language("a_test.go", "go test a_test.go", ("go",), "", False),
}
"""By MultiPL-E's own names. Where ``last`` is empty the tests stand within a function, and the mark goes to the end of
that (see `marked`)."""
_ENDS: Mapping[str, str] = {
    "cpp": 'puts("MARK");',
    "java": 'System.out.println("MARK");',
    "rs": 'println!("MARK");',
}
_HEADERS: Mapping[str, str] = {"cpp": "#include <cstdio>\n"}
COMPILING = 20
"""Seconds that a compiler has beside the program's own."""


def known(name: str) -> Language:
    """The language of that name. UserError for another."""
    if name not in LANGUAGES:
        raise UserError(f"language {name!r} is not known{did_you_mean(name, LANGUAGES)}; known: {', '.join(LANGUAGES)}")
    return LANGUAGES[name]


def limits(name: str, seconds: int) -> Limits:
    """What a program of the language may take, its compiler included."""
    spaced = known(name).address_space
    return Limits(
        cpu=seconds + COMPILING,
        wall=4.0 * seconds + 3 * COMPILING,
        memory=2048 * MIB,
        address_space=spaced,
        processes=64 if spaced else 256,
        disk=256 * MIB,
        file_size=128 * MIB,
        open_files=1024,
    )


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of ``stops`` in it."""
    return text[: min((at for stop in stops if stop and (at := text.find(stop)) >= 0), default=len(text))]


def marked(name: str, source: str, mark: str) -> str:
    """The program with the statement that prints ``mark`` behind its tests: at its end, or before the last brace of
    its main function, the last but one where a class is around it.
    """
    one = known(name)
    if one.last:
        return source + one.last.replace("MARK", mark)
    if name not in _ENDS:
        return source
    at = len(source)
    for _ in range(2 if name == "java" else 1):
        at = source.rfind("}", 0, at)
    if at < 0:
        return source
    return f"{_HEADERS.get(name, '')}{source[:at]}\n{_ENDS[name].replace('MARK', mark)}\n{source[at:]}"


def available(jail: Jail, name: str) -> bool:
    """Whether the sandbox finds the language's tools."""
    if (jail.name, name) not in _found:
        needs = " && ".join(f"command -v {one}" for one in known(name).needs)
        _found[jail.name, name] = run(jail, ["sh", "-c", needs]).code == 0
    return _found[jail.name, name]


@dataclass(frozen=True, slots=True)
class Script:
    """A program with its tests in it."""

    language: str
    source: str
    limits: Limits

    def judge(self, jail: Jail) -> Verdict:
        """Run it. SandboxFailed where the sandbox does not work or lacks the language's tools."""
        one = known(self.language)
        if not available(jail, self.language):
            raise SandboxFailed(f"the sandbox finds no {' and '.join(one.needs)}: install it to test {self.language}")
        mark = hashlib.sha256(f"{_SECRET}{self.source}".encode("utf-8", "surrogatepass")).hexdigest()
        files = {one.file: marked(self.language, self.source, mark)}
        command = f"cp /job/{one.file} . && {one.command}"
        outcome = run(jail, ["sh", "-c", command], files, limits=self.limits)
        if outcome.ending != "exit":
            return Verdict(
                False, {"timeout": f"not done after {self.limits.wall:g} s"}.get(outcome.ending, outcome.ending)
            )
        told = " ".join(outcome.stderr.split())[-300:]
        if outcome.code:
            return Verdict(False, f"status {outcome.code}: {told}")
        if mark not in outcome.stdout and files[one.file] != self.source:
            return Verdict(False, "ended before its tests did")
        return Verdict(True)
