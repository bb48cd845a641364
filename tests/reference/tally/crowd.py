"""Clients that remember what was acknowledged, and what the database then has of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass

import psycopg

from tally.settings import Settings
from tests.reference.tally.events import event

CLIENTS = 8
ENOUGH = 300
"""Acknowledged events, after which somebody is killed."""
PAUSE_S = 0.01


class Sender(threading.Thread):
    """Sends until it is told to stop, or its connection breaks and it does not `stay`; knows what was
    acknowledged.
    """

    def __init__(self, port: int, key: str, acknowledged: threading.Semaphore, stays: bool) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.key = key
        self.stays = stays
        self.stop = threading.Event()
        self.ids: list[str] = []
        self.sent = 0
        self.refused = 0
        self.without_advice = 0
        self._acknowledged = acknowledged

    def run(self) -> None:
        while not self.stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                while not self.stop.is_set():
                    self._send(connection)
            except (OSError, http.client.HTTPException):
                if not self.stays:
                    return
                time.sleep(PAUSE_S)
            finally:
                connection.close()

    def _send(self, connection: http.client.HTTPConnection) -> None:
        given = event(name="killed")
        self.sent += 1
        connection.request("POST", "/v1/events", json.dumps(given), headers={"X-API-Key": self.key})
        answer = connection.getresponse()
        answer.read()
        if answer.status in (503, 504):
            self.refused += 1
            self.without_advice += answer.headers["Retry-After"] is None
            time.sleep(PAUSE_S)
            return
        assert answer.status in (200, 201)
        self.ids.append(given["event_id"])
        self._acknowledged.release()


class Crowd:
    """Several senders at once."""

    def __init__(self, port: int, key: str, *, stays: bool = False) -> None:
        self._acknowledged = threading.Semaphore(0)
        self.senders = [Sender(port, key, self._acknowledged, stays) for _ in range(CLIENTS)]
        for each in self.senders:
            each.start()

    def until_enough(self) -> None:
        for _ in range(ENOUGH):
            assert self._acknowledged.acquire(timeout=60), "nothing is acknowledged any more"

    def until_refused(self) -> None:
        until = time.monotonic() + 60
        while not any(each.refused for each in self.senders):
            assert time.monotonic() < until, "nothing is refused"
            time.sleep(PAUSE_S)

    def end(self) -> None:
        for each in self.senders:
            each.stop.set()
        for each in self.senders:
            each.join(60)

    @property
    def ids(self) -> set[str]:
        return {each for sender in self.senders for each in sender.ids}


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one customer. Without a loss and without a double, all numbers are the same."""

    stored: frozenset[str]
    rows: int
    minutes: int
    hours: int
    usage: int


def counted(settings: Settings, customer: int) -> Counted:
    """At one moment: what a killed process had sent may still be on its way."""
    with psycopg.connect(settings.database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def asked(question: str) -> int:
            row = connection.execute(question.encode(), (customer,)).fetchone()
            return int(row[0] or 0) if row else 0

        rows = connection.execute(
            "SELECT event_id FROM events WHERE customer_id = %s", (customer,)
        ).fetchall()
        return Counted(
            frozenset(event_id for (event_id,) in rows),
            len(rows),
            asked("SELECT sum(count) FROM rollup_minute WHERE customer_id = %s"),
            asked("SELECT sum(count) FROM rollup_hour WHERE customer_id = %s"),
            asked("SELECT sum(events) FROM usage_outbox WHERE customer_id = %s"),
        )
