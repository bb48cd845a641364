"""Classes of files, by the mode that they are opened in."""

from __future__ import annotations

import ast

from unstall.audit.entrances_syntax import argument
from unstall.audit.values import NOTHING, Values, instance

_MODES = {"builtins.open": 1, "io.open": 1, "os.fdopen": 1, "pathlib.Path.open": 0}
"""What opens files, and the position of `mode`; `buffering` comes next."""
_BINARY = {"r": "io.BufferedReader", "w": "io.BufferedWriter", "+": "io.BufferedRandom"}


def opened(name: str, call: ast.Call) -> Values:
    """Nothing where it is another function, or the mode says text, or says nothing."""
    place = _MODES.get(name)
    mode = _literal(argument(call, place, "mode")) if place is not None else None
    if place is None or not isinstance(mode, str) or "b" not in mode:
        return NOTHING
    if _literal(argument(call, place + 1, "buffering")) == 0:
        return instance("io.FileIO")
    return instance(_BINARY["+" if "+" in mode else "r" if "r" in mode else "w"])


def _literal(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None
