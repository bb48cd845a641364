"""What a dotted name stands for in the packages that are installed here."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import warnings
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple


class Sight(NamedTuple):
    seen: str
    """`absent` (its package), `missing`, `hidden` (behind something that cannot be looked into), `found`"""
    value: Any = None


@cache
def _module(name: str) -> ModuleType | None:
    quiet = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except Exception:
            return None


def look_up(name: str) -> Sight:
    parts = name.split(".")
    value: Any = _module(parts[0])
    if value is None:
        return Sight("absent")
    for place, part in enumerate(parts[1:], 1):
        try:
            value = getattr(value, part)
        except AttributeError:
            below = _module(".".join(parts[: place + 1])) if inspect.ismodule(value) else None
            if below is None:
                return Sight(_unseen(value, part))
            value = below
        except Exception:  # a class that wants a package that is not here
            return Sight("hidden")
    return Sight("found", value)


def _unseen(owner: Any, name: str) -> str:
    if inspect.ismodule(owner):
        return "missing"
    if not inspect.isclass(owner):
        return "hidden"
    return "hidden" if re.search(rf"\b{re.escape(name)}\b", _source(owner)) else "missing"


def _source(owner: type) -> str:
    """Of a class and its bases: attributes of instances stand nowhere else."""
    text = ""
    for each in owner.__mro__:
        if each.__module__ == "typing":  # all sorts of words
            continue
        with contextlib.suppress(OSError, TypeError):
            text += inspect.getsource(each)
    return text
