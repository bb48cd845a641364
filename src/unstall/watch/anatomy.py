"""Takes the path of a measured request apart: middleware, dependencies, endpoint, serialisation, background.

All by wrapping what FastAPI and Starlette call for every request, found by name when their modules are
imported; a version without one of these names loses that detail and nothing else.

The application's own objects are left alone: dependencies are timed in a copy of FastAPI's description of
them, which only measured requests are solved with, and a middleware's `app` is another only while a step of
a measured request runs.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import inspect
import weakref
from collections.abc import AsyncIterator, Callable
from types import CoroutineType, ModuleType
from typing import Any

from unstall.watch.discover import ImportHooks
from unstall.watch.held import HERE, SWAP, Entries, Followed, Path, Span, timed

PATH: contextvars.ContextVar[Path | None] = contextvars.ContextVar("unstall_path", default=None)
"""Of the measured request, for what runs on its behalf in no step of its tasks: threads and callbacks."""

_MOST_TWINS = 2_000
_MOST_LAYERS = 32
_OWN = (
    "fastapi.", "starlette.middleware.errors", "starlette.middleware.exceptions",
    "starlette.middleware.body_limit", "starlette.routing", "starlette._",
)  # fmt: skip
"""Parts of the frameworks that nobody chose: they are no middleware of the application's."""
_PLUMBING = ("anyio", "asyncio", "fastapi", "starlette")
"""Tasks of their making are clocked, and only what they run is shown."""

Call = Callable[..., Any]


def place() -> tuple[Path, Span] | None:
    """The path that this code works for and the innermost piece of it; None if it is not measured."""
    span = HERE.span
    if span is None:
        path = PATH.get()
        return None if path is None or path.over else (path, path.root)
    return None if span.path.over else (span.path, span.within or span)


def piece(kind: str, name: str) -> Span | None:
    here = place()
    return here[0].open(kind, name, here[1]) if here is not None else None


def name_of(function: Any) -> str:
    """`module:qualname` of whatever is called, through partials and instances."""
    while isinstance(function, functools.partial):
        function = _sent_by(function)
    if getattr(function, "__name__", "") in ("__enter__", "__exit__"):
        generator = getattr(getattr(function, "__self__", None), "gen", None)
        if (
            inspect.isgenerator(generator) and generator.gi_frame is not None
        ):  # contextlib's manager
            module = generator.gi_frame.f_globals.get("__name__", "?")
            end = EXIT if function.__name__ == "__exit__" else ""
            return f"{module}:{generator.gi_code.co_qualname}{end}"
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None) or "?"
    return f"{module}:{getattr(named, '__qualname__', '?')}"


EXIT = " (exit)"
"""Ends the name of what a dependency does after its `yield`."""


def _sent_by(call: functools.partial[Any]) -> Any:
    """What is run by those who run it for somebody."""
    if isinstance(getattr(call.func, "__self__", None), contextvars.Context) and call.args:
        return call.args[0]  # asyncio.to_thread
    if getattr(call.func, "__name__", "") == "_run_sync_endpoint":  # FastAPI since 0.142
        return call.keywords.get("function")
    return call.func


class Anatomy:
    """From `start` to `stop`; what fails is told to `failed` and left as it was."""

    def __init__(self, imports: ImportHooks, failed: Callable[[BaseException], None]) -> None:
        self._imports = imports
        self._failed = failed
        self._patched: list[tuple[Any, str, Any, Any]] = []
        self._swapped: list[tuple[Any, str, Any, Any]] = []
        self._twins: dict[int, tuple[Any, Any]] = {}
        self._layers: weakref.WeakKeyDictionary[Any, Entries] = weakref.WeakKeyDictionary()

    def start(self) -> None:
        self._imports.when("fastapi.routing", self._fastapi)
        self._imports.when("starlette.background", self._background)
        self._imports.when("starlette.responses", self._responses)
        self._imports.when("asyncio.base_events", lambda m: self._tasks(m.BaseEventLoop))
        self._imports.when("uvloop", lambda m: self._tasks(m.Loop))

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
        self._twins.clear()
        self._layers.clear()

    def layers(self, outermost: Any) -> Entries:
        """What makes every middleware below the outermost a piece of its own."""
        try:
            known = self._layers.get(outermost)
            if known is None:
                known = self._layers[outermost] = _layers_below(outermost)
        except TypeError:  # no weak references to it, or it cannot be hashed
            known = ()
        return known

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
        self._swap(routing, "solve_dependencies", self._dependencies)
        self._swap(routing, "run_endpoint_function", _endpoint)
        self._swap(routing, "serialize_response", _piece_of("serialization", ""))

    def _background(self, module: ModuleType) -> None:
        self._wrap(getattr(module, "BackgroundTask", None), "__call__", _background)

    def _responses(self, module: ModuleType) -> None:
        response = getattr(module, "StreamingResponse", None)
        self._wrap(response, "stream_response", _piece_of("stream", ""))

    def _tasks(self, loop: Any) -> None:
        self._wrap(loop, "create_task", _followed)

    def _dependencies(self, original: Call) -> Call:
        def solve_dependencies(*args: Any, **named: Any) -> Any:
            if place() is None or not _has_dependencies(named.get("dependant")):
                return original(*args, **named)
            provider = named.get("dependency_overrides_provider")
            if not getattr(provider, "dependency_overrides", None):  # looked up by identity
                named["dependant"] = self._twin(named["dependant"])
            span = piece("dependencies", "")
            coroutine = original(*args, **named)
            return coroutine if span is None else timed(coroutine, span)

        return solve_dependencies

    # --- dependencies -------------------------------------------------------------------------

    def _twin(self, dependant: Any) -> Any:
        """A copy of FastAPI's description whose coroutine functions are timed; itself if that fails."""
        known = self._twins.get(id(dependant))
        if known is not None and known[0] is dependant:
            return known[1]
        if len(self._twins) >= _MOST_TWINS:
            return dependant
        try:
            twin = dataclasses.replace(dependant, dependencies=_twins(dependant, {}))
        except Exception as error:
            self._failed(error)
            twin = dependant
        self._twins[id(dependant)] = dependant, twin
        return twin


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
        if "app" not in getattr(above, "__dict__", ()):
            break  # it keeps its app to itself
        layers.append((above, "app", inner, layer))
        if _is_own(inner):
            break
        above = inner
    return tuple(layers)


def _is_own(app: Any) -> bool:
    return type(app).__module__.startswith(_OWN)


def _middleware_name(app: Any) -> str:
    dispatch = getattr(app, "dispatch_func", None)
    if dispatch is not None and getattr(dispatch, "__self__", None) is not app:
        return name_of(dispatch)
    return name_of(app)


def _has_dependencies(dependant: Any) -> bool:
    return bool(getattr(dependant, "dependencies", None))


def _twins(dependant: Any, known: dict[int, Call]) -> list[Any]:
    return [
        dataclasses.replace(
            inner, call=_timed_call(inner.call, known), dependencies=_twins(inner, known)
        )
        for inner in dependant.dependencies
    ]


def _timed_call(call: Call, known: dict[int, Call]) -> Call:
    """One for each function, since FastAPI keeps results by it. Functions for threads stay as they are."""
    ours = known.get(id(call))
    if ours is None:
        run = _innermost(call)
        if inspect.iscoroutinefunction(run):
            ours = _timed_function(call)
        elif inspect.isasyncgenfunction(run):
            ours = _timed_generator(call)
        else:
            ours = call
        known[id(call)] = ours
    return ours


def _innermost(call: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.isroutine(call) or inspect.isclass(call):
        return call
    return getattr(call, "__call__", call)  # noqa: B004 - an instance that can be called


def _timed_function(call: Call) -> Call:
    name = name_of(call)

    async def dependency(*args: Any, **named: Any) -> Any:
        span = piece("dependency", name)
        coroutine = call(*args, **named)
        return await (coroutine if span is None else timed(coroutine, span))

    return _looks_like(call, dependency)


def _timed_generator(call: Call) -> Call:
    name = name_of(call)

    async def dependency(*args: Any, **named: Any) -> AsyncIterator[Any]:
        generator = call(*args, **named)
        step, part = generator.__anext__(), name
        while True:
            span = piece("dependency", part)
            try:
                value = await (step if span is None else timed(step, span))
            except StopAsyncIteration:
                return
            part = f"{name} (exit)"
            try:
                yield value
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:
                step = generator.athrow(error)
            else:
                step = generator.__anext__()

    return _looks_like(call, dependency)


def _looks_like(call: Call, ours: Call) -> Call:
    return functools.wraps(call)(ours)


# --- tasks ----------------------------------------------------------------------------------

_OURS = "_unstall_piece"


def _followed(original: Call) -> Call:
    def create_task(self: Any, coro: Any, **named: Any) -> Any:
        here = place()
        if here is not None and type(coro) is CoroutineType:
            coro = Followed(coro, _task_span(coro, *here))
        return original(self, coro, **named)

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
