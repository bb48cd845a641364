"""An app's own account of itself: routes, dependency trees, middleware, handlers, lifespan.

FastAPI up to 0.136 copies the routes of an included router; later ones keep a tree and give each route an
effective context. Both are read; what has neither form is skipped.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from .calls import described, impartial, is_async
from .values import fields

_WRAPPED = ("app", "other_asgi_app", "asgi_app", "_app", "wrapped", "application")
"""Attributes in which an ASGI wrapper keeps the app inside it."""

_FRAMEWORK = ("starlette", "fastapi")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_DEEPEST = 50

Told = dict[str, Any]


def unwrapped(app: Any) -> Any:
    """The innermost app that has routes, or None."""
    for _ in range(_DEEPEST):
        if hasattr(app, "routes") and hasattr(app, "router"):
            return app
        app = next((vars(app)[name] for name in _WRAPPED if name in fields(app)), None)
        if app is None:
            return None
    return None


def account(app: Any) -> Told:
    """All that `app` says about itself."""
    inner = unwrapped(app)
    outer = []
    while app is not inner:
        outer.append(_middleware(type(app), (), {}))
        app = next(vars(app)[name] for name in _WRAPPED if name in fields(app))
    told = _account(inner, "", outer)
    told["class"] = type(inner).__module__ + "." + type(inner).__qualname__
    return told


def _account(app: Any, prefix: str, outer: list[Told], depth: int = 0) -> Told:
    middleware = [*outer, *(_middleware(*_parts(each)) for each in app.user_middleware)]
    overrides = dict(getattr(app, "dependency_overrides", None) or {})
    told: Told = {
        "routes": [],
        "unread": [],
        "middleware": middleware,
        "handlers": _handlers(app),
        "lifespan": [*_lifespans(app.router)],
        "startup": [described(f) for f in getattr(app.router, "on_startup", ())],
        "shutdown": [described(f) for f in getattr(app.router, "on_shutdown", ())],
        "overrides": [[described(a), described(b)] for a, b in overrides.items()],
    }
    for route in _flat(app.routes):
        try:
            _tell_route(told, route, prefix, middleware, overrides, depth)
        except Exception as error:  # one odd route must not cost the others
            path = prefix + str(getattr(route, "path", ""))
            told["unread"].append(f"{path} ({type(error).__name__})")
    return told


def _tell_route(
    told: Told, route: Any, prefix: str, middleware: list[Told], overrides: Any, depth: int
) -> None:
    path = prefix + str(getattr(route, "path", "") or "")
    inside = getattr(route, "app", None)
    endpoint = getattr(route, "endpoint", None)
    chain = [*middleware, *_chain(inside)]
    if endpoint is None:
        mounted = unwrapped(inside) if inside is not None else None
        if mounted is None or depth > _DEEPEST:
            if getattr(route, "routes", None):  # a bare Router below a mount
                for below in _flat(route.routes):
                    _tell_route(told, below, path, chain, overrides, depth + 1)
            elif inside is not None:
                told["routes"].append(_route("mount", [], path, described(inside), chain, []))
            return
        if not hasattr(mounted, "user_middleware"):
            return
        below = _account(mounted, path, chain, depth + 1)
        for key in (
            "routes",
            "handlers",
            "overrides",
            "unread",
        ):  # a mounted app's lifespan is not run
            told[key].extend(below[key])
        return
    kind = "route" if hasattr(route, "methods") else "websocket"
    dependant = getattr(route, "dependant", None)
    if isinstance(endpoint, type) and dependant is None:
        for method in ("dispatch",) if kind == "websocket" else _METHODS:
            function = getattr(endpoint, method.lower(), None)
            if function is not None:
                call = described(function, receiver=endpoint)
                told["routes"].append(_route(kind, [method], path, call, chain, []))
        return
    on_loop = None if dependant is None else _runs_on_loop(dependant, endpoint)
    call = described(endpoint, on_loop)
    tree = _tree(dependant, overrides, 0) if dependant is not None else []
    methods = sorted(getattr(route, "methods", None) or ())
    told["routes"].append(_route(kind, methods, path, call, chain, tree))


def _route(
    kind: str, methods: list[str], path: str, call: Told, chain: list[Told], tree: list[Told]
) -> Told:
    told: Told = {"kind": kind, "methods": methods, "path": path, "endpoint": call}
    told.update(middleware=chain, dependencies=tree)
    return told


def _flat(routes: Any) -> Iterator[Any]:
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
            continue
        for context in contexts():
            yield getattr(context, "starlette_route", None) or context


# --- dependencies ---------------------------------------------------------------------------


def _tree(dependant: Any, overrides: Any, depth: int) -> list[Told]:
    """What it asks for, in the order of solving; each with what that asks for in turn."""
    if depth > _DEEPEST:
        return []
    return [_dependency(each, overrides, depth) for each in dependant.dependencies]


def _dependency(dependant: Any, overrides: Any, depth: int) -> Told:
    call = dependant.call
    replaced = overrides.get(call) if _hashable(call) else None
    if replaced is not None:
        dependant, call = _dependant_of(replaced, dependant), replaced
    told = described(call, _runs_on_loop(dependant, call))
    told["use_cache"] = bool(getattr(dependant, "use_cache", True))
    told["scope"] = getattr(dependant, "scope", None) or ""
    told["dependencies"] = _tree(dependant, overrides, depth + 1)
    return told


def _hashable(call: Any) -> bool:
    try:
        hash(call)
    except Exception:
        return False
    return True


def _dependant_of(call: Any, original: Any) -> Any:
    try:
        from fastapi.dependencies.utils import get_dependant

        return get_dependant(path=original.path or "/", call=call)
    except Exception:
        return original


def _predicate(name: str) -> Callable[[Any], bool] | None:
    """FastAPI's own answer, wherever this version keeps it."""
    for module in ("fastapi.dependencies.models", "fastapi.dependencies.utils"):
        try:
            holder = __import__(module, fromlist=["x"])
        except ImportError:
            continue
        for each in ("_" + name, name):
            found = getattr(holder, each, None)
            if found is not None:
                return lambda call, found=found: bool(found(call))  # type: ignore[misc]
    return None


def _asks(dependant: Any, call: Any, *names: str) -> bool | None:
    answers = []
    for name in names:
        known = getattr(dependant, name, None)  # 0.120 to 0.137 keep it on the dependant
        if isinstance(known, bool):
            answers.append(known)
            continue
        predicate = _predicate(name)
        if predicate is not None:
            answers.append(predicate(call))
    return any(answers) if answers else None


def _runs_on_loop(dependant: Any, call: Any) -> bool:
    answer = _asks(dependant, call, "is_coroutine_callable", "is_async_gen_callable")
    return is_async(call) if answer is None else answer


# --- around the routes ----------------------------------------------------------------------


def _parts(middleware: Any) -> Any:
    cls = middleware.cls
    arguments = getattr(middleware, "args", ())
    return cls, arguments, getattr(middleware, "kwargs", None) or getattr(middleware, "options", {})


def _middleware(cls: Any, arguments: Any, options: Any) -> Told:
    cls = impartial(cls)
    named = cls if hasattr(cls, "__qualname__") else type(cls)
    told: Told = {"module": str(named.__module__), "name": named.__qualname__}
    base = isinstance(cls, type) and any(c.__name__ == "BaseHTTPMiddleware" for c in cls.__mro__)
    given = None
    if base:
        given = options.get("dispatch") or next((a for a in arguments if callable(a)), None)
        runs = given or getattr(cls, "dispatch", cls)
    else:
        runs = getattr(cls, "__call__", cls) if isinstance(cls, type) else cls
    call = described(runs, receiver=cls if isinstance(cls, type) and given is None else None)
    told["base_http"] = base
    told["call"] = call
    told["options"] = {
        str(name): value
        for name, value in dict(options).items()
        if type(value) in (int, float, bool)
    }
    return told


def _chain(app: Any) -> list[Told]:
    """Middleware given to a single route or mount: it stands around its app."""
    found = []
    for _ in range(_DEEPEST):
        if app is None or isinstance(app, types.FunctionType) or hasattr(app, "routes"):
            break
        inner = next((vars(app)[name] for name in _WRAPPED if name in fields(app)), None)
        if inner is None:
            break
        if type(app).__module__.split(".")[0] != "fastapi":
            found.append(_middleware(type(app), (), {}))
        app = inner
    return found


def _handlers(app: Any) -> list[Told]:
    found = []
    for key, call in app.exception_handlers.items():
        module = str(getattr(impartial(call), "__module__", ""))
        if module.split(".", maxsplit=1)[0] not in _FRAMEWORK:
            told = described(call)
            told["for"] = str(key) if isinstance(key, int) else getattr(key, "__qualname__", "")
            found.append(told)
    return found


def _lifespans(router: Any) -> Iterator[Told]:
    """The functions behind `lifespan`; FastAPI merges those of included routers into closures."""
    seen: list[int] = []
    todo = [getattr(router, "lifespan_context", None)]
    while todo and len(seen) < _DEEPEST:
        call = impartial(todo.pop(0))
        if isinstance(call, types.MethodType):
            yield described(call)
        if not isinstance(call, types.FunctionType) or id(call) in seen:
            continue
        seen.append(id(call))
        inner = inspect.unwrap(call)
        if inner.__module__.split(".")[0] in _FRAMEWORK:
            todo.extend(_closed_over(call) + _closed_over(inner))
        else:
            yield described(inner)


def _closed_over(call: Any) -> list[Any]:
    cells = getattr(call, "__closure__", None) or ()
    values = []
    for cell in cells:
        try:
            values.append(cell.cell_contents)
        except ValueError:
            continue
    return [value for value in values if isinstance(value, types.FunctionType)]
