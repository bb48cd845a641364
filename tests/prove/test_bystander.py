"""Whether the witness asks an upstream itself, told by what the proxies count while nothing else is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from unstall.model.plan import Fault
from unstall.model.proof import Exchanges
from unstall.prove.bystander import asked_by, no_bystander


class Counter:
    addresses = (("127.0.0.1", 1),)

    def __init__(self) -> None:
        self.exchanges = 0

    def put(self, fault: Fault) -> None: ...

    def clear(self) -> None: ...

    def counts(self, *, reset: bool = False) -> Exchanges:
        return Exchanges("X", exchanges=self.exchanges)


def found(answer: Callable[[int, Counter], None], meanwhile: int = 0) -> tuple[str, ...]:
    """`answer` is what the witness's route does; `meanwhile`: exchanges of others in each pause."""
    database, billing = Counter(), Counter()
    asked = 0

    async def ask() -> None:
        nonlocal asked
        answer(asked, database)
        asked += 1

    async def wait(seconds: float) -> None:
        database.exchanges += meanwhile

    proxies = {"DATABASE_URL": database, "BILLING_URL": billing}
    return asyncio.run(asked_by(ask, proxies, wait))


def asks(number: int, upstream: Counter) -> None:
    upstream.exchanges += 2


def asks_at_first(number: int, upstream: Counter) -> None:
    upstream.exchanges += number == 0


def asks_nobody(number: int, upstream: Counter) -> None: ...


def test_an_upstream_that_is_asked_with_each_witness_is_named() -> None:
    assert found(asks) == ("DATABASE_URL",)


def test_a_witness_that_asks_nobody_is_a_bystander() -> None:
    assert found(asks_nobody) == ()


def test_what_is_asked_once_and_then_known_is_not_held_against_it() -> None:
    assert found(asks_at_first) == ()


def test_what_others_ask_all_the_time_is_not_the_witness_s() -> None:
    assert found(asks, meanwhile=1) == ()
    assert found(asks_nobody, meanwhile=1) == ()


def test_the_sentence_says_what_to_do() -> None:
    assert no_bystander("/readyz", "DATABASE_URL") == (
        "the witness /readyz asks DATABASE_URL itself, so it is no bystander of it: give [witness] a path "
        "that does not"
    )
