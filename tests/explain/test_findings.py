"""From stalls to findings: which rule, which are one, what they cost, in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.explain.findings import code_of, findings_of, is_startup
from unstall.model.finding import Cause, Confidence, Severity, Stall
from unstall.model.observation import Holder
from unstall.rules import BY_CODE
from unstall.testing import entry, request, site, stall

DB = "10.0.0.5:5432"


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        # by what was called, where that fits the cause
        pytest.param(stall(at=site("time.sleep")), "US101", id="sleep"),
        pytest.param(stall(at=site("requests.get")), "US102", id="HTTP"),
        pytest.param(stall(at=site("psycopg2.connect")), "US103", id="database"),
        pytest.param(
            stall(at=site("requests.get"), cause=Cause.LOCK), "US102", id="lock inside a client"
        ),
        pytest.param(
            stall(at=site("threading.Event.wait"), cause=Cause.LOCK), "US109", id="Python lock"
        ),
        pytest.param(stall(at=site("hashlib.scrypt"), cause=Cause.CPU), "US201", id="hashing"),
        pytest.param(stall(at=site("re.match"), cause=Cause.GIL), "US206", id="regex holds the lock"),
        pytest.param(stall(at=site("import"), cause=Cause.CPU), "US112", id="lazy import"),
        # by the cause, where the call says something else
        pytest.param(stall(at=site("requests.get"), cause=Cause.CPU), "US200", id="HTTP computes"),
        pytest.param(stall(at=site("json.load")), "US100", id="JSON waits for its file"),
        pytest.param(stall(at=site("shop.x.y")), "US100", id="a wait nobody has a name for"),
        pytest.param(stall(at=site("lock.acquire"), cause=Cause.LOCK), "US109", id="lock"),
        pytest.param(stall(at=site(""), cause=Cause.CPU), "US200", id="computing"),
        pytest.param(stall(at=site(""), cause=Cause.GIL), "US200", id="one call in C"),
        # by the system call
        pytest.param(stall(at=site("p.f"), syscall="wait4"), "US107", id="child process"),
        pytest.param(stall(at=site("p.f"), syscall="fsync"), "US106", id="disk"),
        pytest.param(stall(at=site("p.f"), syscall="poll"), "US100", id="poll says little"),
        pytest.param(
            stall(at=site("p.f"), syscall="fsync", cause=Cause.LOCK), "US109",
            id="a lock is no matter of system calls",
        ),
        # by a method's name, where C code waits on a peer
        pytest.param(
            stall(at=site("cur.execute"), native=True, peer=DB), "US103", id="driver in C"
        ),
        pytest.param(
            stall(at=site("self.socket.recv"), native=True, peer=DB), "US108", id="a bare socket"
        ),
        pytest.param(stall(at=site("cur.execute"), native=True), "US100", id="no peer"),
        pytest.param(stall(at=site("cur.execute"), peer=DB), "US100", id="not in C"),
        pytest.param(stall(at=site("execute"), native=True, peer=DB), "US100", id="no method"),
        pytest.param(
            stall(at=site("cur.execute"), native=True, peer=DB, cause=Cause.CPU), "US200",
            id="it computes",
        ),
        pytest.param(
            stall(at=site("redis.Redis.execute"), native=True, peer=DB), "US104",
            id="the module is known",
        ),
        # by the doubts
        pytest.param(stall(cause=Cause.STARVED), "US902", id="starved"),
        pytest.param(stall(cause=Cause.GC), "US901", id="garbage collection"),
        pytest.param(stall(cause=Cause.SATURATED), "US903", id="many steps"),
        pytest.param(stall(cause=Cause.UNKNOWN), "US905", id="unknown"),
        pytest.param(
            replace(stall(cause=Cause.GIL, holder=Holder("thread pen", 1)), site=None), "US904",
            id="another thread",
        ),
        # at start
        pytest.param(
            stall(way_in=entry("startup"), cause=Cause.GIL), "US112", id="import, in C"
        ),
        pytest.param(stall(way_in=entry("startup"), cause=Cause.GC), "US901", id="import, in the GC"),
    ],
)  # fmt: skip
def test_a_stall_breaks_one_rule(seen: Stall, code: str) -> None:
    assert code_of(seen) == code
    assert code in BY_CODE


# --- grouping -------------------------------------------------------------------------------


def test_the_same_call_on_the_same_way_in_is_one_finding() -> None:
    found = findings_of([stall(at=site(line=31)), stall(at=site(line=99))])
    assert [finding.evidence[0].count for finding in found] == [2]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(stall(at=site("requests.post")), id="another call"),
        pytest.param(stall(at=site(function="refund")), id="another function"),
        pytest.param(stall(way_in=entry(name="GET /orders")), id="another route"),
        pytest.param(stall(cause=Cause.LOCK), id="another cause"),
    ],
)
def test_what_differs_is_another_finding(other: Stall) -> None:
    assert len(findings_of([stall(), other])) == 2


def test_processes_and_requests_do_not_part_a_finding() -> None:
    other = replace(stall(by=request(request_id="b")), process="2-def", loop=2)
    assert len(findings_of([stall(by=request(request_id="a")), other])) == 1


def test_without_stalls_there_is_nothing_to_find() -> None:
    assert findings_of([]) == ()


# --- price ----------------------------------------------------------------------------------


def test_a_price_is_worked_out_from_every_stall_of_a_finding() -> None:
    stalls = [
        stall(held_ms=held, at_door=n, served_before=100 * n)
        for n, held in enumerate((300, 100, 200), 1)
    ]
    (finding,) = findings_of(stalls)
    (price,) = finding.evidence
    assert (price.kind, price.count, price.victims) == ("measured", 3, 6)
    assert (price.p50_ms, price.p99_ms, price.max_ms, price.total_ms) == (
        200.0,
        300.0,
        300.0,
        600.0,
    )


def test_what_victims_lost_is_at_most_their_number_times_each_stall() -> None:
    stalls = [
        stall(held_ms=300, waiting_in_flight=2, at_door=1),
        stall(held_ms=100, at_door=4, served_before=50),
    ]
    (finding,) = findings_of(stalls)
    assert finding.evidence[0].stolen_ms == 3 * 300.0 + 4 * 100.0
    assert not finding.evidence[0].victims_at_least


def test_victims_that_were_too_many_to_count_are_said_to_be_more() -> None:
    (finding,) = findings_of([stall(waiting_in_flight=2_000, at_least=True), stall()])
    assert finding.evidence[0].victims_at_least


@pytest.mark.parametrize(
    ("held", "p50", "p99"),
    [
        ([500], 500.0, 500.0),
        ([100, 900], 100.0, 900.0),
        (list(range(101, 201)), 150.0, 199.0),
        ([100] * 99 + [9_000] * 2, 100.0, 9_000.0),
    ],
)
def test_percentiles_are_nearest_ranks(held: list[float], p50: float, p99: float) -> None:
    (finding,) = findings_of(stall(held_ms=ms) for ms in held)
    assert (finding.evidence[0].p50_ms, finding.evidence[0].p99_ms) == (p50, p99)


def test_the_longest_stall_lends_its_line_and_its_evidence() -> None:
    short = stall(held_ms=100, at=site(line=1), because="short", by=request(request_id="a"))
    long = stall(
        held_ms=900,
        at=site(line=2),
        because="long",
        by=request(request_id="b"),
        peer=DB,
        syscall="poll",
    )
    (finding,) = findings_of([short, long, short])
    assert finding.site is not None
    assert finding.site.line == 2
    price = finding.evidence[0]
    assert (price.because, price.request_id, price.peer, price.syscall) == ("long", "b", DB, "poll")


# --- order and certainty --------------------------------------------------------------------


def test_the_dearest_finding_comes_first() -> None:
    cheap = [stall(held_ms=900, at=site("time.sleep"))]
    dear = [stall(held_ms=400)] * 3
    assert [finding.code for finding in findings_of(cheap + dear)] == ["US102", "US101"]


def test_of_equal_prices_the_one_with_more_victims_comes_first() -> None:
    lonely, crowded = stall(at=site("time.sleep")), stall(waiting_in_flight=1, served_before=9)
    assert [finding.code for finding in findings_of([lonely, crowded])] == ["US102", "US101"]


@pytest.mark.parametrize(
    ("seen", "confidence"),
    [
        (stall(), Confidence.CERTAIN),
        (stall(cause=Cause.UNKNOWN), Confidence.LIKELY),
        (stall(at=site("cur.execute"), native=True, peer=DB), Confidence.LIKELY),
        (stall(at=site("psycopg2.connect"), native=True, peer=DB), Confidence.CERTAIN),
    ],
)
def test_what_rests_on_a_guess_is_only_likely(seen: Stall, confidence: Confidence) -> None:
    (finding,) = findings_of([seen])
    assert finding.confidence is confidence


def test_what_the_code_is_not_at_fault_for_is_a_warning() -> None:
    (starved,) = findings_of([stall(cause=Cause.STARVED)])
    (wait,) = findings_of([stall()])
    assert (starved.severity, wait.severity) == (Severity.WARNING, Severity.ERROR)


# --- start-up -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "served", "starting"),
    [
        ("startup", 0, True),
        ("lifespan", 0, True),
        ("startup", 1, False),
        ("lifespan", 1, False),
        ("task", 0, False),
        ("route", 0, False),
    ],
)
def test_start_up_is_over_with_the_first_request(kind: str, served: int, starting: bool) -> None:
    assert is_startup(stall(way_in=entry(kind), served_before=served)) is starting


@pytest.mark.parametrize("kind", ["startup", "lifespan"])
def test_start_up_is_over_without_a_request_once_the_loop_has_settled(kind: str) -> None:
    assert not is_startup(stall(way_in=entry(kind), served_before=0, settled=True))


def test_an_import_that_the_first_request_waits_for_is_no_start_up() -> None:
    assert not is_startup(stall(way_in=entry("startup"), served_before=1, by=request()))


def test_a_stall_without_a_way_in_is_not_taken_for_start_up() -> None:
    assert not is_startup(replace(stall(served_before=0), entry=None))


def test_a_price_says_what_share_of_the_watched_time_was_stolen() -> None:
    (finding,) = findings_of([stall(), stall()], watched_ns=10_000_000_000)
    (evidence,) = finding.evidence
    assert evidence.total_ms is not None
    assert evidence.share == evidence.total_ms / 10_000
    assert findings_of([stall()])[0].evidence[0].share is None
