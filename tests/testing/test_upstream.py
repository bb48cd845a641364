"""One upstream pauses; what does not need it must not."""

from __future__ import annotations

import asyncio
import functools
import http.client
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import Depends, FastAPI

from tests.support.gates import slow_server
from tests.testing import app as shop
from tests.testing.app import Service
from unstall.errors import UsageError
from unstall.testing import slow_upstream


def test_an_asynchronous_dependency_that_is_slow_harms_nobody_else(service: Service) -> None:
    with slow_upstream(0.3, app=service.app, dependency=shop.fetched) as slow:
        seen = asyncio.run(
            slow.check(service.app, "GET /async-dependency", bystander="GET /livez", bystander_s=5)
        )
    assert seen.answers[0].status == 200
    assert seen.answers[0].took_s >= 0.3
    assert slow.calls == 1
    assert service.app.dependency_overrides == {}


class Fetched:
    async def __call__(self) -> int:
        return 2


class Opened:
    async def __call__(self) -> AsyncIterator[int]:
        yield 2


@pytest.mark.parametrize("kind", [Fetched(), Opened(), functools.partial(Fetched())])
def test_a_callable_object_keeps_its_kind(kind: Callable[..., Any]) -> None:
    app = FastAPI()

    @app.get("/value")
    async def value(value: int = Depends(kind)) -> int:
        return value

    @app.get("/livez")
    async def alive() -> None:
        """Needs nothing."""

    blocked: list[float] = []
    sleep = time.sleep

    def noted(seconds: float) -> None:
        blocked.append(seconds)
        sleep(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", noted)
        with slow_upstream(0.0517, app=app, dependency=kind) as slow:
            seen = asyncio.run(slow.check(app, "GET /value", bystander="GET /livez", bystander_s=5))
    assert seen.answers[0].status == 200
    assert slow.calls == 1
    assert 0.0517 not in blocked


def test_a_dependency_that_blocks_the_loop_on_a_slow_upstream_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slow_upstream(0.4) as slow:
        monkeypatch.setattr(shop, "call", lambda: len(urllib.request.urlopen(slow.url).read()))
        with pytest.raises(AssertionError) as caught:
            asyncio.run(
                slow.check(
                    service.app, "GET /blocking-dependency", bystander="GET /livez", bystander_s=0.1
                )
            )
    assert "urlopen at tests/testing/test_upstream.py:" in str(caught.value)


def test_an_upstream_that_nobody_asked_shows_nothing(service: Service) -> None:
    with slow_upstream(0.1) as slow, pytest.raises(AssertionError, match="did not ask"):
        asyncio.run(slow.check(service.app, "GET /waits", bystander="GET /livez", bystander_s=5))


def test_a_server_is_made_slow_for_each_exchange() -> None:
    with slow_server() as url:
        host, port = url.removeprefix("http://").split(":")
        with slow_upstream(0.05, forward=(host, int(port))) as slow:
            connection = http.client.HTTPConnection(slow.host, slow.port)
            for _ in range(2):
                connection.request("GET", "/0")
                assert connection.getresponse().read() == b"ok"
            connection.close()
            assert slow.calls == 2


def test_what_cannot_be_made_slow_is_refused(service: Service) -> None:
    with pytest.raises(UsageError, match="both or neither"), slow_upstream(1, app=service.app):
        pass
    with pytest.raises(UsageError, match="no dependency_overrides"):  # noqa: SIM117
        with slow_upstream(1, app=object(), dependency=shop.fetched):
            pass
    with pytest.raises(UsageError, match="greater than 0"), slow_upstream(0):
        pass
