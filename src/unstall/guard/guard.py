"""`Guard`: admission at the door of an ASGI app."""

from __future__ import annotations

import logging
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.errors import SwitchedOff, UsageError
from unstall.guard.arrivals import waited_ns
from unstall.guard.asgi import PROBES, App, Message, Problem, Receive, Scope, Send, path_of, refuse
from unstall.guard.budget import CURRENT
from unstall.guard.door import TOO_LONG, Door, Lot
from unstall.guard.limits import AIMD, Adaptive, Gradient
from unstall.guard.metrics import ADMITTED, DOORS, QUEUED, SHED, WAITED
from unstall.guard.payload import Payload, PayloadLimits
from unstall.guard.policy import SHARES, Decision, Pressure, Priority, Sight, Verdict, decide, pressed
from unstall.guard.pulse import Pulse
from unstall.guard.rates import Rate, RateLimit
from unstall.guard.routes import Routes

_LOG = logging.getLogger("unstall.guard")
_EPISODE_NS: Final = 10 * NS_PER_S
_FOREVER_NS: Final = 1 << 62
_DROPPED: Final = (503, 504)
_KINDS: Final = ("http", "websocket")
_RULES: Final[Mapping[str, Callable[[], AIMD | Gradient]]] = {"aimd": AIMD, "gradient": Gradient}


@dataclass(frozen=True, slots=True)
class Route:
    """What a guard knows of one route."""

    in_flight: int | None = None
    priority: Priority | str = Priority.NORMAL
    lanes: tuple[str, ...] = ()
    """Lanes that it cannot do without: it is refused while one of them is stuck."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """One guard at one moment; counts are since it was made."""

    in_flight: int
    queued: int
    limit: int | None
    admitted: int
    shed: Mapping[str, int]
    """By reason."""
    lag_ms: float
    utilization: float
    rss_bytes: int | None
    memory: float | None


class _Mood:
    """Of one priority."""

    __slots__ = ("calm",)

    def __init__(self) -> None:
        self.calm = False
        """Whether nothing pressed it when the loop was last seen."""


class _Known:
    """A route with its slots."""

    __slots__ = ("admitted", "labels", "lanes", "lot", "mood", "most", "priority")

    def __init__(self, route: Route, moods: Mapping[Priority, _Mood]) -> None:
        self.priority = _priority(route.priority)
        self.mood = moods[self.priority]
        self.lot = Lot(_count("in_flight of a route", route.in_flight, 1))
        self.lanes = route.lanes
        self.labels = (self.priority.value,)
        self.admitted = ADMITTED.cell(self.labels)
        self.most = 0
        """Requests of all that may be under way when one of these comes; 0 if the policy has to be asked."""


class Guard:
    """Pure ASGI middleware: lets in what can be served, and refuses the rest at once with 503 and
    Retry-After.

    `in_flight` requests may be under way, `queue` may wait, no longer than `queue_timeout` seconds.
    `adaptive` learns the limit, by `gradient` or `aimd` or an `Adaptive` of yours; `in_flight` stays the
    most. Over `lag_ms`, `utilization` (0 to 1), `rss_mb` or `memory` (share of the container's limit) it
    sheds. `routes` has slots and priorities by template. `exempt` are paths that are always let in.
    `payload` and `rates` look at the request itself. One guard serves one loop. Raises UsageError.
    """

    def __init__(
        self,
        app: App,
        *,
        in_flight: int | None = None,
        queue: int = 0,
        queue_timeout: float = 1.0,
        adaptive: str | Adaptive | None = None,
        lag_ms: float | None = None,
        utilization: float | None = None,
        rss_mb: float | None = None,
        memory: float | None = None,
        routes: Mapping[str, Route] | None = None,
        exempt: Iterable[str] = PROBES,
        retry_after: float = 1.0,
        payload: PayloadLimits | None = None,
        rates: Iterable[Rate] = (),
        pulse: Callable[[], Sight] | None = None,
    ) -> None:
        self.app: App = app if payload is None else Payload(app, payload)
        self.pressure = Pressure(
            None if lag_ms is None else int(_positive("lag_ms", lag_ms) * NS_PER_MS),
            None if utilization is None else _share("utilization", utilization),
            None if rss_mb is None else int(_positive("rss_mb", rss_mb) * 1_000_000),
            None if memory is None else _share("memory", memory),
        )
        self._moods = {priority: _Mood() for priority in Priority}
        least = min(share.pressure for share in SHARES.values())
        late_ns = _FOREVER_NS if lag_ms is None else int(lag_ms * NS_PER_MS * least)
        self.pulse = pulse or self._own_pulse(late_ns)
        self._quick = self.pulse if self.pressure and isinstance(self.pulse, Pulse) else None
        self._feel(Sight())
        self.exempt = frozenset(exempt)
        self._door = Door(
            _count("in_flight", in_flight, 1), _count("queue", queue, 0) or 0, _adaptive(adaptive)
        )
        self._timeout_ns = int(_positive("queue_timeout", queue_timeout) * NS_PER_S)
        self._retry_after = max(1, math.ceil(_positive("retry_after", retry_after)))
        self._plain = _Known(Route(), self._moods)
        table = {name: _Known(route, self._moods) for name, route in (routes or {}).items()}
        self._known = (self._plain, *table.values())
        for known in self._known:
            known.most = _most(self._door, known)
        self._route_at = Routes(table).at if table else None
        self._rates = tuple(RateLimit(self.app, rate) for rate in rates)
        self._shed: Counter[str] = Counter()
        self._told_ns = -_EPISODE_NS
        DOORS.add(self._door)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # All in one frame, because it is paid for by every request.
        path: str = path_of(scope) if scope.get("root_path") else scope.get("path", "")
        if path in self.exempt or scope["type"] not in _KINDS:
            await self.app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"x-request-start":
                _note_start(value)
                break
        if self._rates:
            refusal, send = await self._rated(scope, send)
            if refusal is not None:
                await refuse(refusal, scope, send)
                return
        door, known, pulse = self._door, self._plain, self._quick
        if self._route_at is not None:
            found = self._route_at(scope.get("method", ""), path)
            if found is not None:
                known = found.value
        lot = known.lot
        if (
            door.in_flight < known.most
            and lot.in_flight < lot.most
            and not door.queued
            and known.mood.calm
            and (pulse is None or pulse.grace or pulse.look())
        ):
            if pulse is not None:
                pulse.grace -= 1
            door.in_flight += 1
            lot.in_flight += 1
        else:
            decision = await self._decided(known)
            if decision is not None:
                await self._refuse(decision, known, scope, send)
                return
        known.admitted[0] += 1
        try:
            if door.adaptive is None:
                await self.app(scope, receive, send)
            else:
                await self._timed(scope, receive, send)
        except SwitchedOff as error:
            await self._off(error, scope, send)
        finally:
            door.in_flight -= 1
            lot.in_flight -= 1
            if door.queued:
                door.let_in()

    def statistics(self) -> Statistics:
        """Safe from any thread, at any time."""
        sight = getattr(self.pulse, "sight", None) or Sight()
        return Statistics(
            in_flight=self._door.in_flight,
            queued=self._door.queued,
            limit=self._door.limit,
            admitted=sum(known.admitted[0] for known in self._known),
            shed=dict(self._shed),
            lag_ms=(sight.lag_ns or 0) / NS_PER_MS,
            utilization=sight.utilization or 0.0,
            rss_bytes=sight.rss_bytes,
            memory=sight.memory,
        )

    def looked(self) -> None:
        """The process is looked at, some times a second; for those who want to begin something then."""

    def stuck(self, lanes: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the lanes of these names are stuck; for those who know lanes."""
        return ()

    def culprit(self) -> str | None:
        """Who held the loop last; for those who watch it."""
        return None

    # --- the loop -------------------------------------------------------------------------------

    def _own_pulse(self, late_ns: int) -> Pulse:
        return Pulse(
            late_ns=late_ns,
            rss=self.pressure.rss_bytes is not None,
            memory=self.pressure.memory is not None,
            tell=self._beaten,
        )

    def _beaten(self, sight: Sight) -> None:
        self.looked()
        self._feel(sight)

    def _feel(self, sight: Sight) -> None:
        known = self._quick is not None or not self.pressure
        for priority, mood in self._moods.items():
            share = SHARES[priority].pressure
            mood.calm = known and pressed(self.pressure, sight, share) is None

    # --- one request ----------------------------------------------------------------------------

    async def _rated(self, scope: Scope, send: Send) -> tuple[Problem | None, Send]:
        refusal = None
        for rate in self._rates:
            refusal, send = await rate.admit(scope, send)
            if refusal is not None:
                break
        return refusal, send

    async def _decided(self, known: _Known) -> Decision | None:
        """As the policy says; None when it is in."""
        sight = self.pulse() if self.pressure else Sight()
        stuck = self.stuck(known.lanes) if known.lanes else ()
        crowd = self._door.crowd(known.lot, known.priority, stuck)
        decision = decide(self.pressure, sight, crowd, known.priority)
        if decision.verdict is Verdict.QUEUE:
            return await self._wait(known)
        if decision.verdict is Verdict.SHED:
            return decision
        self._door.enter(known.lot)
        return None

    async def _wait(self, known: _Known) -> Decision | None:
        """None when it is in; a request's own deadline may be nearer than the queue's."""
        budget = CURRENT.get()
        within = self._timeout_ns if budget is None else min(self._timeout_ns, budget.left_ns())
        begun = time.monotonic_ns()
        let_in = await self._door.wait(known.lot, known.priority, within)
        WAITED.observe((), time.monotonic_ns() - begun)
        return None if let_in else TOO_LONG

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For a limit that learns."""
        dropped = False

        async def watched(message: Message) -> None:
            nonlocal dropped
            if message["type"] == "http.response.start" and message["status"] in _DROPPED:
                dropped = True
            await send(message)

        begun = time.monotonic_ns()
        try:
            await self.app(scope, receive, watched)
        except BaseException:
            dropped = True
            raise
        finally:
            if scope["type"] == "http":
                now = time.monotonic_ns()
                self._door.ended(now, now - begun, dropped)

    async def _refuse(self, decision: Decision, known: _Known, scope: Scope, send: Send) -> None:
        self._shed[decision.reason] += 1
        SHED.add((decision.reason, known.labels[0]))
        self._tell(decision)
        # Spread, so that those who were refused together do not come back together.
        seconds = self._retry_after + random.randrange(self._retry_after + 1)
        detail = f"The service is overloaded. Nothing was begun; try again in {seconds} s."
        await refuse(Problem(503, decision.reason, detail, seconds), scope, send)

    async def _off(self, error: SwitchedOff, scope: Scope, send: Send) -> None:
        SHED.add(("switched-off", Priority.NORMAL.value))
        detail = "This part of the service is switched off for now."
        problem = Problem(503, "switched-off", detail, self._retry_after, {"switch": error.switch})
        await refuse(problem, scope, send)

    def _tell(self, decision: Decision) -> None:
        """Once for each episode, not for each request."""
        now = time.monotonic_ns()
        if now - self._told_ns < _EPISODE_NS:
            return
        self._told_ns = now
        culprit = self.culprit() if decision.reason in ("lag", "utilization") else None
        held = f"; last held {culprit}" if culprit else ""
        _LOG.warning("requests are refused: %s%s", decision.detail, held)


def _most(door: Door, known: _Known) -> int:
    """As the policy would have it, where that cannot change."""
    if known.lanes or door.adaptive is not None:
        return 0
    if door.limit is None:
        return sys.maxsize
    return max(1, int(door.limit * SHARES[known.priority].slots))


def _note_start(value: bytes) -> None:
    waited = waited_ns(value.decode("latin-1"), time.time())
    if waited is not None:
        QUEUED.observe((), waited)


# --- what a user wrote ------------------------------------------------------------------------


def _adaptive(given: str | Adaptive | None) -> Adaptive | None:
    if given is None or isinstance(given, Adaptive):
        return given
    if given not in _RULES:
        raise UsageError(f"adaptive is {given!r}: give 'gradient', 'aimd', or an Adaptive")
    return Adaptive(_RULES[given]())


def _priority(given: Priority | str) -> Priority:
    try:
        return Priority(given)
    except ValueError:
        names = ", ".join(repr(each.value) for each in Priority)
        raise UsageError(f"the priority of a route is {given!r}: give one of {names}") from None


def _count(name: str, given: Any, least: int) -> int | None:
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool) and given >= least:
        return given
    raise UsageError(f"{name} of the guard is {given!r}: give a whole number from {least} upwards")


def _positive(name: str, given: Any) -> float:
    number = given if isinstance(given, int | float) and not isinstance(given, bool) else math.nan
    if 0 < number < math.inf:
        return float(number)
    raise UsageError(f"{name} of the guard is {given!r}: give a number greater than 0")


def _share(name: str, given: Any) -> float:
    number = _positive(name, given)
    if number <= 1:
        return number
    raise UsageError(
        f"{name} of the guard is {given!r}: give a share from 0 to 1, for example 0.95"
    )
