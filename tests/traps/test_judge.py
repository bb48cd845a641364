"""From a call and its stack to a claim, or to none."""

from __future__ import annotations

import pytest

from unstall.catalog.allowed import packs, quiet_packages
from unstall.model.finding import Cause, Finding, Severity
from unstall.model.latent import LatentCall
from unstall.model.observation import Request
from unstall.model.place import Frame
from unstall.rules import BY_CODE
from unstall.testing import frame, library, request, stack, stdlib
from unstall.traps.judge import findings_of_calls

ROUTE = library("fastapi.routing:run_endpoint_function")
HANDLER = frame("shop.orders:create", 10)
ABOVE = {
    "nobody": (),
    "a middleware of one's own": (frame("shop.timing:Timing.__call__", 12, "self.app"),),
    "a test": (frame("test_orders:test_create", 4, "client.get", file="tests/test_orders.py"),),
}


def call(
    name: str,
    *frames: Frame,
    times: int = 1,
    took_ms: float | None = None,
    peer: str | None = None,
    by: Request | None = None,
) -> LatentCall:
    took = None if took_ms is None else round(took_ms * 1e6)
    return LatentCall(
        "", 0, 1, name, stack(*frames), times, peer, took, "create", by or request("POST /orders")
    )


def found(*calls: LatentCall, ignore: tuple[str, ...] = ()) -> list[Finding]:
    return list(findings_of_calls(calls, ignore))


def test_a_call_of_the_application_is_found_with_its_route_and_chain() -> None:
    repo = frame("shop.repo:load", 31, "cursor.execute")
    seen = call("psycopg2.extensions.cursor.execute", ROUTE, HANDLER, repo, took_ms=0.5)
    (finding,) = found(seen)
    assert (finding.code, finding.severity, finding.cause) == ("US103", "error", "waiting")
    assert finding.site is not None
    assert finding.entry is not None
    assert (finding.site.line, finding.site.call) == (31, "psycopg2.extensions.cursor.execute")
    assert (finding.entry.kind, finding.entry.name) == ("route", "POST /orders")
    assert [hop.function for hop in finding.reach] == ["create"]
    assert finding.evidence[0].max_ms == 0.5
    assert "makes a synchronous PostgreSQL call of 0.5 ms" in str(finding.evidence[0].because)
    assert finding.remedy.summary == BY_CODE["US103"].remedy


def test_all_primitives_below_one_line_are_one_finding_named_by_the_dearest() -> None:
    at = frame("shop.billing:charge", 5, "self.client.charge")
    below = library("acme.client:Client.charge")
    (finding,) = found(
        call("open", HANDLER, at, below, peer="/etc/acme.toml"),
        call("socket.getaddrinfo", HANDLER, at, below),
        call("http.client.HTTPConnection.getresponse", HANDLER, at, below, took_ms=3, times=2),
    )
    assert finding.code == "US102"
    assert finding.site is not None
    assert finding.site.call == "acme.client.Client.charge"
    assert (finding.evidence[0].count, finding.evidence[0].max_ms) == (2, 3.0)


def test_calls_of_a_kind_on_one_line_are_one_finding_and_others_are_not() -> None:
    connect = frame("shop.repo:load", 8, "acme.connect")
    ask = frame("shop.repo:load", 8, "cursor.execute")
    (finding,) = found(
        call("psycopg2.connect", HANDLER, connect), call("sqlite3.Cursor.execute", HANDLER, ask)
    )
    assert finding.code == "US103"
    assert len(found(call("time.sleep", HANDLER, connect), call("open", HANDLER, ask))) == 2


def test_what_is_known_by_its_waiting_alone_is_likely_and_fails_nobody() -> None:
    (finding,) = found(call("acme._speedups.fetch", HANDLER, took_ms=0.4))
    assert (finding.code, finding.severity, finding.confidence) == ("US100", "warning", "likely")


def test_two_lines_are_two_findings() -> None:
    calls = [call("open", HANDLER, frame("shop.repo:load", line)) for line in (1, 2)]
    assert len(found(*calls)) == 2


def test_a_wait_for_a_thread_is_a_lock() -> None:
    at = frame("shop.jobs:wait", 5, "done.wait")
    below = stdlib("threading:Event.wait")
    (finding,) = found(call("threading.Condition.wait", HANDLER, at, below))
    assert (finding.code, finding.cause) == ("US109", Cause.LOCK)


def test_a_single_stat_is_a_note_and_fails_nobody() -> None:
    (finding,) = found(call("os.stat", HANDLER, took_ms=0.002))
    assert (finding.severity, finding.impact) == (Severity.NOTE, "trivial")
    below = library("acme:load")
    (finding,) = found(call("os.stat", HANDLER, below), call("open", HANDLER, below))
    assert (finding.severity, finding.impact) == (Severity.ERROR, None)


@pytest.mark.parametrize(
    "below",
    [
        stdlib("asyncio.base_events:BaseEventLoop.run_in_executor"),
        library("anyio._backends._asyncio:WorkerThread.start"),
        stdlib("threading:Thread.start"),
        stdlib("_frozen_importlib_external:FileFinder.find_spec"),
        library("_pytest.assertion.rewrite:rewrite"),
        library("coverage.python:get_python_source"),
        library("_pydevd_bundle.pydevd_comm:run"),
        stdlib("linecache:updatecache"),
        stdlib("mimetypes:init"),
        library("certifi.core:where"),
        stdlib("ssl:SSLContext.load_verify_locations"),
        library("asyncpg.connect_utils:_read_password_from_pgpass"),
        stdlib("weakref:finalize.__call__"),
        stdlib("tempfile:_TemporaryFileCloser.__del__"),
    ],
    ids=lambda each: each.module,
)
def test_what_a_pack_allows_is_silent(below: Frame) -> None:
    assert found(call("open", HANDLER, below)) == []
    assert len(found(call("open", HANDLER, library("acme:read")))) == 1


def test_what_the_loop_runs_for_a_library_is_the_librarys() -> None:
    """From Python 3.12 on `wait_for` awaits in the same task."""
    waits, lib = stdlib("asyncio.tasks:wait_for"), library("acme:Client.get")
    connects = stdlib("socket:create_connection")
    (finding,) = found(call("socket.socket.connect", HANDLER, waits, lib, connects))
    assert finding.severity is Severity.ERROR
    assert found(call("socket.socket.connect", HANDLER, lib, waits, connects)) == []


def test_a_pack_speaks_of_what_lies_below_the_applications_line() -> None:
    runner = library("_pytest.python:pytest_pyfunc_call")
    assert len(found(call("time.sleep", runner, HANDLER))) == 1


def test_a_test_may_read_its_files_and_not_sleep() -> None:
    test = frame("test_orders:test_create", 4, file="tests/test_orders.py")
    assert found(call("open", test, stdlib("pathlib:Path.read_text"))) == []
    assert [each.code for each in found(call("time.sleep", test))] == ["US101"]


def test_start_up_may_block() -> None:
    lifespan = library("starlette.routing:Router.lifespan")
    assert found(call("open", lifespan, frame("shop.main:lifespan"))) == []


@pytest.mark.parametrize("above", ABOVE)
def test_a_library_is_believed_of_drivers_only_whoever_stands_above_it(above: str) -> None:
    session = library("acme_sessions.middleware:Session.load", 7, "self.redis.get")
    (finding,) = found(call("redis.Redis.execute_command", *ABOVE[above], ROUTE, session))
    assert finding.code == "US104"
    assert finding.site is not None
    assert finding.site.function == "Session.load"
    for other in ("open", "threading.Condition.wait", "subprocess.Popen"):
        assert found(call(other, *ABOVE[above], ROUTE, session)) == []
    template = library("jinja2.loaders:FileSystemLoader.get_source")
    assert found(call("open", *ABOVE[above], ROUTE, session, template)) == []


@pytest.mark.parametrize("above", ABOVE)
def test_an_import_is_the_importers_own_line(above: str) -> None:
    (finding,) = found(call("import", *ABOVE[above], ROUTE, HANDLER, peer="pandas"))
    assert (finding.code, finding.severity) == ("US112", "warning")
    assert finding.evidence[0].because == "POST /orders imports pandas for the first time"
    loads = library("acme:load")
    assert found(call("import", *ABOVE[above], ROUTE, HANDLER, loads, peer="pandas")) == []
    assert found(call("import", *ABOVE[above], ROUTE, loads, peer="pandas")) == []


def test_what_a_library_keeps_is_a_first_load() -> None:
    below = library("jinja2.loaders:FileSystemLoader.get_source")
    assert [each.code for each in found(call("open", HANDLER, below))] == ["US112"]


@pytest.mark.parametrize(("ignore", "left"), [("US106", 0), ("US10", 0), ("open", 0), ("US101", 1)])
def test_what_is_ignored_is_silent(ignore: str, left: int) -> None:
    assert len(found(call("open", HANDLER), ignore=(ignore,))) == left


def test_every_pack_says_why_and_names_rules_there_are() -> None:
    for pack in packs():
        assert pack.name
        assert pack.why
        assert pack.below or pack.sites or pack.peers
        assert all(code in BY_CODE for code in (*pack.codes, pack.becomes) if code)


def test_only_what_is_allowed_whatever_it_does_is_passed_over_unread() -> None:
    quiet = quiet_packages()
    assert {"asyncio", "anyio", "linecache", "_pytest"} <= quiet
    assert quiet.isdisjoint({"ssl", "threading", "jinja2", "tiktoken", "weakref"})


def test_what_a_library_in_c_imports_is_its_own_business() -> None:
    line = frame("shop.orders:export", 12, "pyarrow.table")
    assert found(call("import", HANDLER, line, peer="pyarrow.pandas_compat")) == []


def test_a_look_at_a_file_is_no_call_of_the_library_that_looks() -> None:
    """The library asks its server asynchronously, and whether it runs in a container of the disk."""
    line = frame("shop.orders:create", 12, "orders.insert_one")
    below = library("pymongo.asynchronous.collection:AsyncCollection.insert_one")
    (finding,) = found(call("os.stat", HANDLER, line, below, peer="/.dockerenv"))
    assert (finding.code, finding.severity) == ("US106", Severity.NOTE)
    asked = call("pymongo.pool.send", HANDLER, line, below)
    (finding,) = found(call("os.stat", HANDLER, line, below), asked)
    assert (finding.code, finding.severity) == ("US103", Severity.ERROR)


def test_below_a_test_that_asks_an_installed_application_its_own_line_is_told() -> None:
    asks = frame("test_orders:test_create", 4, file="tests/test_orders.py")
    handler = library("myservice.api:create", 7, "time.sleep")
    (finding,) = found(call("time.sleep", asks, ROUTE, handler))
    assert finding.site is not None
    assert finding.entry is not None
    assert (finding.site.function, finding.site.line) == ("create", 7)
    assert (finding.entry.kind, finding.entry.function) == ("route", "myservice.api:create")
    encoder = library("fastapi.encoders:jsonable_encoder", 9)
    (finding,) = found(call("time.sleep", asks, encoder))
    assert finding.site is not None
    assert finding.site.function == "test_create"
