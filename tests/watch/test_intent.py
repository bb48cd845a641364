"""Calls that wait for somebody, seen on a real loop while that somebody is fast; and the clean twins."""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import psycopg2
import pytest
import requests
import requests.sessions
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.postgres import Postgres
from unstall.explain.report import report_of
from unstall.model.finding import Finding
from unstall.model.latent import SEVERAL
from unstall.settings import Settings
from unstall.watch.audit import AUDIT, EVENTS
from unstall.watch.intent import MOST_CALLS, MOST_LOOKS, Intent
from unstall.watch.monitor import Monitor
from unstall.watch.stacks import Places, StackReader

ROOT = Path(__file__).parent
SETTINGS = Settings(threshold_ms=2_000, root=ROOT, latent=True)  # nothing here is a stall
Work = Callable[[], Awaitable[object]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def latent_in(work: Work) -> list[Finding]:
    async def main() -> None:
        await asyncio.sleep(0.1)
        await work()
        await asyncio.sleep(0.1)

    with Monitor(SETTINGS) as monitor:
        asyncio.run(main())
    report = report_of(monitor.recording(), "test")
    assert [gap for gap in report.gaps if "failed" in gap] == []
    return [finding for finding in report.findings if finding.latent]


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


# --- on the loop ----------------------------------------------------------------------------


def test_requests_on_the_loop_is_found_with_its_line_and_duration(url: str) -> None:
    async def fetch() -> None:
        requests.get(url, timeout=5)  # BLOCKS

    (finding,) = latent_in(fetch)
    assert finding.code == "US102"
    assert finding.site is not None
    assert finding.site.file == "test_intent.py"
    assert finding.site.line == _line("requests.get(url, timeout=5)  # BLOCKS")
    assert finding.site.call == "requests.get"
    (evidence,) = finding.evidence
    assert evidence.max_ms
    assert evidence.peer == urlsplit(url).netloc
    assert f"makes a synchronous HTTP call ({evidence.peer})" in str(evidence.because)


def test_a_place_that_asks_now_this_one_and_now_that_one_asks_several(url: str) -> None:
    async def fetch() -> None:
        for host in ("127.0.0.1", "localhost", "127.0.0.1"):
            requests.get(url.replace("127.0.0.1", host), timeout=5)

    (finding,) = latent_in(fetch)
    assert finding.evidence[0].peer == SEVERAL


def test_an_error_of_the_driver_passes_through_and_the_call_is_found_all_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def fetch() -> None:
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/", timeout=5)

    (finding,) = latent_in(fetch)
    assert finding.evidence[0].peer == f"127.0.0.1:{port}"


def test_httpx_and_urllib_are_found(url: str) -> None:
    async def fetch() -> None:
        with httpx.Client() as client:
            client.get(url)
        urllib.request.urlopen(url).read()

    assert codes(latent_in(fetch)) == ["US102", "US102"]


def test_a_raw_socket_and_its_peer_are_found(url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])

    async def connect() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    (finding,) = latent_in(connect)
    assert finding.code == "US108"
    assert finding.evidence[0].peer == f"127.0.0.1:{port}"


def test_a_file_that_is_read_again_and_again_and_a_subprocess_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("x")

    async def serve() -> None:
        for _ in range(3):
            page.read_text()
        subprocess.run(["true"], check=True)
        sqlite3.connect(tmp_path / "db").close()

    assert sorted(codes(latent_in(serve))) == ["US103", "US106", "US107"]


def test_a_call_counts_once_however_many_entry_points_it_passes(url: str) -> None:
    async def fetch() -> None:
        for _ in range(4):
            requests.get(url, timeout=5)

    (finding,) = latent_in(fetch)
    assert finding.evidence[0].count == 4


@pytest.mark.live
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "sqlalchemy"])
def test_every_synchronous_postgresql_driver_is_found(driver: str, postgres: Postgres) -> None:
    async def psycopg2_asks() -> None:
        connection = psycopg2.connect(postgres.dsn)
        with connection.cursor() as cursor:
            cursor.execute("select 1")  # ASKS psycopg2
        connection.close()

    async def psycopg_asks() -> None:
        with psycopg.connect(postgres.dsn) as connection:
            connection.execute("select 1")  # ASKS psycopg

    async def sqlalchemy_asks() -> None:
        engine = create_engine(postgres.dsn.replace("postgresql:", "postgresql+psycopg2:"))
        with engine.connect() as connection:
            connection.execute(text("select 1"))  # ASKS sqlalchemy
        engine.dispose()

    asks = {"psycopg2": psycopg2_asks, "psycopg": psycopg_asks, "sqlalchemy": sqlalchemy_asks}
    findings = latent_in(asks[driver])
    assert {"US103"} == set(codes(findings))
    peers = {each.site.call: each.evidence[0].peer for each in findings if each.site}
    assert set(peers.values()) == {urlsplit(postgres.dsn).netloc.rpartition("@")[2]}
    (query,) = [f for f in findings if f.site and f.site.line == _line(f"# ASKS {driver}")]
    assert "synchronous PostgreSQL call" in str(query.evidence[0].because)


def test_the_route_is_named_through_a_dependency(url: str) -> None:
    app = FastAPI()

    async def prices() -> None:
        requests.get(url, timeout=5)

    @app.get("/orders/{number}")
    async def orders(number: int, _: None = Depends(prices)) -> int:
        return number

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.get("/orders/7")).status_code == 200

    (finding,) = latent_in(ask)
    assert finding.entry is not None
    assert (finding.entry.kind, finding.entry.name) == ("dependency", "GET /orders/{number}")
    assert str(finding.evidence[0].because).startswith("GET /orders/{number} makes a synchronous")


# --- clean twins ----------------------------------------------------------------------------


def test_the_same_calls_in_a_thread_are_silent(url: str, tmp_path: Path) -> None:
    def work() -> None:
        requests.get(url, timeout=5)
        with httpx.Client() as client:
            client.get(url)
        for _ in range(3):
            (tmp_path / "page").write_text("x")
        subprocess.run(["true"], check=True)
        sqlite3.connect(tmp_path / "db").close()

    async def main() -> None:
        await asyncio.to_thread(work)

    assert latent_in(main) == []


def test_asynchronous_clients_and_asyncios_own_calls_are_silent(url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])

    async def main() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)
        _, writer = await asyncio.open_connection("localhost", port)
        writer.close()
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        await asyncio.get_running_loop().getaddrinfo("localhost", port)

    assert latent_in(main) == []


@pytest.mark.live
def test_asynchronous_drivers_are_silent(postgres: Postgres) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
            await connection.execute("select 1")
        engine = create_async_engine(postgres.dsn.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as link:
            await link.execute(text("select 1"))
        await engine.dispose()

    assert latent_in(main) == []


def test_imports_log_records_and_tracebacks_are_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "table.txt").write_text("x")
    (tmp_path / "late_module.py").write_text(
        "from pathlib import Path\n"
        "for _ in range(3):\n    TABLE = (Path(__file__).parent / 'table.txt').read_text()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    handler = logging.FileHandler(tmp_path / "app.log", delay=True)
    logger = logging.getLogger("test_intent")

    async def main() -> None:
        import late_module  # type: ignore[import-not-found]

        assert late_module.TABLE == "x"
        logger.addHandler(handler)
        for _ in range(3):
            try:
                raise ValueError("a traceback reads source files")
            except ValueError:
                logger.exception("said")
        logger.removeHandler(handler)
        handler.close()

    assert latent_in(main) == []


def test_what_is_done_before_the_loop_runs_is_silent(url: str) -> None:
    with Monitor(SETTINGS) as monitor:
        requests.get(url, timeout=5)
        asyncio.run(asyncio.sleep(0))
    assert monitor.recording().latent == ()


# --- bounds and manners ---------------------------------------------------------------------


def intent(clock: Callable[[], int] = lambda: 10**12) -> Intent:
    def failed(error: BaseException) -> None:
        raise error

    from unstall.watch.discover import ImportHooks

    reader = StackReader(Places(ROOT))
    return Intent(lambda: "1-abc", ImportHooks(), failed, lambda *_: None, reader, clock)


def test_no_more_are_counted_in_a_second_than_the_bound() -> None:
    now = [10**12]
    watch = intent(lambda: now[0])
    for _ in range(MOST_CALLS * 3):
        watch._note("open", None, None, sys._getframe())
    assert sum(call.times for call in watch.taken(now[0], all_of_it=True)) <= MOST_CALLS


def test_no_more_stacks_are_taken_in_a_second_than_the_bound() -> None:
    now = [10**12]
    watch = intent(lambda: now[0])
    for number in range(MOST_LOOKS * 3):
        watch._note(f"call {number}", None, None, sys._getframe())
    assert len(watch._places) == MOST_LOOKS
    now[0] += 2_000_000_000
    watch._note("one more", None, None, sys._getframe())
    assert len(watch._places) == MOST_LOOKS + 1


def test_a_place_is_told_of_at_once_and_then_once_a_minute() -> None:
    now = [10**12]
    watch = intent(lambda: now[0])

    def told(after_s: int) -> list[int]:
        now[0] += after_s * 10**9
        watch._note("open", None, None, frame)
        return [call.times for call in watch.taken(now[0])]

    async def on_a_loop() -> list[list[int]]:
        return [told(1), told(5), told(5), told(60), told(5)]

    frame = sys._getframe()
    watch._note("open", None, None, frame)
    place = next(iter(watch._places.values()))
    list(watch.taken(now[0]))
    place.quiet, place.times, place.told_ns = False, 0, 0
    assert asyncio.run(on_a_loop()) == [[1], [], [], [3], []]


def test_everything_is_put_back(postgres: Postgres) -> None:
    def entries() -> list[Any]:
        return [
            requests.sessions.Session.send,
            httpx.Client.send,
            psycopg.Connection.wait,
            psycopg2.connect,
            http.client.HTTPConnection.getresponse,
        ]

    before = entries()
    with Monitor(SETTINGS):
        assert all(ours is not theirs for ours, theirs in zip(entries(), before, strict=True))
        connection = psycopg2.connect(postgres.dsn)
        assert connection.cursor_factory is not None
    assert entries() == before
    assert connection.cursor_factory is None
    connection.close()


def test_a_cursor_factory_of_the_applications_own_is_left_alone(postgres: Postgres) -> None:
    from psycopg2.extras import RealDictCursor

    with Monitor(SETTINGS):
        connection = psycopg2.connect(postgres.dsn, cursor_factory=RealDictCursor)
        with connection.cursor() as cursor:
            assert type(cursor) is RealDictCursor
            cursor.execute("select 1 as one")
            assert cursor.fetchone() == {"one": 1}
    connection.close()


def test_without_being_asked_nothing_is_wrapped_and_nothing_listens() -> None:
    before = requests.sessions.Session.send
    heard = AUDIT.listened
    with Monitor(Settings(root=ROOT)):
        assert requests.sessions.Session.send is before
        assert AUDIT.listened == heard


def test_a_listener_that_fails_is_heard_of_and_the_hosts_call_goes_on(tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    async def main() -> str:
        AUDIT.listen(fails)
        (tmp_path / "x").write_text("kept")
        return (tmp_path / "x").read_text()

    try:
        assert asyncio.run(main()) == "kept"
        assert {type(error) for error in AUDIT.failures} == {RuntimeError}
        assert len(AUDIT.failures) > 1, "the second event is heard like the first"
    finally:
        AUDIT.leave(fails)
        AUDIT.failures.clear()


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_event_fires_on_this_interpreter_or_is_known_not_to(event: str) -> None:
    if event == "time.sleep" and sys.version_info < (3, 13):
        pytest.skip("Python 3.13 brought it")
    code = _FIRES[event]
    script = (
        "import sys, os, socket, subprocess, shutil, sqlite3, time, tempfile\n"
        "seen = set()\nsys.addaudithook(lambda event, args: seen.add(event))\n"
        "folder = tempfile.mkdtemp(); os.chdir(folder); open('a', 'w').close()\n"
        f"try:\n    {code}\nexcept OSError:\n    pass\nprint({event!r} in seen)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


_FIRES = {
    "open": "open('a')",
    "os.listdir": "os.listdir('.')",
    "os.scandir": "os.scandir('.')",
    "os.remove": "os.remove('a')",
    "os.rename": "os.rename('a', 'b')",
    "shutil.copyfile": "shutil.copyfile('a', 'b')",
    "shutil.copytree": "shutil.copytree('.', 'c')",
    "shutil.rmtree": "shutil.rmtree(folder)",
    "socket.connect": "socket.socket().connect(('127.0.0.1', 1))",
    "socket.getaddrinfo": "socket.getaddrinfo('localhost', 80)",
    "socket.gethostbyname": "socket.gethostbyname('localhost')",
    "subprocess.Popen": "subprocess.run(['true'])",
    "os.system": "os.system('true')",
    "sqlite3.connect": "sqlite3.connect(':memory:')",
    "time.sleep": "time.sleep(0.001)",
}


def _line(marker: str) -> int:
    source = Path(__file__).read_text().splitlines()
    return next(n for n, line in enumerate(source, start=1) if line.rstrip().endswith(marker))
