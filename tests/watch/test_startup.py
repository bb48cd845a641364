"""When start-up is over without a request: a lifespan that is complete, or a loop that has come to rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Router

from unstall.clock import NS_PER_S
from unstall.watch.discover import ImportHooks
from unstall.watch.lifespans import Lifespans
from unstall.watch.startup import StartUp


@pytest.mark.parametrize(
    ("spans", "over"),
    [
        pytest.param([(0, 9.9)], False, id="its first ten seconds say nothing"),
        pytest.param([(0, 11)], True, id="a second after them"),
        pytest.param([(20, 20.5), (30, 30.4)], False, id="not yet a second"),
        pytest.param([(20, 20.5), (30, 30.6)], True, id="a second in two parts"),
        pytest.param([(40, 30)], False, id="a span that is none"),
    ],
)
def test_a_loop_that_was_never_late_for_a_second_has_started(
    spans: list[tuple[float, float]], over: bool
) -> None:
    startup = StartUp(began_ns=5 * NS_PER_S)
    for since, until in spans:
        startup.calm(int((5 + since) * NS_PER_S), int((5 + until) * NS_PER_S))
    assert startup.over is over


def states_of(app: Any, fails: bool = False) -> list[bool]:
    """What was told of one lifespan, and where start-up ends."""
    states: list[bool] = []
    imports = ImportHooks()
    lifespans = Lifespans(imports, states.append)
    original = Router.lifespan
    lifespans.start()
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        pass

    try:
        asyncio.run(app({"type": "lifespan", "state": {}}, receive, send))
    except RuntimeError:
        assert fails
    finally:
        lifespans.stop()
    assert Router.lifespan is original
    return states


def test_a_lifespan_begins_its_start_up_and_completes_it() -> None:
    assert states_of(Starlette()) == [True, False]


def test_a_lifespan_that_fails_has_not_completed_its_start_up() -> None:
    @asynccontextmanager
    async def fails(app: Any) -> AsyncIterator[None]:
        if app is not None:
            raise RuntimeError("no database")
        yield

    assert states_of(Starlette(lifespan=fails), fails=True) == [True]
