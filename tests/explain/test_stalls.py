"""A stretch, explained: line, way in, request and victims."""

from __future__ import annotations

import pytest

from tests.explain.request_stacks import CHARGE, CREATE, REQUESTS, in_a_route, on_the_loop
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Entry, Hop, Site, Stall
from unstall.model.observation import Holder, Stretch, Wait
from unstall.testing import (
    DUE_MS,
    THRESHOLD_NS,
    frame,
    look,
    ns_of,
    request,
    stack,
    stdlib,
    stretch,
)

PEER = Wait("poll", 7, "10.0.0.5:5432")
ORDERS = request("POST /orders", "7f3a")


def explained(seen: Stretch) -> Stall:
    return stall_of(seen, THRESHOLD_NS)


def test_a_stall_is_told_whole() -> None:
    seen = look(
        in_a_route(CREATE, CHARGE, *REQUESTS), until_ms=500, times=40, wait=PEER, request=ORDERS
    )
    stall = explained(stretch(seen, in_flight=3, at_door=4, served_before=9))
    assert stall.site == Site("shop/billing.py", 31, "Billing.charge", "requests.get")
    assert stall.entry == Entry("route", "POST /orders", "shop.orders:create")
    assert stall.reach == (Hop("shop/orders.py", 20, "create", ""),)
    assert (stall.cause, stall.syscall, stall.peer) == (Cause.WAITING, "poll", "10.0.0.5:5432")
    assert (stall.request, stall.served_before, stall.native) == (ORDERS, 9, False)
    assert (stall.from_ns, stall.held_ns) == (ns_of(DUE_MS), ns_of(500))


# --- victims --------------------------------------------------------------------------------


def test_requests_in_flight_besides_the_culprits_are_victims() -> None:
    assert explained(stretch(in_flight=3)).waiting_in_flight == 3


@pytest.mark.parametrize(
    ("at_door", "let_in", "victims"), [(None, 4, 4), (7, 4, 7), (0, 4, 4), (None, 0, 0)]
)
def test_at_the_door_wait_those_seen_there_or_those_let_in_afterwards(
    at_door: int | None, let_in: int, victims: int
) -> None:
    assert explained(stretch(at_door=at_door, let_in=let_in)).at_door == victims


def test_requests_in_flight_that_were_too_many_to_count_are_at_least_so_many() -> None:
    assert explained(stretch(in_flight=900, in_flight_cut=True)).at_least
    assert not explained(stretch(in_flight=900)).at_least


def test_what_was_stolen_is_at_most_the_victims_times_the_stall() -> None:
    stall = explained(stretch(late_ms=500, in_flight=3, at_door=1))
    assert stall.stolen_ns == 4 * ns_of(500)


# --- whom to blame --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(stretch(look(), stopped_ms=450), id="stopped"),
        pytest.param(stretch(look(), queued_ms=450), id="queued"),
        pytest.param(
            stretch(look(), gil_ms=450, holder=Holder("thread pen", ns_of(400))),
            id="another thread",
        ),
        pytest.param(stretch(), id="nobody looked"),
    ],
)
def test_no_line_is_blamed_for_what_the_step_did_not_do(seen: Stretch) -> None:
    stall = explained(seen)
    assert (stall.site, stall.entry, stall.reach, stall.request) == (None, None, (), None)


def test_the_thread_that_held_the_lock_is_kept_only_if_it_is_to_blame() -> None:
    pen = Holder("thread pen", ns_of(400))
    other = stretch(look(), gil_ms=450, holder=pen)
    own = stretch(look(), gil_ms=450, cpu_ms=490, holder=pen)
    assert explained(other).holder == pen
    assert explained(own).holder is None
    assert explained(stretch(look(wait=PEER), holder=pen)).holder is None


def test_the_line_where_it_waited_is_blamed_and_not_where_it_computed_in_passing() -> None:
    parse = look(stack(frame(line=9)), from_ms=30, until_ms=290, times=26, running=True)
    query = look(stack(frame(line=12)), from_ms=300, until_ms=500, times=20, wait=PEER)
    site = explained(stretch(parse, query)).site
    assert site is not None
    assert site.line == 12


def test_the_function_seen_most_is_blamed_over_the_single_line_seen_most() -> None:
    hot = [
        look(stack(frame("shop.a:hot", line)), from_ms=n, until_ms=n + 40, times=4, running=True)
        for line, n in ((1, 50), (2, 100), (3, 150))
    ]
    cold = look(stack(frame("shop.b:cold")), from_ms=200, until_ms=270, times=7, running=True)
    site = explained(stretch(*hot, cold, cpu_ms=490)).site
    assert site is not None
    assert site.function == "hot"


def test_a_call_is_named_only_if_most_looks_were_at_it() -> None:
    def at(line: int, call: str, until: int) -> object:
        return look(
            stack(frame(line=line, call=call)), from_ms=50, until_ms=until, times=5, running=True
        )

    mixed = explained(
        stretch(at(1, "len", 90), at(2, "sorted", 91), at(3, "sum", 92), cpu_ms=490)  # type: ignore[arg-type]
    )
    steady = explained(stretch(at(1, "len", 60), at(2, "sorted", 500), cpu_ms=490))  # type: ignore[arg-type]
    assert mixed.site is not None
    assert mixed.site.call == ""
    assert steady.site is not None
    assert (steady.site.call, steady.site.line) == ("sorted", 2)


def test_among_many_small_steps_a_function_is_named_only_if_most_were_in_it() -> None:
    def steps(*functions: str) -> Stretch:
        looks = [
            look(
                stack(frame(f"shop.x:{name}")), step=n + 1, from_ms=20 + 60 * n,
                until_ms=60 + 60 * n, times=4, running=True,
            )
            for n, name in enumerate(functions)
        ]  # fmt: skip
        return stretch(*looks, late_ms=60 * len(functions), cpu_ms=60 * len(functions))

    one, many = explained(steps("a", "a", "a", "b")), explained(steps("a", "b", "c", "d"))
    assert (one.cause, many.cause) == (Cause.SATURATED, Cause.SATURATED)
    assert one.site is not None
    assert one.site.function == "a"
    assert many.site is None


def test_a_driver_in_c_is_marked_as_such() -> None:
    native = look(stack(frame(call="cursor.execute")), wait=PEER)
    python = look(stack(frame(call="s.get"), stdlib("socket:recv")), wait=PEER)
    assert explained(stretch(native)).native
    assert not explained(stretch(python)).native


def test_a_stall_that_lasts_is_told_as_far_as_it_is_known() -> None:
    assert explained(stretch(look(wait=PEER), ongoing=True)).ongoing


def test_python_main_py_is_never_blamed() -> None:
    site = explained(stretch(look(on_the_loop(stdlib("json:dumps")), running=True))).site
    assert site is None


def test_a_thread_that_did_not_begin_accuses_no_line() -> None:
    begins = stdlib("threading:Thread.start"), stdlib("threading:Condition.wait")
    seen = look(in_a_route(CREATE, *begins), until_ms=500, times=40, wait="futex", request=ORDERS)
    stall = explained(stretch(seen))
    assert (stall.cause, stall.site, stall.entry) == (Cause.UNKNOWN, None, None)


def test_a_lock_is_blamed_where_it_was_waited_for_and_not_where_a_thread_was_started() -> None:
    begins = stdlib("threading:Thread.start"), stdlib("threading:Condition.wait")
    start = look(in_a_route(CREATE, *begins), from_ms=70, until_ms=180, times=12, wait="futex")
    held = look(
        in_a_route(CREATE, frame("shop.stock:take", 7, "lock.acquire")),
        from_ms=190, until_ms=500, times=40, wait="futex",
    )  # fmt: skip
    stall = explained(stretch(start, held))
    assert stall.cause is Cause.LOCK
    assert stall.site == Site("shop/stock.py", 7, "take", "lock.acquire")
