"""Four workers of a real server: what one cannot say of itself, its siblings say."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.export.fleet import PATIENCE_S, THRESHOLD_S, Fleet, fleet, get
from tests.run.running import line_in

pytestmark = [pytest.mark.live, pytest.mark.slow]

LINE = line_in(Path(__file__).parent / "app" / "fleet.py", "FREEZES")
NOTICED_WITHIN_S = 5.0
"""Generous, for a machine that runs other things too; it takes a fraction of a second."""


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """Each test begins with four workers alive."""
    if "four" in request.fixturenames:
        running: Fleet = request.getfixturevalue("four")
        until(lambda: [w["state"] for w in running.health()] == ["alive"] * 4, "four workers")


def until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if found := true():
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def addresses(running: Fleet) -> dict[int, str]:
    return {worker["pid"]: worker["address"] for worker in running.health()}


def frozen_as_seen_by(addresses: dict[int, str]) -> tuple[dict[str, Any], str]:
    """The frozen worker, and the address of a sibling that says so."""

    def ask() -> tuple[dict[str, Any], str] | None:
        for asked, address in addresses.items():
            try:
                found = get_workers(address)
            except OSError:  # that one itself holds the interpreter lock
                continue
            frozen = [w for w in found if w["state"] == "frozen" and w["pid"] != asked]
            if frozen and frozen[0]["blocked_s"] > THRESHOLD_S + 0.1:
                return frozen[0], address
        return None

    found: tuple[dict[str, Any], str] = until(ask, "a frozen worker")
    return found


def get_workers(address: str) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = json.loads(get(f"{address}health", 1.0))["workers"]
    return workers


def test_each_worker_serves_all_four_on_a_port_of_its_own(four: Fleet) -> None:
    served = addresses(four)
    assert len(set(served.values())) == 4
    for address in served.values():
        assert {worker["pid"] for worker in four.health(address)} == set(served)
    said = re.findall(r"^unstall: .* is taken: .*$", four.log.read_text(), re.MULTILINE)
    assert len(said) == 3


def test_a_frozen_worker_is_shown_by_a_sibling_with_its_site_while_it_is_frozen(
    four: Fleet,
) -> None:
    served = addresses(four)
    began = time.monotonic()
    four.freeze("/sleep/10")
    worker, sibling = frozen_as_seen_by(served)
    metrics = get(f"{sibling}metrics", accept="application/openmetrics-text")
    seen_after = time.monotonic() - began
    assert worker["stall"] == {
        "cause": "waiting", "because": worker["stall"]["because"], "site": "fleet:sleep",
        "line": f"fleet.py:{LINE}", "call": "time.sleep", "entry": "GET /sleep/{seconds}",
        "request": None, "victims": worker["stall"]["victims"],
    }  # fmt: skip
    assert worker["blocked_s"] < THRESHOLD_S + NOTICED_WITHIN_S
    assert seen_after < 10
    families = {family.name: family for family in text_string_to_metric_families(metrics)}  # type: ignore[no-untyped-call]
    blocked = {
        s.labels["worker"]: s.value for s in families["asyncio_eventloop_blocked_seconds"].samples
    }
    assert {pid for pid, age in blocked.items() if age} == {str(worker["pid"])}
    (info,) = families["asyncio_eventloop_blocked"].samples
    assert info.labels == {
        "worker": str(worker["pid"]), "cause": "waiting", "site": "fleet:sleep",
        "entry": "GET /sleep/{seconds}",
    }  # fmt: skip
    # Its own exporter answers as well: its threads run on.
    assert "frozen" in [w["state"] for w in four.health(served[worker["pid"]])]


def test_one_that_holds_the_interpreter_lock_is_shown_by_the_age_of_its_beat(four: Fleet) -> None:
    served = addresses(four)
    four.freeze("/hold/10")
    worker, sibling = frozen_as_seen_by(served)
    assert worker["stall"] is None
    with pytest.raises(OSError, match="timed out"):
        get(f"{served[worker['pid']]}health", 0.5)
    silent = until(lambda: [w for w in get_workers(sibling) if w["silent"]], "a silent worker")
    assert [w["pid"] for w in silent] == [worker["pid"]]


def test_a_stopped_worker_is_told_from_a_frozen_one(four: Fleet) -> None:
    served = addresses(four)
    stopped, *others = served
    os.kill(stopped, signal.SIGSTOP)
    try:
        states = until(
            lambda: [w for w in get_workers(served[others[0]]) if w["state"] == "stopped"],
            "a stopped worker",
        )
        assert [w["pid"] for w in states] == [stopped]
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_what_a_killed_worker_counted_stays_and_its_successor_takes_its_place(
    tmp_path: Path,
) -> None:
    with fleet(tmp_path, workers=2) as two:
        before = addresses(two)
        culprit = int(two.ask("/sleep/0.6"))
        counted = until(lambda: stalls(two), "a counted stall")
        os.kill(culprit, signal.SIGKILL)
        until(
            lambda: len(addresses(two)) == 2 and set(addresses(two)) != set(before), "a successor"
        )
        assert stalls(two) >= counted


def stalls(running: Fleet) -> float:
    where = next(iter(addresses(running).values()))
    counts = r'^asyncio_eventloop_stall_seconds_count\{cause="waiting".*\} (\d+)$'
    found = re.findall(counts, get(f"{where}metrics"), re.MULTILINE)
    return sum(map(float, found))
