"""Outcomes add up, merge without loss and survive JSON."""

from __future__ import annotations

import json
from functools import reduce

import pytest

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.errors import NewerRecording, RecordingError
from unstall.load.outcome import StreamBuilder, total
from unstall.model.histogram import Histogram
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome, StreamOutcome, merge


def a_stream(name: str = "ingest", late_ns: int = 1) -> StreamOutcome:
    builder = StreamBuilder(name)
    due = [builder.expect(n * NS_PER_S // 2) for n in range(7)]
    builder.drop()
    for _ in range(6):
        builder.leave(late_ns)
    builder.answer(due[0], 200, 3 * NS_PER_MS, 2 * NS_PER_MS)
    builder.answer(due[1], 201, 4 * NS_PER_MS, 2 * NS_PER_MS)
    builder.answer(due[2], 503, 5 * NS_PER_MS, 2 * NS_PER_MS)
    builder.time_out(due[3], 30)
    builder.fail(due[4], "refused", 40)
    builder.abandon(due[5], 50)
    builder.resend()
    return builder.freeze()


def test_a_second_holds_what_was_due_in_it_and_what_came_of_that() -> None:
    seconds = a_stream().seconds
    assert [(each.at, each.due, each.good, each.latency.count) for each in seconds] == [
        (0, 2, 2, 2), (1, 2, 0, 2), (2, 2, 0, 2), (3, 1, 0, 0),
    ]  # fmt: skip


def test_the_total_of_histograms_is_their_sum() -> None:
    parts = [Histogram.of(each) for each in ([5, 70_000], [], [1], [70_001, 9 * NS_PER_S])]
    assert total(parts) == reduce(Histogram.__add__, parts)
    assert total([]) == Histogram()


def test_every_request_is_counted_once() -> None:
    stream = a_stream()
    assert stream.due == stream.sent + stream.dropped == 7
    assert stream.sent == (stream.answered + stream.timed_out + stream.failed + stream.unanswered)
    assert stream.latency.count == stream.lateness.count == stream.sent
    assert stream.service.count == stream.answered == 3


def test_answers_are_known_by_status() -> None:
    assert a_stream().statuses == {"200": 1, "201": 1, "503": 1}


def test_merging_is_the_same_as_one_generator_that_saw_it_all() -> None:
    both = a_stream() + a_stream()
    assert (both.due, both.sent, both.statuses["503"], both.errors) == (14, 12, 2, {"refused": 2})
    assert both.latency == a_stream().latency + a_stream().latency


def test_streams_merge_by_name_in_the_order_they_came() -> None:
    merged = merge([a_stream("b"), a_stream("a"), a_stream("b")])
    assert [(stream.name, stream.due) for stream in merged] == [("b", 14), ("a", 7)]
    whole = Outcome((a_stream("b"),)) + Outcome((a_stream("a"), a_stream("b")))
    assert whole.streams == merged


def test_a_stream_is_found_by_its_name() -> None:
    outcome = Outcome((a_stream("witness"),))
    assert outcome["witness"].due == 7
    with pytest.raises(KeyError):
        outcome["nobody"]


def test_an_outcome_comes_back_from_json_as_it_was() -> None:
    outcome = Outcome((a_stream("one"), StreamOutcome("silent")))
    data = json.loads(json.dumps(outcome.to_json()))
    assert data["version"] == 1
    assert Outcome.from_json(data) == outcome


def test_an_outcome_of_a_later_format_asks_for_an_upgrade() -> None:
    with pytest.raises(NewerRecording, match="upgrade"):
        Outcome.from_json({"version": 2, "streams": []})


@pytest.mark.parametrize("data", [{"streams": 3}, {"streams": [{}]}, {"streams": [{"name": 1}]}])
def test_what_is_no_outcome_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(RecordingError, match="not the outcome of a load"):
        Outcome.from_json(data)


def test_a_punctual_generator_is_trustworthy_up_to_the_bound() -> None:
    assert Outcome((a_stream(late_ns=LATENESS_BOUND_NS),)).trustworthy
    assert not Outcome((a_stream(late_ns=2 * LATENESS_BOUND_NS),)).trustworthy


def test_one_late_send_in_a_thousand_does_not_spoil_a_run() -> None:
    late = Histogram.of([0] * 999 + [10 * LATENESS_BOUND_NS])
    assert Outcome((StreamOutcome("mostly", lateness=late),)).trustworthy


def test_a_run_that_sent_nothing_proves_nothing() -> None:
    assert not Outcome().trustworthy
    assert not StreamOutcome("silent").trustworthy


def test_answers_are_counted_by_how_good_they_are() -> None:
    assert a_stream().answered_below(500) == 2
    assert StreamOutcome("flow", statuses={"done": 3, "404": 1}).answered_below(400) == 3
