"""Asks a type checker what a call means, for calls that source and import leave open.

Optional: ty over the language server protocol, or jedi. Without either nothing is settled.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from unstall.audit.typeserver_lsp import Server, ServerGone
from unstall.catalog.table import canonical

SECONDS: Final = 20.0

_LIBRARY: Final = re.compile(
    r".*/(?:(?:site|dist)-packages|typeshed/[^/]+/stdlib|typeshed/[^/]+/stubs/[^/]+|lib/python3\.\d+)/(.+)\.pyi?$"
)
"""What is left is a module's path."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is called here? The place of the last name of what is called."""

    file: str
    """Relative to the root."""
    line: int
    column: int
    """In bytes of UTF-8, from 0, as in syntax trees."""


Answers = Mapping[Question, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Definition:
    path: Path
    line: int


def question(file: str, call: ast.Call) -> Question | None:
    """None where what is called has no name: a call of a call."""
    func = call.func
    if not isinstance(func, ast.Name | ast.Attribute) or func.end_lineno is None:
        return None
    return Question(file, func.end_lineno, (func.end_col_offset or 1) - 1)


def settle(
    root: Path,
    questions: Sequence[Question],
    *,
    modules: Mapping[str, str],
    environ: Mapping[str, str],
    interpreter: Path | None = None,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Answers:
    """Names of what is called, as in `audit.ir`; what is not known is left out.

    `modules` names the project's files, `interpreter` is where its libraries are. After `seconds` the answers
    that are there have to do.
    """
    if not questions:
        return {}
    deadline = clock() + seconds
    ask = _ty(interpreter, environ) or _jedi(interpreter)
    if ask is None:
        return {}
    reader = _Reader(root.resolve(), modules)
    found: dict[Question, tuple[str, ...]] = {}
    for asked, definitions in ask(root.resolve(), questions, deadline, clock):
        names = {name for each in definitions for name in [reader.name(each)] if name}
        if names:
            found[asked] = tuple(sorted(names))
    return found


def settler(
    root: Path, environ: Mapping[str, str], interpreter: Path | None = None
) -> Callable[[Sequence[Question], Mapping[str, str]], Answers] | None:
    """`settle` for one project; None where no type checker is installed."""
    if _found("ty", interpreter) is None and find_spec("jedi") is None:
        return None

    def ask(questions: Sequence[Question], modules: Mapping[str, str]) -> Answers:
        return settle(root, questions, modules=modules, environ=environ, interpreter=interpreter)

    return ask


Ask = Callable[
    [Path, Sequence[Question], float, Callable[[], float]],
    Iterator[tuple[Question, Sequence[Definition]]],
]


# --- from a place to a name -----------------------------------------------------------------


@dataclass(slots=True)
class _Reader:
    root: Path
    modules: Mapping[str, str]
    _defined: dict[Path, Mapping[int, str]] = field(default_factory=dict)

    def name(self, definition: Definition) -> str:
        """Empty where no function or class is defined: a variable tells nothing of its value."""
        inside = self._names(definition.path).get(definition.line, "")
        if not inside:
            return ""
        path = definition.path
        if path.is_relative_to(self.root):
            module = self.modules.get(path.relative_to(self.root).as_posix())
            if module is not None:
                return f"{module}:{inside}"
        found = _LIBRARY.match(path.as_posix())
        if found is None:
            return ""
        module = found[1].removesuffix("/__init__").replace("/", ".")
        top, _, rest = module.partition(".")
        module = ".".join(filter(None, (top.removesuffix("-stubs"), rest)))
        return canonical(f"{module}.{inside}")

    def _names(self, path: Path) -> Mapping[int, str]:
        known = self._defined.get(path)
        if known is None:
            try:
                known = dict(_definitions(ast.parse(path.read_bytes()), ""))
            except (OSError, SyntaxError, ValueError, RecursionError):
                known = {}
            self._defined[path] = known
        return known


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[int, str]]:
    """Line of each `def` and `class`, and its qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child.lineno, prefix + child.name
            yield from _definitions(child, f"{prefix}{child.name}.<locals>.")
        elif isinstance(child, ast.ClassDef):
            yield child.lineno, prefix + child.name
            yield from _definitions(child, f"{prefix}{child.name}.")
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, prefix)


# --- ty -------------------------------------------------------------------------------------


def _ty(interpreter: Path | None, environ: Mapping[str, str]) -> Ask | None:
    command = _found("ty", interpreter)
    if command is None:
        return None
    own = dict(environ)
    if interpreter is not None and (interpreter.parent.parent / "pyvenv.cfg").is_file():
        own["VIRTUAL_ENV"] = str(interpreter.parent.parent)

    def ask(
        root: Path, questions: Sequence[Question], deadline: float, clock: Callable[[], float]
    ) -> Iterator[tuple[Question, Sequence[Definition]]]:
        options: dict[str, object] = {"diagnosticMode": "off"}
        try:
            with Server([command, "server"], root, own, options) as server:
                opened = [file for file in _by_file(questions) if _opened(server, root, file)]
                # Only now: a file that is opened cancels what is being worked out.
                waiting = {
                    server.ask(q.file, q.line, q.column): q for q in questions if q.file in opened
                }
                while waiting and (left := deadline - clock()) > 0:
                    number, places = server.answer(left)
                    asked = waiting.pop(number, None)
                    if asked is None:
                        continue
                    if places is None:
                        waiting[server.ask(asked.file, asked.line, asked.column)] = asked
                    else:
                        yield asked, [Definition(path, line) for path, line in places]
        except (OSError, ServerGone):
            return

    return ask


def _opened(server: Server, root: Path, file: str) -> bool:
    try:
        server.open(file, (root / file).read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8
        return False
    return True


def _found(name: str, interpreter: Path | None) -> str | None:
    """Beside the project's interpreter, or beside ours: whoever put it there wants it used."""
    for python in (interpreter, Path(sys.executable)):
        if python is not None and os.access(python.parent / name, os.X_OK):
            return str(python.parent / name)
    return None


def _by_file(questions: Sequence[Question]) -> dict[str, list[Question]]:
    grouped: dict[str, list[Question]] = {}
    for each in questions:
        grouped.setdefault(each.file, []).append(each)
    return grouped


# --- jedi -----------------------------------------------------------------------------------


def _jedi(interpreter: Path | None) -> Ask | None:
    try:
        jedi: Any = import_module("jedi")
    except ImportError:
        return None

    def ask(
        root: Path, questions: Sequence[Question], deadline: float, clock: Callable[[], float]
    ) -> Iterator[tuple[Question, Sequence[Definition]]]:
        project = jedi.Project(root, environment_path=interpreter)
        for file, many in _by_file(questions).items():
            try:
                text = (root / file).read_text(encoding="utf-8")
                script = jedi.Script(text, path=root / file, project=project)
            except Exception:  # an environment that it cannot read, a file that is gone
                continue
            lines = text.splitlines()
            for each in many:
                if clock() > deadline:
                    return
                yield each, _asked(script, lines, each)

    return ask


def _asked(script: Any, lines: Sequence[str], asked: Question) -> list[Definition]:
    try:
        before = lines[asked.line - 1].encode()[: asked.column].decode()
        names = script.goto(asked.line, len(before), follow_imports=True)
        return [Definition(Path(n.module_path), n.line) for n in names if n.module_path and n.line]
    except Exception:  # it fails on code that it does not understand
        return []
