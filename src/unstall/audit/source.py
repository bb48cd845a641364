"""Find a project's Python files and parse them. Nothing of the project is imported."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unstall.audit import type_parameters
from unstall.audit.ir import Unread
from unstall.audit.newer import rewrites

MAX_BYTES = 3_000_000
"""Beyond that a file is generated: nobody's route lives in it."""

_SKIPPED = frozenset(
    "__pycache__ node_modules site-packages __pypackages__ bower_components venv env virtualenv".split()
)
_BUILT = frozenset({"build", "dist", "target", "out"})
_TEST_FOLDERS = frozenset(
    "test tests testing e2e integration_tests unit_tests script scripts example examples sample samples "
    "doc docs benchmark benchmarks bench migrations alembic notebooks fixtures".split()
)
_TEST_FILE = re.compile(r"(?:test_.*|.*_tests?|conftest|setup|noxfile|tasks_test)\.py")


@dataclass(frozen=True, slots=True)
class Parsed:
    """One file, by its path relative to the root, with `/`."""

    file: str
    tree: ast.Module
    is_test: bool
    lines: int


def is_test_file(file: str) -> bool:
    """Tests, scripts, examples and migrations: read, because others call into them, but no request enters."""
    *folders, name = file.split("/")
    return bool(_TEST_FILE.fullmatch(name)) or any(is_test_folder(folder) for folder in folders)


def is_test_folder(name: str) -> bool:
    return name.lower() in _TEST_FOLDERS


def find(root: Path, missed: list[Unread] | None = None) -> Iterator[str]:
    """Python files below `root`, sorted, each directory once however many links lead to it.

    Folders that cannot be looked into are added to `missed`.
    """
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path, prefix: str) -> Iterator[str]:
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if missed is not None:
                missed.append(Unread(prefix or ".", f"it cannot be read: {error.strerror}"))
            return
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        names = {entry.name for entry in entries}
        if "pyvenv.cfg" in names and prefix:
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False  # a link in a ring; as a file it is told why not
            if is_folder:
                if _enters(folder, entry.name):
                    yield from walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".py"):
                yield f"{prefix}{entry.name}"

    yield from walk(root, "")


def _enters(folder: Path, name: str) -> bool:
    if name in _SKIPPED or name.endswith(".egg-info"):
        # A package may be called env or venv: then it says so.
        return name in ("env", "venv") and (folder / name / "__init__.py").is_file()
    return name not in _BUILT or (folder / name / "__init__.py").is_file()


def parse_file(root: Path, file: str) -> Parsed | Unread:
    """The syntax tree of one file, or why there is none."""
    return parse_data(file, data_of(root / file))


def parse_data(file: str, data: bytes | str) -> Parsed | Unread:
    """The same of what `data_of` said of the file."""
    if isinstance(data, str):
        return Unread(file, data)
    tree = parse(data)
    if isinstance(tree, str):
        return Unread(file, tree)
    return Parsed(file, tree, is_test_file(file), data.count(b"\n") + 1)


def data_of(path: Path) -> bytes | str:
    """What is in a file, or one clause that says why it is not read. A pipe would be waited for for ever."""
    try:
        if not path.is_file():
            return "it is no regular file, or a link to nowhere"
        size = path.stat().st_size
        if size > MAX_BYTES:
            return (
                f"it has {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: probably generated"
            )
        return path.read_bytes()
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


_HAS_PARAMETERS = re.compile(rb"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+\w+\[", re.MULTILINE)


def parse(data: bytes) -> ast.Module | str:
    """The tree, or one clause that says why not."""
    first = _try(data)
    has_parameters = _HAS_PARAMETERS.search(data) is not None
    if isinstance(first, ast.Module) and not has_parameters:
        return first
    text = _text(data)
    read = first if isinstance(first, ast.Module) else _older(text)
    if read is not None and has_parameters:
        type_parameters.tell(read, text)
    return read or first


def _older(text: str) -> ast.Module | None:
    """The same program without the syntax that this Python may lack."""
    for older in rewrites(text):
        again = _try(older)
        if isinstance(again, ast.Module):
            return again
    return None


def _text(data: bytes) -> str:
    """Empty where it has no known encoding."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except (SyntaxError, ValueError, LookupError):
        return ""


def _try(data: bytes | str) -> ast.Module | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except SyntaxError as error:
        where = f" in line {error.lineno}" if error.lineno else ""
        return f"this Python cannot parse it{where}: {error.msg}"
    except (ValueError, LookupError) as error:
        return f"it is not valid source: {error}"
    except (RecursionError, MemoryError):
        return "it is nested too deeply to parse"
