"""Which tests, scripts and examples a service's own code imports; the rest need not be read.

No request enters them, so they matter only as far as somebody calls into them. What is imported is taken
from the text: words are enough, because to read a file too many does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from unstall.audit.source import is_test_file, is_test_folder

_IMPORT = re.compile(
    rb"^[ \t]*+(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n#(]*)|import[ \t]+([^\n#]*))",
    re.MULTILINE,
)
_BY_NAME = (b"import_module", b"__import__", b"entry_points", b"walk_packages", b"iter_modules")
_WORD = re.compile(rb"[A-Za-z_]\w*")
_TEXT = re.compile(rb"""['"]([A-Za-z_][\w.:]*)['"]""")


def words(data: bytes) -> set[str]:
    """Names that a file imports modules by, in full or in part; where it imports by text, texts, too."""
    found = [part for match in _IMPORT.finditer(data) for part in match.groups() if part]
    if any(each in data for each in _BY_NAME):
        found += _TEXT.findall(data)
    return {word.decode() for part in found for word in _WORD.findall(part)}


def needed(files: Iterable[str], words_of: Callable[[str], set[str]]) -> list[str]:
    """Those of `files` that are of the service or imported from there, in their order.

    `words_of` is asked once for each of these, and for no other.
    """
    every = list(files)
    waiting = {file: _names(file) for file in every if is_test_file(file)}
    fresh = [file for file in every if file not in waiting]
    kept = set(fresh)
    while fresh:
        said = set().union(*map(words_of, fresh))
        fresh = [file for file, names in waiting.items() if not names.isdisjoint(said)]
        kept.update(fresh)
        for file in fresh:
            del waiting[file]
    return [file for file in every if file in kept]


def _names(file: str) -> set[str]:
    """By which of these words an import would have to name it: itself, or the folder that sets it aside."""
    *folders, name = file.split("/")
    stem = name.removesuffix(".py")
    own = folders[-1:] if stem == "__init__" else [stem]
    return {*own, *(folder for folder in folders if is_test_folder(folder))}
