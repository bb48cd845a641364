"""Which requests are measured, how their sums stand for all, and what is told of slow ones."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from tests.support.measured import MS, asked, client, pieces, spin, watched
from unstall.meters import METERS
from unstall.model.anatomy import Held
from unstall.settings import Settings
from unstall.watch.anatomy import Anatomy
from unstall.watch.discover import ImportHooks
from unstall.watch.held import MOST_PER_S, Path
from unstall.watch.measure import Measure, server_timing
from unstall.watch.monitor import Monitor
from unstall.watch.pieces import PATH
from unstall.watch.scope import NEVER, REQUESTS, counted
from unstall.watch.section import section

pytestmark = pytest.mark.frameworks

SECOND = 1_000_000_000


def must_not_fail(error: BaseException) -> None:
    raise AssertionError from error


@pytest.fixture
def measure() -> Iterator[Measure]:
    imports = ImportHooks()
    measure = Measure(
        lambda: "1-a", Anatomy(imports, must_not_fail), must_not_fail,
        slow_ns=SECOND, server_timing=False,
    )  # fmt: skip
    measure.start()
    yield measure
    measure.stop()
    assert (REQUESTS.every, REQUESTS.due) == (0, NEVER)


async def serve(self: Any, scope: Any, receive: Any, send: Any) -> None: ...


CALL = counted(serve)


def request(path: str = "/a") -> None:
    """One request through the counter, without a loop."""
    scope = {"type": "http", "method": "GET", "path": path, "route": Route(path)}
    coroutine: Any = CALL(None, scope, None, None)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


def calls_of(rows: list[Held]) -> dict[str, int]:
    return {row.entry: row.calls for row in rows}


# --- the choice -----------------------------------------------------------------------------


def test_at_a_low_rate_every_request_is_measured(measure: Measure) -> None:
    for _ in range(30):
        request()
    (row,) = measure.held(0)
    assert (row.entry, row.calls, row.held.count) == ("GET /a", 30, 30)


def test_at_a_high_rate_few_are_measured_and_stand_for_all(measure: Measure) -> None:
    measured = []
    take = REQUESTS.take

    def counting(*args: Any) -> Any:
        measured.append(1)
        return take(*args)

    REQUESTS.every, REQUESTS.due, REQUESTS.take = 20, 0, counting
    for _ in range(4_000):
        request()
    REQUESTS.take = take
    (row,) = measure.held(0)
    assert row.calls == row.held.count
    assert 4_000 - 40 < row.calls <= 4_000  # those since the last one measured are not told yet
    assert 3_600 <= row.calls <= 4_400
    assert len(measured) < 250


def test_routes_that_are_asked_in_turn_are_both_measured(measure: Measure) -> None:
    """A fixed step of 20 would only ever meet one of the two."""
    REQUESTS.every, REQUESTS.due = 20, 0
    for _ in range(2_000):
        request("/a")
        request("/b")
    calls = calls_of(measure.held(0))
    assert set(calls) == {"GET /a", "GET /b"}
    for count in calls.values():
        assert 1_500 <= count <= 2_500


def test_a_rate_above_the_bound_thins_them_out_and_a_lower_one_lets_all_in(
    measure: Measure,
) -> None:
    now = time.monotonic_ns()
    measure.adapt(now)
    for _ in range(40):  # two seconds at ten times the bound
        now += SECOND // 20
        REQUESTS.left -= MOST_PER_S // 2
        measure.adapt(now)
    assert 8 <= REQUESTS.every <= 12
    assert REQUESTS.due <= REQUESTS.begun + 2 * REQUESTS.every
    for _ in range(200):
        now += SECOND // 20
        REQUESTS.left -= 1
        measure.adapt(now)
    assert REQUESTS.every == 1
    assert REQUESTS.due <= REQUESTS.begun + 1


def test_a_burst_is_thinned_within_a_beat_but_a_handful_is_none(measure: Measure) -> None:
    now = time.monotonic_ns() + SECOND
    measure.adapt(now)
    REQUESTS.left -= 8
    measure.adapt(now + 20 * MS)
    assert REQUESTS.every == 1
    REQUESTS.left -= 100
    measure.adapt(now + 40 * MS)
    assert REQUESTS.every >= 10


@pytest.fixture
def queued() -> dict[Any, int]:
    """By loop, for how long; what a measure of `sharing` is told."""
    return {}


@pytest.fixture
def sharing(queued: dict[Any, int]) -> Iterator[Measure]:
    measure = Measure(
        lambda: "1-a", Anatomy(ImportHooks(), must_not_fail), must_not_fail,
        slow_ns=SECOND, server_timing=False, queued_ns=lambda: dict(queued),
    )  # fmt: skip
    measure.start()
    yield measure
    measure.stop()


def every_of(measure: Measure, beats: Iterable[Callable[[], object]]) -> int:
    """At a rate of which each request is measured where there is CPU to give away, 20 beats a second."""
    now = time.monotonic_ns()
    for beat in beats:
        now += SECOND // 20
        REQUESTS.left -= 5
        beat()
        measure.adapt(now)
    return REQUESTS.every


@pytest.mark.parametrize(("share", "every"), [(0.05, 1), (0.3, 10)])
def test_a_loop_that_queues_for_its_processor_is_measured_less(
    sharing: Measure, queued: dict[Any, int], share: float, every: int
) -> None:
    def beat() -> None:
        queued["one"] = queued.get("one", 0) + int(share * SECOND / 20)

    assert every_of(sharing, [beat] * 60) == every


def test_two_loops_that_queue_a_little_are_not_one_that_queues_much(
    sharing: Measure, queued: dict[Any, int]
) -> None:
    def beat(loop: str) -> None:
        """Each is told of at a time of its own."""
        queued[loop] = queued.get(loop, 0) + int(0.06 * SECOND / 10)

    beats = [partial(beat, loop) for _ in range(60) for loop in ("one", "other")]
    assert every_of(sharing, beats) == 1


def test_a_loop_that_comes_back_brings_nothing_of_what_its_thread_once_queued(
    sharing: Measure, queued: dict[Any, int]
) -> None:
    """As one does that is run for each job, on a thread that has queued for an hour in its life."""

    def comes() -> None:
        queued["one"] = 3_600 * SECOND

    assert every_of(sharing, [comes, queued.clear] * 30 + [comes]) == 1


def test_the_last_of_two_measures_and_when_it_stops_the_first_goes_on(measure: Measure) -> None:
    other = Measure(
        lambda: "2-b", Anatomy(ImportHooks(), must_not_fail), must_not_fail,
        slow_ns=SECOND, server_timing=False,
    )  # fmt: skip
    other.start()
    request()
    other.stop()
    request()
    assert [len(each.held(0)) for each in (measure, other)] == [1, 1]


def test_a_lifespan_is_no_request(measure: Measure) -> None:
    coroutine: Any = CALL(None, {"type": "lifespan", "path": "/"}, None, None)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert measure.held(0) == []


# --- what is told ---------------------------------------------------------------------------


def test_only_what_took_longer_than_the_limit_is_told_with_its_whole_path() -> None:
    app = FastAPI()

    @app.get("/fast")
    async def fast() -> None: ...

    @app.get("/slow")
    async def slow() -> None:
        with section("the query"):
            await asyncio.sleep(0.5)

    async def ask() -> None:
        async with client(app) as http:
            await http.get("/fast")
            await http.get("/slow", headers={"X-Request-ID": "abc"})

    seen = watched(ask, slow_ms=450.0)
    assert seen.request.entry == "GET /slow"
    assert seen.request.request_id == "abc"
    assert seen.request.took_ns >= 499 * MS
    assert pieces(seen.request, "section", "the query")
    assert {row.entry for row in seen.held} == {"GET /fast", "GET /slow"}


def test_a_slow_request_is_told_soon_and_not_with_the_next_pulse() -> None:
    app = FastAPI()
    told: list[float] = []

    @app.get("/")
    async def work() -> None: ...

    def listen(entry: object) -> None:
        if type(entry).__name__ == "SlowRequest":
            told.append(time.monotonic())

    async def ask() -> float:
        async with client(app) as http:
            await http.get("/")
        asked_at = time.monotonic()
        while not told and time.monotonic() < asked_at + 3:
            await asyncio.sleep(0.01)
        return asked_at

    with Monitor(Settings(slow_ms=0.0), listeners=(listen,)):
        asked_at = asyncio.run(ask())
    assert told
    assert told[0] < asked_at + 3


def test_slow_requests_are_bounded_and_those_beyond_are_counted(measure: Measure) -> None:
    measure._slow_ns = 0
    for _ in range(130):
        request()
    assert len(measure.slow()) == 100
    assert (measure.slow_lost(), measure.slow_lost()) == (30, 0)


def test_the_loop_is_ranked_by_what_requests_held_it() -> None:
    app = FastAPI()

    @app.get("/{ms}")
    async def work(ms: int) -> None:
        spin(ms)

    seen = asked(app, "/2", "/6", "/2")
    row = seen.entry("GET /{ms}")
    assert row.calls == row.held.count == 3
    assert row.held.sum_ns >= 10 * MS
    assert row.held.max_ns >= 6 * MS
    assert row.took_ns >= row.held.sum_ns
    left = [f for f in METERS.families() if f.name == "unstall_entry_held_seconds"]
    assert left == [], "a meter is gone with its monitor"


def test_the_meter_of_held_time_is_there_while_the_monitor_is() -> None:
    app = FastAPI()

    @app.get("/")
    async def work() -> None:
        spin(2)

    with Monitor(Settings()), TestClient(app) as http:
        http.get("/")
        (family,) = [f for f in METERS.families() if f.name == "unstall_entry_held_seconds"]
    (sample,) = family.samples
    assert sample.labels == ("GET /",)
    assert sample.value >= 0.002
    assert sum(sample.buckets) == 1


def test_an_open_websocket_is_in_the_sums_before_it_is_closed() -> None:
    app = FastAPI()
    monitor = Monitor(Settings())
    rows: list[Held] = []

    @app.websocket("/ws")
    async def talk(ws: WebSocket) -> None:
        await ws.accept()
        for _ in range(2):
            await ws.receive_text()
            spin(5)
            await asyncio.sleep(0)
            rows.extend(monitor._measure.held(time.monotonic_ns()))
            await ws.send_text("")

    with monitor, TestClient(app) as http, http.websocket_connect("/ws") as ws:
        for _ in range(2):
            ws.send_text("")
            ws.receive_text()
    rows += [row for row in monitor.recording().held if row.piece == "websocket"]
    open_rows = [row for row in rows if row.piece == "websocket"]
    assert [row.held.sum_ns >= 5 * MS for row in open_rows[:2]] == [True, True]
    assert sum(row.calls for row in open_rows) == 1
    assert sum(row.held.count for row in open_rows) == 1
    (ended,) = [row.held for row in open_rows if row.held.count]
    assert sum(row.held.sum_ns for row in open_rows) == ended.max_ns


def test_what_a_request_leaves_in_contexts_is_its_name_and_no_more() -> None:
    app, kept = FastAPI(), []

    @app.get("/items/{item}")
    async def work(item: int) -> None:
        kept.append(PATH.get())

    async def ask() -> None:
        async with client(app) as http:
            await http.get("/items/3", headers={"X-Request-ID": "abc", "Cookie": "secret"})
        assert PATH.get() is None

    watched(ask)
    (path,) = kept
    assert isinstance(path, Path)
    assert path.over
    assert path.spans == []
    assert path.scope["headers"] == [(b"x-request-id", b"abc")]
    assert not {"app", "state", "path", "query_string"} & set(path.scope)


# --- Server-Timing --------------------------------------------------------------------------


def timings(header: str) -> dict[str, float]:
    found = {}
    for part in header.split(", "):
        name, *parameters = part.split(";")
        values = dict(each.split("=", 1) for each in parameters)
        found[values.get("desc", name).strip('"')] = float(values["dur"])
    return found


def headers_of(app: Any, **settings: Any) -> list[str]:
    answers: list[str] = []

    async def ask() -> None:
        async with client(app) as http:
            answer = await http.get("/")
            answers.extend(answer.headers.get_list("server-timing"))

    watched(ask, **settings)
    return answers


def test_the_answer_says_where_the_time_went_if_asked_to() -> None:
    app = FastAPI()

    @app.get("/")
    async def work() -> Response:
        with section('a "quoted"\nname, é'):
            spin(4)
        await asyncio.sleep(0.04)
        await asyncio.to_thread(time.sleep, 0.02)
        return PlainTextResponse("ok", headers={"Server-Timing": "db;dur=3"})

    theirs, ours = headers_of(app, server_timing=True)
    assert theirs == "db;dur=3"
    times = timings(ours)
    assert times["total"] >= 63
    assert 4 <= times["held"] <= times["total"] - 40  # a step may be preempted while a timer runs
    assert times["threads"] >= 20
    assert times["a quotedname "] >= 4
    assert "\n" not in ours
    assert headers_of(app) == ["db;dur=3"]


def test_time_that_a_task_of_the_answer_waited_is_not_held() -> None:
    """A stream in a task of its own, as Starlette starts it for older servers."""

    async def chunks() -> Any:
        yield b"x"

    class Late(StreamingResponse):
        async def stream_response(self, send: Any) -> None:
            await asyncio.sleep(0.05)
            await super().stream_response(send)

    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = FastAPI(middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)])

    @app.get("/")
    async def work() -> Response:
        return Late(chunks())

    (header,) = headers_of(app, server_timing=True)
    times = timings(header)
    assert times["total"] >= 50
    assert times["held"] <= times["total"] - 30


def test_a_long_time_is_written_as_a_plain_number() -> None:
    path = Path({}, 1, lambda _: None)
    path.root.began_ns -= 4_000 * SECOND
    assert server_timing(path).startswith("total;dur=400000")


# --- fork -----------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_begins_from_zero_and_with_free_locks() -> None:
    app = FastAPI()

    @app.get("/")
    def work() -> int:
        return 1

    monitor = Monitor(Settings()).start()
    try:
        with TestClient(app) as http:
            http.get("/").raise_for_status()
        locks: list[Any] = [
            monitor._measure._tallies._lock,
            monitor._threads._lock,
            monitor._measure._seconds._lock,
        ]
        for lock in locks:  # as another thread may hold them in the moment of the fork
            lock.acquire()
        child = os.fork()
        if not child:
            os._exit(_in_child(app, monitor))
        for lock in locks:
            lock.release()
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        monitor.stop()
    assert [row.calls for row in monitor.recording().held if row.depth == 0] == [1]


def _in_child(app: FastAPI, monitor: Monitor) -> int:
    import signal

    signal.alarm(20)  # a deadlock ends here
    try:
        if any(f.samples for f in METERS.families() if f.name.startswith("unstall_entry")):
            return 3
        with TestClient(app) as http:
            for _ in range(2):
                http.get("/").raise_for_status()
        monitor.stop()
        recording = monitor.recording()
        if sum(row.calls for row in recording.held if row.depth == 0) != 2:
            return 4
        if sum(row.calls for row in recording.threads if row.function.endswith(".work")) != 2:
            return 6
    except BaseException:
        return 5
    return 0


def test_a_request_that_is_over_leaves_nothing_to_the_garbage_collector(measure: Measure) -> None:
    def paths() -> int:
        return sum(type(each) is Path for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = paths()
        for _ in range(20):
            request()
        assert paths() == before
    finally:
        gc.enable()
