"""Admission, seen by clients."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI
from hypothesis import given
from hypothesis import strategies as st

from tests.guard.asgi import Got, answer, ask, ok, scope_of
from tests.support.serving import served
from unstall import Guard, Lane, LaneDeadline
from unstall.errors import SwitchedOff, UsageError
from unstall.guard.guard import Guard as PlainGuard
from unstall.guard.guard import Route
from unstall.guard.limits import AIMD, Adaptive
from unstall.guard.metrics import ADMITTED, QUEUED
from unstall.guard.policy import Pressure, Priority, Sight, Verdict, decide
from unstall.guard.pulse import Pulse
from unstall.guard.rates import Rate


class Held:
    """An app whose requests stay until they are let go."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go.wait()
        finally:
            self.inside -= 1
        await answer(send)


async def begun(guard: Any, *requests: str) -> list[asyncio.Task[Got]]:
    tasks = [asyncio.create_task(ask(guard, request)) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def statuses(tasks: list[asyncio.Task[Got]]) -> list[int]:
    return [task.result().status for task in tasks if task.done()]


def test_beyond_slots_and_queue_requests_are_refused_at_once() -> None:
    async def main() -> None:
        app = Held()
        guard = Guard(app, in_flight=2, queue=1, queue_timeout=60)
        tasks = await begun(guard, *["/"] * 5)
        assert statuses(tasks) == [503, 503]
        refused = tasks[-1].result()
        assert refused.problem["reason"] == "full"
        assert int(refused.headers["retry-after"]) in (1, 2)
        assert int(refused.headers["content-length"]) == len(refused.body)
        app.go.set()
        assert sorted(got.status for got in await asyncio.gather(*tasks)) == [
            200,
            200,
            200,
            503,
            503,
        ]
        assert app.most == 2
        seen = guard.statistics()
        assert (seen.in_flight, seen.queued, seen.admitted) == (0, 0, 3)
        assert seen.shed == {"full": 2}

    asyncio.run(main())


def test_what_is_added_to_one_refusal_on_its_way_out_is_not_in_the_next() -> None:
    async def main() -> None:
        guard = Guard(Held(), in_flight=1, retry_after=1)
        lengths: set[int] = set()

        async def outside(scope: Any, receive: Any, send: Any) -> None:
            async def added(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-request-id", scope["path"].encode()))
                    lengths.add(len(message["headers"]))
                await send(message)

            await guard(scope, receive, added)

        (inside,) = await begun(guard, "/held")
        refused = [await ask(outside, f"/{number}") for number in range(8)]
        assert {got.problem["reason"] for got in refused} == {"full"}
        assert lengths == {4}
        assert {got.problem["retry_after"] for got in refused} <= {1, 2}
        assert all(got.headers["retry-after"] == str(got.problem["retry_after"]) for got in refused)
        inside.cancel()

    asyncio.run(main())


def test_who_waits_too_long_is_refused() -> None:
    async def main() -> None:
        guard = Guard(Held(), in_flight=1, queue=5, queue_timeout=0.01)
        (first,) = await begun(guard, "/")
        assert (await ask(guard)).problem["reason"] == "queue-timeout"
        first.cancel()

    asyncio.run(main())


def test_probes_are_let_in_however_full_it_is() -> None:
    async def main() -> None:
        app = Held()
        guard = Guard(app, in_flight=1)
        tasks = await begun(guard, "/orders", "/livez", "/metrics", "/orders")
        assert statuses(tasks) == [503]
        assert app.inside == 3
        for task in tasks:
            task.cancel()

    asyncio.run(main())


def test_a_route_has_slots_and_a_priority_of_its_own() -> None:
    async def main() -> None:
        app = Held()
        routes = {
            "GET /reports/{id}": Route(in_flight=1),
            "/bulk": Route(priority="low"),
        }
        guard = Guard(app, in_flight=4, routes=routes)
        tasks = await begun(
            guard, "/reports/1", "/reports/2", "/bulk", "/bulk", "/bulk", "/x", "/x"
        )
        # One report, and low ones only while three of four slots are not used.
        assert [task.result().status if task.done() else None for task in tasks] == [
            None, 503, None, None, 503, None, 503,
        ]  # fmt: skip
        for task in tasks:
            task.cancel()

    asyncio.run(main())


def test_a_slot_comes_back_whatever_the_app_does() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("bug")

    async def main() -> None:
        for adaptive in (None, "gradient"):
            guard = Guard(failing, in_flight=1, adaptive=adaptive)
            for _ in range(3):
                with pytest.raises(KeyError):
                    await ask(guard)
            assert guard.statistics().in_flight == 0
        guard = Guard(Held(), in_flight=1)
        (task,) = await begun(guard, "/")
        task.cancel()
        await asyncio.wait([task])
        assert guard.statistics().in_flight == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "sight", "reason"),
    [
        ({"lag_ms": 50}, Sight(lag_ns=60_000_000), "lag"),
        ({"utilization": 0.9}, Sight(utilization=0.95), "utilization"),
        ({"rss_mb": 100}, Sight(rss_bytes=101_000_000), "rss"),
        ({"memory": 0.9}, Sight(memory=0.95), "memory"),
    ],
)
def test_pressure_sheds_and_its_absence_does_not(
    options: dict[str, Any], sight: Sight, reason: str
) -> None:
    async def main() -> None:
        routes = {"/pay": Route(priority="critical")}
        guard = Guard(ok, pulse=lambda: sight, routes=routes, **options)
        assert (await ask(guard)).problem["reason"] == reason
        assert (await ask(guard, "/pay")).status == 200
        calm = Guard(ok, pulse=lambda: Sight(0, 0.1, 10, 0.1), **options)
        assert (await ask(calm)).status == 200

    asyncio.run(main())


def test_an_episode_is_logged_once_with_who_held_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    class Told(PlainGuard):
        def culprit(self) -> str:
            return "by time.sleep at shop.py:3 in pay (waiting)"

    async def main() -> None:
        guard = Told(ok, lag_ms=1, pulse=lambda: Sight(lag_ns=10**9))
        for _ in range(20):
            await ask(guard)

    with caplog.at_level(logging.WARNING, "unstall.guard"):
        asyncio.run(main())
    (record,) = caplog.records
    assert record.getMessage() == (
        "requests are refused: the event loop is 1000 ms late, 1 are allowed; "
        "last held by time.sleep at shop.py:3 in pay (waiting)"
    )


def test_a_route_is_refused_while_a_lane_that_it_needs_is_stuck() -> None:
    go = threading.Event()

    async def main() -> None:
        with Lane("guarded", threads=1, deadline=0.3) as lane:
            await lane.warm()
            guard = Guard(ok, routes={"/pay": Route(lanes=("guarded",))})
            assert (await ask(guard, "/pay")).status == 200
            with pytest.raises(LaneDeadline, match="guarded"):
                await lane.run(go.wait, 30)
            assert (await ask(guard, "/pay")).problem["reason"] == "lane-stuck"
            assert (await ask(guard, "/other")).status == 200
            go.set()

    asyncio.run(main())


def test_of_those_that_a_route_refuses_some_are_read_for_when_they_came() -> None:
    class Stuck(PlainGuard):
        def stuck(self, lanes: tuple[str, ...]) -> tuple[str, ...]:
            return lanes if is_stuck else ()

    guard = Stuck(ok, routes={"/pay": Route(lanes=("billing",))})
    is_stuck = False

    async def read_in_a_row(number: int) -> int:
        before = queued()
        for _ in range(number):
            guard._marked = 0  # as after many that said nothing
            await ask(guard, "/pay", headers={"x-request-start": f"t={time.time() - 0.5:.3f}"})
        return queued() - before

    async def main() -> None:
        nonlocal is_stuck
        assert await read_in_a_row(64) == 1
        is_stuck = True
        assert await read_in_a_row(64) == 1
        is_stuck = False
        assert await read_in_a_row(7) == 1
        is_stuck = True
        assert await read_in_a_row(64) == 1

    asyncio.run(main())


def test_an_adaptive_limit_sees_time_outs_from_below() -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.001)
        await answer(send, 504)

    async def main() -> None:
        adaptive = Adaptive(AIMD(), start=20, least=2)
        guard = Guard(late, adaptive=adaptive)
        end = time.monotonic() + 10
        while adaptive.limit == 20:
            assert time.monotonic() < end
            await ask(guard)
        assert adaptive.limit == 18
        assert guard.statistics().limit == 18

    asyncio.run(main())


def test_what_is_switched_off_is_503() -> None:
    async def off(scope: Any, receive: Any, send: Any) -> None:
        raise SwitchedOff("off", "enrichment")

    got = asyncio.run(ask(Guard(off)))
    assert (got.status, got.problem["switch"]) == (503, "enrichment")


def test_an_app_that_has_answered_by_itself_is_not_answered_again() -> None:
    """As Starlette does when the guard lies around the whole app."""

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        await ok(scope, receive, send)
        raise SwitchedOff("off", "enrichment")

    sent: list[str] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and sent:
            raise RuntimeError("the response has begun")
        sent.append(message["type"])

    with pytest.raises(SwitchedOff, match="off"):
        asyncio.run(Guard(answered)(scope_of("/"), None, send))  # type: ignore[arg-type]
    assert sent.count("http.response.start") == 1


def test_rates_come_before_slots_and_payload_after() -> None:
    async def main() -> None:
        app = Held()
        guard = Guard(app, in_flight=1, rates=[Rate("1/min")])
        tasks = await begun(guard, "/", "/")
        assert statuses(tasks) == [429]
        tasks[0].cancel()

    asyncio.run(main())


def test_the_queue_before_us_is_measured() -> None:
    before = sum(sum(sample.buckets) for sample in QUEUED.family().samples)
    start = {"x-request-start": f"t={time.time() - 0.5:.3f}"}
    assert asyncio.run(ask(Guard(ok), headers=start)).status == 200
    samples = QUEUED.family().samples
    assert sum(sum(sample.buckets) for sample in samples) == before + 1


def queued() -> int:
    """Requests whose time before us is known, since the process began."""
    return sum(sum(sample.buckets) for sample in QUEUED.family().samples)


@pytest.mark.parametrize(
    "route", [Route(in_flight=4), Route(priority="critical"), Route(priority="low")]
)
def test_the_queue_is_measured_where_no_request_comes_in_unasked(route: Route) -> None:
    guard = PlainGuard(ok, routes={"GET /": route})

    async def main() -> None:
        for _ in range(200):  # by others, who do not come through the proxy
            await ask(guard)
        start = {"x-request-start": f"t={time.time() - 0.5:.3f}"}
        before = queued()
        for _ in range(64):
            await ask(guard, headers=start)
        assert queued() > before, "one of so many is read"
        before = queued()
        for _ in range(64):
            await ask(guard, headers=start)
        assert queued() == before + 64, "and then each"

    asyncio.run(main())


def test_the_queue_is_measured_although_few_come_and_the_first_said_nothing() -> None:
    guard = PlainGuard(ok, lag_ms=10_000)

    async def main() -> None:
        for _ in range(80):
            await ask(guard)
        before = queued()
        for _ in range(200):  # fewer than there are passes, so none have to be handed out
            await asyncio.sleep(0.011)
            await ask(guard, headers={"x-request-start": f"t={time.time() - 0.5:.3f}"})
            if queued() > before:
                return
        raise AssertionError("nobody was read")

    asyncio.run(main())


def test_each_request_is_measured_by_its_own_moment() -> None:
    guard = PlainGuard(ok, lag_ms=10_000, in_flight=8)
    waits = (0.3, 3.0, 30.0)

    async def waited(seconds: float) -> None:
        await ask(guard, headers={"x-request-start": f"t={time.time() - seconds:.6f}"})

    async def main() -> None:
        await waited(0.1)
        before = QUEUED.family().samples[0].buckets
        for seconds in waits:
            await waited(seconds)
        after = QUEUED.family().samples[0].buckets
        assert sum(now - then for then, now in zip(before, after, strict=True)) == len(waits)
        assert sum(now > then for then, now in zip(before, after, strict=True)) == len(waits)

    asyncio.run(main())


def test_a_websocket_is_told_to_come_back_and_a_lifespan_is_none_of_our_business() -> None:
    async def main() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        guard = Guard(ok, lag_ms=1, pulse=lambda: Sight(lag_ns=10**9))
        await guard({**scope_of("/ws"), "type": "websocket"}, None, send)  # type: ignore[arg-type]
        assert sent == [{"type": "websocket.close", "code": 1013, "reason": "lag"}]
        await guard({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
        assert len(sent) == 3

    asyncio.run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"in_flight": 0},
        {"in_flight": 1.5},
        {"queue": -1},
        {"queue_timeout": 0},
        {"lag_ms": "50"},
        {"utilization": 1.2},
        {"memory": -0.1},
        {"adaptive": "magic"},
        {"retry_after": float("nan")},
        {"routes": {"orders": Route()}},
        {"routes": {"/orders": Route(priority="urgent")}},
        {"routes": {"/orders": 5}},
        {"routes": [1]},
        {"routes": {"/a{b/{id}": Route()}},
        {"exempt": "/livez"},
        {"exempt": [3]},
        {"exempt": None},
        {"rates": [Rate("100 a minute")]},
        {"rates": ["10/s"]},
        {"rates": 10},
        {"standing": 0, "in_flight": 9, "lag_ms": 9},
        {"standing": 9, "in_flight": 9, "lag_ms": 9},
        {"standing": 9, "lag_ms": 9},
        {"standing": 5, "in_flight": 9},
        {"standing": 5, "in_flight": 9, "lag_ms": 9, "pulse": Sight},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"give|no route|braces"):
        Guard(ok, **options)


@pytest.mark.live
def test_a_real_server_under_a_burst_answers_some_and_refuses_the_rest() -> None:
    app = FastAPI()
    done: list[int] = []

    @app.get("/work")
    async def work(tasks: BackgroundTasks) -> dict[str, bool]:
        await asyncio.sleep(0.2)
        tasks.add_task(done.append, 1)
        return {"ok": True}

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"ok": True}

    app.add_middleware(Guard, in_flight=3, queue=2, queue_timeout=5)

    async def main(url: str) -> list[int]:
        async with httpx2.AsyncClient(base_url=url) as client:
            sent = [client.get("/work") for _ in range(30)]
            answers = await asyncio.gather(*sent, client.get("/livez"))
            assert answers[-1].status_code == 200
            assert (await client.get("/work")).status_code == 200
        return [each.status_code for each in answers[:-1]]

    with served(app) as url:
        found = asyncio.run(main(url))
    assert set(found) == {200, 503}
    assert found.count(200) >= 5
    assert len(done) == found.count(200) + 1


def test_a_guard_of_its_own_pulse_sheds_while_the_loop_is_late_and_not_before_or_after() -> None:
    async def main() -> None:
        guard = Guard(ok, lag_ms=30)
        assert (await ask(guard)).status == 200
        statuses = []
        for _ in range(12):
            time.sleep(0.06)  # the loop has more to do than it can
            await asyncio.sleep(0)
            statuses.append((await ask(guard)).status)
        assert statuses[:2] == [200, 200]
        assert statuses[-1] == 503
        end = time.monotonic() + 10
        while (await ask(guard)).status != 200:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert guard.statistics().shed["lag"] > 0

    asyncio.run(main())


def test_a_guard_that_is_asked_on_another_loop_begins_anew() -> None:
    guard = Guard(ok, lag_ms=30)
    for _ in range(3):
        assert asyncio.run(ask(guard)).status == 200


def test_what_was_let_in_is_a_counter_by_priority() -> None:
    def counted() -> dict[tuple[str, ...], float]:
        return {sample.labels: sample.value for sample in ADMITTED.family().samples}

    before = counted().get(("low",), 0)
    guard = Guard(ok, routes={"/bulk": Route(priority="low")})
    for _ in range(3):
        asyncio.run(ask(guard, "/bulk"))
    assert counted()[("low",)] == before + 3
    assert ADMITTED.family().kind == "counter"


def test_requests_that_make_a_turn_too_long_are_refused_in_that_turn() -> None:
    """Computing handlers never yield, so all that came together would run before the next beat."""

    async def computing(scope: Any, receive: Any, send: Any) -> None:
        time.sleep(0.03)
        await answer(send)

    async def main() -> None:
        guard = Guard(computing, lag_ms=60)
        await ask(guard)
        await asyncio.sleep(0.1)
        found = await asyncio.gather(*(ask(guard) for _ in range(30)))
        statuses = [got.status for got in found]
        assert 1 <= statuses.count(200) < 15
        assert statuses == sorted(statuses)  # the first were served, the rest refused

    asyncio.run(main())


@given(
    st.none() | st.integers(1, 9),
    st.none() | st.integers(1, 9),
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from(Priority),
)
def test_who_has_a_pass_is_let_in_exactly_if_the_policy_would(
    limit: int | None, of_route: int | None, inside: int, of_those: int, priority: Priority
) -> None:
    guard = Guard(ok, in_flight=limit, routes={"/": Route(of_route, priority)})
    (_, known), door = guard._known, guard._door
    door.in_flight, known.lot.in_flight = inside, of_those
    decision = decide(Pressure(), Sight(), door.crowd(known.lot, priority), priority)
    got = asyncio.run(ask(guard))
    assert (got.status == 200) == (decision.verdict is Verdict.ADMIT)
    assert door.in_flight == inside
    assert known.lot.in_flight == of_those


def test_a_route_is_found_again_whatever_was_asked_before() -> None:
    """By method, by mount and by path, also when there have been more paths than are remembered."""

    async def main() -> None:
        table = {"POST /orders": Route(priority="critical"), "/items/{id}": Route(priority="low")}
        guard = Guard(ok, in_flight=9, routes=table)
        plain, orders, items = (*guard._known,)
        wanted = {
            ("GET", "", "/orders"): plain,
            ("POST", "", "/orders"): orders,
            ("GET", "", "/items/7"): items,
            ("GET", "", "/api/items/7"): plain,
            ("GET", "/api", "/api/items/7"): items,
            ("GET", "/api", "/api/livez"): guard._exempt,
            ("GET", "", "/api/livez"): plain,
            ("GET", "", "/livez"): guard._exempt,
            ("GET", "", "/items/" + "x" * 300): items,
        }
        for _ in range(2):
            for (method, root, path), known in wanted.items():
                scope = {"type": "http", "method": method, "root_path": root, "path": path}
                assert guard._find(scope) is known, (method, root, path)
            for number in range(1_200):
                await ask(guard, f"GET /items/{number}")
            assert len(guard._seen) <= 1_000

    asyncio.run(main())


@given(st.lists(st.tuples(st.sampled_from(["/", "/low", "/few", "leave"]), st.integers(0, 9))))
def test_passes_never_let_in_more_than_there_are_slots(steps: list[tuple[str, int]]) -> None:
    """Whoever comes and goes in whatever order, in each step as many as it says."""

    async def main() -> None:
        table = {"/low": Route(priority="low"), "/few": Route(in_flight=2)}
        guard = Guard(Held(), in_flight=7, routes=table)
        tasks: list[asyncio.Task[Got]] = []
        let_in = 0
        for what, times in steps:
            if what == "leave":
                for task in tasks[:times]:
                    task.cancel()
                await asyncio.gather(*tasks[:times], return_exceptions=True)
                del tasks[:times]
            else:
                fresh = await begun(guard, *[what] * times)
                tasks += [task for task in fresh if not task.done()]
                let_in += sum(not task.done() for task in fresh)
            assert guard.statistics().in_flight == len(tasks) <= 7
        assert guard.statistics().admitted == let_in
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert guard.statistics().in_flight == 0

    asyncio.run(main())


# --- at a full door -------------------------------------------------------------------------


async def reasons(guard: Any, times: int = 1) -> set[str]:
    return {(await ask(guard)).problem["reason"] for _ in range(times)}


@pytest.mark.parametrize("options", [{}, {"lag_ms": 5_000}])
def test_a_full_door_refuses_without_the_policy_while_the_loop_is_calm(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        guard = PlainGuard(Held(), in_flight=1, **options)
        (inside,) = await begun(guard, "/")
        monkeypatch.setattr("unstall.guard.guard.decide", None)
        assert await reasons(guard, 5) == {"full"}
        inside.cancel()

    asyncio.run(main())


def test_a_full_door_is_told_as_pressure_while_there_is_some() -> None:
    async def main() -> None:
        late = 0
        guard = PlainGuard(
            Held(), in_flight=1, lag_ms=50, pulse=lambda: Sight(lag_ns=late * 1_000_000)
        )
        (inside,) = await begun(guard, "/")
        assert await reasons(guard) == {"full"}
        late = 60
        assert await reasons(guard) == {"lag"}
        inside.cancel()

    asyncio.run(main())


def test_a_full_door_in_a_turn_that_is_late_says_so() -> None:
    async def main() -> None:
        guard = PlainGuard(Held(), in_flight=1, lag_ms=50)
        (inside,) = await begun(guard, "/")
        while not guard._calm:
            await asyncio.sleep(0.01)
        time.sleep(0.2)
        assert await reasons(guard, 5) == {"lag"}
        inside.cancel()

    asyncio.run(main())


def test_a_full_door_wakes_the_pulse_that_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstall.guard.pulse._IDLE_NS", 50_000_000)

    async def main() -> None:
        guard = PlainGuard(Held(), in_flight=1, lag_ms=5_000)
        (inside,) = await begun(guard, "/")

        def rests() -> bool:
            return isinstance(guard.pulse, Pulse) and guard.pulse._loop is None

        async with asyncio.timeout(30):
            while not rests():
                await asyncio.sleep(0.01)
        assert await reasons(guard) == {"full"}
        assert not rests()
        assert guard._calm, "and it is calm again, so that the next is refused at once"
        inside.cancel()

    asyncio.run(main())


def test_refusals_that_are_kept_are_bounded() -> None:
    async def main() -> None:
        guard = PlainGuard(Held(), in_flight=1, retry_after=5_000)
        (inside,) = await begun(guard, "/")
        assert await reasons(guard, 300) == {"full"}
        assert len(guard._written) == 100
        inside.cancel()

    asyncio.run(main())


def test_of_a_crowd_that_stands_few_are_let_in_and_of_a_burst_all() -> None:
    async def main() -> None:
        app = Held()
        guard = Guard(app, in_flight=8, standing=2, lag_ms=1_000)
        burst = await begun(guard, *["GET /"] * 8)
        assert statuses(burst) == []
        until = time.monotonic() + 20
        while guard.statistics().limit == 8:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)
        assert guard.statistics().limit == 2
        app.go.set()
        await asyncio.gather(*burst)
        app.go.clear()
        crowd = await begun(guard, *["GET /"] * 5)
        assert statuses(crowd) == [503] * 3
        app.go.set()
        await asyncio.gather(*crowd)
        while guard.statistics().limit == 2:
            assert time.monotonic() < until
            await asyncio.sleep(0.02)

    asyncio.run(main())
