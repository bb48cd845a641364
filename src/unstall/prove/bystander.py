"""Whether the witness asks an upstream itself: then it waits for it, and is no bystander of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from unstall.prove.tools import Proxy

_ASKED = 3
_SETTLES_S = 0.1
"""An exchange is counted in another process than ours."""


async def asked_by(
    ask: Callable[[], Awaitable[object]],
    proxies: Mapping[str, Proxy],
    wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[str, ...]:
    """Upstreams that were asked each time when `ask` was, and never while nothing was, for as long.

    Nothing else may be sent to the app meanwhile. An upstream that something asks in the background is
    left out: whose exchanges they are cannot be told.
    """

    async def quiet() -> None:
        await wait(longest)

    longest = 0.0
    moved: list[set[str]] = []
    for _ in range(_ASKED):
        begun = clock()
        moved.append(await _moved(ask, proxies, wait))
        longest = max(longest, clock() - begun)
    always = set.intersection(*moved)
    if not always:
        return ()
    for _ in range(_ASKED):
        always -= await _moved(quiet, proxies, wait)
    return tuple(name for name in proxies if name in always)


def no_bystander(path: str, upstream: str) -> str:
    return (
        f"the witness {path} asks {upstream} itself, so it is no bystander of it: give [witness] a path that "
        "does not"
    )


async def _moved(
    during: Callable[[], Awaitable[object]],
    proxies: Mapping[str, Proxy],
    wait: Callable[[float], Awaitable[object]],
) -> set[str]:
    before = {name: proxy.counts().exchanges for name, proxy in proxies.items()}
    await during()
    await wait(_SETTLES_S)
    return {name for name, proxy in proxies.items() if proxy.counts().exchanges > before[name]}
