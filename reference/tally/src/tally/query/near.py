"""Values kept in the process: one load for all who ask at once, and old values while a new one is fetched."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


_REST_S: Final = 1.0
"""After a load that failed an old value is answered for so long without another try."""


class _Kept(NamedTuple, Generic[V]):
    value: V
    at: float
    weight: int
    rests_until: float = 0.0


class Near(Generic[K, V]):
    """A value is answered at once until it is `fresh_s` old. From then until `stale_s` it is still answered,
    and loaded anew beside it, so that nobody waits for one slow answer. What is older is waited for; if that
    fails, a value of up to `keep_s` is answered.

    What `load` raises goes to all who wait, and is not kept; nor is a value that `keeps` says no to, which
    takes the place of an older one. Beyond `most` values, or what they `weigh` together, those that were
    loaded longest ago are forgotten. One loop only.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        fresh_s: float,
        stale_s: float = 0.0,
        keep_s: float = 0.0,
        most: int = 10_000,
        keeps: Callable[[V], bool] = lambda _: True,
        weigh: Callable[[V], int] = lambda _: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._fresh_s = fresh_s
        self._stale_s = max(fresh_s, stale_s)
        self._keep_s = max(self._stale_s, keep_s)
        self._most = most
        self._keeps = keeps
        self._weigh = weigh
        self._weight = 0
        self._clock = clock
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._loads: dict[K, asyncio.Task[V]] = {}

    def known(self, key: K) -> V | None:
        """Without waiting; None if it has to be waited for."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._clock()
        age = now - kept.at
        if age < self._fresh_s:
            return kept.value
        if age < self._keep_s and now < kept.rests_until:
            return kept.value
        if age < self._stale_s:
            self._loading(key)
            return kept.value
        return None

    async def get(self, key: K) -> V:
        """A caller that is cancelled leaves the others their answer."""
        found = self.known(key)
        return found if found is not None else await asyncio.shield(self._loading(key))

    def forget(self, key: K) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._weight -= kept.weight

    def _loading(self, key: K) -> asyncio.Task[V]:
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._loaded(key))
            task.add_done_callback(_seen)
        return task

    async def _loaded(self, key: K) -> V:
        at = self._clock()
        try:
            value = await self._load(key)
        except Exception:
            kept = self._kept.get(key)
            now = self._clock()
            if kept is None or now - kept.at >= self._keep_s:
                raise
            self._kept[key] = kept._replace(rests_until=now + _REST_S)
            return kept.value
        finally:
            del self._loads[key]
        self.forget(key)
        if self._keeps(value):
            self._kept[key] = kept = _Kept(value, at, self._weigh(value))
            self._weight += kept.weight
            while self._weight > self._most:
                self.forget(next(iter(self._kept)))
        return value


def _seen(task: asyncio.Task[V]) -> None:
    """Nobody may be waiting for it; asyncio would say that its error was never looked at."""
    if not task.cancelled():
        task.exception()
