"""Several pods of one service: asked in turn, and one that fails is left alone for a while."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx2

_REST_S: Final = 5.0
_TRIES: Final = 2


class Away(Exception):
    """No pod has answered."""


class Pods:
    """The client's time-outs bound each try; there are two, at different pods if there are two."""

    def __init__(
        self,
        name: str,
        client: httpx2.AsyncClient,
        urls: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._client = client
        self._urls = tuple(urls)
        self._clock = clock
        self._turn = itertools.count()
        self._failed: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._urls)

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
        """Any answer below 500. Raises Away."""
        why = "there are no pods"
        for url in self._candidates():
            try:
                response = await self._client.get(f"{url}{path}", headers=headers)
            except httpx2.HTTPError as error:
                why = f"{url}: {str(error) or type(error).__name__}"
            else:
                if response.status_code < 500:
                    self._failed.pop(url, None)
                    return response
                why = f"{url} answered {response.status_code}"
            self._failed[url] = self._clock()
        raise Away(f"{self.name} cannot be reached: {why}")

    def _candidates(self) -> Sequence[str]:
        """Healthy pods first, from the one whose turn it is."""
        if not self._urls:
            return ()
        first = next(self._turn) % len(self._urls)
        turn = self._urls[first:] + self._urls[:first]
        return sorted(turn, key=self._is_resting)[:_TRIES]

    def _is_resting(self, url: str) -> bool:
        failed = self._failed.get(url)
        return failed is not None and self._clock() - failed < _REST_S
