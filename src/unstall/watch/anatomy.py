"""Takes the path of a measured request apart: middleware, dependencies, endpoint, serialisation, background.

All by wrapping what FastAPI and Starlette call for every request, found by name when their modules are
imported; a version without one of these names loses that detail and nothing else.

The application's own objects are left alone: dependencies are timed in a copy of FastAPI's description of
them, which only measured requests are solved with, and a middleware's `app` is another only while a step of
a measured request runs.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from asyncio import _get_running_loop
from collections.abc import Callable
from types import CoroutineType, ModuleType
from typing import Any

from unstall.watch.dependencies import Dependencies
from unstall.watch.discover import ImportHooks
from unstall.watch.held import SWAP, Entries, Followed, LoopTasks, Path, Span, timed
from unstall.watch.pieces import name_of, piece, place

_LAYERS = "_unstall_layers"
_MOST_LAYERS = 32
_OWN = (
    "fastapi.", "starlette.middleware.errors", "starlette.middleware.exceptions",
    "starlette.middleware.body_limit", "starlette.routing", "starlette._",
)  # fmt: skip
"""Parts of the frameworks that nobody chose: they are no middleware of the application's."""
_PLUMBING = ("anyio", "asyncio", "fastapi", "starlette")
"""Tasks of their making are clocked, and only what they run is shown."""

Call = Callable[..., Any]


class Anatomy:
    """From `start` to `stop`; what fails is told to `failed` and left as it was."""

    def __init__(self, imports: ImportHooks, failed: Callable[[BaseException], None]) -> None:
        self._imports = imports
        self._patched: list[tuple[Any, str, Any, Any]] = []
        self._swapped: list[tuple[Any, str, Any, Any]] = []
        self._dependencies = Dependencies(failed)
        self._layered: weakref.WeakSet[Any] = weakref.WeakSet()

    def start(self) -> None:
        self._imports.when("fastapi.routing", self._fastapi)
        self._imports.when("starlette.background", self._background)
        self._imports.when("starlette.responses", self._responses)

    def stop(self) -> None:
        while self._patched:
            target, name, own, ours = self._patched.pop()
            if vars(target).get(name) is not ours:
                continue  # somebody wrapped it again: ours stays inside and finds nothing to do
            if own is None:
                delattr(target, name)
            else:
                setattr(target, name, own)
        SWAP.remove(self._swapped)
        self._swapped.clear()
        self._dependencies.clear()
        for app in list(self._layered):
            vars(app).pop(_LAYERS, None)
        self._layered.clear()

    def layers(self, outermost: Any) -> Entries:
        """What makes every middleware below the outermost a piece of its own."""
        try:
            kept = vars(outermost)
            known: Entries | None = kept.get(_LAYERS)
            if known is None:
                self._layered.add(outermost)
                # Kept by the app itself, since they refer to it: else it would live for ever.
                known = kept[_LAYERS] = _layers_below(outermost)
        except TypeError:  # it has no attributes, or takes no weak references
            known = ()
        return known

    @staticmethod
    def tasks() -> LoopTasks | None:
        """What makes every task that is started on the running loop a piece of its own."""
        loop = _get_running_loop()
        return None if loop is None else LoopTasks(loop, _followed)

    # --- what is wrapped ----------------------------------------------------------------------

    def _wrap(self, target: Any, name: str, wrapper: Callable[[Call], Call]) -> None:
        original = getattr(target, name, None)
        if original is None or hasattr(original, _OURS):  # another monitor's does for both
            return
        ours = functools.wraps(original)(wrapper(original))
        setattr(ours, _OURS, True)
        self._patched.append((target, name, vars(target).get(name), ours))
        setattr(target, name, ours)

    def _swap(self, target: Any, name: str, wrapper: Callable[[Call], Call]) -> None:
        original = getattr(target, name, None)
        if original is None:
            return
        entry = target, name, original, functools.wraps(original)(wrapper(original))
        self._swapped.append(entry)
        SWAP.add(entry)

    def _fastapi(self, routing: ModuleType) -> None:
        self._swap(routing, "solve_dependencies", self._dependencies.wrapper)
        self._swap(routing, "run_endpoint_function", _endpoint)
        self._swap(routing, "serialize_response", _piece_of("serialization", ""))

    def _background(self, module: ModuleType) -> None:
        self._wrap(getattr(module, "BackgroundTask", None), "__call__", _background)

    def _responses(self, module: ModuleType) -> None:
        response = getattr(module, "StreamingResponse", None)
        self._wrap(response, "stream_response", _piece_of("stream", ""))


class Layer:
    """What a middleware calls, as a piece of the path."""

    def __init__(self, app: Any, kind: str, name: str) -> None:
        self.app = app
        self._unstall_piece = kind, name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """A true coroutine: some start it as a task."""
        span = piece(*self._unstall_piece)
        awaitable = self.app(scope, receive, send)
        if span is None or not inspect.iscoroutine(awaitable):
            await awaitable
        else:
            await timed(awaitable, span)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def _layers_below(outermost: Any) -> Entries:
    layers: list[tuple[Any, str, Any, Any]] = []
    above = outermost
    for _ in range(_MOST_LAYERS):
        inner = getattr(above, "app", None)
        if inner is None or not callable(inner):
            break
        if not _is_own(inner):
            innermost = getattr(inner, "app", None) is None
            kind = "app" if innermost else "middleware"
            layer = Layer(inner, kind, _middleware_name(inner))
        elif layers:  # the last middleware has been passed: what remains is the application
            layer = Layer(inner, "app", "")
        else:
            above = inner
            continue
        if "app" not in getattr(above, "__dict__", ()) or _guards_itself(above):
            break  # it keeps its app to itself
        layers.append((above, "app", inner, layer))
        if _is_own(inner):
            break
        above = inner
    return tuple(layers)


def _guards_itself(app: Any) -> bool:
    """As a frozen dataclass does."""
    own: object = type(app).__setattr__
    return own is not object.__setattr__


def _is_own(app: Any) -> bool:
    return type(app).__module__.startswith(_OWN)


def _middleware_name(app: Any) -> str:
    dispatch = getattr(app, "dispatch_func", None)
    if dispatch is not None and getattr(dispatch, "__self__", None) is not app:
        return name_of(dispatch)
    return name_of(app)


# --- tasks ----------------------------------------------------------------------------------

_OURS = "_unstall_piece"


def _followed(original: Call) -> Call:
    def create_task(coro: Any, **named: Any) -> Any:
        here = place()
        if here is not None and type(coro) is CoroutineType:
            coro = Followed(coro, _task_span(coro, *here))
        return original(coro, **named)

    return create_task


def _task_span(coroutine: CoroutineType[Any, Any, Any], path: Path, outer: Span) -> Span:
    """Is shown only if the application or a library of its own started the task."""
    name = _task_name(coroutine)
    span = path.open("task", name, outer) if name is not None else None
    if span is None:
        span = Span(path, "task", "", outer)
        span.depth = outer.depth
    return span


def _task_name(coroutine: Any) -> str | None:
    """None for plumbing; anyio's own coroutine is around the one that it was given."""
    for _ in range(2):
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            return None
        module = str(frame.f_globals.get("__name__", "?"))
        package = module.partition(".")[0]
        if package not in _PLUMBING:
            return f"{module}:{coroutine.__qualname__}"
        if package != "anyio":
            return None
        given = frame.f_locals  # of anyio's own function, before its first step
        coroutine = given.get("coro") or getattr(given.get("self"), "_coro", None)
    return None


# --- the other pieces -----------------------------------------------------------------------


def _piece_of(kind: str, name: str) -> Callable[[Call], Call]:
    def wrapper(original: Call) -> Call:
        def call(*args: Any, **named: Any) -> Any:
            span = piece(kind, name)
            if span is None:
                return original(*args, **named)
            return _run(original, args, named, span)

        return call

    return wrapper


async def _run(original: Call, args: Any, named: Any, span: Span) -> Any:
    """A true coroutine, since the host may start it as a task."""
    return await timed(original(*args, **named), span)


def _endpoint(original: Call) -> Call:
    names: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def named_once(call: Any) -> str:
        try:
            name = names.get(call)
            if name is None:
                name = names[call] = name_of(call)
        except TypeError:  # it cannot be referred to weakly, or not be hashed
            name = name_of(call)
        return name

    def run_endpoint_function(*args: Any, **named: Any) -> Any:
        if place() is None:
            return original(*args, **named)
        dependant = named.get("dependant")
        span = piece("endpoint", named_once(getattr(dependant, "call", None)))
        coroutine = original(*args, **named)
        return coroutine if span is None else timed(coroutine, span)

    return run_endpoint_function


def _background(original: Call) -> Call:
    def __call__(self: Any) -> Any:
        if type(self).__name__ == "BackgroundTasks":  # each of them comes here by itself
            return original(self)
        span = piece("background", name_of(getattr(self, "func", None)))
        return original(self) if span is None else _run(original, (self,), {}, span)

    return __call__
