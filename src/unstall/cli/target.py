"""What `unstall audit` is to read: the project's root, and which part of it was asked for."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from unstall.audit.ir import Unread
from unstall.audit.source import find, parse_file
from unstall.errors import TargetError

MARKERS = (
    "pyproject.toml", "unstall.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile",
    "uv.lock", "poetry.lock", ".git",
)  # fmt: skip
"""One of these lies in the root of a project."""


@dataclass(frozen=True, slots=True)
class Target:
    text: str
    """As a report names it."""
    root: Path
    app: str | None = None
    """`package.module:app`"""
    below: tuple[str, ...] = ()
    """Only findings in this file or folder were asked for."""


def target_of(text: str | None, here: Path) -> Target:
    """From what a user typed: a folder, a file, `package.module:app` or nothing. Raises TargetError."""
    try:
        target = _meant(text, here)
    except OSError as error:
        raise TargetError(
            f"{text or here} cannot be read ({error.strerror}): allow it, or name another target"
        ) from None
    if target.root == target.root.parent:
        raise TargetError(
            f"{target.root} is no project: name a folder, or the app as package.module:app"
        )
    return target


def _meant(text: str | None, here: Path) -> Target:
    if text is None:
        root = project_root(here)
        return Target(root.name or str(root), root)
    path = here / text
    if path.is_dir():
        return _folder(text, path.resolve())
    if path.is_file():
        return _file(text, path.resolve())
    module, colon, name = text.partition(":")
    if not colon or "/" in module or not module or not name:
        raise TargetError(f"there is no folder {text!r} here; {_near_folder(text, here)}")
    root = project_root(here)
    _check_app(root, module, name)
    return Target(text, root, app=text)


def project_root(folder: Path) -> Path:
    """The nearest folder at or above `folder` that looks like a project's root; else `folder`."""
    folder = folder.resolve()
    for place in (folder, *folder.parents):
        if _is_root(place):
            return place
    return folder


def _folder(text: str, folder: Path) -> Target:
    """A folder is its own root, unless it is a package inside a project: then names begin further up."""
    with os.scandir(folder):  # who asks for what cannot be read is told, and not that it is clean
        pass
    if _is_root(folder) or not (folder / "__init__.py").is_file():
        return Target(text, folder)
    return _inside(text, folder, folder.parent)


def _file(text: str, file: Path) -> Target:
    if file.suffix != ".py":
        raise TargetError(f"{text} is no Python file: name a folder, or package.module:app")
    parsed = parse_file(file.parent, file.name)
    if isinstance(parsed, Unread):
        raise TargetError(f"{text} cannot be judged, for {parsed.why}: correct it, or leave it out")
    return _inside(text, file, file.parent)


def _inside(text: str, part: Path, folder: Path) -> Target:
    while (folder / "__init__.py").is_file() and not _is_root(folder) and folder != folder.parent:
        folder = folder.parent
    return Target(text, folder, below=(part.relative_to(folder).as_posix(),))


def _is_root(folder: Path) -> bool:
    try:
        return any((folder / marker).exists() for marker in MARKERS)
    except OSError:
        return False


def _check_app(root: Path, module: str, name: str) -> None:
    files = {_module_of(file): file for file in find(root)}
    found = [file for each, file in files.items() if each == module or each.endswith(f".{module}")]
    if not found:
        near = get_close_matches(module, _tails(files), n=1)
        advice = f"did you mean {near[0]}:{name}?" if near else "name package.module:app"
        raise TargetError(f"there is no module {module} in {root}; {advice}")
    parsed = parse_file(root, found[0])
    if isinstance(parsed, Unread):
        raise TargetError(f"{found[0]} cannot be read ({parsed.why}): name another app")
    names = set(_bound(parsed.tree.body))
    first = name.partition(".")[0].removesuffix("()")
    if "*" not in names and first not in names:
        near = get_close_matches(first, sorted(names), n=1)
        advice = f"did you mean {module}:{near[0]}?" if near else "name the ASGI app that it holds"
        raise TargetError(f"{found[0]} holds no {first}; {advice}")


def _module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _tails(modules: Iterable[str]) -> list[str]:
    """Every way to name a module: `src.app.main`, `app.main`, `main`."""
    return sorted(
        {
            ".".join(parts[n:])
            for each in modules
            for parts in [each.split(".")]
            for n in range(len(parts))
        }
    )


def _bound(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that a module has after these statements; `*` if others are imported with them."""
    for node in body:
        for each in ast.walk(node) if not isinstance(node, _SCOPES) else [node]:
            match each:
                case ast.Name(ctx=ast.Store()):
                    yield each.id
                case ast.alias():
                    yield (each.asname or each.name).split(".")[0]
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    yield each.name


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _near_folder(text: str, here: Path) -> str:
    try:
        there = sorted(each.name for each in here.iterdir() if each.is_dir())
    except OSError:
        there = []
    near = get_close_matches(text.strip("/"), there, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return "name a folder, or the app as package.module:app"
