"""Off for all, on for some, and never lost with their source."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from tests.support.valkey import running_valkey
from unstall import Guard, switch
from unstall.errors import SwitchedOff, UsageError
from unstall.guard.sources import OFF, ON, FileSource, RedisSource, State, source_of, state_of
from unstall.guard.switches import BOARDS, Board, Switch, chosen, configure, decided


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board({})
    before = BOARDS.known()
    BOARDS.replace(board)
    yield board
    board.close()
    BOARDS.replace(before)


class Fixed:
    """A source that tests write into."""

    def __init__(self, **states: str) -> None:
        self.states: dict[str, State] = {k: state_of(v, k) for k, v in states.items()}
        self.error: Exception | None = None

    def read(self) -> dict[str, State]:
        if self.error is not None:
            raise self.error
        return self.states


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("on", ON),
        (" OFF ", OFF),
        (True, ON),
        (False, OFF),
        ("25%", State(25)),
        ("0% ada, bob", State(0, frozenset({"ada", "bob"}))),
        ({"percent": 5, "allow": ["ada"]}, State(5, frozenset({"ada"}))),
        ({"on": False, "allow": ["ada"]}, OFF),
        ({}, ON),
    ],
)
def test_a_state_is_read_in_many_ways(value: object, state: State) -> None:
    assert state_of(value, "x") == state


@pytest.mark.parametrize(
    "value", ["maybe", "101%", "-1%", "", {"percent": "5"}, {"percents": 5}, {"allow": "ada"}, 7]
)
def test_what_is_no_state_is_refused_with_its_place(value: object) -> None:
    with pytest.raises(UsageError, match="the switch in UNSTALL_SWITCH_X is"):
        state_of(value, "UNSTALL_SWITCH_X")


@given(st.text(max_size=20), st.text(max_size=20), st.floats(0, 100), st.floats(0, 100))
def test_who_is_in_stays_in_when_more_come_in(
    name: str, key: str, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    assert not chosen(name, key, less) or chosen(name, key, more)
    assert chosen(name, key, 100)
    assert not chosen(name, key, 0)


def test_a_share_of_keys_is_that_share_and_switches_choose_apart() -> None:
    keys = [f"user-{number}" for number in range(4_000)]
    new = {key for key in keys if chosen("new", key, 25)}
    other = {key for key in keys if chosen("other", key, 25)}
    assert 850 < len(new) < 1_150
    assert 150 < len(new & other) < 350


def test_the_choice_is_the_same_on_every_machine() -> None:
    assert [key for key in "abcdefgh" if chosen("new", key, 50)] == list("abcfh")


def test_without_a_key_chance_decides_and_the_list_of_a_switch_wins() -> None:
    half = State(50, frozenset({"ada"}))
    assert decided(half, "x", None, lambda: 0.49)
    assert not decided(half, "x", None, lambda: 0.5)
    assert decided(State(0, frozenset({"ada"})), "x", "ada", lambda: 1.0)
    assert not decided(OFF, "x", "ada", lambda: 0.0)


def test_what_nobody_says_is_the_default(board: Board) -> None:
    assert Switch("a", board=board).on()
    assert not Switch("b", default=False, board=board).on()
    assert board.reading().states == {"a": ON, "b": OFF}


def test_the_environment_wins_over_the_source(board: Board) -> None:
    apart = Board({"UNSTALL_SWITCH_NEW_SEARCH": "off", "UNSTALL_SWITCH_EMPTY": ""})
    apart.configure(Fixed(new_search="on", other="off"))
    assert not Switch("new-search", board=apart).on()
    assert not Switch("other", board=apart).on()
    assert Switch("empty", board=apart).on()
    apart.close()


def test_a_source_that_is_gone_leaves_the_last_good_states_and_is_said_once(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    source = Fixed(enrichment="off")
    board.configure(source, refresh=60)
    enrichment = Switch("enrichment", board=board)
    source.error = OSError("the disk is gone")
    with caplog.at_level(logging.WARNING, "unstall.switches"):
        for _ in range(3):
            board.refresh()
        assert not enrichment.on()
        assert board.reading().failing == "OSError: the disk is gone"
        source.error, source.states = None, {"enrichment": ON}
        board.refresh()
    assert enrichment.on()
    assert [record.getMessage() for record in caplog.records] == [
        "switches cannot be read, the last good states count: OSError: the disk is gone",
        "switches can be read again",
    ]


def until(true: Any) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_a_file_is_read_again_on_a_thread_and_a_broken_one_changes_nothing(
    board: Board, tmp_path: Path
) -> None:
    file = tmp_path / "switches.toml"
    file.write_text('[switches]\nenrichment = "off"\nsearch = { percent = 0, allow = ["ada"] }\n')
    board.configure(str(file), refresh=0.01)
    enrichment, search = Switch("enrichment", board=board), Switch("search", board=board)
    assert not enrichment.on()
    assert search.on("ada")
    assert not search.on("bob")
    file.write_text("enrichment = on on")
    until(lambda: board.reading().failing)
    assert not enrichment.on()
    file.write_text("enrichment = true")
    until(enrichment.on)
    other = tmp_path / "switches.json"
    other.write_text('{"enrichment": "25%"}')
    assert FileSource(other).read() == {"enrichment": State(25)}


@pytest.mark.live
def test_redis_is_read_and_when_it_is_gone_its_last_word_counts(board: Board) -> None:
    with running_valkey() as server:
        client = redis.Redis.from_url(server.url)
        client.hset("unstall:switches", "enrichment", "off")
        client.close()
        board.configure(server.url, refresh=0.02)
        enrichment = Switch("enrichment", board=board)
        assert not enrichment.on()
    until(lambda: board.reading().failing)
    assert not enrichment.on()
    assert isinstance(source_of("redis://127.0.0.1:1/0"), RedisSource)


def test_a_function_that_is_off_answers_something_else_or_says_so(board: Board) -> None:
    source = Fixed(enrichment="off")
    board.configure(source, refresh=60)
    calls: list[int] = []

    async def nothing(order: int) -> str:
        return f"plain {order}"

    @switch("enrichment", instead=nothing)
    async def enriched(order: int) -> str:
        calls.append(order)
        return f"rich {order}"

    @switch("enrichment", instead=None)
    def plain(order: int) -> str | None:
        return "rich"

    @switch("enrichment")
    def bare() -> None:
        """Never."""

    async def main() -> None:
        assert await enriched(1) == "plain 1"
        assert plain(1) is None
        with pytest.raises(SwitchedOff, match="'enrichment' is off for this call"):
            bare()
        source.states["enrichment"] = ON
        board.refresh()
        assert await enriched(2) == "rich 2"
        assert plain(1) == "rich"

    asyncio.run(main())
    assert calls == [2]
    assert enriched.__name__ == "enriched"
    with pytest.raises(UsageError, match="is a generator function"):

        @switch("enrichment")
        def many() -> Iterator[int]:
            yield 1


def test_a_dependency_says_yes_or_no_for_the_request(board: Board) -> None:
    board.configure(Fixed(search="0% ada"), refresh=60)
    app = FastAPI()
    search = switch("search", key=lambda request: request.headers.get("x-user"))

    @app.get("/search")
    async def found(new: bool = Depends(search)) -> bool:
        return new

    @app.get("/off")
    @switch("off", default=False)
    async def off() -> None:
        """Never."""

    app.add_middleware(Guard)
    with TestClient(app) as client:
        assert client.get("/search", headers={"x-user": "ada"}).json() is True
        assert client.get("/search", headers={"x-user": "bob"}).json() is False
        got = client.get("/off")
    assert (got.status_code, got.json()["switch"]) == (503, "off")


def test_one_name_has_one_default(board: Board) -> None:
    switch("a-b")
    switch("a-b")
    for name, default in (("a-b", False), ("a_b", True)):
        with pytest.raises(UsageError, match="is there already"):
            switch(name, default=default)
    with pytest.raises(UsageError, match="refresh is 0"):
        configure(None, refresh=0)


@pytest.mark.live
def test_a_forked_child_goes_on_reading(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "switches.toml"
    file.write_text('a = "off"')
    board.configure(str(file), refresh=0.02)
    one = Switch("a", board=board)
    assert not one.on()
    child = os.fork()
    if child == 0:
        one.on()  # begins to read again
        file.write_text('a = "on"')
        end = time.monotonic() + 10
        while not one.on() and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0 if one.on() else 1)
    assert os.waitpid(child, 0)[1] == 0
