"""Times the dependencies of a measured request, in a copy of FastAPI's description of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from unstall.watch.held import timed
from unstall.watch.pieces import EXIT, name_of, piece, place

_MOST_TWINS = 2_000

Call = Callable[..., Any]


class Dependencies:
    """Keeps the copies; what fails is told to `failed`, and that route's dependencies stay as they are."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._twins: dict[int, tuple[Any, Any]] = {}

    def clear(self) -> None:
        self._twins.clear()

    def wrapper(self, original: Call) -> Call:
        """Ours for FastAPI's `solve_dependencies`."""

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


def _has_dependencies(dependant: Any) -> bool:
    return bool(getattr(dependant, "dependencies", None))


def _twins(dependant: Any, known: dict[Call, Call]) -> list[Any]:
    return [
        dataclasses.replace(
            inner, call=_timed_call(inner.call, known), dependencies=_twins(inner, known)
        )
        for inner in dependant.dependencies
    ]


def _timed_call(call: Call, known: dict[Call, Call]) -> Call:
    """One for all that are equal: FastAPI keeps results by them. Functions for threads stay as they are."""
    ours = known.get(call)
    if ours is None:
        run = _innermost(call)
        if inspect.iscoroutinefunction(run):
            ours = _timed_function(call)
        elif inspect.isasyncgenfunction(run):
            ours = _timed_generator(call)
        else:
            ours = call
        known[call] = ours
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

    return functools.wraps(call)(dependency)


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
            part = name + EXIT
            try:
                yield value
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:
                step = generator.athrow(error)
            else:
                step = generator.__anext__()

    return functools.wraps(call)(dependency)
