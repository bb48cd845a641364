"""Answers in time, what is cancelled, and what could not be."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st

from tests.guard.asgi import Got, answer, ask, ok
from tests.support.serving import served
from unstall import Deadline, Guard, Lane, Monitor, Settings, remaining
from unstall.errors import UsageError
from unstall.guard.budget import BadDeadline, left_of
from unstall.guard.deadline import Overrun


class Tried:
    """One request under a deadline, and what was told of it."""

    def __init__(self, app: Any, default: float | None = 0.05, **options: Any) -> None:
        self.told: list[Overrun] = []
        self.deadline = Deadline(app, default, told=self.told.append, **options)

    def ask(self, request: str = "GET /", **more: Any) -> Got:
        return asyncio.run(ask(self.deadline, request, **more))

    @property
    def overrun(self) -> Overrun:
        (overrun,) = self.told
        return overrun


def test_what_is_late_is_cancelled_and_answered_with_504() -> None:
    ends: list[str] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    tried = Tried(slow)
    got = tried.ask("GET /orders/7")
    assert (got.status, got.problem["reason"]) == (504, "deadline")
    assert ends == ["cancelled"]
    overrun = tried.overrun
    assert (overrun.answered, overrun.ended, overrun.left) == (True, True, ())
    assert str(overrun).startswith("GET /orders/7 was not answered within 0.05 s")


def test_a_504_says_nothing_of_another_try_unless_it_is_told_to() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    late = {"X-Request-Deadline": "1763719200.250"}
    for headers, reason in (({}, "deadline"), (late, "deadline-passed")):
        given = {name.lower(): value for name, value in headers.items()}
        plain = Tried(slow).ask(headers=given)
        assert (plain.status, plain.problem["reason"]) == (504, reason)
        assert "retry-after" not in plain.headers
        told = Tried(slow, retry_after=2.5).ask(headers=given)
        assert (told.status, told.problem["reason"]) == (504, reason)
        assert 3 <= int(told.headers["retry-after"]) <= 6
        assert told.problem["retry_after"] == int(told.headers["retry-after"])


def test_who_is_still_at_a_guards_door_is_told_that_nothing_was_begun() -> None:
    begun: list[str] = []

    async def held(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])
        await asyncio.sleep(30)

    async def main() -> None:
        guard = Guard(held, in_flight=1, queue=9, queue_timeout=60)
        told: list[Overrun] = []
        deadline = Deadline(guard, 0.03, told=told.append)
        inside = asyncio.create_task(ask(guard, "/inside"))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(ask(deadline, "/waits")) for _ in range(5)]
        await asyncio.sleep(0)
        time.sleep(0.06)  # both timers are due in one turn of the loop
        found = await asyncio.gather(*waiting)
        assert [(got.status, got.problem["reason"]) for got in found] == [
            (503, "queue-timeout")
        ] * 5
        assert all("retry-after" in got.headers for got in found)
        assert (told, begun) == ([], ["/inside"])
        assert guard.statistics().shed == {"queue-timeout": 5}
        inside.cancel()

    asyncio.run(main())


class Holding:
    """Middleware that keeps the beginning of an answer for a while."""

    def __init__(self, app: Any, seconds: float) -> None:
        self.app, self.seconds = app, seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def later(message: Any) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self.seconds)
            await send(message)

        await self.app(scope, receive, later)


@pytest.mark.parametrize(
    ("seconds", "said", "overruns"),
    [(0.05, (503, "queue-timeout"), 0), (30.0, (504, "deadline"), 1)],
)
def test_the_guard_answers_also_through_what_keeps_its_answer_for_a_while(
    monkeypatch: pytest.MonkeyPatch, seconds: float, said: tuple[int, str], overruns: int
) -> None:
    monkeypatch.setattr("unstall.guard.deadline._DOOR_LOOKS", 20 if overruns else 10_000)

    async def held(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        guard = Guard(held, in_flight=1, queue=9, queue_timeout=60)
        told: list[Overrun] = []
        deadline = Deadline(Holding(guard, seconds), 0.03, grace=0.0, told=told.append)
        inside = asyncio.create_task(ask(guard, "/inside"))
        await asyncio.sleep(0)
        got = await ask(deadline, "/waits")
        assert (got.status, got.problem["reason"]) == said
        assert len(told) == overruns
        assert all("the loop was held" not in str(each) for each in told)
        inside.cancel()

    asyncio.run(main())


def test_who_was_let_in_after_a_wait_has_no_more_time_for_it() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await (go.wait() if scope["path"] == "/first" else asyncio.sleep(30))
            await answer(send)

        guard = Guard(slow, in_flight=1, queue=9, queue_timeout=60)
        deadline = Deadline(guard, 0.2, told=lambda overrun: None)
        first = asyncio.create_task(ask(guard, "/first"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(ask(deadline, "/second"))
        await asyncio.sleep(0)
        go.set()
        assert (await first).status == 200
        second = await waiting
        assert (second.status, second.problem["reason"]) == (504, "deadline")

    asyncio.run(main())


def test_what_is_in_time_is_left_alone() -> None:
    seen: list[float | None] = []

    async def quick(scope: Any, receive: Any, send: Any) -> None:
        seen.append(remaining())
        await answer(send)

    tried = Tried(quick, 30)
    assert tried.ask().status == 200
    assert tried.told == []
    assert seen[0] is not None
    assert 0 < seen[0] <= 30
    assert remaining() is None


def test_504_does_not_wait_for_a_task_that_will_not_end_and_its_line_is_told() -> None:
    async def main() -> None:
        go = asyncio.Event()
        order: list[str] = []

        async def stubborn(scope: Any, receive: Any, send: Any) -> None:
            try:
                await go.wait()
            except asyncio.CancelledError:
                await go.wait()
            order.append("app over")
            await answer(send)  # nobody takes it any more

        told: list[Overrun] = []

        async def send(message: Any) -> None:
            order.append(message["type"])

        from tests.guard.asgi import scope_of

        deadline = Deadline(stubborn, 0.02, grace=0.02, told=told.append)
        task = asyncio.create_task(deadline(scope_of("/"), None, send))  # type: ignore[arg-type]
        while not told:
            await asyncio.sleep(0.005)
        assert not task.done()
        go.set()
        await task
        assert task.cancelling() == 0
        assert order == ["http.response.start", "http.response.body", "app over"]
        (overrun,) = told
        assert not overrun.ended
        assert "its task goes on at " in str(overrun)
        assert overrun.at is not None

    asyncio.run(main())


def test_somebody_elses_cancelling_stays_theirs() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        task = asyncio.create_task(ask(Deadline(slow, 30)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_error_before_the_deadline_goes_its_way_and_one_after_it_does_not() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("bug")

    async def failing_late(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            raise KeyError("because of the cancelling")

    with pytest.raises(KeyError):
        Tried(failing).ask()
    assert Tried(failing_late).ask().status == 504


def test_a_route_has_a_budget_of_its_own_and_a_header_only_shortens_it() -> None:
    seen: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left = remaining()
        seen.append(-1 if left is None else left)
        await answer(send)

    tried = Tried(app, 10, routes={"GET /slow/{id}": 60, "/free": None})
    tried.ask("GET /other")
    tried.ask("GET /slow/1")
    tried.ask("GET /free")
    tried.ask("GET /slow/1", headers={"x-request-deadline": "2s"})
    tried.ask("GET /other", headers={"x-request-deadline": "3000s"})
    tried.ask("GET /free", headers={"x-request-deadline": f"{time.time() + 5:.3f}"})
    assert [round(left + 0.45) for left in seen] == [10, 60, -1, 2, 10, 5]
    bare = Tried(app, None, header=None)
    bare.ask(headers={"x-request-deadline": "1ms"})
    assert seen[-1] == -1


def test_a_deadline_in_the_past_is_504_and_nothing_is_begun() -> None:
    begun: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(1)

    for text in ("1500000000", "2020-01-01T00:00:00Z"):
        got = Tried(app).ask(headers={"x-request-deadline": text})
        assert got.problem["reason"] == "deadline-passed"
    assert begun == []


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "",
        "nan",
        "-1",
        "12",
        "1e99",
        "2025-11-21T10:00:00",
        "5m",
        "1_763_719_200",
        "1e10s",
        "2000000000s",
    ],
)
def test_a_malformed_deadline_is_400_with_what_to_send(text: str) -> None:
    got = Tried(ok).ask(headers={"x-request-deadline": text})
    assert got.status == 400
    assert repr(text) in got.problem["detail"]
    assert "750ms" in got.problem["detail"]


@pytest.mark.parametrize("unit", ["", "s", "ms"])
def test_a_number_without_end_is_malformed_and_no_error_of_ours(unit: str) -> None:
    got = Tried(ok).ask(headers={"x-request-deadline": "9" * 400 + unit})
    assert (got.status, got.problem["reason"]) == (400, "deadline-malformed")


@given(st.text(max_size=40))
def test_any_header_is_a_time_or_a_bad_deadline(text: str) -> None:
    try:
        assert isinstance(left_of(text, 1.8e9), float)
    except BadDeadline:
        pass


def test_a_moment_is_read_in_both_ways() -> None:
    moment = datetime(2025, 11, 21, 10, 0, 0, 250_000, UTC)
    now = moment.timestamp() - 1.5
    assert left_of(moment.isoformat(), now) == pytest.approx(1.5)
    assert left_of("2025-11-21T10:00:00.250Z", now) == pytest.approx(1.5)
    assert left_of(f" {moment.timestamp()} ", now) == pytest.approx(1.5)
    assert left_of("750ms", now) == 0.75


def test_a_lane_whose_thread_goes_on_is_named_and_that_of_another_request_is_not() -> None:
    go = threading.Event()

    def hang() -> None:
        go.wait(30)

    async def main() -> None:
        with Lane("sdk", threads=2) as lane:
            await lane.warm()

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await lane.run(hang)

            told: list[Overrun] = []
            assert (await ask(Deadline(app, 0.3, told=told.append))).status == 504
            assert (await ask(Deadline(app, 0.3, told=told.append))).status == 504
            go.set()
        for overrun in told:
            (left,) = overrun.left
            assert left.startswith("a thread of the lane 'sdk' is in tests.guard.test_deadline:")
            assert "hang at threading.py:" in left
            assert "could not be cancelled: " in str(overrun)

    asyncio.run(main())


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("pool", ["anyio", "asyncio"])
def test_a_thread_of_a_shared_pool_that_goes_on_is_named(pool: str, watched: bool) -> None:
    go = threading.Event()

    def hang() -> None:
        go.wait(30)

    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if pool == "anyio":
                await anyio.to_thread.run_sync(hang, abandon_on_cancel=True)
            else:
                await asyncio.to_thread(hang)

        told: list[Overrun] = []
        assert (await ask(Deadline(app, 0.5, told=told.append))).status == 504
        go.set()
        (overrun,) = told
        (left,) = overrun.left
        assert "works on at tests/guard/test_deadline.py:" in left
        assert ".hang" in left

    with Monitor(Settings(measure=True)) if watched else nullcontext():
        asyncio.run(main())


def test_a_loop_that_is_held_cannot_cancel_and_who_held_it_is_told() -> None:
    async def blocking(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        time.sleep(0.6)
        await asyncio.sleep(30)

    with Monitor(Settings(threshold_ms=50, measure=False)):
        tried = Tried(blocking, 0.1)
        assert tried.ask().status == 504
    overrun = tried.overrun
    assert overrun.held_s > 0.2
    assert overrun.held_by is not None
    assert "time.sleep at tests/guard/test_deadline.py:" in overrun.held_by
    assert "the loop was held 0." in str(overrun)


def test_without_a_monitor_it_is_said_that_the_culprit_is_not_known() -> None:
    async def blocking(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        time.sleep(0.3)
        await asyncio.sleep(30)

    tried = Tried(blocking, 0.05)
    tried.deadline.held_by = lambda from_ns, until_ns: None  # type: ignore[method-assign]
    tried.ask()
    assert "switch the monitor on" in str(tried.overrun)


def test_overruns_are_logged_and_a_listener_that_fails_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(30)

    def failing(overrun: Overrun) -> None:
        raise KeyError("listener")

    with caplog.at_level(logging.WARNING, "unstall.deadline"):
        assert asyncio.run(ask(Deadline(slow, 0.02, told=failing))).status == 504
        assert not caplog.records
        assert asyncio.run(ask(Deadline(slow, 0.02))).status == 504
    (record,) = caplog.records
    assert "was not answered within 0.02 s" in record.getMessage()


def test_of_two_deadlines_the_nearer_one_counts() -> None:
    left: list[float | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left.append(remaining())
        await asyncio.sleep(30)

    outer: list[Overrun] = []
    inner: list[Overrun] = []
    nested = Deadline(Deadline(app, 60, told=inner.append), 0.05, told=outer.append)
    assert asyncio.run(ask(nested)).status == 504
    assert (len(outer), len(inner)) == (1, 0)
    assert left[0] is not None
    assert left[0] <= 0.05


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "2", True])
def test_a_time_to_come_back_that_makes_no_sense_is_refused(seconds: Any) -> None:
    with pytest.raises(UsageError, match=r"retry_after of the deadline is .* greater than 0"):
        Deadline(ok, retry_after=seconds)


@pytest.mark.parametrize("grace", [-1, float("inf"), "2", True, None])
def test_a_grace_that_makes_no_sense_is_refused(grace: Any) -> None:
    with pytest.raises(UsageError, match=r"grace of the deadline is .* give seconds from 0"):
        Deadline(ok, grace=grace)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "2", True])
def test_a_budget_that_makes_no_sense_is_refused(seconds: Any) -> None:
    with pytest.raises(UsageError, match="give seconds greater than 0"):
        Deadline(ok, seconds)
    with pytest.raises(UsageError, match="POST /orders"):
        Deadline(ok, routes={"POST /orders": seconds})


# --- on a real server -------------------------------------------------------------------------

BUDGET_S = 0.5


def service(done: list[str], go: threading.Event, **options: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    @app.get("/plain")
    def plain() -> None:
        go.wait(30)
        done.append("plain")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> dict[str, bool]:
        async def later() -> None:
            await asyncio.sleep(1.5 * BUDGET_S)
            done.append("background")

        tasks.add_task(later)
        return {"ok": True}

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(BUDGET_S / 2)
                yield b"x"
            done.append("stream")

        return StreamingResponse(parts())

    app.add_middleware(Deadline, **options)
    return app


@pytest.mark.live
def test_on_a_real_server_a_plain_endpoint_is_answered_in_time_although_its_thread_stays() -> None:
    done: list[str] = []
    go = threading.Event()
    told: list[Overrun] = []
    with (
        served(service(done, go, default=BUDGET_S, grace=0.1, told=told.append)) as url,
        httpx2.Client(base_url=url) as client,
    ):
        assert client.get("/slow").status_code == 504
        assert client.get("/plain").status_code == 504
        assert client.get("/background").status_code == 200  # the connection is as good as before
        assert "plain" not in done  # the thread was still there when its request had been answered
        end = time.monotonic() + 10
        while len(told) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        go.set()
    plain = next(each for each in told if each.route == "/plain")
    assert not plain.ended
    assert any("service.<locals>.plain" in left for left in plain.left)
    assert "background" in done


@pytest.mark.live
def test_streams_and_background_tasks_outlive_the_deadline_unless_streams_are_cut() -> None:
    done: list[str] = []
    with (
        served(service(done, threading.Event(), default=BUDGET_S)) as url,
        httpx2.Client(base_url=url) as client,
    ):
        assert client.get("/stream").content == b"xxx"
        assert client.get("/background").status_code == 200
    assert sorted(done) == ["background", "stream"]
    told: list[Overrun] = []
    cut = service([], threading.Event(), default=BUDGET_S, streams=True, told=told.append)
    with served(cut) as url, httpx2.Client(base_url=url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/stream")
        assert client.get("/background").status_code == 200
    assert [each.answered for each in told] == [False]


def test_the_context_of_whoever_calls_is_not_touched() -> None:
    async def main() -> None:
        before = contextvars.copy_context()
        await ask(Deadline(ok, 1.0))
        after = contextvars.copy_context()
        assert {
            k: v for k, v in after.items() if k.name == "unstall_budget" and v is not None
        } == {}
        assert len(before) <= len(after)

    asyncio.run(main())


@pytest.mark.live
def test_threads_that_outlive_their_requests_keep_their_tokens() -> None:
    """A cancelled wait for a thread of anyio's would free its token and leave the thread."""
    go = threading.Event()
    inside: list[int] = []
    app = FastAPI()

    @app.get("/plain")
    def plain() -> None:
        inside.append(threading.get_ident())
        go.wait(30)

    @app.get("/small")
    async def small() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2

    app.add_middleware(Deadline, default=0.3, grace=0.05, told=lambda overrun: None)

    async def main(url: str) -> list[int]:
        async with httpx2.AsyncClient(base_url=url) as client:
            await client.get("/small")
            answers = [await client.get("/plain") for _ in range(6)]
        return [each.status_code for each in answers]

    with served(app) as url:
        assert asyncio.run(main(url)) == [504] * 6
        assert len(inside) == 2
        go.set()
    assert len(inside) == 2  # and who waited for a token has gone
