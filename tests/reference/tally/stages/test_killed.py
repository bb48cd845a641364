"""`kill -9` in the middle of traffic: what was acknowledged is there, and once, and the rest goes on."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tally.schema import seed
from tally.schema.migrate import to
from tally.settings import Settings
from tally.stack import Stack
from tests.reference.tally.crowd import ENOUGH, Crowd, counted
from tests.reference.tally.serving import served

pytestmark = [pytest.mark.live, pytest.mark.slow]

CUSTOMER, KEY = 40_001, "key-of-the-killed"


def check(settings: Settings, crowd: Crowd) -> None:
    """All that was acknowledged is stored once, and counted once."""
    found = counted(settings, CUSTOMER)
    assert crowd.ids <= found.stored
    assert found.rows == len(found.stored) == found.minutes == found.hours == found.usage
    assert found.rows <= sum(each.sent for each in crowd.senders)


def test_when_the_api_is_killed_no_acknowledged_event_is_lost(plain: Settings) -> None:
    seed.customer(plain, CUSTOMER, "killed", KEY)
    with served(plain) as (process, port):
        crowd = Crowd(port, KEY)
        crowd.until_enough()
        process.send_signal(signal.SIGKILL)
        crowd.end()
    assert len(crowd.ids) >= ENOUGH
    check(plain, crowd)


def test_when_postgresql_is_killed_the_api_refuses_and_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    with Stack(tmp_path / "stack") as stack:
        assert stack.postgres is not None
        settings = Settings(stack.database_url, stack.redis_url, spool=tmp_path)
        to(settings)
        seed.customer(settings, CUSTOMER, "killed", KEY)
        with served(settings) as (_, port):
            crowd = Crowd(port, KEY)
            crowd.until_enough()
            stack.postgres.kill()  # a second of that is waited for; what is longer is said
            crowd.until_refused()
            stack.postgres.start()
            crowd.until_enough()
            crowd.end()
            check(settings, crowd)
        assert all(each.stop.is_set() for each in crowd.senders)
        assert sum(each.without_advice for each in crowd.senders) == 0
