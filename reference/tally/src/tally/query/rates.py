"""How many requests a second a customer may send, counted over all workers, and here while Redis is away.

Asking Redis for each request would cost more than the request. So a process takes shares of a customer's
second, each a twentieth, and spends them on its own.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from tally.problems import Problem
from tally.query.far import Far

_PARTS: Final = 20
_MOST_CUSTOMERS: Final = 10_000


class _Second:
    __slots__ = ("left", "number", "over")

    def __init__(self, number: int) -> None:
        self.number = number
        self.left = 0
        self.over = False
        """All shares of this second have been taken."""


class Rates:
    """`rate` requests a second for each customer; 0 is no limit. `workers` share it while Redis is away."""

    def __init__(
        self, far: Far, rate: float, workers: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._far = far
        self._limit = math.ceil(rate)
        self._share = max(1, self._limit // _PARTS)
        self._alone = max(1, self._limit // workers)
        self._clock = clock
        self._seconds: OrderedDict[int, _Second] = OrderedDict()

    @property
    def off(self) -> bool:
        return self._limit == 0

    async def take(self, customer: int) -> None:
        """Raises Problem."""
        if self.off:
            return
        second = self._second(customer)
        if second.left <= 0 and not second.over:
            await self._refill(customer, second)
        if second.left <= 0:
            detail = f"Customer {customer} may send {self._limit} requests a second."
            raise Problem(429, "rate", detail, retry_after=1)
        second.left -= 1

    def _second(self, customer: int) -> _Second:
        number = int(self._clock())
        second = self._seconds.get(customer)
        if second is None or second.number != number:
            second = self._seconds[customer] = _Second(number)
            self._seconds.move_to_end(customer)
            if len(self._seconds) > _MOST_CUSTOMERS:
                self._seconds.popitem(last=False)
        return second

    async def _refill(self, customer: int, second: _Second) -> None:
        total = await self._far.count(f"tally:rate:{customer}:{second.number}", self._share, 2)
        if total is None:
            if not second.over:  # once, however many found out at a time
                second.left += self._alone
                second.over = True
            return
        granted = min(self._share, self._limit - (total - self._share))
        if granted <= 0:
            second.over = True
        second.left += max(0, granted)
