"""A bomb of names is refused, exactly, and what is in use costs no question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest

from tally import db
from tally.ingest.names import USE, Names, forget
from tally.ingest.rows import Identity, Row, firsts
from tally.ingest.series import Series
from tally.ingest.writer import Writer
from tally.model import Rejected, Status, problem_of
from tally.settings import Settings

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = date(2026, 11, 21)
ACCEPTED, DUPLICATE = Status.ACCEPTED, Status.DUPLICATE
_EVENTS, _CUSTOMERS = count(), count(75_001)


def row(name: str, at: datetime = NOON, customer: int = 1, **changed: Any) -> Row:
    fields: dict[str, Any] = {"value": 1.0, "dimensions": "{}", "properties": "{}"} | changed
    return Row(customer, f"e{next(_EVENTS)}", name, at, **fields)


def rows(names: Iterable[str], **changed: Any) -> dict[Identity, Row]:
    return firsts(row(name, **changed) for name in names)


def reasons(found: Iterable[Any]) -> list[str]:
    return [each.reason if isinstance(each, Rejected) else str(each) for each in found]


# --- what one process remembers --------------------------------------------------------------------


def test_a_name_is_asked_for_once() -> None:
    names = Names(5)
    first = names.look(rows("abab"))
    assert names.question(first.asked) == {
        "customers": [1, 1], "days": [DAY, DAY], "names": ["a", "b"], "most": 5,
    }  # fmt: skip
    assert names.learn(first.asked, [(1, DAY, ["a", "b"])]) == {}
    again = names.look(rows("abc"))
    assert [each.name for each in again.asked.values()] == ["c"]
    assert again.refused == {}


def test_another_day_and_another_customer_are_asked_for_anew() -> None:
    names = Names(5)
    asked = names.look(rows("a")).asked
    names.learn(asked, [(1, DAY, ["a"])])
    assert names.look(rows("a", at=NOON + timedelta(days=1))).asked
    assert names.look(rows("a", customer=2)).asked


def test_a_name_that_was_refused_is_not_asked_for_again_and_another_is() -> None:
    names = Names(2)
    asked = names.look(rows("abc")).asked
    refused = names.learn(asked, [(1, DAY, ["b"])])
    assert [asked[identity].name for identity in refused] == ["a", "c"]
    look = names.look(rows("bca"))
    assert look.asked == {}
    assert len(look.refused) == 2
    problem = problem_of(next(iter(look.refused.values())))
    assert (problem.status, problem.reason) == (422, "too-many-names")
    assert problem.detail == (
        "customer 1 has used all 2 names that are allowed on 2026-11-21, and 'c' is another."
    )
    assert [each.name for each in names.look(rows("x")).asked.values()] == ["x"], "others use it?"


def test_too_many_names_do_not_fill_the_memory_and_those_just_told_stay() -> None:
    names = Names(5, most_in_all=4)
    for customer in (1, 2, 3):
        asked = names.look(rows("ab", customer=customer)).asked
        names.learn(asked, [(customer, DAY, ["a", "b"])])
    assert names.look(rows("ab", customer=1)).asked, "the first is forgotten"
    assert not names.look(rows("ab", customer=3)).asked
    large = rows("abcdefgh", customer=4)
    names.learn(large, [(4, DAY, list("abcdefgh"))])
    assert not names.look(large).asked
    names.clear()
    assert names.look(large).asked == large


def test_whose_names_are_in_use_is_not_forgotten_for_a_bomb() -> None:
    names = Names(5, most_in_all=20)
    good = rows("ab", customer=1)
    names.learn(good, [(1, DAY, ["a", "b"])])
    for customer in range(2, 50):
        bomb = rows("abcde", customer=customer)
        assert len(names.learn(bomb, [(customer, DAY, [])])) == 5
        assert not names.look(good).asked
    assert names.look(rows("abcde", customer=2)).asked, "what was refused takes room, too"


def test_of_refused_names_only_the_last_are_kept() -> None:
    names = Names(1, most_refused=3)
    names.learn(rows("a"), [(1, DAY, ["a"])])
    for refused in ("bc", "de"):
        names.learn(rows(refused), [(1, DAY, [])])
    assert [each.name for each in names.look(rows("abcde")).asked.values()] == ["b", "c"]


class Yielding(int):
    """A number that lets other threads run whenever it is looked up."""

    def __hash__(self) -> int:
        time.sleep(0)
        return int(self)


def test_threads_lose_no_name_to_each_other() -> None:
    """As those of the stage `offloaded`, which all bring names of the same customers."""
    names = Names(5)
    customers = [Yielding(number) for number in range(50)]

    def work(name: str) -> None:
        for customer in customers:
            names.learn(rows(name, customer=customer), [(customer, DAY, [name])])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, "abcdefgh"))
    assert names.held == 400
    assert not any(names.look(rows("abcdefgh", customer=each)).asked for each in customers)


# --- what the database counts ----------------------------------------------------------------------


@pytest.fixture
def customer() -> int:
    """Nobody else's."""
    return next(_CUSTOMERS)


class Told(Names):
    """Counts what it asks."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.questions = 0

    def question(self, asked: Any) -> dict[str, Any]:
        self.questions += 1
        return super().question(asked)


class Opened:
    """Writers in front of one database, each with names of its own, as those of several processes."""

    def __init__(self, settings: Settings, most: int, writers: int = 1) -> None:
        self._pool = db.async_pool(settings)
        self.names = [Told(most) for _ in range(writers)]
        self.writers = [Writer(self._pool, Series(100), each) for each in self.names]

    async def __aenter__(self) -> Opened:
        await self._pool.open()
        for each in self.writers:
            await each.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self.writers:
            await each.close()
        await self._pool.close()


def asked(settings: Settings, question: str, *given: Any) -> list[Any]:
    with psycopg.connect(settings.database_url) as connection:
        return connection.execute(question.encode(), given).fetchall()


def lately() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


@pytest.mark.live
def test_a_name_too_many_is_refused_and_known_names_go_on(
    settings: Settings, customer: int
) -> None:
    async def main() -> None:
        async with Opened(settings, 3) as opened:
            (writer,), (names,) = opened.writers, opened.names
            sent = [row(name, lately(), customer) for name in "abcdae"]
            found = await writer.write(sent)
            over = "too-many-names"
            assert reasons(found) == ["accepted"] * 3 + [over, "accepted", over]
            assert await writer.write(sent[:1]) == [DUPLICATE]
            assert reasons(await writer.write([sent[3]])) == [over]
            for _ in range(50):
                found = await writer.write([row(name, lately(), customer) for name in "bd"])
                assert reasons(found) == ["accepted", over]
            assert names.questions == 1
            found = await writer.write([row(name, lately(), customer) for name in "bxyz"])
            assert reasons(found) == ["accepted", over, over, over]
            assert names.questions == 2

    asyncio.run(main())
    stored = asked(settings, "SELECT DISTINCT name FROM events WHERE customer_id = %s", customer)
    assert sorted(stored) == [("a",), ("b",), ("c",)]
    for table in ("rollup_minute", "rollup_hour"):
        (sums,) = asked(
            settings,
            f"SELECT count(DISTINCT name), sum(count) FROM {table} WHERE customer_id = %s",
            customer,
        )
        assert sums == (3, 55)


@pytest.mark.live
def test_of_a_full_day_the_database_tells_only_names_that_were_asked_for(
    settings: Settings, customer: int
) -> None:
    many = [f"n{number}" for number in range(50)]
    with psycopg.connect(settings.database_url, autocommit=True) as connection:

        def usable(asked: Iterable[str]) -> set[str]:
            question = Names(50).question(rows(asked, customer=customer))
            ((_, _, known),) = connection.execute(USE.encode(), question).fetchall()
            return set(known)

        assert usable(many) == set(many)
        assert usable(["n7", "x", "n8", "y"]) == {"n7", "n8"}
        assert usable(["z"]) == set()


@pytest.mark.live
def test_on_a_full_day_nobody_waits_for_who_counts(settings: Settings, customer: int) -> None:
    question = Names(1).question(rows("ab", customer=customer))
    with (
        psycopg.connect(settings.database_url, autocommit=True) as asking,
        psycopg.connect(settings.database_url) as counting,
    ):
        asking.execute(USE.encode(), question)
        held = "SELECT names FROM event_name_counts WHERE customer_id = %s FOR UPDATE"
        assert counting.execute(held.encode(), (customer,)).fetchall() == [(1,)]
        asking.execute("SET lock_timeout = '5s'")
        ((_, _, known),) = asking.execute(USE.encode(), question).fetchall()
        assert known == ["a"]


@pytest.mark.live
def test_who_shares_a_transaction_with_a_bomb_is_not_harmed(
    settings: Settings, customer: int
) -> None:
    async def main() -> None:
        other = next(_CUSTOMERS)
        async with Opened(settings, 10) as opened:
            (writer,), (names,) = opened.writers, opened.names
            bomb = [writer.write([row(f"n{n}", lately(), customer)]) for n in range(100)]
            good = [writer.write([row("page_view", lately(), other)]) for _ in range(100)]
            found = [each for (each,) in await asyncio.gather(*bomb, *good)]
            assert found[:100].count(ACCEPTED) == 10
            assert found[100:] == [ACCEPTED] * 100
            assert names.questions <= 3

    asyncio.run(main())


@pytest.mark.live
def test_the_limit_is_exact_over_several_processes(settings: Settings, customer: int) -> None:
    async def main() -> list[Any]:
        async with Opened(settings, 40, writers=3) as opened:
            sent = [[row(f"{n}-{at}", lately(), customer) for at in range(40)] for n in range(3)]
            writes = [
                writer.write([one])
                for writer, given in zip(opened.writers, sent, strict=True)
                for one in given
            ]
            found = [each for (each,) in await asyncio.gather(*writes)]
            flat = [one for given in sent for one in given]
            accepted = {one.name for one, each in zip(flat, found, strict=True) if each is ACCEPTED}
            assert len(accepted) == 40
            assert reasons(found).count("too-many-names") == 80
            for writer in opened.writers:  # what one process took, all take
                again = await writer.write([row(name, lately(), customer) for name in accepted])
                assert again == [ACCEPTED] * 40
            return sorted(accepted)

    names = asyncio.run(main())
    question = 'SELECT name FROM event_names WHERE customer_id = %s ORDER BY name COLLATE "C"'
    assert [name for (name,) in asked(settings, question, customer)] == names
    count_of = "SELECT names FROM event_name_counts WHERE customer_id = %s"
    assert asked(settings, count_of, customer) == [(40,)]


@pytest.mark.live
def test_writers_that_count_for_the_same_customers_do_not_block_each_other_for_good(
    settings: Settings,
) -> None:
    customers = [next(_CUSTOMERS) for _ in range(5)]

    async def main() -> None:
        async with Opened(settings, 1_000, writers=2) as opened:
            for turn in range(20):
                sent = [row(f"n{turn}", lately(), each) for each in customers]
                other = [row(f"m{turn}", lately(), each) for each in reversed(customers)]
                found = await asyncio.gather(
                    opened.writers[0].write(sent), opened.writers[1].write(other)
                )
                assert list(found) == [[ACCEPTED] * 5] * 2

    asyncio.run(main())


@pytest.mark.live
def test_a_higher_limit_lets_more_in_and_a_lower_one_keeps_what_is_there(
    settings: Settings, customer: int
) -> None:
    async def wrote(most: int, names: str) -> list[str]:
        async with Opened(settings, most) as opened:
            sent = [row(name, lately(), customer) for name in names]
            return reasons(await opened.writers[0].write(sent))

    assert asyncio.run(wrote(2, "abc")) == ["accepted", "accepted", "too-many-names"]
    assert asyncio.run(wrote(3, "cd")) == ["accepted", "too-many-names"]
    assert asyncio.run(wrote(1, "abcd")) == ["accepted"] * 3 + ["too-many-names"]


@pytest.mark.live
def test_after_a_lost_connection_names_are_asked_for_again(
    settings: Settings, customer: int
) -> None:
    """The server that answers next may be another, which knows less."""

    async def main() -> None:
        async with Opened(settings, 5) as opened:
            (writer,), (names,) = opened.writers, opened.names
            await writer.write([row("a", lately(), customer)])
            assert writer._connection is not None
            with psycopg.connect(settings.database_url, autocommit=True) as other:
                other.execute("DELETE FROM event_names WHERE customer_id = %s", (customer,))
                pid = writer._connection.info.backend_pid
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            assert await writer.write([row("a", lately(), customer)]) == [ACCEPTED]
            assert await writer.write([row("a", lately(), customer)]) == [ACCEPTED]
            assert names.questions == 2

    asyncio.run(main())
    assert asked(settings, "SELECT name FROM event_names WHERE customer_id = %s", customer) == [
        ("a",)
    ]


@pytest.mark.live
def test_names_of_days_that_are_gone_are_forgotten(settings: Settings, customer: int) -> None:
    async def main() -> None:
        async with Opened(settings, 5) as opened:
            days = [lately() - timedelta(days=days) for days in (0, 2)]
            await opened.writers[0].write([row("a", day, customer) for day in days])
            await forget(opened._pool, 1)

    asyncio.run(main())
    for table in ("event_names", "event_name_counts"):
        question = f"SELECT count(*) FROM {table} WHERE customer_id = %s"
        assert asked(settings, question, customer) == [(1,)]
