"""Gates as a whole: switching, names, FastAPI's threads, and what must never reach the host."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import asyncpg.pool
import httpx2
import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import Connection, Engine, QueuePool, create_engine, text

import unstall
from tests.support.gates import Watching, methods, until, watching
from tests.support.postgres import Postgres
from unstall.errors import UsageError
from unstall.integrations import pools
from unstall.integrations.pools import Gates
from unstall.meters import METERS
from unstall.watch.discover import ImportHooks
from unstall.watch.monitor import Monitor

PLACES = [(asyncpg.pool.Pool, "_acquire"), (asyncpg.pool.PoolConnectionHolder, "_release")]
ENGINE = [(QueuePool, "_do_get"), (QueuePool, "_do_return_conn")]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'shop.db'}",
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=0,
        pool_timeout=5,
        connect_args={"check_same_thread": False},
    )
    yield engine
    engine.dispose()


async def _get(app: FastAPI, *paths: str) -> None:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        for answer in await asyncio.gather(*map(client.get, paths)):
            assert answer.status_code == 200


# --- FastAPI --------------------------------------------------------------------------------


@pytest.mark.parametrize("measured", [False, True])
def test_a_plain_def_endpoint_that_asks_beside_its_dependency_is_reported(
    measured: bool, engine: Engine, watch: Watching
) -> None:
    app = FastAPI()
    monitor = Monitor()
    unstall.gate(engine, name="shop")

    def connection() -> Iterator[Connection]:
        with engine.connect() as connection:
            yield connection

    @app.get("/orders/{number}")
    def order(number: int, held: Annotated[Connection, Depends(connection)]) -> int:
        with engine.connect() as second:
            return int(second.execute(text("select 1")).scalar_one())

    with monitor if measured else nullcontext():
        asyncio.run(_get(app, "/orders/7"))
    finding = watch.found()
    assert (finding.code, finding.confidence, finding.runs_on) == ("US405", "certain", "thread")
    assert finding.entry is not None
    assert (finding.entry.kind, finding.entry.name) == ("route", "GET /orders/{number}")
    assert finding.site is not None
    assert finding.site.function.endswith("order")
    because = finding.evidence[0].because or ""
    assert "1 of 4 slots of shop" in because
    assert because.endswith("and asks for another while 3 were free")
    assert "in test_a_plain_def_endpoint_that_asks" in because
    assert ".connection" in because


def test_plain_def_endpoints_that_use_what_they_have_are_fine(
    engine: Engine, watch: Watching
) -> None:
    app = FastAPI()
    unstall.gate(engine, name="shop in turn")

    def connection() -> Iterator[Connection]:
        with engine.connect() as connection:
            yield connection

    @app.get("/held")
    def held(held: Annotated[Connection, Depends(connection)]) -> int:
        return int(held.execute(text("select 1")).scalar_one())

    @app.get("/own")
    def own() -> int:
        with engine.connect() as first:
            first.execute(text("select 1"))
        with engine.connect() as second:
            return int(second.execute(text("select 1")).scalar_one())

    asyncio.run(_get(app, *["/held", "/own"] * 20))
    seen = watch.one("shop in turn")
    assert (seen.acquired, seen.returned, seen.nested) == (60, 60, 0)
    assert watch.findings == []


def test_an_async_endpoint_is_named_by_its_route(engine: Engine, watch: Watching) -> None:
    app = FastAPI()

    @app.get("/users/{name}")
    async def user(name: str) -> int:
        with engine.connect(), engine.connect() as second:
            return int(second.execute(text("select 1")).scalar_one())

    asyncio.run(_get(app, "/users/ada"))
    finding = watch.found()
    assert finding.entry is not None
    assert (finding.entry.name, finding.runs_on) == ("GET /users/{name}", "loop")
    assert "sqlite:///shop.db" in (finding.evidence[0].because or "")


def test_a_site_is_reported_once(engine: Engine, watch: Watching) -> None:
    unstall.gate(engine, name="shop once")

    def nested() -> None:
        with engine.connect(), engine.connect():
            pass

    for _ in range(5):
        thread = threading.Thread(target=nested)
        thread.start()
        thread.join()
    assert watch.found().confidence == "likely"  # a plain thread may hand its slots on
    assert watch.one("shop once").nested == 5


# --- switching ------------------------------------------------------------------------------


def test_the_last_to_stop_puts_everything_back() -> None:
    before = methods(*PLACES)
    with watching():
        on = methods(*PLACES)
        with watching():
            assert methods(*PLACES) == on
        assert methods(*PLACES) == on
    assert methods(*PLACES) == before


def test_they_can_be_switched_on_again(engine: Engine) -> None:
    unstall.gate(engine, name="shop again")
    for count in (1, 2):
        with watching() as watch:
            with engine.connect():
                pass
            assert watch.one("shop again").acquired == count


def test_the_numbers_are_among_the_meters_while_they_are_on() -> None:
    def names() -> set[str]:
        return {family.name for family in METERS.families()}

    prefix = "db_client_connection_"
    expected = {
        "count", "wait_time_seconds", "use_time_seconds", "create_time_seconds",
        "pending_requests", "timeouts_total", "max",
    }  # fmt: skip
    with watching():
        assert {f"{prefix}{name}" for name in expected} | {"unstall_gate_nested_total"} <= names()
    assert not any(name.startswith(prefix) for name in names())


def test_a_monitors_hooks_on_imports_will_do() -> None:
    before = methods(*PLACES)
    imports = ImportHooks()
    gates = Gates(imports).start()
    imports.start()
    assert methods(*PLACES) != before
    imports.stop()
    gates.stop()
    assert methods(*PLACES) == before


def test_a_library_imported_later_is_seen_and_nothing_is_imported_for_it() -> None:
    script = """
import sys
from unstall.integrations.pools import Gates
gates = Gates().start()
foreign = {"sqlalchemy", "asyncpg", "psycopg", "psycopg_pool", "httpx", "httpcore", "redis", "anyio"}
assert not foreign & set(sys.modules), foreign & set(sys.modules)
import redis.asyncio.connection as late
ours = vars(late.ConnectionPool)["get_connection"]
assert ours.__code__.co_filename.endswith("wrappers.py"), ours
gates.stop()
assert vars(late.ConnectionPool)["get_connection"] is ours.__wrapped__
import asyncpg.pool
assert not hasattr(vars(asyncpg.pool.Pool)["_acquire"], "__wrapped__")
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")


# --- never harmful --------------------------------------------------------------------------


def test_a_version_that_is_not_known_is_left_alone_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(asyncpg.pool.PoolConnectionHolder, "_release")
    before, others = methods(*PLACES), methods(*ENGINE)
    failed: list[BaseException] = []
    with Gates(failed=failed.append) as gates:
        assert methods(*PLACES) == before
        assert methods(*ENGINE) != others
        assert gates.inactive == (
            "an asyncpg Pool: LookupError: asyncpg.pool.PoolConnectionHolder has no _release",
        )
        assert [type(error) for error in failed] == [LookupError]
    with Gates() as gates:
        assert len(gates.inactive) == 1  # nothing has changed
    monkeypatch.undo()
    with Gates() as gates:
        assert gates.inactive == ()


@pytest.mark.live
def test_what_fails_inside_reaches_nobody_and_is_switched_off(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    before = methods(*PLACES)
    failed: list[BaseException] = []

    async def main() -> None:
        monkeypatch.setattr(pools._SHARED.registry, "gate_of", broken)
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as pool:
            for _ in range(3):
                assert await pool.fetchval("select 1") == 1

    with Gates(failed=failed.append) as gates:
        asyncio.run(main())
        assert methods(*PLACES) == before
        assert [str(error) for error in failed] == ["ours"]
        assert gates.inactive == ("an asyncpg Pool: RuntimeError: ours",)


def test_a_callback_that_raises_is_not_called_again_and_harms_nobody(engine: Engine) -> None:
    called: list[object] = []

    def broken(finding: object) -> None:
        called.append(finding)
        raise RuntimeError("theirs")

    with Gates(on_finding=broken):
        with engine.connect(), engine.connect():
            pass
        until(lambda: called)
        with engine.connect(), engine.connect() as second:
            assert second.execute(text("select 1")).scalar_one() == 1
    assert len(called) == 1


# --- unstall.gate ---------------------------------------------------------------------------


def test_a_thing_that_is_no_pool_is_refused_with_what_would_do() -> None:
    with pytest.raises(UsageError) as caught:
        unstall.gate(object(), name="what")
    assert str(caught.value) == (
        "unstall.gate was given a builtins.object, and no pool is known behind it: give "
        "a SQLAlchemy Engine, AsyncEngine or Pool, an asyncpg Pool, "
        "a psycopg_pool ConnectionPool or AsyncConnectionPool, an httpx or httpx2 Client or AsyncClient, "
        "or a redis-py client or pool, synchronous or asyncio"
    )


@pytest.mark.parametrize("name", ["", "x" * 121, None, 7])
def test_a_name_that_is_none_is_refused(name: Any, engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"the name of a pool is .*: give 1 to 120 characters"):
        unstall.gate(engine, name=name)


@pytest.mark.live
def test_an_asyncpg_pool_can_be_named_before_it_is_open(
    postgres: Postgres, watch: Watching
) -> None:
    async def main() -> None:
        pool = asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1)
        assert unstall.gate(pool, name="named early") is None
        async with pool:
            await pool.fetchval("select 1")
            assert watch.one("named early").acquired == 1

    asyncio.run(main())


def test_the_gate_of_a_pool_can_be_read(engine: Engine, watch: Watching) -> None:
    gate = unstall.gate(engine, name="shop read")
    assert gate is not None
    with engine.connect():
        seen = gate.statistics()
    assert (seen.name, seen.kind, seen.limit, seen.used) == ("shop read", "sqlalchemy", 4, 1)
