"""Settings by route template, found before the router has run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic, NamedTuple, TypeVar

from unstall.errors import UsageError
from unstall.guard.asgi import Scope, path_of

T = TypeVar("T")

_PART = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*(:[a-z]+)?\}")
_KINDS = {
    None: "[^/]+",
    ":str": "[^/]+",
    ":path": ".*",
    ":int": "[0-9]+",
    ":float": r"[0-9]+(?:\.[0-9]+)?",
}
_UUID = "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"


class Found(NamedTuple, Generic[T]):
    route: str
    """As it was written."""
    value: T


class Routes(Generic[T]):
    """`{"POST /orders/{id}": ...}`; a template without a method is for all of them.

    Exact paths win over templates, templates over those written after them, one with a method over one
    without.
    """

    def __init__(self, table: Mapping[str, T]) -> None:
        self._exact: dict[str, dict[str, Found[T]]] = {}
        patterns: list[tuple[str, str, Found[T]]] = []
        for route, value in table.items():
            method, path = _parsed(route)
            found = Found(route, value)
            if "{" in path:
                patterns.append((method, _pattern(route, path), found))
            else:
                self._exact.setdefault(path, {})[method] = found
        patterns.sort(key=lambda each: each[0] == "")
        methods = {"", *(method for method, _, _ in patterns)} if patterns else set()
        self._templates = {method: _Templates(patterns, method) for method in methods}

    def __bool__(self) -> bool:
        return bool(self._exact or self._templates)

    def find(self, scope: Scope) -> Found[T] | None:
        return self.at(scope.get("method", ""), path_of(scope))

    def at(self, method: str, path: str) -> Found[T] | None:
        exact = self._exact.get(path)
        if exact is not None:
            found = exact.get(method) or exact.get("")
            if found is not None:
                return found
        templates = self._templates
        if not templates:
            return None
        return (templates.get(method) or templates[""]).at(path)


class _Templates(Generic[T]):
    """Those that count for one method, as one expression: its first alternative that fits is the first of
    them.
    """

    __slots__ = ("_found", "_match")

    def __init__(self, patterns: list[tuple[str, str, Found[T]]], method: str) -> None:
        ours = [(pattern, found) for wanted, pattern, found in patterns if wanted in ("", method)]
        self._found = tuple(found for _, found in ours)
        together = "|".join(f"({pattern})" for pattern, _ in ours) or "(?!)"
        self._match = re.compile(together).fullmatch

    def at(self, path: str) -> Found[T] | None:
        match = self._match(path)
        return None if match is None else self._found[match.lastindex - 1]  # type: ignore[operator]


def _parsed(route: str) -> tuple[str, str]:
    method, _, path = route.strip().rpartition(" ")
    if not path.startswith("/") or not (method == "" or method.isalpha()):
        raise UsageError(
            f"{route!r} is no route: give a template as the framework has it, 'POST /orders/{{id}}' "
            "or '/orders'"
        )
    return method.upper(), path


def _pattern(route: str, path: str) -> str:
    """Without a group that counts."""
    found: list[str] = []
    end = 0
    for part in _PART.finditer(path):
        kind = part.group(1)
        if kind != ":uuid" and kind not in _KINDS:
            raise UsageError(f"{part.group()} in the route {route!r} is of no kind that is known")
        found += [re.escape(path[end : part.start()]), _UUID if kind == ":uuid" else _KINDS[kind]]
        end = part.end()
    rest = path[end:]
    if "{" in rest or ("{" in path[: end - 1] and not found):
        raise UsageError(f"the braces of the route {route!r} do not match: write {{name}}")
    return "".join([*found, re.escape(rest)])
