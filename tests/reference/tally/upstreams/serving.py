"""The upstreams in a thread of the test's own process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tally.upstreams.__main__ import Hang, open_all, urls
from tally.upstreams.services import Lookup, in_memory


@contextmanager
def serving(
    pods: int = 1,
    hangs: Sequence[Hang] = (),
    keys: Mapping[str, int] | None = None,
    lookup: Lookup | None = None,
) -> Iterator[dict[str, list[str]]]:
    """URLs of the pods, by service."""
    loop = asyncio.new_event_loop()
    opened = loop.run_until_complete(open_all(pods, 0.0, hangs, lookup or in_memory(keys or {})))
    thread = threading.Thread(target=loop.run_forever, name="upstreams")
    thread.start()
    try:
        yield urls(opened)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_close(loop, opened))
        loop.close()


async def _close(
    loop: asyncio.AbstractEventLoop, opened: Mapping[str, Sequence[asyncio.Server]]
) -> None:
    for server in (each for pods in opened.values() for each in pods):
        server.close()
    rest = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
