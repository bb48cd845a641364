"""Routes, wherever and however they are registered."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unstall.audit.entrances_index import Class, Def, Use, Where
from unstall.audit.entrances_syntax import argument
from unstall.audit.entrances_table import METHODS, ROWS, short
from unstall.audit.entrances_targets import Target
from unstall.audit.entrances_texts import texts_of
from unstall.audit.entrances_values import Value
from unstall.audit.starlette import Owner, Owners

WEBSOCKET = "WEBSOCKET"
_BY_DECORATOR = (*sorted(METHODS), "api_route", "route", "websocket", "websocket_route")
_BY_CALL = ("add_api_route", "add_route", "add_api_websocket_route", "add_websocket_route")
_PLAIN = frozenset({"route", "websocket_route", "add_route", "add_websocket_route"})
"""Starlette's own: without dependencies, and without the prefix of the router they are added to."""
_OTHERS = frozenset({row.package for rows in ROWS.values() for row in rows} - {"fastapi", "starlette"}) | {
    "bottle", "django", "falcon", "flask", "ninja", "responses", "respx", "robyn", "tornado",
}  # fmt: skip
"""Packages that call their handlers in ways of their own."""
_ROUTES = ("Route", "WebSocketRoute", "APIRoute", "APIWebSocketRoute")
_ENDPOINTS = {
    "starlette.HTTPEndpoint": METHODS,
    "starlette.WebSocketEndpoint": frozenset({"on_connect", "on_receive", "on_disconnect"}),
}


@dataclass(frozen=True, slots=True)
class Route:
    owner: Owner | None
    """None: it is not known what it is registered on."""
    path: str
    methods: tuple[str, ...]
    """`WEBSOCKET` alone for a WebSocket."""
    endpoint: Target
    where: Where
    line: int
    call: ast.Call
    """That registers it."""
    is_plain: bool = False


def routes(owners: Owners) -> Iterator[Route]:
    """Each route of each owner; of a class as an endpoint one for each method."""
    for use in owners.values.index.uses(*_BY_DECORATOR):
        yield from _by_decorator(owners, use)
    for use in owners.values.index.uses(*_BY_CALL):
        yield from _by_call(owners, use)
    for owner in owners.all():
        for value in owners.listed(owner):
            yield from _listed(owners, owner, value)


def _by_decorator(owners: Owners, use: Use) -> Iterator[Route]:
    index, func = owners.values.index, use.call.func
    decorated, applied = index.decorated.get(id(use.call)), index.applied.get(id(use.call))
    if not isinstance(func, ast.Attribute) or (decorated is None and applied is None):
        return
    targets: tuple[Target, ...] = ()
    if isinstance(decorated, Def):
        targets = (owners.targets.function(decorated),)
    elif isinstance(decorated, Class):
        targets = (owners.targets.constructor(decorated),)
    elif applied is not None and applied.args:
        targets = owners.targets.of(applied.args[0], use.where)
    for owner in owners.of(func.value, use.where) or _nobody(owners, use):
        yield from _routes(owners, owner, use.call, use.where, func.attr, targets)


def _nobody(owners: Owners, use: Use) -> tuple[None, ...]:
    """A decorator that looks like a route's, on something that is no framework of others."""
    assert isinstance(use.call.func, ast.Attribute)
    path = argument(use.call, 0, "path")
    texts = texts_of(owners.values, path, use.where) if path is not None else ()
    if not any(text.startswith("/") for text in texts):
        return ()
    known = owners.targets.classes(use.call.func.value, use.where)
    theirs = any(":" in name or name.partition(".")[0] in _OTHERS for name in known)
    return () if theirs else (None,)


def _by_call(owners: Owners, use: Use) -> Iterator[Route]:
    func, endpoint = use.call.func, argument(use.call, 1, "endpoint", "route")
    if not isinstance(func, ast.Attribute) or endpoint is None:
        return
    for owner in owners.of(func.value, use.where):
        targets = owners.targets.of(endpoint, use.where)
        yield from _routes(owners, owner, use.call, use.where, func.attr, targets)


def _listed(owners: Owners, owner: Owner, value: Value) -> Iterator[Route]:
    call = value.node
    if not isinstance(call, ast.Call):
        return
    names = {short(n).rpartition(".")[2] for n in owners.values.named(call.func, value.where)}
    endpoint = argument(call, 1, "endpoint")
    for name in names.intersection(_ROUTES):
        targets = owners.targets.of(endpoint, value.where) if endpoint is not None else ()
        yield from _routes(owners, owner, call, value.where, name, targets)


def _routes(
    owners: Owners,
    owner: Owner | None,
    call: ast.Call,
    where: Where,
    how: str,
    targets: tuple[Target, ...],
) -> Iterator[Route]:
    is_plain = how in (*_PLAIN, *_ROUTES) or (owner is not None and not owner.is_fastapi)
    methods = _methods(owners, call, where, how)
    for target in targets:
        for path in texts_of(owners.values, argument(call, 0, "path"), where) or ("",):
            for method, endpoint in _endpoints(owners, target, methods):
                yield Route(owner, path, method, endpoint, where, call.lineno, call, is_plain)


def _methods(owners: Owners, call: ast.Call, where: Where, how: str) -> tuple[str, ...]:
    if "websocket" in how.lower():
        return (WEBSOCKET,)
    if how in METHODS:
        return (how.upper(),)
    given = argument(call, None, "methods")
    items = owners.values.elements(given, where) if given is not None else []
    texts = [t.upper() for item in items for t in texts_of(owners.values, item.node, item.where)]
    return tuple(dict.fromkeys(texts)) or ("GET",)


def _endpoints(
    owners: Owners, target: Target, methods: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Target]]:
    """The function itself; of an endpoint class its methods."""
    if target.made is None:
        yield methods, target
        return
    roots = {short(root) for root in owners.values.roots(target.made.id)}
    for root in roots.intersection(_ENDPOINTS):
        for name in sorted(_ENDPOINTS[root]):
            method = owners.values.method(target.made.id, name)
            if method is not None:
                verb = name.upper() if name in METHODS else WEBSOCKET
                yield (verb,), owners.targets.on(target.made.id, method)
