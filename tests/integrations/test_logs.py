"""Records of stalls: one for each place, later ones held back, and nothing that a handler does comes back."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from unstall.integrations.logs import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MOST_SITES,
    Backoff,
    StallLog,
    Word,
    fields_of,
    level_of,
    sentence_of,
    to,
)
from unstall.model.finding import Cause, Stall
from unstall.settings import Settings
from unstall.testing import entry, request, site, stall
from unstall.watch.monitor import Monitor

SETTINGS = Settings(threshold_ms=60)
PATIENCE_S = 20.0


class Records(logging.Handler):
    """Keeps what it is given, and on which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.threads: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.add(threading.get_ident())


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("unstall")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


# --- when -----------------------------------------------------------------------------------


def test_the_first_stall_of_a_place_is_said_at_once() -> None:
    said = Backoff().offer(stall(), None, 0.0)
    assert said is not None
    assert said.held_back == 0


def test_later_ones_are_held_back_for_one_two_and_four_minutes_and_summed_up() -> None:
    backoff = Backoff()
    records: list[tuple[float, Word | None]] = [(0, backoff.offer(stall(held_ms=100), None, 0))]
    for second in range(1, 8 * 60):
        records += [(second, word) for word in backoff.due(second)]
        assert backoff.offer(stall(held_ms=100 + second), None, second) is None
    assert [at for at, _ in records] == [0, 60, 180, 420]
    held_back = [word.held_back for _, word in records if word]
    assert held_back == [0, 58, 119, 239]
    worst = [word.worst_ns / 1e6 for _, word in records if word]
    assert worst == pytest.approx([100, 159, 280, 520], abs=1.1)


def test_every_stall_is_in_exactly_one_record() -> None:
    backoff = Backoff()
    said: list[Word] = []
    for second in range(1_000):
        said += backoff.due(second)
        word = backoff.offer(stall(), None, second)
        said += [word] if word else []
    said += backoff.rest()
    assert sum(1 + word.held_back for word in said) == 1_000


def test_silence_never_grows_beyond_the_longest() -> None:
    backoff = Backoff()
    at = [0.0]
    assert backoff.offer(stall(), None, 0.0)
    now = 0.0
    while len(at) < 12:
        backoff.offer(stall(), None, now)
        now += backoff.wait_s(now) or 0
        if backoff.due(now):
            at.append(now)
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_place_that_was_quiet_begins_anew() -> None:
    backoff = Backoff()
    assert backoff.offer(stall(), None, 0)
    assert backoff.offer(stall(), None, 1) is None
    assert backoff.due(60)
    assert backoff.offer(stall(), None, 10_000)
    assert backoff.offer(stall(), None, 10_059) is None
    assert len(backoff.due(10_060)) == 1  # one minute again, not four


def test_places_are_silenced_one_by_one() -> None:
    backoff = Backoff()
    assert backoff.offer(stall(at=site("requests.get")), None, 0)
    assert backoff.offer(stall(at=site("time.sleep")), None, 1)
    assert backoff.offer(stall(way_in=entry(name="GET /other")), None, 1)
    assert backoff.offer(stall(at=replace(site(), line=99)), None, 2) is None  # lines move


def test_places_without_number_are_bounded() -> None:
    backoff = Backoff()
    said = [backoff.offer(stall(at=site(f"call{n}")), None, 0) for n in range(MOST_SITES * 3)]
    assert sum(1 for word in said if word) == MOST_SITES + 1
    assert sum(1 + word.held_back for word in backoff.rest()) == MOST_SITES * 2 - 1


# --- what -----------------------------------------------------------------------------------


def test_a_record_says_who_where_why_and_at_what_price() -> None:
    seen = stall(held_ms=520, by=request("POST /orders", "abc-1"), waiting_in_flight=3)
    assert sentence_of(Word(seen)) == (
        "POST /orders held the event loop for 0.52 s at shop/billing.py:31 in Billing.charge, calling "
        "requests.get: the loop's thread was in poll on 9 of 9 looks, 1% CPU; 3 requests waited"
    )
    said = sentence_of(Word(seen, held_back=37, worst_ns=1_200_000_000))
    assert said.endswith("; 37 more stalls of this place since the last record, the worst 1.20 s")


def test_a_strangers_request_id_steers_no_terminal() -> None:
    seen = replace(stall(), because="because \x1b[31m\nof that")
    assert "\x1b" not in sentence_of(Word(seen))
    assert "\n" not in sentence_of(Word(seen))


def test_fields_are_json_and_hold_the_request_id() -> None:
    word = Word(stall(by=request("POST /orders", "abc-1")), bound={"tenant": 7, "object": object()})
    fields = json.loads(json.dumps(fields_of(word)))
    assert fields["request_id"] == "abc-1"
    assert fields["rule"] == "US102"
    assert fields["tenant"] == 7
    assert fields["file"] == "shop/billing.py"
    assert "object at" in fields["object"]


def test_a_bound_request_id_stands_where_no_header_had_one() -> None:
    word = Word(stall(), bound={"request_id": "from the context"})
    assert fields_of(word)["request_id"] == "from the context"
    assert fields_of(Word(stall(), bound="no mapping"))["request_id"] is None


def test_nobody_is_warned_of_what_nobody_is_to_blame_for() -> None:
    assert level_of(stall()) == logging.WARNING
    assert level_of(stall(cause=Cause.STARVED)) == logging.INFO
    startup = stall(way_in=entry("startup", "load", "shop:load"), served_before=0)
    assert level_of(startup) == logging.INFO


def test_a_bound_field_never_collides_with_a_records_own(logger: logging.Logger) -> None:
    records = Records()
    logger.addHandler(records)
    to(logger)(logging.WARNING, "100% sentence", {"name": "mine", "message": "x", "tenant": 7})
    (record,) = records.records
    assert record.name == "unstall"
    assert record.__dict__["bound_name"] == "mine"
    assert record.__dict__["tenant"] == 7
    assert record.getMessage() == "100% sentence"


# --- on a real loop -------------------------------------------------------------------------

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


async def blocks(seconds: float = 0.2, times: int = 1) -> None:
    TENANT.set("acme")
    await asyncio.sleep(0.1)
    for _ in range(times):
        time.sleep(seconds)
        await asyncio.sleep(0.1)


def test_one_record_is_written_off_the_loop_and_the_rest_at_the_end(logger: logging.Logger) -> None:
    records = Records()
    logger.addHandler(records)
    with Monitor(SETTINGS) as monitor:
        log = StallLog(monitor, to(logger), bind=lambda: {"tenant": TENANT.get()}).start()
        asyncio.run(blocks(times=4))
        while_it_ran = [r for r in records.records if r.__dict__["call"] == "time.sleep"]
        log.stop()
    assert len(while_it_ran) == 1
    asleep = [r for r in records.records if r.__dict__["call"] == "time.sleep"]
    assert sum(1 + r.__dict__["held_back"] for r in asleep) >= 4
    assert threading.get_ident() not in records.threads
    assert asleep[0].__dict__["tenant"] == "acme"
    assert asleep[0].__dict__["function"] == "blocks"


def test_a_loop_that_is_frozen_for_a_second_is_told_of_before_it_is_free(
    logger: logging.Logger,
) -> None:
    heard = threading.Event()
    told: list[logging.LogRecord] = []

    class Hears(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.__dict__["event"] == "event_loop.frozen":
                told.append(record)
                heard.set()

    async def freezes() -> bool:
        await asyncio.sleep(0.1)
        return heard.wait(PATIENCE_S)  # on the loop

    logger.addHandler(Hears())
    with Monitor(SETTINGS) as monitor:
        StallLog(monitor, to(logger)).start()
        assert asyncio.run(freezes())
    assert len(told) == 1


def test_a_clean_loop_writes_nothing(logger: logging.Logger) -> None:
    records = Records()
    logger.addHandler(records)

    async def clean() -> None:
        await asyncio.gather(*(asyncio.sleep(0.2) for _ in range(50)))
        await asyncio.to_thread(time.sleep, 0.2)

    with Monitor(SETTINGS) as monitor:
        StallLog(monitor, to(logger)).start()
        asyncio.run(clean())
    warned = [r for r in records.records if r.levelno >= logging.WARNING]
    assert [r for r in warned if r.__dict__["cause"] != "unknown" or r.__dict__["file"]] == []


def test_a_handler_that_raises_loses_its_record_and_nothing_else(logger: logging.Logger) -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    logger.addHandler(Raises())
    heard: list[Stall] = []
    with Monitor(SETTINGS, on_stall=heard.append) as monitor:
        log = StallLog(monitor, to(logger)).start()
        asyncio.run(blocks())
        log.stop()
    assert log.lost >= 1
    assert heard
    assert "listener removed" not in str(monitor.statistics().dropped)


def test_a_handler_that_blocks_keeps_nobody_from_seeing(logger: logging.Logger) -> None:
    go = threading.Event()

    class Blocks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go.wait(PATIENCE_S)

    logger.addHandler(Blocks())
    with Monitor(SETTINGS) as monitor:
        StallLog(monitor, to(logger)).start()
        asyncio.run(blocks(times=3))
        seen = len([s for s in monitor.recording().stretches if s.late_ns > 100e6])
        go.set()
    assert seen >= 2


# --- structlog ------------------------------------------------------------------------------


def test_structlog_records_hold_what_the_culprit_had_bound() -> None:
    structlog = pytest.importorskip("structlog")
    from unstall.integrations.structlog import stall_log

    written: list[dict[str, Any]] = []

    def keep(_: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
        written.append({"method": method, **event})
        raise structlog.DropEvent

    logger = structlog.wrap_logger(
        structlog.PrintLogger(), [keep], structlog.make_filtering_bound_logger(logging.INFO)
    )

    async def serves(order: str, seconds: float) -> None:
        structlog.contextvars.bind_contextvars(order=order)
        await asyncio.sleep(0.1)
        time.sleep(seconds)
        await asyncio.sleep(0.1)

    async def both() -> None:
        await asyncio.gather(serves("innocent", 0), serves("guilty", 0.3))

    with Monitor(SETTINGS) as monitor:
        stall_log(monitor, logger).start()
        asyncio.run(both())
    asleep = [event for event in written if event["call"] == "time.sleep"]
    assert asleep
    assert asleep[0]["order"] == "guilty"
    assert asleep[0]["event"] == "event_loop.stall"
    assert asleep[0]["method"] == "warning"
    assert "held the event loop" in asleep[0]["message"]
