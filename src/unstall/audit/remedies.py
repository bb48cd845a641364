"""What to do about a blocking call, in one sentence: what the catalog has instead, and the way around."""

from __future__ import annotations

import ast

from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.uses import Use, handed_on
from unstall.catalog.row import Row
from unstall.rules import BY_CODE

_DOES = ("await ", "load ", "read ", "write ", "poll ")
"""What begins so says what to do; anything else is a thing to use."""
_THREAD = "or call it in anyio.to_thread.run_sync with a limiter"
_OTHERWISE = {
    "US103": "or make the route a plain def",
    **dict.fromkeys("US102 US104 US105 US106 US108 US110 US111 US603".split(), _THREAD),
}
"""For who cannot change to the asynchronous way."""
_ELSEWHERE = ("thread", "process", "executor", "plain def", "start-up", "before requests")
"""What names one of these is a way around already."""


def remedy_at(row: Row, types: Types, scope: Scope, call: ast.AST) -> str:
    """For a call in a function: an asynchronous file is of no use to who expects a plain one."""
    opens = row.instead.startswith(_OPENS) and row.name.rpartition(".")[2] in _OPENING
    if opens and isinstance(call, ast.Call):
        uses = [
            use
            for use in handed_on(types, scope, call)
            if not use.attribute and not isinstance(use.into, _GIVES_BACK)
        ]
        if uses:
            return _WHOLE.format(does=_done(row, call, uses))
    return remedy_of(row)


def remedy_of(row: Row) -> str:
    if not row.instead:
        return BY_CODE[row.code].remedy
    said = row.instead if row.instead.startswith(_DOES) else f"use {row.instead}"
    around = _OTHERWISE.get(row.code)
    if around is None or any(word in row.instead for word in _ELSEWHERE):
        return said
    return f"{said}; {around}" if "," in said else f"{said}, {around}"


def _done(row: Row, call: ast.Call, uses: list[Use]) -> str:
    """What is done with a file, in a word."""
    takers = {
        getattr(use.into.func, "attr", getattr(use.into.func, "id", ""))
        for use in uses
        if isinstance(use.into, ast.Call)
    }
    if takers == {"copyfileobj"}:
        return "copy"
    place = 0 if row.name.startswith("pathlib.") else 1
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    mode = next(iter((*named, *call.args[place : place + 1])), ast.Constant("r"))
    if not isinstance(mode, ast.Constant) or not isinstance(mode.value, str):
        return "use"
    return "write" if set("wax+") & set(mode.value) else "read"


_OPENS = ("anyio.open_file", "anyio.Path")
_OPENING = ("open", "fdopen")
_GIVES_BACK = (ast.Return, ast.Yield, ast.Lambda)
"""What the caller does with it is not known."""
_WHOLE = (
    "use anyio.to_thread.run_sync to open and {does} it: what this file is handed to "
    "takes no asynchronous one"
)
