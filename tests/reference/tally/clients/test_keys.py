"""How long a key is believed, and one that nobody has is refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import httpx2
import pytest

from tally.clients import keys as module
from tally.clients.keys import Keys, Strangers
from tally.clients.pods import Pods
from tally.problems import Problem


class Auth:
    """Knows some keys, and counts what it is asked."""

    def __init__(self) -> None:
        self.customers: dict[str, int] = {}
        self.asked = 0

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked += 1
        customer = self.customers.get(request.headers["x-api-key"])
        if customer is None:
            return httpx2.Response(401, json={"reason": "unknown"})
        return httpx2.Response(200, json={"customer": customer})


async def refused(keys: Keys, key: str) -> None:
    with pytest.raises(Problem) as caught:
        await keys.customer(key)
    assert (caught.value.status, caught.value.reason) == (401, "unknown-key")


def test_a_key_made_just_now_is_refused_for_a_moment_and_not_for_as_long_as_others_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0

    async def main() -> None:
        nonlocal now
        auth = Auth()
        transport = httpx2.MockTransport(auth.answer)
        async with httpx2.AsyncClient(transport=transport) as client:
            keys = Keys(Pods("auth", client, ["http://one"]), cast(Any, None), 30.0)
            keys._strangers = Strangers(lambda: now)
            await refused(keys, "new")
            auth.customers["new"] = 7
            await refused(keys, "new")
            assert auth.asked == 1, "who tries again and again asks nobody"
            now += module._STRANGER_S
            assert await keys.customer("new") == 7
            assert await keys.customer("new") == 7
            assert auth.asked == 2

    asyncio.run(main())


def test_of_too_many_strangers_the_oldest_is_asked_about_again() -> None:
    strangers = Strangers(time.monotonic)
    for number in range(module._STRANGERS + 1):
        strangers.add(str(number))
    assert "0" not in strangers
    assert "1" in strangers
    assert str(module._STRANGERS) in strangers


def test_a_key_that_was_taken_away_is_not_kept_as_an_old_value() -> None:
    async def main() -> None:
        auth = Auth()
        auth.customers["k"] = 7
        transport = httpx2.MockTransport(auth.answer)
        async with httpx2.AsyncClient(transport=transport) as client:
            keys = Keys(Pods("auth", client, ["http://one"]), cast(Any, None), 0.0)
            assert await keys.customer("k") == 7
            del auth.customers["k"]
            await refused(keys, "k")

    asyncio.run(main())
