"""`Guard`: admission at the door of an ASGI app."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.errors import SwitchedOff, UsageError
from unstall.guard.arrivals import waited_ns
from unstall.guard.asgi import (
    PROBES,
    App,
    Message,
    Problem,
    Receive,
    Scope,
    Send,
    Written,
    path_of,
    refuse,
    spread,
)
from unstall.guard.budget import CURRENT
from unstall.guard.door import TOO_LONG, Door, Lot
from unstall.guard.doorstep import DOORMEN
from unstall.guard.limits import AIMD, Adaptive, Gradient
from unstall.guard.metrics import ADMITTED, DOORS, QUEUED, SHED, WAITED, Cell
from unstall.guard.payload import Payload, PayloadLimits
from unstall.guard.policy import (
    SHARES,
    Decision,
    Pressure,
    Priority,
    Sight,
    Verdict,
    decide,
    no_room,
    pressed,
)
from unstall.guard.pulse import SEVERAL, Pulse
from unstall.guard.rates import Rate, RateLimit
from unstall.guard.routes import Routes

_LOG = logging.getLogger("unstall.guard")
_EPISODE_NS: Final = 10 * NS_PER_S
_FOREVER_NS: Final = 1 << 62
_AT_ONCE: Final = 64
"""Passes that are handed out together where the loop does not count."""
_MARKED: Final = 64
"""After so many requests in a row without X-Request-Start only some are read for it."""
_MOST_SEEN: Final = 1_000
_LONGEST_SEEN: Final = 200
_MOST_WRITTEN: Final = 100
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


class _Known:
    """A route with its slots."""

    __slots__ = (
        "admitted", "asked", "exempt", "labels", "lanes", "lot", "own", "priority", "unasked",
    )  # fmt: skip

    def __init__(self, route: Route, *, exempt: bool = False) -> None:
        self.exempt = exempt
        self.priority = _priority(route.priority)
        self.lot = Lot(_count("in_flight of a route", route.in_flight, 1))
        self.own = self.lot.limit is not None
        self.lanes = route.lanes
        self.labels = (self.priority.value,)
        self.admitted = ADMITTED.add(self.labels, Cell())
        self.asked = 0
        """Requests that did not come in by a pass, let in or not."""
        self.unasked = not (self.own or self.lanes) and self.priority is Priority.NORMAL
        """Whether its requests may come in by a pass, without the policy being asked."""


class Guard:
    """Pure ASGI middleware: lets in what can be served, and refuses the rest at once with 503 and
    Retry-After.

    `in_flight` requests may be under way, `queue` may wait, no longer than `queue_timeout` seconds. Of a
    crowd that stays for more than half a second only `standing` may be under way.
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
        standing: int | None = None,
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
        least = min(share.pressure for share in SHARES.values())
        late_ns = _FOREVER_NS if lag_ms is None else int(lag_ms * NS_PER_MS * least)
        self.pulse = pulse or Pulse(
            late_ns=late_ns, rss=rss_mb is not None, memory=memory is not None, tell=self._beaten
        )
        self.exempt = _paths(exempt)
        self._door = Door(
            _count("in_flight", in_flight, 1),
            _count("queue", queue, 0) or 0,
            _adaptive(adaptive),
            _standing(standing, in_flight, bool(self.pressure) and pulse is None),
        )
        self._timeout_ns = int(_positive("queue_timeout", queue_timeout) * NS_PER_S)
        self._retry_after = max(1, math.ceil(_positive("retry_after", retry_after)))
        self._plain = _Known(Route())
        table = {name: _Known(route) for name, route in _routes(routes).items()}
        self._known = (self._plain, *table.values())
        self._routes = Routes(table)
        self._exempt = _Known(Route(), exempt=True)
        self._seen: dict[tuple[str | None, str | None, str], _Known] = {}
        """What was found for method, root path and path lately."""
        self._pass_on: App = self.app if self._door.adaptive is None else self._timed
        self._passes = ADMITTED.add((Priority.NORMAL.value,), self._door.passes)
        self._handed_out = 0
        """Passes, with the last beat."""
        self._calm = False
        """Whether nothing pressed a request of normal priority at the last beat, and that still counts."""
        self._marked = 1
        """How many more requests are read for the moment at which a proxy took them in."""
        self._rates = tuple(RateLimit(self.app, rate) for rate in _each_rate(rates))
        self._shed: Counter[str] = Counter()
        self._written: dict[tuple[str, int], Written] = {}
        """Refusals by reason and seconds."""
        self._told_ns = -_EPISODE_NS
        DOORS.add(self._door)
        DOORMEN.add(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # All in one frame and in few steps, because every request pays for it: beside an app that has just
        # filled the caches and the branch predictor, a step costs five times what it costs in a tight loop.
        if scope["type"] not in _KINDS:
            await self.app(scope, receive, send)
            return
        asked = (scope.get("method"), scope.get("root_path"), scope["path"])
        known = self._seen.get(asked) or self._find(scope)
        if known.exempt:
            await self.app(scope, receive, send)
            return
        if self._marked:
            self._look_for_start(scope)
        if self._rates:
            refusal, send = await self._rated(scope, send)
            if refusal is not None:
                await refuse(refusal, scope, send)
                return
        door, passes = self._door, self._passes
        if known.unasked and (passes.left or self._more_passes(scope)):
            passes.left -= 1
            door.in_flight += 1
        else:
            if not (self._marked or known.asked % _MARKED):
                self._look_for_start(scope)
            known.asked += 1
            if known.unasked and door.full and (self._calm or not self.pressure):
                # What the policy says of a calm loop: in an overload each refusal is taken from a request.
                decision: Decision | None = no_room(door.in_flight, door.queued)
            else:
                decision = await self._decided(known)
            if decision is not None:
                await self._refuse(decision, known, scope, send)
                return
            known.admitted.count += 1
        try:
            await self._pass_on(scope, receive, send)
        except SwitchedOff as error:
            await self._off(error, scope, send)
        finally:
            door.in_flight -= 1
            if known.own:
                known.lot.in_flight -= 1
            if door.queued:
                door.let_in()

    @property
    def door(self) -> Door:
        return self._door

    def has_no_say(self, method: str, root_path: str, path: str) -> bool:
        """Whether it lets in such a request or not by its room alone; to be asked where there is none."""
        known = self._seen.get((method, root_path, path))
        return known is not None and known.unasked and not known.exempt and not self._rates

    def refusals(self) -> tuple[Written, ...]:
        """What those are answered who find no room, spread over the seconds after which to come back."""
        least = self._retry_after
        return tuple(self._write("full", seconds) for seconds in range(least, 2 * least + 1))

    def turned_away(self, count: int) -> None:
        """So many found no room, and were answered before they came here."""
        door = self._door  # as it was for them: by now some may have gone
        full = no_room(max(door.in_flight, door.limit or 0), max(door.queued, door.queue))
        self._note_shed(full, Priority.NORMAL.value, count)

    def statistics(self) -> Statistics:
        """Safe from any thread, at any time."""
        sight = getattr(self.pulse, "sight", None) or Sight()
        return Statistics(
            in_flight=self._door.in_flight,
            queued=self._door.queued,
            limit=self._door.limit,
            admitted=self._passes.read() + sum(known.admitted.count for known in self._known),
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

    # --- what is seen of the loop -----------------------------------------------------------------

    def _beaten(self, sight: Sight) -> bool:
        """After each beat; whether passes have been used since the last."""
        self.looked()
        self._marked = max(1, self._marked)
        self._door.beat(time.monotonic_ns())
        used = self._passes.left != self._handed_out or self._door.wavers
        self._calm = pressed(self.pressure, sight, SHARES[Priority.NORMAL].pressure) is None
        self._handed_out = self._door.hand_out(SEVERAL if self._calm else 0)
        return used

    def _more_passes(self, scope: Scope) -> bool:
        """Whether there are some, because there are slots and the loop is as calm as it was."""
        if not self._marked:
            self._look_for_start(scope)
        if not self.pressure:
            return self._door.hand_out(_AT_ONCE) > 0
        if not self._calm or not isinstance(self.pulse, Pulse):
            return False
        grace = self.pulse.grace()
        self._calm = grace > 0
        return self._door.hand_out(grace) > 0

    # --- one request ----------------------------------------------------------------------------

    def _find(self, scope: Scope) -> _Known:
        path = path_of(scope)
        found = self._routes.at(scope.get("method", ""), path)
        known = self._plain if found is None else found.value
        if path in self.exempt:
            known = self._exempt
        if len(scope["path"]) <= _LONGEST_SEEN:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[scope.get("method"), scope.get("root_path"), scope["path"]] = known
        return known

    def _look_for_start(self, scope: Scope) -> None:
        """Of each request where proxies say it; else of the first after a beat, of those that come when
        passes are handed out, and of some that do not come in by a pass."""
        self._marked = max(0, self._marked - 1)
        for name, value in scope["headers"]:
            if name == b"x-request-start":
                self._marked = _MARKED
                _note_start(value)
                return

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
        """None when it is in; a request's own deadline may be nearer than the queue's, and then it is the
        guard that answers: nothing was begun."""
        budget, within = CURRENT.get(), self._timeout_ns
        begun = time.monotonic_ns()
        if budget is None:
            let_in = await self._door.wait(known.lot, known.priority, within)
        else:
            budget.queued = True  # until it is let in: who is refused has the answer still to come
            try:
                within = min(within, budget.left_ns())
                let_in = await self._door.wait(known.lot, known.priority, within)
            except BaseException:
                budget.queued = False
                raise
            budget.queued = not let_in
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
        self._note_shed(decision, known.labels[0])
        reason, seconds = decision.reason, spread(self._retry_after)
        written = self._written.get((reason, seconds)) or self._write(reason, seconds)
        await written.send(scope, send)

    def _note_shed(self, decision: Decision, priority: str, count: int = 1) -> None:
        self._shed[decision.reason] += count
        SHED.add((decision.reason, priority), count)
        self._tell(decision)

    def _write(self, reason: str, seconds: int) -> Written:
        detail = f"The service is overloaded. Nothing was begun; try again in {seconds} s."
        written = Problem(503, reason, detail, seconds).written()
        if len(self._written) < _MOST_WRITTEN:
            self._written[reason, seconds] = written
        return written

    async def _off(self, error: SwitchedOff, scope: Scope, send: Send) -> None:
        SHED.add(("switched-off", Priority.NORMAL.value))
        detail = "This part of the service is switched off for now."
        problem = Problem(503, "switched-off", detail, self._retry_after, {"switch": error.switch})
        try:
            await refuse(problem, scope, send)
        except Exception:  # the app has answered in its own way, so its error goes its own way
            raise error from None

    def _tell(self, decision: Decision) -> None:
        """Once for each episode, not for each request."""
        now = time.monotonic_ns()
        if now - self._told_ns < _EPISODE_NS:
            return
        self._told_ns = now
        culprit = self.culprit() if decision.reason in ("lag", "utilization") else None
        held = f"; last held {culprit}" if culprit else ""
        _LOG.warning("requests are refused: %s%s", decision.detail, held)


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


def _routes(given: Any) -> Mapping[str, Route]:
    if given is None:
        return {}
    if isinstance(given, Mapping) and all(isinstance(each, Route) for each in given.values()):
        return given
    raise UsageError(
        f"routes of the guard is {given!r}: give a Route by template, as {{'/orders': Route(in_flight=5)}}"
    )


def _paths(given: Any) -> frozenset[str]:
    listed = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    found = tuple(given) if listed else ()
    if listed and all(isinstance(each, str) and each.startswith("/") for each in found):
        return frozenset(found)
    raise UsageError(f"exempt of the guard is {given!r}: give a list of paths, as ['/livez']")


def _each_rate(given: Any) -> tuple[Rate, ...]:
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    wrong = [each for each in found if not isinstance(each, Rate)]
    if wrong:
        raise UsageError(
            f"rates of the guard has {wrong[0]!r}: give a list of rates, as [Rate('100/min')]"
        )
    return found


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


def _standing(given: Any, in_flight: int | None, beats: bool) -> int | None:
    standing = _count("standing", given, 1)
    if standing is None:
        return None
    if in_flight is None or standing >= in_flight:
        raise UsageError(
            f"standing of the guard is {given!r}: give less than its in_flight of {in_flight!r}"
        )
    if not beats:
        raise UsageError(
            f"standing of the guard is {given!r} and it has no beats: give lag_ms, and no pulse of your own"
        )
    return standing


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
