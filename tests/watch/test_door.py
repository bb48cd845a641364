"""Requests that wait in the kernel while a loop is frozen are counted, and nobody else's are."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import ExitStack

import pytest

from unstall.watch.door import Connection, Door, count_waiting, parse, waiting_at_door

LISTENING, ESTABLISHED = 0x0A, 0x01


def test_a_line_of_the_kernels_table_is_read() -> None:
    line = (
        "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000007 00:00000000 00000000     0"
        "        0 4242 1 0000000000000000 100 0 0 10 0"
    )
    assert parse(line) == Connection(port=8080, state=LISTENING, unread=7, inode=4242)


def test_unaccepted_and_unread_connections_wait_and_others_do_not() -> None:
    connections = [
        Connection(8080, LISTENING, 3, 1),
        Connection(8080, ESTABLISHED, 120, 2),
        Connection(8080, ESTABLISHED, 0, 3),  # idle keep-alive
        Connection(51000, ESTABLISHED, 900, 4),  # an answer of our own database
        Connection(8080, ESTABLISHED, 50, 99),  # another process's
    ]
    assert count_waiting(connections, ours={1, 2, 3, 4}) == 4


def test_a_process_that_listens_nowhere_has_nobody_at_its_door() -> None:
    assert count_waiting([Connection(51000, ESTABLISHED, 900, 4)], ours={4}) == 0


def test_looks_take_at_most_a_hundredth_of_the_time() -> None:
    now, looks = [1_000], iter((5, 7))

    def look() -> int:
        now[0] += 20
        return next(looks)

    door = Door(look, lambda: now[0])
    assert door.waiting() == 5
    now[0] += 1_999
    assert door.waiting() is None
    assert door.waiting(known=5) == 5
    now[0] += 1
    assert door.waiting(known=5) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_real_connections_at_a_real_door_are_seen() -> None:
    before = waiting_at_door()
    assert before is not None
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        clients = [
            stack.enter_context(socket.create_connection(server.getsockname())) for _ in range(5)
        ]
        accepted = [stack.enter_context(server.accept()[0]) for _ in range(2)]
        assert len(accepted) == 2
        clients[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        deadline = time.monotonic() + 20  # loopback delivers within microseconds, as a rule
        while waiting_at_door() != before + 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert waiting_at_door() == before + 4  # three not accepted, one not read
