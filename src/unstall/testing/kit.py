"""A clock that only moves when told, and short builders for what was seen.

Times are in milliseconds here, because tests read better in them. A built stretch begins at 0: the last
healthy heartbeat ran then, the next was due `DUE_MS` later, and it came `late_ms` after that.
"""

from __future__ import annotations

from collections.abc import Sequence

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.model.finding import Cause, Entry, Hop, Site, Stall
from unstall.model.observation import Doubts, Holder, Look, Request, Stretch, Wait
from unstall.model.place import Frame, Owner, Stack

THRESHOLD_NS = 100 * NS_PER_MS
"""What a stretch is explained against unless a test says otherwise."""
DUE_MS = 20
"""Heartbeats are a fifth of the threshold apart."""


class ManualClock:
    """A `unstall.clock.Clock` that stands still until `advance`."""

    __slots__ = ("_epoch_s", "_now_ns")

    def __init__(self, start_ns: int = 0, epoch_s: float = 0.0) -> None:
        self._now_ns = start_ns
        self._epoch_s = epoch_s - start_ns / NS_PER_S

    def monotonic_ns(self) -> int:
        return self._now_ns

    def wall_s(self) -> float:
        return self._epoch_s + self._now_ns / NS_PER_S

    def advance(self, *, ms: float = 0, ns: int = 0) -> None:
        """Raises ValueError when that would go back."""
        step = ns_of(ms) + ns
        if step < 0:
            raise ValueError(f"a monotonic clock cannot go back by {-step} ns")
        self._now_ns += step


def ns_of(ms: float) -> int:
    return round(ms * NS_PER_MS)


def frame(
    place: str = "shop.orders:create",
    line: int = 10,
    call: str = "",
    *,
    owner: Owner = Owner.APP,
    file: str | None = None,
) -> Frame:
    """A frame of `module:qualname`; its file follows from the module unless given."""
    module, _, function = place.partition(":")
    if file is None:
        file = _FOLDERS[owner] + module.replace(".", "/") + ".py"
    return Frame(file, line, function, module, owner, call)


def library(place: str, line: int = 1, call: str = "") -> Frame:
    return frame(place, line, call, owner=Owner.LIBRARY)


def stdlib(place: str, line: int = 1, call: str = "") -> Frame:
    return frame(place, line, call, owner=Owner.STDLIB)


_FOLDERS = {
    Owner.APP: "",
    Owner.LIBRARY: "/venv/lib/python3.11/site-packages/",
    Owner.STDLIB: "/usr/lib/python3.11/",
    Owner.SELF: "/venv/lib/python3.11/site-packages/unstall/",
}


def stack(*frames: Frame) -> Stack:
    """Outermost first; without any, the one frame of `frame()`."""
    return Stack(frames or (frame(),))


def look(
    seen: Stack | None = None,
    *,
    from_ms: float = 70,
    until_ms: float | None = None,
    times: int = 1,
    step: int = 1,
    task: str | None = "create",
    wait: Wait | str | None = None,
    running: bool = False,
    request: Request | None = None,
) -> Look:
    """A look at a step; `wait` is a system call, by its name if nothing else of it matters."""
    return Look(
        first_ns=ns_of(from_ms),
        last_ns=ns_of(from_ms if until_ms is None else until_ms),
        step=step,
        stack=stack() if seen is None else seen,
        times=times,
        task=task,
        wait=Wait(wait) if isinstance(wait, str) else wait,
        running=running,
        request=request,
    )


def request(route: str = "GET /orders/{id}", request_id: str | None = "#1") -> Request:
    method, _, template = route.partition(" ")
    return Request(method, template, request_id)


def stretch(
    *looks: Look,
    late_ms: float = 500,
    cpu_ms: float | None = 1,
    gil_ms: float = 0,
    stopped_ms: float = 0,
    suspended_ms: float = 0,
    unwatched_ms: float = 0,
    throttled_ms: float | None = None,
    crowded_ms: float = 0,
    gc_ms: float = 0,
    queued_ms: float | None = 0,
    others_ms: float = 0,
    holder: Holder | None = None,
    in_flight: int = 0,
    in_flight_cut: bool = False,
    at_door: int | None = 0,
    let_in: int = 0,
    served_before: int = 1,
    settled: bool = False,
    ongoing: bool = False,
) -> Stretch:
    """A heartbeat that came `late_ms` late, in a process that has served one request."""
    return Stretch(
        process="1-abc",
        loop=1,
        thread="MainThread",
        last_tick_ns=0,
        due_ns=ns_of(DUE_MS),
        until_ns=ns_of(DUE_MS + late_ms),
        ongoing=ongoing,
        cpu_ns=None if cpu_ms is None else ns_of(cpu_ms),
        doubts=Doubts(
            gil_ns=ns_of(gil_ms),
            stopped_ns=ns_of(stopped_ms),
            suspended_ns=ns_of(suspended_ms),
            unwatched_ns=ns_of(unwatched_ms),
            throttled_ns=None if throttled_ms is None else ns_of(throttled_ms),
            crowded_ns=ns_of(crowded_ms),
            gc_ns=ns_of(gc_ms),
            queued_ns=None if queued_ms is None else ns_of(queued_ms),
            others_ns=ns_of(others_ms),
            holder=holder,
        ),
        looks=looks,
        in_flight=in_flight,
        in_flight_cut=in_flight_cut,
        at_door=at_door,
        let_in=let_in,
        served_before=served_before,
        settled=settled,
    )


def site(
    call: str = "requests.get",
    *,
    file: str = "shop/billing.py",
    line: int = 31,
    function: str = "Billing.charge",
) -> Site:
    return Site(file, line, function, call)


def entry(
    kind: str = "route", name: str = "POST /orders", function: str = "shop.orders:create"
) -> Entry:
    return Entry(kind, name, function)


def stall(
    *,
    held_ms: float = 500,
    cause: Cause = Cause.WAITING,
    because: str = "the loop's thread was in poll on 9 of 9 looks, 1% CPU",
    at: Site | None = None,
    way_in: Entry | None = None,
    reach: Sequence[Hop] = (),
    syscall: str | None = None,
    peer: str | None = None,
    native: bool = False,
    holder: Holder | None = None,
    by: Request | None = None,
    waiting_in_flight: int = 0,
    at_door: int = 0,
    at_least: bool = False,
    served_before: int = 1,
    settled: bool = False,
) -> Stall:
    """An explained stall; by itself a wait of half a second in `requests.get` for `POST /orders`."""
    return Stall(
        process="1-abc",
        loop=1,
        from_ns=ns_of(DUE_MS),
        until_ns=ns_of(DUE_MS + held_ms),
        cause=cause,
        because=because,
        site=site() if at is None else at,
        entry=entry() if way_in is None else way_in,
        reach=tuple(reach),
        request=by,
        native=native,
        syscall=syscall,
        peer=peer,
        holder=holder,
        waiting_in_flight=waiting_in_flight,
        at_door=at_door,
        at_least=at_least,
        served_before=served_before,
        settled=settled,
    )
