"""FastAPI dependencies in a lane; FastAPI itself is not needed for it, only the shape it looks for."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from unstall.lanes.jobs import check

if TYPE_CHECKING:
    from unstall.lanes.calls import Calls


def dependency(calls: Calls, function: Callable[..., Any]) -> Callable[..., Any]:
    """An asynchronous stand-in with the same parameters."""
    if inspect.isgeneratorfunction(function):
        calls.needs_threads("depends of a generator function")
        stand_in = _generator(calls, function)
    else:
        check(function)
        stand_in = _function(calls, function)
    # Not `functools.wraps`: FastAPI looks through `__wrapped__`, and would find what is not asynchronous.
    stand_in.__signature__ = signature(function)  # type: ignore[attr-defined]
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        if hasattr(function, name):
            setattr(stand_in, name, getattr(function, name))
    return stand_in


def _function(calls: Calls, function: Callable[..., Any]) -> Callable[..., Any]:
    async def in_lane(*args: Any, **kwargs: Any) -> Any:
        return await calls.take(calls.job(function, *args, **kwargs))

    return in_lane


def _generator(calls: Calls, function: Callable[..., Any]) -> Callable[..., Any]:
    manager = contextlib.contextmanager(function)

    async def in_lane(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        inner = manager(*args, **kwargs)
        entering = calls.job(_named(inner.__enter__, function))
        entering.undo = lambda _: inner.__exit__(None, None, None)
        value = await calls.take(entering)
        try:
            yield value
        except BaseException as error:
            if not await calls.cleaned(inner.__exit__, type(error), error, error.__traceback__):
                raise
        else:
            await calls.cleaned(inner.__exit__, None, None, None)

    return in_lane


def _named(enter: Callable[[], Any], function: Callable[..., Any]) -> Callable[[], Any]:
    """So that an abandoned call is told by the name of the dependency."""

    def entered() -> Any:
        return enter()

    entered.__module__ = function.__module__
    entered.__qualname__ = function.__qualname__
    return entered


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """With annotations as objects, because whoever reads it does not know the function's module.

    One that cannot be resolved, as a name that only type checkers know, stays text.
    """
    names = _names(function)
    parameters = [
        each.replace(annotation=_resolved(each.annotation, names))
        for each in inspect.signature(function).parameters.values()
    ]
    return inspect.Signature(parameters)


def _names(function: Any) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    found = getattr(function, "__globals__", None)
    if found is None:  # a class, or an object that is called
        found = vars(sys.modules.get(function.__module__, object))
    return dict(found)


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)
    except Exception:
        return annotation
