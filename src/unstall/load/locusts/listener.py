"""Handed to Locust beside the user's own locustfile: notes each request as it was, which Locust does not.

Locust keeps times of 100 ms and more with two digits, no status codes, and nothing of who still waits when
the run ends. This file is read by Locust's own interpreter, also on other machines, where unstall need not
be installed: it imports nothing of it. Everything that it does to Locust is public: events, and the two
session classes whose `request` it looks on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = "UNSTALL_LOCUST_NOTES"
"""The environment variable that names where to write; of the master, or of who runs alone."""
BEAT_S = 0.05
TELL_S = 0.5
FAILED_NS = 30 * 10**9
"""What broke without an answer counts as so long at least: it must not look like a fast one."""
_SUB_BITS = 6


def bucket_of(ns: int) -> int:
    """As `unstall.model.histogram` sorts durations."""
    shift = ns.bit_length() - _SUB_BITS - 1
    return ns if shift <= 0 else (shift << _SUB_BITS) + (ns >> shift)


class Durations:
    """Counts by bucket, and the sum and both ends, in ns."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        data = data or {"buckets": [], "sum_ns": 0, "ends": None}
        self.counts: dict[int, int] = dict(data["buckets"])
        self.sum_ns: int = data["sum_ns"]
        self.ends: list[int] | None = data["ends"]

    def add(self, ns: int) -> None:
        ns = max(int(ns), 0)
        bucket = bucket_of(ns)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.sum_ns += ns
        self.ends = [min(self.ends[0], ns), max(self.ends[1], ns)] if self.ends else [ns, ns]

    def extend(self, other: Durations) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.sum_ns += other.sum_ns
        both = (self.ends or []) + (other.ends or [])
        self.ends = [min(both), max(both)] if both else None

    def data(self) -> dict[str, Any]:
        return {"buckets": list(self.counts.items()), "sum_ns": self.sum_ns, "ends": self.ends}


class Counts(dict[str, int]):
    def add(self, key: str, times: int = 1) -> None:
        self[key] = self.get(key, 0) + times

    def extend(self, other: Mapping[str, int]) -> None:
        for key, times in other.items():
            self.add(key, times)


class Second:
    """Requests that were sent in one second."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        data = data or {"due": 0, "good": 0, "latency": None}
        self.due: int = data["due"]
        self.good: int = data["good"]
        self.latency = Durations(data["latency"])

    def extend(self, other: Second) -> None:
        self.due += other.due
        self.good += other.good
        self.latency.extend(other.latency)

    def data(self) -> dict[str, Any]:
        return {"due": self.due, "good": self.good, "latency": self.latency.data()}


class Entry:
    """What Locust calls an entry: a method and a name."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        data = data or {}
        self.statuses = Counts(data.get("statuses", {}))
        self.errors = Counts(data.get("errors", {}))
        self.timed_out: int = data.get("timed_out", 0)
        self.unanswered: int = data.get("unanswered", 0)
        self.rejected: int = data.get("rejected", 0)
        """Answers below 400 that the locustfile calls a failure."""
        self.latency = Durations(data.get("latency"))
        self.service = Durations(data.get("service"))
        self.lateness = Durations(data.get("lateness"))
        self.seconds: dict[int, Second] = {
            at: Second(second) for at, second in data.get("seconds", ())
        }

    @property
    def finished(self) -> int:
        """What Locust has counted, too."""
        return sum(self.statuses.values()) + sum(self.errors.values()) + self.timed_out

    def extend(self, other: Entry) -> None:
        for name in ("statuses", "errors", "latency", "service", "lateness"):
            getattr(self, name).extend(getattr(other, name))
        for name in ("timed_out", "unanswered", "rejected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for at, second in other.seconds.items():
            self.seconds.setdefault(at, Second()).extend(second)

    def data(self) -> dict[str, Any]:
        return {
            **{name: dict(getattr(self, name)) for name in ("statuses", "errors")},
            **{name: getattr(self, name) for name in ("timed_out", "unanswered", "rejected")},
            **{name: getattr(self, name).data() for name in ("latency", "service", "lateness")},
            "seconds": [(at, second.data()) for at, second in sorted(self.seconds.items())],
        }


class Notes:
    """All entries of a process; in a master, those of its workers."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.began: float | None = None
        """On the wall clock."""
        self.late_ns = 0
        """How late the latest beat of the generator was: so late is a user who wakes now."""

    def entry(self, method: object, name: object) -> Entry:
        return self.entries.setdefault((str(method), str(name)), Entry())

    def ended(
        self,
        method: str,
        name: str,
        milliseconds: float | None,
        start: float,
        status: int,
        error: BaseException | None,
    ) -> None:
        """A request that Locust has counted; `status` is 0 if there was no answer."""
        ns = round((milliseconds or 0) * 1e6)
        entry = self.entry(method, name)
        good = False
        if status or error is None:
            entry.statuses.add(str(status) if status else "done")
            entry.service.add(ns)
            good = status < 500 and (bool(status) or error is None)
            entry.rejected += bool(error is not None and 0 < status < 400)
        elif "timeout" in type(error).__name__.lower():
            entry.timed_out += 1
        else:
            entry.errors.add(_kind(error))
            ns = max(ns, FAILED_NS)
        self._noted(entry, ns, start, good)

    def abandoned(self, method: str, name: str, start: float, now: float) -> None:
        """A request that was under way when its user was stopped."""
        entry = self.entry(method, name)
        entry.unanswered += 1
        self._noted(entry, round((now - start) * 1e9), start, False)

    def _noted(self, entry: Entry, ns: int, start: float, good: bool) -> None:
        entry.latency.add(ns)
        entry.lateness.add(self.late_ns)
        at = max(0, int(start - (self.began if self.began is not None else start)))
        second = entry.seconds.setdefault(at, Second())
        second.due += 1
        second.good += good
        second.latency.add(ns)

    def taken(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What there is since the last time, for the master."""
        data = [(method, name, entry.data()) for (method, name), entry in self.entries.items()]
        self.entries = {}
        return data

    def extend(self, data: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        for method, name, entry in data:
            self.entry(method, name).extend(Entry(entry))


def _kind(error: BaseException) -> str:
    words = "".join(" " + c.lower() if c.isupper() else c for c in type(error).__name__)
    return words.replace(" error", "").replace(" exception", "").strip() or "error"


def foreign(
    entries: Mapping[tuple[str, str], Entry], stats: Mapping[Any, Any]
) -> list[dict[str, Any]]:
    """Of entries that Locust counted and we did not, all or in part: what it says of them, rounded.

    Such requests were sent by workers that were started without this file.
    """
    found = []
    for (name, method), stat in stats.items():
        ours = entries.get((str(method), str(name)))
        if stat.num_requests > (ours.finished if ours else 0):
            found.append(
                {
                    "method": str(method), "name": str(name),
                    "count": stat.num_requests, "failures": stat.num_failures,
                    "times_ms": list(stat.response_times.items()),
                }
            )  # fmt: skip
    return found


def register(locust: Any, path: str | None) -> None:
    """Puts itself into Locust's events. `path` is where notes are written, if anywhere."""
    import gevent

    notes = Notes()
    events = locust.events
    held: dict[str, Any] = {}

    def begin(environment: Any, runner: Any, **rest: Any) -> None:
        held["environment"] = environment
        gevent.spawn(beat)
        if tells := path if not _is_worker(runner) else None:
            held["path"] = tells
            gevent.spawn(tell, tells)
        look_on(notes, lambda: float(environment.stop_timeout or 0))

    def beat() -> None:
        while True:
            due = time.perf_counter() + BEAT_S
            gevent.sleep(BEAT_S)
            notes.late_ns = max(0, round((time.perf_counter() - due) * 1e9))

    def tell(path: str) -> None:
        while True:
            write(path + ".progress", progress())
            gevent.sleep(TELL_S)

    def progress() -> dict[str, Any]:
        environment = held["environment"]
        total = environment.stats.total
        return {
            "began": notes.began, "users": environment.runner.user_count,
            "sent": total.num_requests, "failed": total.num_failures,
        }  # fmt: skip

    def started(**rest: Any) -> None:
        notes.began = time.time()
        if path := held.get("path"):  # at once, for the witness begins with us
            write(path + ".progress", progress())

    def ended(
        request_type: str,
        name: str,
        response_time: float | None,
        exception: BaseException | None = None,
        response: Any = None,
        start_time: float | None = None,
        **rest: Any,
    ) -> None:
        status = getattr(response, "status_code", 0) or 0
        begun = start_time or time.time() - (response_time or 0) / 1e3
        notes.ended(request_type, name, response_time, begun, status, exception)

    def report(data: dict[str, Any], **rest: Any) -> None:
        data["unstall"] = notes.taken()

    def reported(data: dict[str, Any], **rest: Any) -> None:
        notes.extend(data.get("unstall") or ())

    def over(**rest: Any) -> None:
        if path := held.get("path"):
            entries = notes.entries
            write(
                path,
                {
                    "version": 1, "locust": locust.__version__, "began": notes.began,
                    "entries": [(*key, entry.data()) for key, entry in entries.items()],
                    "foreign": foreign(entries, held["environment"].stats.entries),
                },
            )  # fmt: skip

    for event, listener in (
        (events.init, begin), (events.test_start, started), (events.request, ended),
        (events.report_to_master, report), (events.worker_report, reported), (events.quit, over),
    ):  # fmt: skip
        event.add_listener(listener)


def look_on(notes: Notes, grace_s: Callable[[], float]) -> None:
    """Counts requests whose user was stopped before the answer came: Locust forgets them.

    Those that it stops before the grace is over were about to be answered as likely as not.
    """
    from locust.clients import HttpSession

    sessions: list[Any] = [HttpSession]
    fast = sys.modules.get("locust.contrib.fasthttp")
    if fast is not None:
        sessions.append(fast.FastHttpSession)
    for session in sessions:
        session.request = _watched(session.request, notes, grace_s)


def _watched(
    original: Callable[..., Any], notes: Notes, grace_s: Callable[[], float]
) -> Callable[..., Any]:
    def request(self: Any, method: Any, url: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.time()
        try:
            return original(self, method, url, *args, **kwargs)
        except Exception:
            raise
        except BaseException:  # the user was stopped
            now = time.time()
            if now - start >= grace_s():
                name = kwargs.get("name") or getattr(self, "request_name", None) or url
                notes.abandoned(method, name, start, now)
            raise

    return request


def _is_worker(runner: object) -> bool:
    return type(runner).__name__ == "WorkerRunner"


def write(path: str, data: object) -> None:
    """All of it or nothing."""
    part = Path(path + ".part")
    part.write_text(json.dumps(data), encoding="utf-8")
    part.replace(path)


if "locust" in sys.modules:  # read by Locust; who else imports this must not get gevent with it
    register(sys.modules["locust"], os.environ.get(FILE))
