"""`with section("normalise"):` and `@section("normalise")`: a part of the path that the user names."""

from __future__ import annotations

import functools
import inspect
from asyncio import _get_running_loop
from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType
from typing import Any, TypeVar

from unstall.meters import Distribution
from unstall.watch.held import HERE, Path, Span, timed
from unstall.watch.pieces import place
from unstall.watch.scope import REQUESTS

Function = TypeVar("Function", bound=Callable[..., Any])

_TOOK = Distribution("unstall_section_seconds", "How long named sections took.", ("section",))
_HELD = Distribution(
    "unstall_section_held_seconds", "How long named sections kept the event loop.", ("section",)
)


class section:
    """Times the block, or each call of the function it decorates: how long it took and held the loop.

    A block knows how long it held the loop inside a measured request; elsewhere only how long it took.
    A decorated coroutine function knows both everywhere. Without a running monitor nothing is done. Sections
    may nest; one object serves one block at a time. While requests are sampled, what belongs to no measured
    request is not counted.
    """

    __slots__ = ("_base", "_began_ns", "_inner_ns", "_outer", "_span", "_steps_ns", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._base: Span | None = None
        self._span: Span | None = None
        self._began_ns = 0

    def __enter__(self) -> section:
        self._span = self._base = None
        if not REQUESTS.every:
            self._began_ns = 0
            return self
        self._began_ns = perf_counter_ns()
        here = place()
        if here is not None:
            self._span = here[0].open("section", self.name, here[1])
            base = self._base = HERE.span
            if self._span is not None and base is not None:
                self._outer, base.within = base.within, self._span
                self._inner_ns = base.inner_ns
                self._steps_ns = base.steps_ns + self._began_ns - base.since_ns
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._began_ns:
            return
        now = perf_counter_ns()
        span, base = self._span, self._base
        if span is None:
            if REQUESTS.every == 1:  # no request, since all are measured
                _note(self.name, now - self._began_ns, None, 1)
            return
        span.took_ns = now - self._began_ns
        if base is not None and base.within is span:
            base.within = self._outer
        if HERE.off_loop and _get_running_loop() is None:
            span.worked_ns = span.took_ns
        elif base is not None and HERE.span is base:
            span.steps_ns = base.steps_ns + now - base.since_ns - self._steps_ns
            span.inner_ns = base.inner_ns - self._inner_ns
            base.inner_ns += span.own_ns
        else:
            span.steps_ns = -1
        _note(self.name, span.took_ns, span.held_ns, span.path.times)

    def __call__(self, function: Function) -> Function:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"section({self.name!r}) decorates the generator function {function.__qualname__}, whose "
                "call does not run it: use `with section(...)` inside it"
            )
        name = self.name
        if not inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            def plain(*args: Any, **named: Any) -> Any:
                with section(name):
                    return function(*args, **named)

            return plain  # type: ignore[return-value]

        @functools.wraps(function)
        async def coroutine(*args: Any, **named: Any) -> Any:
            here = place() if REQUESTS.every else None
            if here is None and REQUESTS.every != 1:
                return await function(*args, **named)
            span = _span_of(name, here)
            try:
                return await timed(function(*args, **named), span)
            finally:
                _note(name, span.took_ns, span.held_ns, span.path.times)

        return coroutine  # type: ignore[return-value]


def _span_of(name: str, here: tuple[Path, Span] | None) -> Span:
    """Of the request, or of a path of its own where there is none."""
    if here is None:
        path = Path(None, 1, lambda _: None)
        return Span(path, "section", name, path.root)
    return here[0].open("section", name, here[1]) or Span(here[0], "section", name, here[1])


def _note(name: str, took_ns: int, held_ns: int | None, times: int) -> None:
    _TOOK.observe((name,), took_ns, times)
    if held_ns is not None:
        _HELD.observe((name,), held_ns, times)


SECTIONS = (_TOOK, _HELD)
"""The meters of all sections of the process."""
