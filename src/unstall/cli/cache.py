"""What reading a project came to, kept until anything that it rests on changes.

Kept is the whole report, by a digest of all sources. Trees of single files are not worth keeping: to load
one takes six tenths of the time to parse it, and parsing is a sixth of the work.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from unstall.audit.source import data_of, find
from unstall.model.packed import pack, unpack
from unstall.model.report import Report
from unstall.version import VERSION

FOLDER = ".unstall_cache"
_KEPT = 4
_DEEPEST = 3
"""Folders below the root in which files other than sources may say how the project is run."""
_PACKAGE = Path(__file__).resolve().parents[1]
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of unstall and can be removed at any time.\n"
)


def cached(
    root: Path,
    parts: Iterable[str],
    make: Callable[[], Report],
    used: Callable[[], Iterable[Path]] = tuple,
) -> Report:
    """The report of an earlier run if nothing has changed since, else that of `make`.

    `parts` are what the report rests on beside the files of the project; `used`, asked after `make`, files
    that it turned out to rest on. A cache that cannot be read or written is none.
    """
    file = root / FOLDER / f"audit-{digest(root, parts)}.json"
    kept = _read(file)
    if kept is not None:
        return kept
    report = make()
    _write(file, report, {str(each): _stamp(each) for each in sorted(used())})
    return report


def digest(root: Path, parts: Iterable[str]) -> str:
    """Of the project's files, this interpreter, and unstall itself."""
    found = hashlib.sha256()
    for text in (VERSION, sys.version, str(root), *parts, *_stamps(_PACKAGE), *_others(root)):
        found.update(text.encode(errors="surrogateescape") + b"\0")
    for file in find(root):
        found.update(file.encode(errors="surrogateescape") + b"\0")
        found.update(_digest(root / file))
    return found.hexdigest()[:32]


def _digest(file: Path) -> bytes:
    data = data_of(file)
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()


def _stamps(folder: Path) -> Iterator[str]:
    """Of unstall's own code and tables: an edit of them is a change, too."""
    for name in ("audit", "catalog", "model", "rules.py"):
        part = folder / name
        files = [part] if part.is_file() else sorted(part.rglob("*"))
        yield from (_stamp(file) for file in files if file.suffix in (".py", ".toml"))


def _others(root: Path) -> Iterator[str]:
    for place, folders, names in os.walk(root):
        depth = len(Path(place).relative_to(root).parts)
        folders[:] = [
            each for each in sorted(folders) if not each.startswith(".") and depth < _DEEPEST
        ]
        for name in sorted(names):
            if not name.endswith((".py", ".pyc")) and not name.startswith("."):
                yield _stamp(Path(place) / name)


def _stamp(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return f"{file}:-"
    return f"{file}:{status.st_size}:{status.st_mtime_ns}"


def _read(file: Path) -> Report | None:
    try:
        first, _, text = file.read_text(encoding="utf-8").partition("\n")
        if first != _seal(file, text):
            return None
        used, _, rest = text.partition("\n")
        if any(_stamp(Path(each)) != stamp for each, stamp in json.loads(used).items()):
            return None
        return unpack(Report, json.loads(rest))
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _seal(file: Path, text: str) -> str:
    """What is cut, edited or from elsewhere does not bear it."""
    return hashlib.sha256(f"{file.name}\n{text}".encode()).hexdigest()


def _write(file: Path, report: Report, used: Mapping[str, str]) -> None:
    text = f"{json.dumps(used)}\n{json.dumps(pack(report), separators=(',', ':'))}"
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        if not file.parent.is_dir():
            file.parent.mkdir()
            (file.parent / "CACHEDIR.TAG").write_text(_TAG, encoding="utf-8")
            (file.parent / ".gitignore").write_text("*\n", encoding="utf-8")
        fresh.write_text(f"{_seal(file, text)}\n{text}", encoding="utf-8")
        fresh.replace(file)
        _prune(file.parent)
    except (OSError, UnicodeError):
        return


def _prune(folder: Path) -> None:
    """Leaves the newest few."""
    kept = sorted(folder.glob("audit-*.json*"), key=lambda each: each.stat().st_mtime_ns)
    for file in kept[:-_KEPT]:
        file.unlink(missing_ok=True)
