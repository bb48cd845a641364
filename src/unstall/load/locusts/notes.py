"""What the listener wrote inside Locust, as an outcome beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unstall.clock import NS_PER_MS
from unstall.errors import RecordingError
from unstall.load.locusts.listener import FAILED_NS
from unstall.model.histogram import Histogram, HistogramBuilder
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome, Second, StreamOutcome, merge

VERSION = 1
CLOSED = (
    "the load was a closed model: users wait for their answers, so what a server that stood still kept "
    "them from asking is in no figure of theirs; the witness was asked at its fixed rate"
)


@dataclass(frozen=True, slots=True)
class Notes:
    outcome: Outcome
    began_s: float | None
    """On the wall clock; None: the users never began."""
    gaps: tuple[str, ...]


def read_notes(data: Any, *, by_name: bool = False) -> Notes:
    """What was written; `by_name` calls streams by the name alone, as scenarios of a plan are.

    Raises `RecordingError` for what the listener did not write.
    """
    try:
        if data["version"] != VERSION:
            raise RecordingError(
                f"Locust's notes have format {data['version']} and this unstall reads {VERSION}: run "
                "the same version of unstall on all machines"
            )
        foreign = data["foreign"]
        apart = {(each["method"], each["name"]) for each in foreign}
        streams = [
            *(
                _stream(name if by_name else _title(method, name), entry)
                for method, name, entry in data["entries"]
                if (method, name) not in apart
            ),
            *(
                _rounded(each["name"] if by_name else _title(each["method"], each["name"]), each)
                for each in foreign
            ),
        ]
        entries = [entry for _, _, entry in data["entries"]]
        gaps = (CLOSED, *_told(foreign, entries))
        return Notes(Outcome(merge(streams)), data["began"], gaps)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"Locust's notes cannot be read: {error!r}") from None


def _stream(name: str, entry: Mapping[str, Any]) -> StreamOutcome:
    latency = _histogram(entry["latency"])
    return StreamOutcome(
        name=name,
        due=latency.count,
        sent=latency.count,
        timed_out=entry["timed_out"],
        unanswered=entry["unanswered"],
        statuses=dict(sorted(entry["statuses"].items())),
        errors=dict(sorted(entry["errors"].items())),
        latency=latency,
        service=_histogram(entry["service"]),
        seconds=tuple(
            Second(at, second["due"], second["good"], _histogram(second["latency"]))
            for at, second in entry["seconds"]
        ),
    )


def _rounded(name: str, foreign: Mapping[str, Any]) -> StreamOutcome:
    """From Locust's own figures, which know neither statuses nor which times belong to failures."""
    times, failed = foreign["times_ms"], foreign["failures"]
    builder = HistogramBuilder()
    for milliseconds, count in times:
        builder.add(round(float(milliseconds) * NS_PER_MS), count)
    answered = foreign["count"] - failed
    untimed = foreign["count"] - sum(count for _, count in times)
    if untimed > 0:
        builder.add(FAILED_NS, untimed)
    latency = builder.freeze()
    return StreamOutcome(
        name=name,
        due=latency.count,
        sent=latency.count,
        statuses={"done": answered} if answered else {},
        errors={"failed": failed} if failed else {},
        latency=latency,
    )


def _told(foreign: list[Mapping[str, Any]], entries: list[Mapping[str, Any]]) -> list[str]:
    gaps = []
    late = sum((_histogram(entry["lateness"]) for entry in entries), Histogram()).quantile_ns(0.99)
    if late is not None and late > LATENESS_BOUND_NS:
        gaps.append(
            f"Locust itself was late: its users woke {late / NS_PER_MS:.0f} ms late or more in one "
            "request of a hundred, as when many are spawned at once, and its times may contain that; "
            "--processes, or fewer users a second, helps"
        )
    if foreign:
        count = sum(each["count"] for each in foreign)
        gaps.append(
            f"{count} requests are told by Locust's own figures, as workers were started without unstall: "
            "times of 100 ms and more have two digits, status codes are not known, and who still waited "
            "at the end is missing"
        )
    if rejected := sum(entry["rejected"] for entry in entries):
        gaps.append(f"{rejected} answers with a status below 400 are failures for the locustfile")
    return gaps


def _title(method: str, name: str) -> str:
    return f"{method} {name}".strip()


def _histogram(data: Mapping[str, Any]) -> Histogram:
    buckets = tuple(sorted((int(bucket), int(count)) for bucket, count in data["buckets"]))
    low, high = data["ends"] or (0, 0)
    count = sum(count for _, count in buckets)
    return Histogram(buckets, count, data["sum_ns"], low, high)
