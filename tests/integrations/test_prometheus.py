"""Our families in a registry of prometheus_client."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from unstall.errors import UsageError
from unstall.export import Exporter, joining
from unstall.export.prometheus import render
from unstall.integrations.prometheus import UnstallCollector, metric_of
from unstall.meters import METERS, Distribution
from unstall.model.metric import Family, Kind, Sample
from unstall.settings import Settings
from unstall.watch.monitor import Monitor


@pytest.fixture
def exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exporter]:
    monkeypatch.setattr(joining, "folders", lambda: [tmp_path / "memory"])
    settings = Settings(threshold_ms=150, measure=False)
    with Monitor(settings) as monitor, Exporter(monitor, environ={}) as running:
        yield running


def test_a_registry_shows_ours_beside_its_own(exporter: Exporter) -> None:
    registry = CollectorRegistry()
    Counter("orders", "Orders taken.", registry=registry).inc()
    UnstallCollector(exporter, registry)

    async def main() -> str:
        while not exporter.view().workers:
            await asyncio.sleep(0.01)
        time.sleep(0.4)
        while not any(
            f.name == "asyncio_eventloop_stall_seconds" and f.samples for f in exporter.families()
        ):
            await asyncio.sleep(0.05)
        return generate_latest(registry).decode()

    text = asyncio.run(main())
    assert "orders_total 1.0" in text
    assert 'asyncio_eventloop_stall_seconds_count{cause="waiting",entry="' in text
    assert "asyncio_eventloop_blocked_seconds{worker=" in text
    assert "unstall_victims_total 0.0" in text


def test_it_says_the_same_as_the_exporters_own_text() -> None:
    slow = Distribution("h_seconds", "How long.", ("entry",))
    slow.observe(("a",), 3_000_000, 2)
    slow.observe(("a",), 90_000_000_000)
    families = (
        slow.family(),
        Family("c_total", Kind.COUNTER, "How often.", ("x",), (Sample(("1",), 3.0),)),
        Family("g", Kind.GAUGE, "How much.", (), (Sample((), 0.5),)),
    )

    class Fixed:
        def collect(self) -> list[object]:
            return [metric_of(family) for family in families]

    registry = CollectorRegistry()
    registry.register(Fixed())  # type: ignore[arg-type]
    assert series(generate_latest(registry).decode()) == series("".join(render(families)))


def test_to_register_asks_nothing(exporter: Exporter) -> None:
    """A registry collects at once from who cannot describe itself, and that may be on the event loop."""
    collector = UnstallCollector(exporter, CollectorRegistry())
    assert list(collector.describe()) == []


def test_without_the_library_it_says_what_to_do(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(
        UsageError, match=r"^prometheus_client is not installed, and UnstallCollector needs"
    ):
        UnstallCollector(exporter)


def series(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_no_meter_is_left_behind() -> None:
    assert not [family.name for family in METERS.families() if family.name.startswith("asyncio_")]
