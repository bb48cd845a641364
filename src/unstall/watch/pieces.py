"""Where in the path of a measured request some code stands, and what it is called there."""

from __future__ import annotations

import contextvars
import functools
import inspect
from typing import Any

from unstall.watch.held import HERE, Path, Span

PATH: contextvars.ContextVar[Path | None] = contextvars.ContextVar("unstall_path", default=None)
"""Of the measured request, for what runs on its behalf in no step of its tasks: threads and callbacks."""

EXIT = " (exit)"
"""Ends the name of what a dependency does after its `yield`."""


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
        # contextlib's manager
        if inspect.isgenerator(generator) and generator.gi_frame is not None:
            module = generator.gi_frame.f_globals.get("__name__", "?")
            end = EXIT if function.__name__ == "__exit__" else ""
            return f"{module}:{generator.gi_code.co_qualname}{end}"
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None) or "?"
    return f"{module}:{getattr(named, '__qualname__', '?')}"


def _sent_by(call: functools.partial[Any]) -> Any:
    """What is run by those who run it for somebody."""
    if isinstance(getattr(call.func, "__self__", None), contextvars.Context) and call.args:
        return call.args[0]  # asyncio.to_thread
    if getattr(call.func, "__name__", "") == "_run_sync_endpoint":  # FastAPI since 0.142
        return call.keywords.get("function")
    return call.func
