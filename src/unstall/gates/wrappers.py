"""What the methods of pools become: the same, and a word to the turnstile before and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unstall.gates.gate import Loan
from unstall.gates.patches import Make
from unstall.gates.registry import Turnstile

Pick = Callable[[Any], Any]


def asking(gate: Turnstile, slot_of: Pick | None = None) -> Make:
    """Of a method of a pool that waits for a slot and returns it, or what `slot_of` finds it in."""

    def make(original: Any) -> Any:
        def ask(self: Any, *args: Any, **named: Any) -> Any:
            loan = gate.ask(self)
            try:
                got = original(self, *args, **named)
            except BaseException as error:
                gate.refused(loan, error, self)
                raise
            gate.given(loan, got if slot_of is None else slot_of(got))
            return got

        return ask

    return make


def asking_async(
    gate: Turnstile,
    slot_of: Pick | None = None,
    ask: Callable[[Any], Loan | bool] | None = None,
) -> Make:
    """`ask` stands for `gate.ask` where it is known already that nobody goes by unseen."""
    ask_of = ask or gate.ask

    def make(original: Any) -> Any:
        async def asking(self: Any, *args: Any, **named: Any) -> Any:
            loan = ask_of(self)
            try:
                got = await original(self, *args, **named)
            except BaseException as error:
                gate.refused(loan, error, self)
                raise
            gate.given(loan, got if slot_of is None else slot_of(got))
            return got

        return asking

    return make


def returning(gate: Turnstile) -> Make:
    """Of a method of a pool that takes a slot back, as its first argument."""

    def make(original: Any) -> Any:
        def give_back(self: Any, *args: Any, **named: Any) -> Any:
            gate.released(args[0] if args else next(iter(named.values()), None))
            return original(self, *args, **named)

        return give_back

    return make


def returning_async(gate: Turnstile) -> Make:
    def make(original: Any) -> Any:
        async def give_back(self: Any, *args: Any, **named: Any) -> Any:
            gate.released(args[0] if args else next(iter(named.values()), None))
            return await original(self, *args, **named)

        return give_back

    return make


def slot_before(gate: Turnstile) -> Make:
    """Of what is called once there is a slot; also of a coroutine function that is awaited at once."""

    def make(original: Any) -> Any:
        def call(self: Any, *args: Any, **named: Any) -> Any:
            gate.slot()
            return original(self, *args, **named)

        return call

    return make


def slot_after(gate: Turnstile, matters: Callable[[Any], bool]) -> Make:
    """Of what waits for a slot, and nothing else; where it matters, because something else follows."""

    def make(original: Any) -> Any:
        def call(self: Any, *args: Any, **named: Any) -> Any:
            got = original(self, *args, **named)
            if matters(self):
                gate.slot()
            return got

        return call

    return make


def slot_after_async(gate: Turnstile, matters: Callable[[Any], bool]) -> Make:
    def make(original: Any) -> Any:
        async def then_slot(self: Any, args: Any, named: Any) -> Any:
            got = await original(self, *args, **named)
            gate.slot()
            return got

        def call(self: Any, *args: Any, **named: Any) -> Any:
            return then_slot(self, args, named) if matters(self) else original(self, *args, **named)

        return call

    return make


def opening(gate: Turnstile, pool_of: Pick) -> Make:
    """Of what opens a connection, for the pool that `pool_of` finds."""

    def make(original: Any) -> Any:
        def open_one(self: Any, *args: Any, **named: Any) -> Any:
            since = gate.now()
            got = original(self, *args, **named)
            gate.created(pool_of(self), since)
            return got

        return open_one

    return make


def opening_async(gate: Turnstile, pool_of: Pick) -> Make:
    def make(original: Any) -> Any:
        async def open_one(self: Any, *args: Any, **named: Any) -> Any:
            since = gate.now()
            got = await original(self, *args, **named)
            gate.created(pool_of(self), since)
            return got

        return open_one

    return make
