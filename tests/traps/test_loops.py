"""Traps on other loops and in whole applications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

import unstall
from tests.support.trapped import ROOT, codes
from tests.traps import works
from unstall.model.finding import Finding

Work = Callable[[], Awaitable[None]]


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (works.nap, "US101"),
        (works.read_file, "US106"),
        (works.ask_database, "US103"),
        (works.wait_for_event, "US109"),
        (works.receive, "US108"),
        (works.run_program, "US107"),
    ],
)
def test_calls_on_uvloop_are_caught(work: Any, code: str) -> None:
    assert codes(on_uvloop(work)) == [code]


@pytest.mark.parametrize(
    "work",
    [
        works.nap_well, works.talk_over_streams, works.resolve_well, works.run_program_well,
        works.nap_in_thread,
    ],
)  # fmt: skip
def test_their_twins_are_not(work: Any) -> None:
    assert codes(on_uvloop(work)) == []


def on_uvloop(work: Work) -> tuple[Finding, ...]:
    uvloop = pytest.importorskip("uvloop")
    with unstall.trap(threshold_ms=0, root=ROOT) as caught:
        uvloop.run(work())
    return caught.findings


# --- an application ---------------------------------------------------------------------------------


def application() -> FastAPI:
    async def lifespan_reads(app: FastAPI) -> None:
        await works.read_file()

    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        await lifespan_reads(app)
        yield
        await lifespan_reads(app)

    app = FastAPI(lifespan=lifespan)

    async def price() -> int:
        await works.ask_database()
        return 3

    @app.get("/orders/{number}")
    async def order(number: int, paid: int = Depends(price)) -> int:
        await works.nap()
        return number

    @app.get("/plain")
    def plain() -> int:
        asyncio.run(works.nap_well())
        return works.BASE.execute("select 1").fetchone()[0]  # type: ignore[no-any-return]

    return app


def test_a_client_in_a_portals_thread_is_followed_and_start_up_is_left_alone() -> None:
    with unstall.trap(threshold_ms=0, root=ROOT) as caught, TestClient(application()) as client:
        assert client.get("/orders/3").json() == 3
        assert client.get("/plain").json() == 1
    found = {each.code: each.entry for each in caught.findings}
    assert set(found) == {"US101", "US103"}
    assert found["US101"] is not None
    assert found["US103"] is not None
    assert (found["US101"].kind, found["US101"].name) == ("route", "GET /orders/{number}")
    assert (found["US103"].kind, found["US103"].name) == ("dependency", "GET /orders/{number}")


def test_a_client_on_the_tests_own_loop_is_followed() -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.get("/orders/3")

    with unstall.trap(threshold_ms=0, root=ROOT) as caught:
        asyncio.run(main())
    assert sorted(codes(caught.findings)) == ["US101", "US103"]


def test_what_is_computed_for_long_is_found_by_the_watchdog() -> None:
    """By the sleep that a hook has seen as well, for a busy machine would excuse a computation."""

    async def main() -> None:
        await asyncio.sleep(0.05)
        import time

        time.sleep(0.4)
        await asyncio.sleep(0.05)

    with unstall.trap(threshold_ms=50, root=ROOT) as caught:
        asyncio.run(main())
    (finding,) = caught.findings
    assert finding.code == "US101"
    assert finding.site is not None
    assert Path(finding.site.file).name == "test_loops.py"
    assert {each.kind for each in finding.evidence} >= {"seen"}
