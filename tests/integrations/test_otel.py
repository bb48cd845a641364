"""OpenTelemetry with its own SDK: spans and metrics of a real FastAPI service, read back from memory."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

import httpx
from fastapi import BackgroundTasks, FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler

from unstall.errors import UsageError
from unstall.integrations.otel import STALL, Instruments, OpenTelemetry, StallSpans, otel_name
from unstall.meters import Counter, Distribution, Gauge, Meters
from unstall.model.metric import Family, Kind
from unstall.settings import Settings
from unstall.testing import entry, stall
from unstall.watch.monitor import Monitor

SETTINGS = Settings(threshold_ms=60)


class Traces:
    """A tracer provider, and what it exported."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler) if sampler else TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def stalled(self) -> list[tuple[ReadableSpan, dict[str, Any]]]:
        """Spans with an event of a stall on them, and its attributes."""
        return [
            (span, dict(event.attributes or {}))
            for span in self.spans()
            for event in span.events
            if event.name == STALL
        ]

    def asleep(self) -> list[tuple[ReadableSpan, dict[str, Any]]]:
        """Those that the service is to blame for, on a machine that may be slow by itself."""
        return [each for each in self.stalled() if _sleeps(each[1])]

    def asleep_below(self) -> list[ReadableSpan]:
        """The same, told as spans of their own."""
        spans = self.spans()
        return [s for s in spans if s.name == STALL and _sleeps(dict(s.attributes or {}))]


def _sleeps(said: dict[str, Any]) -> bool:
    return said.get(f"{STALL}.call") == "time.sleep"


def application(traces: Traces) -> FastAPI:
    app = FastAPI(telemetry={"tracer_provider": traces.provider, "metrics": False})

    @app.get("/orders/{number}")
    async def orders(number: int) -> dict[str, int]:
        time.sleep(0.4)
        return {"number": number}

    @app.get("/innocent")
    async def innocent() -> dict[str, int]:
        await asyncio.sleep(0.2)
        return {}

    @app.get("/mixed")
    async def mixed() -> dict[str, int]:
        time.sleep(0.3)
        await asyncio.sleep(1.0)
        return {}

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> dict[str, int]:
        async def notify() -> None:
            time.sleep(0.3)

        tasks.add_task(notify)
        return {}

    return app


async def asks(app: FastAPI, *paths: str) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        answers = await asyncio.gather(*(client.get(path) for path in paths))
    assert all(answer.status_code == 200 for answer in answers)
    await asyncio.sleep(0.3)


def watched(traces: Traces, *paths: str, settings: Settings = SETTINGS) -> None:
    app = application(traces)
    with Monitor(settings) as monitor:
        telemetry = OpenTelemetry(monitor, tracer_provider=traces.provider).start()
        asyncio.run(asks(app, *paths))
    telemetry.stop()


def trace_of(spans: list[ReadableSpan], path: str) -> int:
    (server,) = [s for s in spans if (s.attributes or {}).get("url.path") == path]
    assert server.context is not None
    return int(server.context.trace_id)


def test_a_stall_is_an_event_on_the_culprits_span_and_on_nobody_elses() -> None:
    traces = Traces()
    watched(traces, "/innocent", "/orders/7", "/innocent?again=1")
    stalled = traces.asleep()
    assert stalled
    culprit = trace_of(traces.spans(), "/orders/7")
    assert {span.context.trace_id for span, _ in stalled if span.context} == {culprit}
    _, said = stalled[0]
    assert said[f"{STALL}.cause"] == "waiting"
    assert said[f"{STALL}.rule"] == "US101"
    assert said[f"{STALL}.call"] == "time.sleep"
    assert said[f"{STALL}.entry"] == "GET /orders/{number}"
    assert said[f"{STALL}.ongoing"] is True
    assert said["code.file.path"].endswith("test_otel.py")
    assert said["code.function.name"].endswith("orders")
    assert said[f"{STALL}.duration"] >= 0.06


def test_the_event_stands_where_the_stall_began() -> None:
    traces = Traces()
    watched(traces, "/orders/7")
    (span, _), *_ = traces.asleep()
    event = next(event for event in span.events if event.name == STALL)
    assert span.start_time is not None
    assert span.end_time is not None
    # The heartbeat that came late was due up to an interval after the span began, or, where the loop was
    # late already, before; and the span ends with the stall, which lasts for 0.4 s.
    assert span.start_time - 300e6 < event.timestamp < span.end_time - 300e6


def test_the_last_word_on_a_span_that_has_ended_is_a_span_of_its_own_below_it() -> None:
    traces = Traces()
    watched(traces, "/orders/7")
    child, *_ = traces.asleep_below()
    assert child.parent is not None
    assert child.parent.trace_id == trace_of(traces.spans(), "/orders/7")
    said = child.attributes or {}
    assert said[f"{STALL}.ongoing"] is False
    assert child.start_time is not None
    assert child.end_time is not None
    duration = (child.end_time - child.start_time) / 1e9
    assert duration > 0.25
    assert said[f"{STALL}.duration"] == pytest.approx(duration, abs=1e-3)


def test_the_last_word_on_a_span_that_is_open_is_an_event_too() -> None:
    traces = Traces()
    watched(traces, "/mixed")
    lasts = [said for _, said in traces.asleep() if not said[f"{STALL}.ongoing"]]
    assert lasts
    assert lasts[0][f"{STALL}.duration"] >= 0.2
    assert traces.asleep_below() == []


def test_a_stall_in_a_background_task_is_in_the_trace_of_its_request() -> None:
    traces = Traces()
    watched(traces, "/background")
    spans = traces.spans()
    told = {span.context.trace_id for span, _ in traces.asleep() if span.context}
    told |= {span.parent.trace_id for span in traces.asleep_below() if span.parent}
    assert told == {trace_of(spans, "/background")}


def test_nothing_is_exported_for_a_trace_that_is_not_sampled() -> None:
    traces = Traces(ALWAYS_OFF)
    watched(traces, "/orders/7")
    assert traces.spans() == []


def test_a_service_that_does_not_block_has_no_event() -> None:
    traces = Traces()
    watched(traces, "/innocent", settings=Settings(threshold_ms=250))
    assert traces.spans()
    said = [said for _, said in traces.stalled()]
    said += [dict(span.attributes or {}) for span in traces.spans() if span.name == STALL]
    assert [each for each in said if each[f"{STALL}.cause"] not in ("starved", "unknown")] == []


def test_a_stall_without_a_span_is_no_business_of_tracing() -> None:
    traces = Traces()
    StallSpans(traces.provider.get_tracer("test")).tell(stall(), None)
    assert traces.spans() == []


def test_a_stall_that_is_repeated_while_it_lasts_is_one_event() -> None:
    traces = Traces()
    spans = StallSpans(traces.provider.get_tracer("test"), epoch_ns=lambda: 0)
    with traces.provider.get_tracer("test").start_as_current_span("request") as span:
        for held_ms in (100, 1_000, 2_000):
            spans.tell(lasting(held_ms), span)
    assert [said[f"{STALL}.duration"] for _, said in traces.stalled()] == [0.1]


def lasting(held_ms: float) -> Any:
    from dataclasses import replace

    return replace(stall(held_ms=held_ms, way_in=entry()), ongoing=True)


# --- metrics --------------------------------------------------------------------------------


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    yield reader
    reader.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    data = reader.get_metrics_data()
    return {
        metric.name: [
            (dict(point.attributes or {}), point.value)
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint)
        ]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


class Clock:
    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        self.now += 10  # each reading is fresh
        return self.now


def test_meters_are_read_when_metrics_are_collected(reader: InMemoryMetricReader) -> None:
    meters = Meters()
    shed = Counter("unstall_guard_shed_total", "Refused.", ("reason",))
    wait = Distribution("db_client_connection_wait_time_seconds", "Waits.", ("pool",))
    size = Gauge("db_client_connection_max", "Size.", lambda: [(("main",), 5.0)], ("pool",))
    meters.add(shed, wait, size)
    provider = MeterProvider([reader])
    instruments = Instruments(provider.get_meter("unstall"), Monitor(SETTINGS), meters, Clock())
    instruments.start()
    shed.add(("lag",), 3)
    wait.observe(("main",), 2_000_000)
    wait.observe(("main",), 700_000_000)
    seen = collected(reader)
    pool = {"db.client.connection.pool.name": "main"}
    assert seen["unstall.guard.shed"] == [({"reason": "lag"}, 3)]
    assert seen["db.client.connection.max"] == [(pool, 5)]
    assert seen["db.client.connection.wait_time.count"] == [(pool, 2)]
    ((_, total),) = seen["db.client.connection.wait_time.sum"]
    assert total == pytest.approx(0.702)
    buckets = {said["le"]: n for said, n in seen["db.client.connection.wait_time.bucket"]}
    assert buckets["0.001"] == 0
    assert buckets["0.0025"] == 1
    assert buckets["1.0"] == buckets["+Inf"] == 2
    instruments.stop()


def test_a_meter_that_comes_later_is_in_a_later_collection(reader: InMemoryMetricReader) -> None:
    meters = Meters()
    provider = MeterProvider([reader])
    instruments = Instruments(provider.get_meter("unstall"), Monitor(SETTINGS), meters, Clock())
    instruments.start()
    meters.add(Gauge("unstall_lane_queue", "Queued.", lambda: [((), 7.0)]))
    assert "unstall.lane.queue" not in collected(reader)
    deadline = time.monotonic() + 20
    while "unstall.lane.queue" not in (seen := collected(reader)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert seen["unstall.lane.queue"] == [({}, 7)]
    instruments.stop()


def test_a_monitor_tells_of_its_loops_and_stalls(reader: InMemoryMetricReader) -> None:
    provider = MeterProvider([reader])

    async def blocks() -> dict[str, list[tuple[dict[str, Any], float]]]:
        await asyncio.sleep(0.1)
        time.sleep(0.2)
        async with asyncio.timeout(20):
            while not collected(reader)["asyncio.eventloop.stalls"][0][1]:
                await asyncio.sleep(0.01)
        return collected(reader)

    with Monitor(SETTINGS) as monitor:
        telemetry = OpenTelemetry(monitor, meter_provider=provider).start()
        telemetry._metrics._clock = Clock()
        seen = asyncio.run(blocks())
    telemetry.stop()
    assert seen["asyncio.eventloop.watched"] == [({}, 1)]
    assert seen["asyncio.eventloop.stalls"][0][1] >= 1
    assert seen["asyncio.eventloop.blocked"][0][1] >= 0
    assert collected(reader) == {}  # stopped: nothing is observed any more


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("asyncio_eventloop_lag_seconds", ("asyncio.eventloop.lag", "s")),
        ("asyncio_tasks", ("asyncio.tasks", "")),
        ("unstall_victims_total", ("unstall.victims", "")),
        ("http_server_queue_seconds", ("http.server.queue", "s")),
        ("asyncio_eventloop_utilization_ratio", ("asyncio.eventloop.utilization", "1")),
        ("something_else", ("something_else", "")),
    ],
)
def test_names_follow_opentelemetry(name: str, expected: tuple[str, str]) -> None:
    assert otel_name(Family(name, Kind.GAUGE, "")) == expected


def test_without_the_library_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(UsageError, match="pip install opentelemetry-sdk"):
        OpenTelemetry(Monitor(SETTINGS))
