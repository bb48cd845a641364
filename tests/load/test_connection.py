"""What a server can do to a connection, and what it is counted as."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from tests.load.wire_server import Talk, asked, talking
from unstall.clock import NS_PER_MS
from unstall.load import Place, Stream, StreamOutcome, run
from unstall.load.answer import Reader
from unstall.load.connection import Connection, Connections, Exchange

pytestmark = pytest.mark.live

MS = NS_PER_MS
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TWO = (0, 250 * MS)


async def outcome(
    talk: Talk, offsets: tuple[int, ...] = (0,), method: str = "GET", *, patience: float = 10.0
) -> StreamOutcome:
    async with talking(talk) as url:
        stream = Stream("load", method, "/", offsets)
        return (await run(url, [stream], timeout_s=patience, drain_s=20))["load"]


def played(
    talk: Talk, offsets: tuple[int, ...] = (0,), method: str = "GET", *, patience: float = 10.0
) -> StreamOutcome:
    return asyncio.run(outcome(talk, offsets, method, patience=patience))


def test_an_answer_that_comes_in_pieces_is_one_answer() -> None:
    async def slowly(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        for byte in OK:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    assert played(slowly).statuses == {"200": 1}


def test_an_answer_may_end_with_the_connection() -> None:
    async def until_close(
        _: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nas long as it takes")

    seen = played(until_close, TWO)
    assert (seen.statuses, seen.failed) == ({"200": 2}, 0)


def test_an_answer_that_is_cut_is_an_error() -> None:
    async def cut(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK[:-1])

    assert played(cut).errors == {"closed": 1}


def test_what_is_no_http_is_an_error_at_once() -> None:
    async def ssh(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()

    assert played(ssh).errors == {"protocol": 1}


def test_a_reset_is_told_from_a_close() -> None:
    async def reset(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert played(reset).errors == {"reset": 1}


def test_an_answer_without_a_length_is_not_ended_by_a_reset() -> None:
    async def reset(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhel")
        await asyncio.sleep(0.1)  # a reset overtakes what was not read
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    seen = played(reset)
    assert (seen.errors, seen.statuses) == ({"reset": 1}, {})


def test_an_answer_to_head_is_over_with_its_head() -> None:
    async def headed(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await asked(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")

    seen = played(headed, TWO, "HEAD")
    assert (seen.statuses, seen.resent) == ({"200": 2}, 0)


async def once(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one request, reads the next, and closes without a word."""
    await asked(reader)
    writer.write(OK)
    await asked(reader)


def test_a_request_that_meets_a_closing_connection_is_sent_again_and_that_is_told() -> None:
    seen = played(once, TWO)
    assert (seen.statuses, seen.resent, seen.sent) == ({"200": 2}, 1, 2)


def test_what_must_not_be_done_twice_is_not_sent_twice() -> None:
    seen = played(once, TWO, "POST")
    assert (seen.statuses, seen.resent, seen.errors) == ({"200": 1}, 0, {"closed": 1})


def test_it_is_sent_again_once_and_not_for_ever() -> None:
    async def first_only(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asked(reader)
        if number == 0:
            writer.write(OK)
            await asked(reader)

    seen = played(first_only, TWO)
    assert (seen.resent, seen.errors) == (1, {"closed": 1})


def test_a_new_connection_that_is_closed_is_an_error_and_not_tried_again() -> None:
    async def never(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)

    seen = played(never)
    assert (seen.resent, seen.errors) == (0, {"closed": 1})


def test_a_connection_that_the_server_will_close_is_not_used_again() -> None:
    async def closing(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
        await reader.read()

    seen = played(closing, TWO)
    assert (seen.statuses, seen.resent) == ({"200": 2}, 0)


def test_a_connection_that_said_more_than_it_was_asked_is_not_used_again() -> None:
    numbers: list[int] = []

    async def talkative(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        numbers.append(number)
        await asked(reader)
        writer.write(OK + OK)
        await reader.read()

    seen = played(talkative, TWO)
    assert (seen.statuses, numbers) == ({"200": 2}, [0, 1])


def test_a_request_that_hangs_while_it_connects_is_given_up_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)  # nobody accepts, so the queue is full after a few
        port = full.getsockname()[1]
        plugs = [socket.socket() for _ in range(8)]
        for plug in plugs:
            plug.setblocking(False)
            plug.connect_ex(("127.0.0.1", port))
        stream = Stream("load", "GET", "/", (0, 1, 2))
        url = f"http://127.0.0.1:{port}"
        seen = asyncio.run(run(url, [stream], timeout_s=0.1, drain_s=20))["load"]
        for plug in plugs:
            plug.close()
    assert seen.timed_out == 3
    assert seen.latency.min_ns >= 100 * MS


def test_each_stream_has_the_patience_that_it_was_given() -> None:
    async def hang(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def play() -> None:
        async with talking(hang) as url:
            hasty = Stream("hasty", "GET", "/", (0,), timeout_s=0.05)
            patient = Stream("patient", "GET", "/", (0,))
            seen = await run(url, [hasty, patient], timeout_s=60, drain_s=0.3)
        assert (seen["hasty"].timed_out, seen["patient"].unanswered) == (1, 1)

    asyncio.run(play())


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None: ...


class Question(Exchange):
    def answered(self, reader: Reader) -> None: ...
    def failed(self, kind: str) -> None: ...
    def repeated(self) -> None: ...


@pytest.mark.parametrize("end", ["eof_received", "close", "connection_lost"])
def test_a_connection_that_ends_while_it_is_idle_is_not_used_again(end: str) -> None:
    async def play() -> list[bytes]:
        home = Connections(Place("http", "127.0.0.1", 9), (), now_ns=lambda: 0)
        connection, wire = Connection(home), Wire()
        connection.expect(Question(b"one"))
        connection.connection_made(wire)
        connection.data_received(OK)
        home.begin(Question(b"two"))
        connection.data_received(OK)
        getattr(connection, end)(*([None] if end == "connection_lost" else []))
        home.begin(Question(b"three"))
        await home.close()
        return wire.written

    assert asyncio.run(play()) == [b"one", b"two"]


def test_no_socket_is_left_open() -> None:
    async def play() -> None:
        left = asyncio.Event()

        async def wait(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asked(reader)
            writer.write(OK)
            assert await reader.read() == b""
            left.set()

        async with talking(wait) as url:
            await run(url, [Stream("load", "GET", "/", (0,))])
            await asyncio.wait_for(left.wait(), 10)

    asyncio.run(play())
