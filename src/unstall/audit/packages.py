"""Where the source of installed packages lies. Nothing of them is imported."""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from unstall.audit.ir import Unread
from unstall.audit.scopes import statements_of
from unstall.audit.source import Parsed, parse_file

_MOST_FILES = 40
"""Of one package: those that were asked for first, then what they import."""
_MOST_BYTES = 400_000


@dataclass(frozen=True, slots=True)
class Packages:
    """Folders on `sys.path` into which packages are installed."""

    folders: tuple[Path, ...]
    used: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Files that something was read from: what is made of it rests on them."""

    def file_of(self, name: str) -> tuple[Path, str, tuple[str, ...]] | None:
        """The folder, the file of the longest module that a dotted name begins with, and what is left."""
        parts = name.split(".")
        for folder in self.folders:
            for length in range(len(parts), 0, -1):
                path = "/".join(parts[:length])
                for file in (f"{path}/__init__.py", f"{path}.py"):
                    if (folder / file).is_file():
                        return folder, file, tuple(parts[length:])
        return None

    def version(self, top: str) -> str:
        """`acme 1.2.0`, or the name alone where the distribution is called otherwise."""
        wanted = _plain(top)
        for distribution in self._distributions():
            name, _, version = distribution.partition("-")
            if _plain(name) == wanted:
                return f"{top} {version}"
        return top

    def stamp(self) -> str:
        """Changes when any package comes, goes or gets another version."""
        return " ".join((*map(str, self.folders), *self._distributions()))

    def _distributions(self) -> Iterator[str]:
        for folder in self.folders:
            yield from _installed(folder)


@cache
def _installed(folder: Path) -> tuple[str, ...]:
    return tuple(
        sorted(path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(interpreter: Path, running: str, path: Iterable[str]) -> Packages:
    """Of an interpreter, by where environments keep them; `path`: `sys.path` of the running one."""
    if str(interpreter) == running:
        folders = [Path(each) for each in path if Path(each).name in _FOLDERS]
    else:
        above = interpreter.parent.parent
        folders = [
            found
            for pattern in ("lib/python3*/site-packages", "Lib/site-packages")
            for found in sorted(above.glob(pattern), reverse=True)
        ]
    return Packages(tuple(folder for folder in folders if folder.is_dir()))


_FOLDERS = ("site-packages", "dist-packages")


def sources(folder: Path, files: Sequence[str]) -> list[Parsed]:
    """Modules of one package: these files, and what they import of it, nearest first, up to a bound."""
    top = files[0].partition("/")[0].removesuffix(".py")
    found: dict[str, Parsed | Unread] = {}
    waiting, size = deque(dict.fromkeys((*files, *_around(files)))), 0
    while waiting and len(found) < _MOST_FILES and size < _MOST_BYTES:
        file = waiting.popleft()
        if file in found or not (folder / file).is_file():
            continue
        one = found[file] = parse_file(folder, file)
        if isinstance(one, Parsed):
            size += (folder / file).stat().st_size
            for path in _imported(one, top):
                waiting += (f"{path}/__init__.py", f"{path}.py")
    return [one for one in found.values() if isinstance(one, Parsed)]


def _around(files: Iterable[str]) -> Iterator[str]:
    """The packages that modules lie in."""
    for file in files:
        folders = file.split("/")[:-1]
        yield from ("/".join((*folders[:n], "__init__.py")) for n in range(len(folders), 0, -1))


def _imported(one: Parsed, top: str) -> Iterator[str]:
    """Paths of what a module's imports name below its own package, without the suffix."""
    here = one.file.split("/")[:-1]
    for node in sorted(_imports(one.tree), key=lambda each: (each.col_offset, each.lineno)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == top:
                    yield alias.name.replace(".", "/")
        else:
            module = node.module.split(".") if node.module else []
            if node.level:
                base = [*here[: len(here) - node.level + 1], *module]
            elif module[:1] == [top]:
                base = module
            else:
                continue
            yield "/".join(base)
            yield from ("/".join((*base, alias.name)) for alias in node.names)


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Statements alone are looked at: expressions are nine nodes of ten."""
    waiting = [tree]
    while waiting:
        for statement in statements_of(waiting.pop()):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                yield statement
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                waiting.append(statement)
