"""Loops to run lanes under."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

Run = Callable[[Callable[[], Awaitable[Any]]], Any]

LOOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs an asynchronous function to its end, under each loop there is."""
    pytest.importorskip(request.param)
    backend, options = LOOPS[request.param]

    def run(main: Callable[[], Awaitable[Any]]) -> Any:
        return anyio.run(main, backend=backend, backend_options=options)

    return run
