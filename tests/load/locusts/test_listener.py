"""What is noted inside Locust, without Locust: its events call these."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from unstall.errors import RecordingError
from unstall.load.locusts import listener
from unstall.load.locusts.notes import read_notes
from unstall.model.histogram import Histogram, bucket_of

S = 10**9


def written(notes: listener.Notes, **more: Any) -> Any:
    """What is in the file, as it comes back out of it."""
    data = {
        "version": 1,
        "began": notes.began,
        "entries": [(*key, entry.data()) for key, entry in notes.entries.items()],
        "foreign": [],
    }
    return json.loads(json.dumps({**data, **more}))


def some() -> listener.Notes:
    notes = listener.Notes()
    notes.began = 100.0
    return notes


@pytest.mark.parametrize("ns", [0, 1, 127, 128, 129, 10_000, 123_456_789, 15 * S, 2**53 - 1])
def test_durations_are_sorted_as_ours_are(ns: int) -> None:
    assert listener.bucket_of(ns) == bucket_of(ns)


def test_answers_are_told_with_their_statuses_and_exact_times() -> None:
    notes = some()
    notes.ended("GET", "/a", 147.25, 100.5, 200, None)
    notes.ended("GET", "/a", 3_432.0, 101.5, 503, OSError("503"))
    (stream,) = read_notes(written(notes)).outcome.streams
    assert stream.name == "GET /a"
    assert stream.statuses == {"200": 1, "503": 1}
    assert stream.latency == Histogram.of([147_250_000, 3_432_000_000]), "147 ms is not 150"
    assert stream.service == stream.latency
    assert [(each.at, each.due, each.good) for each in stream.seconds] == [(0, 1, 1), (1, 1, 0)]


def test_what_broke_is_never_a_fast_answer() -> None:
    notes = some()
    notes.ended("GET", "/a", 2.0, 100.0, 0, ConnectionRefusedError())
    (stream,) = read_notes(written(notes)).outcome.streams
    assert stream.errors == {"connection refused": 1}
    assert stream.latency.min_ns == 30 * S
    assert stream.service.count == 0


def test_a_time_out_counts_as_long_as_it_took() -> None:
    class ReadTimeout(Exception): ...

    notes = some()
    notes.ended("GET", "/a", 5_000, 100.0, 0, ReadTimeout())
    (stream,) = read_notes(written(notes)).outcome.streams
    assert (stream.timed_out, stream.errors, stream.latency.max_ns) == (1, {}, 5 * S)


def test_who_was_stopped_while_he_waited_is_unanswered() -> None:
    notes = some()
    notes.abandoned("GET", "/a", start=102.0, now=110.0)
    (stream,) = read_notes(written(notes)).outcome.streams
    assert (stream.sent, stream.unanswered, stream.answered) == (1, 1, 0)
    assert stream.latency.max_ns == 8 * S


def test_a_client_without_statuses_is_done_or_broken() -> None:
    notes = some()
    notes.ended("GRPC", "say", 3.0, 100.0, 0, None)
    notes.ended("GRPC", "say", 3.0, 100.0, 0, ValueError())
    (stream,) = read_notes(written(notes)).outcome.streams
    assert (stream.statuses, stream.errors) == ({"done": 1}, {"value": 1})


def test_answers_that_the_locustfile_calls_failures_are_told() -> None:
    notes = some()
    notes.ended("GET", "/a", 3.0, 100.0, 200, ValueError("not what I wanted"))
    told = read_notes(written(notes))
    assert told.outcome["GET /a"].statuses == {"200": 1}
    assert "1 answers with a status below 400 are failures for the locustfile" in told.gaps


def test_a_locust_that_was_late_itself_is_told_and_one_that_was_not_is_not() -> None:
    notes = some()
    notes.ended("GET", "/a", 3.0, 100.0, 200, None)
    assert not [gap for gap in read_notes(written(notes)).gaps if "late" in gap]
    notes.late_ns = 40_000_000
    notes.ended("GET", "/a", 3.0, 100.0, 200, None)
    (gap,) = (gap for gap in read_notes(written(notes)).gaps if "late" in gap)
    assert gap.startswith("Locust itself was late: its users woke 40 ms late")


def test_what_workers_report_adds_up_to_what_one_would_have_seen() -> None:
    whole, master = some(), some()
    for number in range(60):
        worker = some()
        for notes in (whole, worker):
            notes.ended("GET", f"/{number % 2}", 1.5 * number, 100 + number / 7, 200, None)
            notes.abandoned("PUT", "/x", 100.0, 101.0 + number)
        master.extend(json.loads(json.dumps(worker.taken())))
        assert worker.taken() == [], "nothing is reported twice"
    assert read_notes(written(master)).outcome == read_notes(written(whole)).outcome


@dataclass
class Stat:
    """As Locust keeps them."""

    num_requests: int
    num_failures: int
    response_times: dict[int, int] = field(default_factory=dict)


def test_requests_of_workers_without_the_listener_are_told_by_locusts_own_figures() -> None:
    notes = some()
    notes.ended("GET", "/ours", 147.0, 100.0, 200, None)
    notes.ended("GET", "/mixed", 147.0, 100.0, 200, None)
    stats = {
        ("/ours", "GET"): Stat(1, 0, {150: 1}),
        ("/mixed", "GET"): Stat(3, 1, {150: 2, 3400: 1}),
        ("/theirs", "POST"): Stat(2, 0, {12: 2}),
    }
    foreign = listener.foreign(notes.entries, stats)
    told = read_notes(written(notes, foreign=foreign))
    assert told.outcome["GET /ours"].statuses == {"200": 1}
    mixed = told.outcome["GET /mixed"]
    assert (mixed.sent, mixed.statuses, mixed.errors) == (3, {"done": 2}, {"failed": 1})
    assert told.outcome["POST /theirs"].latency == Histogram.of([12_000_000] * 2)
    (gap,) = (each for each in told.gaps if "Locust's own figures" in each)
    assert gap.startswith("5 requests are told")
    assert "times of 100 ms and more have two digits" in gap


def test_a_closed_model_is_always_called_one() -> None:
    assert (
        "what a server that stood still kept them from asking is in no figure"
        in (read_notes(written(some())).gaps[0])
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"version": 2}, "run the same version of unstall on all machines"),
        ({}, "cannot be read"),
        (
            {"version": 1, "entries": [["GET", "/", {}]], "foreign": [], "began": 1},
            "cannot be read",
        ),
        ([], "cannot be read"),
    ],
)
def test_what_the_listener_did_not_write_is_refused_in_a_sentence(data: Any, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        read_notes(data)
