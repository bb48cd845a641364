"""What is refused before it is made, and what must not be."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any
from weakref import WeakSet

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.guard.asgi import Written
from unstall.guard.door import Door
from unstall.guard.doorstep import Asked, Doorman, Doorstep, whole
from unstall.guard.guard import Guard, Route
from unstall.guard.rates import Rate

HEAD = b"POST /v1/events?dry=1 HTTP/1.1\r\nHost: t\r\n"


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", Asked("POST", "/v1/events?dry=1")),
        (
            HEAD + b"content-length:5\r\nConnection: Keep-Alive\r\n\r\nhello",
            Asked("POST", "/v1/events?dry=1"),
        ),
        (b"GET / HTTP/1.1\r\n\r\n", Asked("GET", "/")),
        (b"GET / HTTP/1.1\r\nUpgrade-Insecure-Requests: 1\r\n\r\n", Asked("GET", "/")),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nX: y\r\n\r\n", Asked("GET", "/")),
    ],
)  # fmt: skip
def test_a_request_that_is_there_whole_says_what_it_asks_for(data: bytes, asked: Asked) -> None:
    assert whole(data) == asked
    assert asked.path in ("/v1/events", "/")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: t\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nhell",
        HEAD + b"Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Content-Length : 5\r\n\r\nhello",
        HEAD + b"Content-Length: +5\r\n\r\nhello",
        HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Connection: close\r\n\r\n",
        HEAD + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
        HEAD + b"Connection: keep-alive\r\nConnection: close\r\n\r\n",
        HEAD + b"X: a\r\n  folded\r\n\r\n",
        HEAD + b"X: a\nContent-Length: 5\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"CONNECT t:1 HTTP/1.1\r\n\r\n",
        HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"X: a\0b\r\n\r\n",
        HEAD + b"X Y: a\r\n\r\n",
        HEAD + b"no colon\r\n\r\n",
        HEAD + b": no name\r\n\r\n",
        HEAD + b"\x0bTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Proxy-Connection: close\r\n\r\n",
        b"GET /caf%C3%A9 HTTP/1.1\r\n\r\n",
        b"GET /caf\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 9_000 + b"\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_server(data: bytes) -> None:
    assert whole(data) is None


class Heard:
    """What a real parser makes of the same bytes."""

    def __init__(self, data: bytes) -> None:
        self.messages = 0
        self.body = b""
        self.url = b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()
        self.keeps = parser.should_keep_alive()
        self.upgrades = parser.should_upgrade()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


LINES = (
    b"Host: t", b"Content-Length: 0", b"content-length:5", b"Content-Length: 6", b"Content-Length : 5",
    b"Content-Length:", b"Transfer-Encoding: chunked", b"Connection: keep-alive", b"connection: Keep-Alive",
    b"Connection: close", b"Connection: Upgrade", b"Upgrade: h2c", b"X-Y: z", b" folded", b"X: a\nY: b",
    b"Expect: 100-continue",
    b"Connection:keep-alive\t", b"X-Content-Length: 3", b"X: transfer-encoding",
    b"X: a\rb", b"X: \0", b"X Y: z", b"plain", b": z", b"\x0bX: y", b"X\x7f: y", b"X: \xff",
    b"Proxy-Connection: close",
    b"Keep-Alive: 5", b"Content-Length:\t5 ", b"TE: trailers", b"Trailer: X",
)  # fmt: skip
FIRSTS = (
    b"POST /a HTTP/1.1",
    b"GET /a?b#c HTTP/1.1",
    b"GET / HTTP/1.0",
    b"DELETE * HTTP/1.1",
    b"post /a HTTP/1.1",
)


@given(
    st.sampled_from(FIRSTS),
    st.lists(st.sampled_from(LINES), max_size=5),
    st.sampled_from((b"", b"hello", b"hello!", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")),
)
def test_a_real_parser_finds_the_same_request_and_nothing_after_it(
    first: bytes, lines: list[bytes], body: bytes
) -> None:
    data = b"\r\n".join((first, *lines)) + b"\r\n\r\n" + body
    asked = whole(data)
    if asked is None or asked.method == "post":  # which no route is known by
        return
    heard = Heard(data)
    assert (heard.messages, heard.body, heard.upgrades) == (1, body, False)
    assert (heard.method.decode(), heard.url.decode()) == asked
    assert heard.keeps


class Keeper:
    """A guard."""

    def __init__(self, limit: int | None, queue: int = 0) -> None:
        self.door = Door(limit, queue)
        self.refused = 0

    def has_no_say(self, method: str, root_path: str, path: str) -> bool:
        return (method, root_path, path) == ("GET", "/api", "/api/")

    def refusals(self) -> tuple[Written, ...]:
        return tuple(
            Written("full", 503, ((b"retry-after", after), (b"content-length", b"2")), b"no")
            for after in (b"1", b"2")
        )

    def turned_away(self, count: int) -> None:
        self.refused += count


DATE = [(b"date", b"today")]
ANSWERS = [
    b"HTTP/1.1 503 Service Unavailable\r\ndate: today\r\nretry-after: %d\r\ncontent-length: 2\r\n\r\nno"
    % after
    for after in (1, 2)
]
PLAIN = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"
PROBE = b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n"
PART = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"


def step_of(*keepers: Keeper) -> Doorstep:
    doormen: WeakSet[Doorman] = WeakSet()
    for keeper in keepers:
        doormen.add(keeper)
    return Doorstep(doormen)


def crowded(keeper: Keeper, taken: int) -> Doorstep:
    """The step of a guard with so many slots taken."""
    step = step_of(keeper)
    keeper.door.in_flight = taken
    assert step.near
    return step


def nears(step: Doorstep) -> bool:
    return step.near


def a_turn(
    step: Doorstep, *requests: bytes, headers: list[tuple[bytes, bytes]] = DATE
) -> list[bytes | None]:
    """What is answered to requests that come in one turn of a loop."""

    async def main() -> list[bytes | None]:
        loop = asyncio.get_running_loop()
        answers = [step.answer(data, "/api", loop, headers) for data in requests]
        await asyncio.sleep(0)
        return answers

    return asyncio.run(main())


def came(answers: list[bytes | None]) -> str:
    """Who came in is `.`, who was refused is `x`."""
    return "".join("." if answer is None else "x" for answer in answers)


def test_nobody_is_asked_anything_before_half_of_the_slots_are_taken() -> None:
    keeper = Keeper(4)
    step = step_of(keeper)
    seen = []
    for keeper.door.in_flight in range(4):
        seen.append(step.near)
    assert seen == [False, False, True, True]


def test_who_finds_no_room_gets_the_guard_s_words_with_the_server_s_headers() -> None:
    keeper = Keeper(2)
    step = crowded(keeper, 2)
    assert sorted(a_turn(step, PLAIN, PLAIN), key=str) == sorted(ANSWERS, key=str)
    (later,) = a_turn(step, PLAIN, headers=[(b"date", b"tomorrow")])
    assert later in [answer.replace(b"today", b"tomorrow") for answer in ANSWERS]
    assert keeper.refused == 3


@pytest.mark.parametrize(
    ("taken", "came_in"), [(2, "...xx"), (3, "..xxx"), (4, ".xxxx"), (5, ".xxxx"), (0, ".....")]
)
def test_as_many_come_in_as_there_are_slots_and_places_in_the_queue(
    taken: int, came_in: str
) -> None:
    keeper = Keeper(4, queue=1)
    step = crowded(keeper, 2)
    keeper.door.in_flight = taken
    for _ in range(2):
        assert came(a_turn(step, *[PLAIN for _ in came_in])) == came_in


def test_who_is_not_for_the_door_alone_comes_in_and_takes_nobody_s_place() -> None:
    keeper = Keeper(2)
    step = crowded(keeper, 1)
    assert came(a_turn(step, PROBE, PART, PLAIN, PLAIN, PLAIN + PLAIN, PROBE)) == "...x.."


def test_lines_that_were_seen_do_not_say_how_much_came_with_them() -> None:
    head = b"GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
    keeper = Keeper(2)
    step = crowded(keeper, 2)
    assert (
        came(a_turn(step, head + b"full", head + b"par", head + b"longer", head + b"full"))
        == "x..x"
    )


def test_lines_that_were_seen_are_asked_for_anew_under_another_root_path() -> None:
    keeper = Keeper(1)
    step = crowded(keeper, 1)

    async def main() -> list[bytes | None]:
        loop = asyncio.get_running_loop()
        return [step.answer(PLAIN, root, loop, DATE) for root in ("/api", "/other", "/api")]

    assert came(asyncio.run(main())) == "x.x"


def test_those_who_are_refused_are_told_different_times_to_come_back() -> None:
    keeper = Keeper(1)
    step = crowded(keeper, 1)
    answers = [a_turn(step, PLAIN)[0] for _ in range(4)]
    assert answers in (ANSWERS * 2, ANSWERS[::-1] * 2)
    assert keeper.refused == 4


def test_a_loop_that_ends_in_the_middle_of_a_turn_leaves_nothing_behind() -> None:
    keeper = Keeper(1)
    step = crowded(keeper, 1)
    ended = asyncio.new_event_loop()
    assert step.answer(PLAIN, "/api", ended, DATE) is not None
    ended.close()
    keeper.door.in_flight = 0
    assert came(a_turn(step, PLAIN, PLAIN)) == ".x"
    assert keeper.refused == 2


def test_no_more_lines_are_kept_than_some_hundreds_and_none_for_long() -> None:
    keeper = Keeper(2)
    step = crowded(keeper, 2)
    crowd = [b"GET / HTTP/1.1\r\nX-Request-Id: %d\r\n\r\n" % n for n in range(2_000)]
    assert came(a_turn(step, *crowd)) == "x" * 2_000
    assert len(step._lengths) == 512
    a_turn(step, PLAIN, headers=list(DATE))
    assert len(step._lengths) == 1


@pytest.mark.parametrize("keepers", [(), (Keeper(1), Keeper(1)), (Keeper(None),)])
def test_without_a_limit_or_with_more_than_one_guard_all_come_in(
    keepers: tuple[Keeper, ...],
) -> None:
    step = step_of(*keepers)
    for keeper in keepers:
        keeper.door.in_flight = 100
    assert not step.near
    assert came(a_turn(step, PLAIN)) == "."


def test_a_guard_that_comes_later_ends_it_until_there_is_one_again() -> None:
    first, second = Keeper(1), Keeper(1)
    doormen: WeakSet[Doorman] = WeakSet()
    doormen.add(first)
    step = Doorstep(doormen)
    first.door.in_flight = second.door.in_flight = 1
    assert nears(step)
    doormen.add(second)
    assert came(a_turn(step, PLAIN)) == "."
    assert not nears(step)
    del first
    gc.collect()
    assert nears(step)
    assert came(a_turn(step, PLAIN)) == "x"
    del second
    gc.collect()
    assert not nears(step)


def test_what_fails_is_said_once_and_all_come_in(caplog: pytest.LogCaptureFixture) -> None:
    keeper = Keeper(1)
    step = crowded(keeper, 1)
    with caplog.at_level(logging.WARNING, "unstall.guard"):
        step.fail(AttributeError("no such thing"))
    assert not nears(step)
    (record,) = caplog.records
    assert record.getMessage() == (
        "nobody is refused before the guard any more: AttributeError: no such thing"
    )


def test_of_a_real_guard_probes_and_routes_of_their_own_are_left_to_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    routes = {"/own": Route(in_flight=5), "/dear": Route(priority="critical")}
    guard = Guard(app, in_flight=1, retry_after=2, routes=routes)
    paths = ("/plain", "/own", "/dear", "/livez")
    for path in paths:
        guard._find({"method": "GET", "root_path": "", "path": path})
    known = [path for path in (*paths, "/unknown") if guard.has_no_say("GET", "", path)]
    assert known == ["/plain"]
    retries = [dict(written.headers)[b"retry-after"] for written in guard.refusals()]
    assert retries == [b"2", b"3", b"4"]
    assert {(written.status, written.reason) for written in guard.refusals()} == {(503, "full")}
    guard.turned_away(3)
    assert guard.statistics().shed == {"full": 3}


def test_a_guard_with_rates_sees_everybody_itself() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    guard = Guard(app, in_flight=1, rates=[Rate("5/s")])
    guard._find({"method": "GET", "root_path": "", "path": "/"})
    assert not guard.has_no_say("GET", "", "/")
