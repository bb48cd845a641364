"""Which modules the service loads: where it is made or begun, and what is imported from there.

A command line beside the service is another program: what its modules make when they are loaded is no
start-up of the service.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from unstall.audit.entrances_index import Use
from unstall.audit.ir import Module, Place
from unstall.audit.project import Project
from unstall.audit.rules.subject import Subject
from unstall.audit.starters import SERVED, SERVERS
from unstall.audit.types_callers import last_name
from unstall.audit.values import MODULE, Value
from unstall.model.finding import Confidence, Evidence, Finding

_APPS = "FastAPI Starlette Litestar Quart Sanic Flask Application Celery FastStream".split()
"""How that is called which servers and workers are pointed to."""
_STARTS = "run serve run_app".split()
_BY_NAME = "import_module __import__ iter_modules walk_packages entry_points exec_module load_module".split()
"""What is loaded so is not known, unless a text names it."""
_ONLY_NAMES = frozenset("getLogger get_logger".split())
"""What they are given looks like a module and loads none."""
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*){1,7}")
_DEEPEST = 16
"""Folders around a module."""
_COMMAND_LINES = frozenset("argparse click typer fire docopt cyclopts cleo".split())

NOT_LOADED = "no module of the service imports this one"


def aside(
    files: frozenset[str] | None, modules: Collection[str], found: Iterable[Finding]
) -> Iterator[Finding]:
    """What no entry comes to, in `modules` that are not among the loaded `files`, is possible at most."""
    for each in found:
        file = each.site.file if each.site is not None else ""
        if files is None or each.entries or file not in modules or file in files:
            yield each
        else:
            yield replace(each, confidence=Confidence.POSSIBLE, evidence=tuple(_told(each)))


def _told(finding: Finding) -> Iterator[Evidence]:
    for each in finding.evidence:
        yield replace(each, because="; ".join(filter(None, (each.because, NOT_LOADED))))


def loaded(subject: Subject) -> frozenset[str] | None:
    """Files; None: no service was found, and any module may be loaded."""
    if not any(each.kind in SERVED for each in subject.program.entrances):
        return None
    imports = _Imports(subject)
    seen = imports.closure(_begun(subject))
    if any(_file(subject, use) in seen for use in subject.index.uses(*_BY_NAME)):
        beside = imports.commands
        seen |= imports.closure(f for f in imports.project.by_file if f not in beside)
    return frozenset(seen)


def _begun(subject: Subject) -> Iterator[str]:
    """Where servers, workers and loops begin."""
    commands = _commands(subject)
    for entrance in subject.program.entrances:
        if entrance.place is not Place.OFFLINE or entrance.file not in commands:
            yield entrance.file
    for use in subject.index.uses(*_APPS):
        yield _file(subject, use)
    for use in subject.index.uses(*_STARTS):
        if not SERVERS.isdisjoint(subject.targets(use.where, use.call.func)):
            yield _file(subject, use)
    project = subject.worked.walk.types.project
    yield from _launched(subject.deployment.launched, project.by_file.values())


def _file(subject: Subject, use: Use) -> str:
    return subject.module(use.where).file


def _launched(names: Collection[str], modules: Iterable[Module]) -> Iterator[str]:
    """By their dotted names or their paths, of which either may begin further out."""
    whole, ends = set(names), {end for name in names for end in _ends(name)}
    for module in modules:
        dotted = module.file.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
        if dotted in ends or not whole.isdisjoint(_ends(dotted)):
            yield module.file


def _ends(dotted: str) -> Iterator[str]:
    """`a.b.c`, `b.c` and `c`."""
    parts = dotted.split(".")[-_DEEPEST:]
    return (".".join(parts[at:]) for at in range(len(parts)))


def _commands(subject: Subject) -> frozenset[str]:
    """Files that read a command line."""
    return frozenset(
        module.file
        for module, statement in subject.shapes.imports
        for name in _names(statement)
        if name.partition(".")[0] in _COMMAND_LINES
    )


def _names(statement: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(statement, ast.ImportFrom):
        return [] if statement.level else [statement.module or ""]
    return [alias.name for alias in statement.names]


def _parts(file: str) -> list[str]:
    return file.removesuffix(".py").split("/")


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Dotted ones that are assigned, given to a call or held by a dictionary, also in a list."""
    for node in nodes:
        values: Sequence[ast.expr] = ()
        match node:
            case ast.Call() if node.args and last_name(node.func) not in _ONLY_NAMES:
                values = node.args
            case ast.Assign(value=value) | ast.keyword(value=value):
                values = (value,)
            case ast.Dict():
                values = node.values
        for value in values:
            for each in value.elts if isinstance(value, ast.List | ast.Tuple) else (value,):
                if each.__class__ is ast.Constant:
                    text = each.value
                    if isinstance(text, str) and _DOTTED.fullmatch(text):
                        yield text


class _Imports:
    """Which file imports which, wherever in it the statement stands."""

    def __init__(self, subject: Subject) -> None:
        self.project: Project = subject.worked.walk.types.project
        self.commands = _commands(subject)
        self._targets: dict[str, set[str]] = defaultdict(set)
        for module, statement in subject.shapes.imports:
            self._targets[module.file].update(self._imported(module.name, statement))
        parts = {part for file in self.project.by_file for part in _parts(file)}
        for name, nodes in subject.index.kept.items():
            module = self.project.modules[name]
            for text in _texts(nodes) if not module.is_test else ():
                if text.replace(":", ".").partition(".")[0] in parts:
                    self._targets[module.file].update(self._named(name, text))

    def closure(self, files: Iterable[str]) -> set[str]:
        waiting = list(files)
        seen = set(waiting)
        while waiting:
            for each in self._targets.get(waiting.pop(), ()):
                if each not in seen:
                    seen.add(each)
                    waiting.append(each)
        return seen

    def _imported(self, module: str, statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
        project = self.project
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield from self._files(project.import_module(module, alias.name))
            return
        found = project.import_from(module, statement)
        yield from self._files(found)
        for value in found:
            for alias in statement.names if value.kind == MODULE else ():
                yield from self._files(project.submodule(value.name, alias.name))

    def _named(self, module: str, text: str) -> Iterator[str]:
        """`shop.tasks`, `shop.tasks.resize` and `shop.tasks:resize`: what a worker is told to run."""
        parts = text.replace(":", ".").split(".")
        for end in range(len(parts), 0, -1):
            for value in self.project.import_module(module, ".".join(parts[:end])):
                found = self.project.roots.get(value.name) if value.kind == MODULE else None
                if found is not None:
                    if end == len(parts) or parts[end] in found.bindings:
                        yield from self._files((value,))
                    return

    def _files(self, values: Iterable[Value]) -> Iterator[str]:
        """Of a module, with the packages around it."""
        for value in values:
            module = self.project.modules.get(value.name) if value.kind == MODULE else None
            if module is None:
                continue
            yield module.file
            folder = module.file.rpartition("/")[0]
            while folder:
                if f"{folder}/__init__.py" in self.project.by_file:
                    yield f"{folder}/__init__.py"
                folder = folder.rpartition("/")[0]
