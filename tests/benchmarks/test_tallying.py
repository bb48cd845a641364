"""The generator of events for the reference service sends what the service takes."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

from benchmarks.support.tallying import Source, bodies
from benchmarks.tally import body
from tally.ingest.normalise import fast, naive
from tally.model import batch_of, event_of
from tally.settings import Limits

LIMITS = Limits()


def body_of(request: bytes) -> bytes:
    head, _, found = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(found)}".encode() in head
    return found


def test_every_event_is_taken_and_no_two_are_the_same() -> None:
    source = Source("key", 0)
    raws = [body_of(source.next()) for _ in range(250)]
    events = [event_of(raw, 1, datetime.now(UTC), LIMITS) for raw in raws]
    assert len({each.event_id for each in events}) == 250
    assert 1_000 < sum(map(len, raws)) / len(raws) < 2_000


def test_a_batch_is_one() -> None:
    assert len(batch_of(body_of(Source("key", 50).next()), LIMITS)) == 50


def test_both_ways_to_normalise_agree_on_them() -> None:
    for first, second in bodies(random.Random(2)):
        given = event_of(first + b"1" + second, 1, datetime.now(UTC), LIMITS)
        assert naive(given, 1) == fast(given, 1)


def test_the_template_of_the_open_model_is_an_event() -> None:
    told = json.loads(body())
    assert told["event_id"] == "${uuid}"
    filled = told | {"at": datetime.now(UTC).isoformat()}
    event_of(json.dumps(filled).encode(), 1, datetime.now(UTC), LIMITS)
