"""Settings by route template, found before the router has run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
            if "{" in path or "}" in path:
                patterns.append((method, _pattern(route, path), found))
            else:
                self._exact.setdefault(path, {})[method] = found
        patterns.sort(key=lambda each: each[0] == "")
        methods = {method for method, _, _ in patterns}
        self._templates = {method: _templates(patterns, method) for method in methods}
        self._others = _templates(patterns, "") if patterns else None

    def __bool__(self) -> bool:
        return bool(self._exact or self._others)

    def find(self, scope: Scope) -> Found[T] | None:
        return self.at(scope.get("method", ""), path_of(scope))

    def at(self, method: str, path: str) -> Found[T] | None:
        exact = self._exact.get(path)
        if exact is not None:
            found = exact.get(method) or exact.get("")
            if found is not None:
                return found
        templates = self._templates.get(method, self._others)
        if templates is None:
            return None
        match = templates.fullmatch(path)
        return None if match is None else templates.found[match.lastindex - 1]  # type: ignore[operator]


class _Templates(NamedTuple, Generic[T]):
    """As one expression: the first alternative that fits is the first template that does."""

    fullmatch: Callable[[str], re.Match[str] | None]
    found: tuple[Found[T], ...]


def _templates(patterns: list[tuple[str, str, Found[T]]], method: str) -> _Templates[T]:
    """Those that count for one method."""
    ours = [(pattern, found) for wanted, pattern, found in patterns if wanted in ("", method)]
    together = "|".join(f"({pattern})" for pattern, _ in ours) or "(?!)"
    return _Templates(re.compile(together).fullmatch, tuple(found for _, found in ours))


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
        _no_braces(route, path[end : part.start()])
        kind = part.group(1)
        if kind != ":uuid" and kind not in _KINDS:
            raise UsageError(f"{part.group()} in the route {route!r} is of no kind that is known")
        found += [re.escape(path[end : part.start()]), _UUID if kind == ":uuid" else _KINDS[kind]]
        end = part.end()
    _no_braces(route, path[end:])
    return "".join([*found, re.escape(path[end:])])


def _no_braces(route: str, literal: str) -> None:
    if "{" in literal or "}" in literal:
        raise UsageError(f"the braces of the route {route!r} do not match: write {{name}}")
