"""The house rules that a program can check, as functions from source text to findings. Run by test_house.py.

Every rule reads the syntax tree of files below a root, so that the tests can plant a violation in a folder of theirs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LINES_MAX = 480  # aim at 400; what is a fifth longer has two subjects

FLOORS = {"model": 0, "core": 1, "config": 1, "sources": 1, "replay": 2, "channels": 2, "store": 2, "imports": 2}
FLOORS |= {"api": 3, "daemon": 4, "cli": 5}
SHELF, SHELF_FLOOR = {"clock", "telemetry"}, 2
ONLY_MODEL = {"core", "config", "sources"}


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}\n    {self.hint}"


class Module(NamedTuple):
    """One file of the package: `name` is dotted (`imd.core.engine`), `part` its package (`core`) or own name."""

    path: str
    name: str
    source: str
    tree: ast.Module

    @property
    def part(self) -> str:
        pieces = self.name.split(".")
        return pieces[1] if len(pieces) > 1 else ""


def modules(root: Path) -> list[Module]:
    """Every Python file of the package imd below `root`, in order of path."""
    found = []
    for path in sorted((root / "imd").rglob("*.py")):
        relative = path.relative_to(root)
        pieces = [*relative.parts[:-1]] if path.name == "__init__.py" else [*relative.parts[:-1], path.stem]
        source = path.read_text(encoding="utf-8")
        found.append(Module(str(relative), ".".join(pieces), source, ast.parse(source)))
    return found


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, in function bodies too; `from a import b` gives both a and a.b."""
    package = module.name if module.path.endswith("__init__.py") else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def floors(all_modules: Iterable[Module]) -> Iterator[Finding]:
    """Imports go down only; siblings do not know each other; the pure packages see the model alone."""
    seen = set()
    for module in all_modules:
        for line, name in imports(module):
            verdict = _crossing(module, name)
            if verdict and (module.path, line) not in seen:
                seen.add((module.path, line))
                yield Finding(module.path, line, *verdict)


def _crossing(module: Module, name: str) -> tuple[str, str] | None:
    pieces = name.split(".")
    if pieces[0] != "imd" or len(pieces) < 2 or pieces[1] not in FLOORS.keys() | SHELF:
        return None
    here, there = module.part, pieces[1]
    if here == there or here in ("", "__main__"):
        return _within(module, pieces) if here == there else None
    if here not in FLOORS.keys() | SHELF:
        return f"imd/{here} stands on no floor", "give it one in tests/house.py, or put it into a package that has one"
    if there in SHELF:
        if here in SHELF or FLOORS[here] >= SHELF_FLOOR:
            return None
        hand_over = (
            "the time is an argument" if there == "clock" else "return an effect.Counted and let the shell count"
        )
        return f"imd/{here} (floor {FLOORS[here]}) reaches for the shelf, imd.{there}", f"{hand_over}"
    if here in SHELF:
        return None if there == "model" else (f"imd/{here} sees the model alone, not imd.{there}", _lower(there))
    if FLOORS[there] > FLOORS[here]:
        return f"imports go down: floor {FLOORS[here]} ({here}) imports floor {FLOORS[there]} ({there})", _lower(there)
    if FLOORS[there] == FLOORS[here]:
        return f"siblings do not know each other: imd/{here} imports imd.{there}", _lower(there)
    if here in ONLY_MODEL and there != "model":
        return f"imd/{here} sees the model alone, not imd.{there}", _lower(there)
    if here == "api" and there == "store" and pieces[:3] != ["imd", "store", "contract"] and len(pieces) > 2:
        return f"imd/api sees the store by imd.store.contract, not {name}", "add what it needs to the contract"
    return None


def _lower(there: str) -> str:
    above = "imd/daemon, which wires the house" if FLOORS.get(there, 0) < 4 else "an argument that is handed in"
    return f"a shared word could live in imd/model; what needs both sides in {above}"


def _within(module: Module, pieces: list[str]) -> tuple[str, str] | None:
    """Inside core only the engine knows the stages together, and only roster works out who is on call."""
    target = ".".join(pieces[:3])
    if target == "imd.core.engine" and module.part == "core" and module.name != target:
        return "a stage imports the engine", "take the value as an argument; the engine calls the stage"
    if target == "imd.core.oncall" and module.name not in ("imd.core.engine", "imd.core.roster", target):
        return "only roster may use oncall", "ask core/roster.py, which knows the overrides of the day too"
    return None


IMPURE = {
    "aiohttp", "apsw", "asyncio", "io", "logging", "os", "pathlib", "prometheus_client", "random", "secrets", "socket",
    "sqlite3", "structlog", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
PURE_PARTS = {"model", "core", "sources"}


def purity(all_modules: Iterable[Module]) -> Iterator[Finding]:
    """What decides and what decodes touches no clock, socket, file, log or chance."""
    for module in all_modules:
        if module.part not in PURE_PARTS:
            continue
        for line, name in imports(module):
            if name.split(".")[0] in IMPURE and name in IMPURE:
                hint = "hand the value in as an argument; the world belongs to imd/daemon, imd/store and imd/channels"
                yield Finding(module.path, line, f"imd/{module.part} is pure and imports {name}", hint)
        for call in _calls(module.tree, but_in="__hash__"):
            written = ast.unparse(call.func)
            if written in ("hash", "open", "print", "input") or written.endswith((".now", ".utcnow", ".today")):
                yield Finding(
                    module.path,
                    call.lineno,
                    f"imd/{module.part} is pure and calls {written}()",
                    "the time and the world are arguments; hash() differs from run to run",
                )


FORBIDDEN_CALLS = {
    "eval": "parse it",
    "exec": "parse it",
    "compile": "parse it",
    "__import__": "import it by name",
    "importlib.import_module": "import it by name, so that the floors can be read",
    "os.system": "a list of arguments to asyncio.create_subprocess_exec",
    "yaml.load": "imd.config.document reads YAML",
    "yaml.full_load": "imd.config.document reads YAML",
    "yaml.unsafe_load": "imd.config.document reads YAML",
    "yaml.safe_load": "imd.config.document reads YAML, with positions and without YAML 1.1 surprises",
}
FORBIDDEN_MODULES = {"pickle": "msgspec", "marshal": "msgspec", "shelve": "the store", "dill": "msgspec"}
_RE_CALLS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "split", "sub", "subn"}


def dangers(all_modules: Iterable[Module]) -> Iterator[Finding]:
    """No code from text, no pickles, no backtracking regex on a pattern that somebody else wrote."""
    for module in all_modules:
        for line, name in imports(module):
            if name in FORBIDDEN_MODULES:
                yield Finding(module.path, line, f"{name} is not used here", f"use {FORBIDDEN_MODULES[name]}")
        for call in _calls(module.tree):
            written = ast.unparse(call.func)
            if written in FORBIDDEN_CALLS:
                yield Finding(module.path, call.lineno, f"{written}() is not used here", FORBIDDEN_CALLS[written])
            if any(keyword.arg == "shell" for keyword in call.keywords):
                yield Finding(module.path, call.lineno, "no shell", "a list of arguments")
        for function in _functions(module.tree):
            yield from _foreign_patterns(module, function)


def _foreign_patterns(module: Module, function: ast.AST) -> Iterator[Finding]:
    """At import there are no patterns but our own; in a function there may be, unless it is a literal."""
    for call in _calls(function):
        name, _, verb = ast.unparse(call.func).rpartition(".")
        if name == "re" and verb in _RE_CALLS and not (call.args and _our_own(call.args[0])):
            yield Finding(
                module.path,
                call.lineno,
                f"re.{verb}() on a pattern that is no literal",
                "patterns from files, requests and senders go through re2 (imd.model.rule), in linear time",
            )


def _functions(tree: ast.AST) -> Iterator[ast.AST]:
    """The outermost functions and methods; lambdas at module level run at any time too."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
        else:
            yield from _functions(child)


def _our_own(pattern: ast.expr) -> bool:
    """A pattern written in this very file: a literal, or one joined from literals and CONSTANTS."""
    if isinstance(pattern, ast.JoinedStr):
        return all(
            _our_own(value.value if isinstance(value, ast.FormattedValue) else value) for value in pattern.values
        )
    if isinstance(pattern, ast.BinOp):
        return _our_own(pattern.left) and _our_own(pattern.right)
    return isinstance(pattern, ast.Constant) or (isinstance(pattern, ast.Name) and pattern.id.isupper())


_SECRET = re.compile(r"token|secret|signature|digest|password|sha256")


def comparisons(all_modules: Iterable[Module]) -> Iterator[Finding]:
    """Secrets are compared in constant time, where requests come in."""
    for module in all_modules:
        if module.part not in ("api", "channels"):
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) for side in sides):
                continue  # with a literal: a kind or an emptiness, no secret
            if any(_SECRET.search(ast.unparse(side).rpartition(".")[2].lower()) for side in sides):
                written = ast.unparse(node)
                yield Finding(module.path, node.lineno, f"{written}: a secret by ==", "use hmac.compare_digest")


def shape(all_modules: Iterable[Module]) -> Iterator[Finding]:
    """Each module says what it owns, is not too long, has a name that means something and no loose ends."""
    for module in all_modules:
        lines = module.source.count("\n")
        if not ast.get_docstring(module.tree):
            yield Finding(module.path, 1, "no module docstring", "say what it owns and what it must not know")
        if lines > LINES_MAX:
            hint = "what is its second subject? That is the second file"
            yield Finding(module.path, lines, f"{lines} lines, more than {LINES_MAX}", hint)
        if Path(module.path).stem in {"utils", "util", "common", "manager", "helper", "helpers", "data", "info"}:
            yield Finding(module.path, 1, "a name that says nothing", "name it for its subject")
        for number, line in enumerate(module.source.splitlines(), 1):
            loose = _LOOSE.search(line)
            if loose:
                yield Finding(module.path, number, f"{loose.group()} left behind", "finish it, or take it out")


_LOOSE = re.compile("|".join(["\\bTO" + "DO\\b", "\\bFIX" + "ME\\b", "type: " + "ignore", "pragma: " + "no cover"]))


def _calls(tree: ast.AST, but_in: str = "") -> Iterator[ast.Call]:
    """Every call below `tree`, but for those in a function of this name."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef) and child.name == but_in:
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _calls(child, but_in)


# Put together here, so that this file passes its own rule.
REGISTRIES = [".".join(pieces) for pieces in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
FOLDERS = ["/".join(("", name, "")) for name in ("work", "root")]
OPTIONS = [
    "--" + "-".join(pieces) for pieces in (("index", "url"), ("extra", "index"), ("find", "links"), ("trusted", "host"))
]
_PLACES = re.compile(r"(?<![\w./-])(?:" + "|".join(FOLDERS) + r")|" + "|".join(map(re.escape, [*REGISTRIES, *OPTIONS])))


def places(texts: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """(path, text) of tracked files: none names a package registry or a folder of somebody's machine."""
    for path, text in texts:
        for number, line in enumerate(text.splitlines(), 1):
            found = _PLACES.search(line)
            if found:
                yield Finding(
                    path, number, f"names {found.group()}", "say it without the place; pip knows its registry"
                )
            elif Path(path).name.startswith("requirements") and "://" in line:
                yield Finding(path, number, "an address in a lock file", "make lock writes none")


def longest(all_modules: Iterable[Module], count: int = 5) -> str:
    """The longest files, for people."""
    sizes = sorted(((module.source.count("\n"), module.path) for module in all_modules), reverse=True)
    return "\n".join(f"{lines:5} {path}" for lines, path in sizes[:count])
