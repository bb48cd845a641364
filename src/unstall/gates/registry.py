"""The gates of this process, and what adapters call as pools are used. Nothing here raises into a host.

A call costs a few allocations and appends. A look at the pool itself is taken when somebody reads, or when
one flow asks for its second slot.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from unstall.gates.flow import FLOW, HOP, Finder, Flow, flow_around, flow_here, on_loop
from unstall.gates.gate import Clock, Families, Gate, Kind, Loan, Statistics, monotonic_ns
from unstall.gates.nested import Nested, nested_of

_MOST_GATES = 1_000
_MOST_SITES = 100
MOST_PER_S, MOST_WHEN_BUSY = 200, 50
"""Slots looked at closely, of all pools together; above that each n-th, and it stands for n."""
_BUSY_PER_S = 2_000
"""Slots asked for: then a look at one takes longer than all that is done for the others."""
_STALE_NS = 100_000_000
_RATE_OVER_NS = 1_000_000_000
_GOLDEN = 0.618033988749895

Waits = Callable[[Flow], bool]


class Thinning:
    """Chooses what to look at closely, by count: by time it would be the first of each burst.

    A burst of less than a second's share is looked at whole. Two threads at once may choose both or none;
    the sums stay near enough.
    """

    __slots__ = ("_left", "_phase", "_rate", "_since_ns", "_skipped", "_stale_ns", "every")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """As if nothing had been asked for yet."""
        self.every = 1.0
        self._left = 0
        self._skipped = 0
        self._phase = 0.0
        self._rate = 0.0
        self._since_ns = self._stale_ns = 0

    def passes(self, now: int) -> bool:
        """Whether this one goes by unseen."""
        self._left -= 1
        if self._left >= 0 and now < self._stale_ns:
            self._skipped += 1
            return True
        return False

    def times(self, now: int) -> int:
        """For how many the one stands that did not pass; sets out for the next."""
        times = 1 + self._skipped
        self._skipped = 0
        took = now - self._since_ns
        if self._since_ns and took > 0:
            weight = min(1.0, took / _RATE_OVER_NS)
            self._rate += (times * 1e9 / took - self._rate) * weight
            # Of the last second: inside a burst any rate is high.
            most = MOST_PER_S if self._rate < _BUSY_PER_S else MOST_WHEN_BUSY
            self.every = max(1.0, self._rate / most)
        self._since_ns, self._stale_ns = now, now + _STALE_NS
        # Never the same number twice in a row: calls often come in turns.
        self._phase = (self._phase + _GOLDEN) % 1.0
        self._left = int(self._phase * (2 * self.every - 1)) if self.every >= 2 else 0
        return times


class Registry:
    """Gates by pool. `is_app` says of a file name whether it is the application's."""

    def __init__(self, is_app: Mapping[str, bool], clock: Clock = monotonic_ns) -> None:
        self.is_app = is_app
        self.clock = clock
        self.loans: dict[int, Loan] = {}
        """What is lent now, by the number of the object that stands for the slot."""
        self.families = Families(self.gates)
        self.told: set[tuple[object, ...]] = set()
        self.on_nested: Callable[[Nested], None] = _nobody
        """Is called where it happens, once for each site; must be quick."""
        self.waits_for: Waits = _unknown
        """Whether a flow is waiting for the current task."""
        self.thinning = Thinning()
        self.failed: Callable[[Kind, BaseException], None] = _silently
        self.by_pool: dict[int, Gate] = {}
        self._unborn: dict[int, tuple[Any, str]] = {}

    def gates(self) -> list[Gate]:
        return list(self.by_pool.values())

    def statistics(self) -> tuple[Statistics, ...]:
        return tuple(gate.statistics() for gate in self.gates())

    def forget(self) -> None:
        """What is lent: in a forked child it is the parent's, and after a stop nobody sees its return."""
        for loan in list(self.loans.values()):
            _end(loan)
        self.loans.clear()
        for gate in self.gates():
            gate.asking.clear()

    # --- from pool to gate --------------------------------------------------------------------

    def known(self, pool: Any) -> Gate | None:
        return self.by_pool.get(id(pool))

    def gate_of(self, pool: Any, kind: Kind) -> Gate | None:
        """None while the pool has nothing that lives as long as it, or when there are too many."""
        return self.by_pool.get(id(pool)) or self._adopt(pool, kind, None)

    def name(self, pool: Any, kind: Kind, name: str) -> None:
        """Also before the pool has been opened or used."""
        gate = self.by_pool.get(id(pool)) or self._adopt(pool, kind, name)
        if gate is not None:
            gate.rename(name)
        elif len(self._unborn) < _MOST_GATES:
            self._unborn[id(pool)] = pool, name

    def follow(self, old: Any, new: Any, kind: Kind) -> None:
        """A pool made in place of another goes by its name."""
        gate = self.by_pool.get(id(old))
        if gate is not None:
            self._adopt(new, kind, gate.name)

    def _adopt(self, pool: Any, kind: Kind, name: str | None) -> Gate | None:
        anchor = kind.anchor(pool)
        if anchor is None or len(self.by_pool) >= _MOST_GATES:
            return None
        number, gates = id(pool), self.by_pool
        _, given = self._unborn.pop(number, (None, None))
        gate = Gate(
            name or given or kind.name_of(pool),
            kind,
            weakref.ref(anchor, lambda _: gates.pop(number, None)),
            self.families,
            self._lent,
            Finder(self.is_app),
            asynchronous=kind.asynchronous(pool),
        )
        return gates.setdefault(number, gate)

    def _lent(self, gate: Gate) -> int:
        return sum(loan.times for loan in list(self.loans.values()) if loan.gate is gate)


class Turnstile:
    """What one adapter calls. `ask`, then `given` or `refused`, then `released`; `slot` in between."""

    __slots__ = (
        "_clock", "_families", "_gates", "_kind", "_registry", "_thinning", "_use", "_wait", "loans",
    )  # fmt: skip

    def __init__(self, registry: Registry, kind: Kind) -> None:
        self._registry = registry
        self._kind = kind
        self._families = registry.families
        self._clock = registry.clock
        self._gates = registry.by_pool
        self.loans = registry.loans
        """To be asked for the number of a slot before `released`, where that is worth it."""
        self._thinning = registry.thinning
        self._wait = registry.families.wait.observe
        self._use = registry.families.use.observe

    def ask(self, pool: Any) -> Loan | bool:
        """False when it is part of an asking that is under way; True when it goes by unseen.

        None goes by that could be nested in a slot that was looked at, whatever the rate.
        """
        return True if self.passes() else self.look(pool)

    def passes(self) -> bool:
        """Whether one who asks now goes by unseen; then `look` is not called for it.

        Whose flow holds a slot that was looked at, or was started by one that did, is always looked at. A
        slot that went by unseen is no loan: of those that nest under it, none is found.
        """
        try:
            # Here, and not in functions of their own, as it is done for each slot.
            hop, flow = HOP.get(), FLOW.get()
            if hop is not None and (hop.loans or hop.inherited):
                return False
            if flow is not None and (flow.loans or flow.inherited):
                return False
            return self._thinning.passes(self._clock())
        except Exception as error:
            self._failed(error)
            return False

    def look(self, pool: Any) -> Loan | bool:
        """False when it is part of an asking that is under way."""
        try:
            now = self._clock()
            gate = self._gates.get(id(pool)) or self._registry.gate_of(pool, self._kind)
            if gate is None:
                return False
            flow = flow_here(gate.asynchronous)
            last = flow.loan
            if last is not None and last.gate is gate and last in gate.asking:
                return False
            flow.loan = loan = Loan(gate, flow, gate.where(), now, self._thinning.times(now))
            if flow.loans or flow.inherited:
                self._look_for_nesting(loan, flow)
            gate.asking.add(loan)
        except Exception as error:
            self._failed(error)
            return False
        return loan

    def slot(self) -> None:
        """The pool has a slot for who asked last; what follows is not the wait."""
        try:
            loan = self._latest()
            if loan is not None and loan in loan.gate.asking and not loan.slot_ns:
                loan.slot_ns = self._clock()
        except Exception as error:
            self._failed(error)

    def given(self, loan: Loan | bool, slot: Any) -> None:
        if loan is True or loan is False:
            return
        try:
            gate, flow = loan.gate, loan.flow
            gate.asking.discard(loan)
            loan.given_ns = now = self._clock()
            self._wait(gate.labels, (loan.slot_ns or now) - loan.asked_ns, loan.times)
            loan.number = number = id(slot)
            if number in self.loans:  # never returned, and its number is another's now
                _end(self.loans[number])
            self.loans[number] = loan
            if flow is not None:
                flow.loans.append(loan)
        except Exception as error:
            self._failed(error)

    def given_here(self, slot: Any) -> None:
        """From inside the pool, for who asked last. It may be taken away and given again, so the wait is
        told when it is over."""
        try:
            loan = self._latest()
            if loan is None or loan.flow is None:
                return
            loan.slot_ns = loan.given_ns = self._clock()
            if loan.number:
                return
            loan.unsettled = True
            loan.number = number = id(slot)
            loan.gate.asking.discard(loan)
            self.loans[number] = loan
            loan.flow.loans.append(loan)
        except Exception as error:
            self._failed(error)

    def refused(self, loan: Loan | bool, error: BaseException, pool: Any) -> None:
        """The asking ended with an error, whatever it was; also after a slot was given."""
        if loan is False:
            return
        if loan is True:
            self._refused_unseen(error, pool)
            return
        try:
            gate = loan.gate
            gate.asking.discard(loan)
            if self._kind.timed_out(error, loan.slot_ns != 0):
                self._families.timeouts.add(gate.labels)
                self._wait(gate.labels, self._clock() - loan.asked_ns, loan.times)
                loan.unsettled = False
            elif self._kind.refused(error):
                self._families.refused.add(gate.labels)
            if self.loans.get(loan.number) is loan:
                del self.loans[loan.number]
                if loan.unsettled:
                    self._wait(gate.labels, loan.slot_ns - loan.asked_ns, loan.times)
                self._use(gate.labels, self._clock() - loan.given_ns, loan.times)
            _end(loan)
        except Exception as unexpected:
            self._failed(unexpected)

    def _refused_unseen(self, error: BaseException, pool: Any) -> None:
        """Errors are all counted. Whether a slot had come is not known here."""
        try:
            gate = self._gates.get(id(pool)) or self._registry.gate_of(pool, self._kind)
            if gate is None:
                return
            if self._kind.timed_out(error, False):
                self._families.timeouts.add(gate.labels)
            elif self._kind.refused(error):
                self._families.refused.add(gate.labels)
        except Exception as unexpected:
            self._failed(unexpected)

    def released(self, slot: Any) -> None:
        """The slot is about to be free; a second word changes nothing."""
        try:
            loan = self.loans.pop(id(slot), None)
            if loan is None:
                return
            flow, labels, loan.flow = loan.flow, loan.gate.labels, None
            if flow is not None:
                flow.loans.remove(loan)
            if loan.unsettled:
                self._wait(labels, loan.slot_ns - loan.asked_ns, loan.times)
            self._use(labels, self._clock() - loan.given_ns, loan.times)
        except Exception as error:
            self._failed(error)

    def created(self, pool: Any, since_ns: int) -> None:
        """A connection was opened; without a pool, for who asked last."""
        try:
            gate = None
            if pool is not None:
                gate = self._registry.gate_of(pool, self._kind)
            elif (loan := self._latest()) is not None:
                gate = loan.gate
            if gate is not None:
                self._families.create.observe(gate.labels, self._clock() - since_ns)
        except Exception as error:
            self._failed(error)

    def now(self) -> int:
        return self._clock()

    # --- one slot held, another asked for -----------------------------------------------------

    def _look_for_nesting(self, loan: Loan, flow: Flow) -> None:
        for held in tuple(flow.loans):
            if held.gate is loan.gate and held.flow is not None:
                self._nested(held, loan, inherited=False)
                return
        for held in flow.inherited:
            holder = held.flow
            if held.gate is loan.gate and holder is not None and self._registry.waits_for(holder):
                self._nested(held, loan, inherited=True)
                return

    def _nested(self, first: Loan, second: Loan, *, inherited: bool) -> None:
        registry, gate = self._registry, second.gate
        reading = gate.reading()
        if reading is None:
            return
        nested = nested_of(
            first, second, reading, gate.used(reading),
            inherited=inherited, on_loop=on_loop(),
        )  # fmt: skip
        if nested is None:
            return
        self._families.nested.add(gate.labels)
        if nested.key not in registry.told and len(registry.told) < _MOST_SITES:
            registry.told.add(nested.key)
            registry.on_nested(nested)

    # --- who asked ----------------------------------------------------------------------------

    def _latest(self) -> Loan | None:
        flow = flow_around()
        loan = None if flow is None else flow.loan
        return loan if loan is not None and loan.gate.kind is self._kind else None

    def _failed(self, error: BaseException) -> None:
        self._registry.failed(self._kind, error)


def _end(loan: Loan) -> None:
    flow, loan.flow = loan.flow, None
    if flow is not None:
        try:
            flow.loans.remove(loan)
        except ValueError:  # it never got that far
            pass


def _nobody(nested: Nested) -> None:
    """Until somebody wants to know."""


def _unknown(flow: Flow) -> bool:
    return False


def _silently(kind: Kind, error: BaseException) -> None:
    """Until somebody counts."""
