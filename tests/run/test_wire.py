"""The child's end: everything arrives, or is counted; nobody waits long for a parent that is gone."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.lines import line_of
from unstall.model.observation import Loop, Losses, Process
from unstall.run import wire
from unstall.run.wire import TIMEOUT_S, Wire

PROCESS = Process("1-a", 1, 0.0, 0, ("python",), "3.11.7", 100)
LOOP = Loop("1-a", 1, "asyncio", "MainThread")


def losses(**dropped: int) -> Losses:
    return Losses("1-a", dropped)


class Parent:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(20)
        self.open: list[socket.socket] = []

    def accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(20)
        self.open.append(connection)
        return connection

    def close(self) -> None:
        for each in (self._listener, *self.open):
            each.close()


def received(connection: socket.socket) -> list[dict[str, Any]]:
    connection.setblocking(False)
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except BlockingIOError:
        pass
    return [json.loads(line) for line in data.decode().splitlines()]


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Parent]:
    ours = Parent(tmp_path / "socket")
    yield ours
    ours.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RETRY_S", 0.0)


def test_each_entry_arrives_as_the_line_of_a_recording(parent: Parent) -> None:
    send = Wire(str(parent.path))
    for entry in (PROCESS, LOOP, losses()):
        send(entry)
    connection = parent.accept()
    assert received(connection) == [json.loads(line_of(e)) for e in (PROCESS, LOOP, losses())]
    send._hang_up()


def test_without_a_parent_lines_are_dropped_at_once_and_counted(tmp_path: Path) -> None:
    send = Wire(str(tmp_path / "socket"))
    began = time.monotonic()
    for _ in range(50):
        send(LOOP)
    assert time.monotonic() - began < 25 * TIMEOUT_S
    assert send._unsent == 50


def test_after_a_failure_nothing_is_tried_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "RETRY_S", 60.0)
    send = Wire(str(tmp_path / "socket"))
    send(PROCESS)
    parent = Parent(tmp_path / "socket")
    send(LOOP)
    assert send._unsent == 2
    parent.close()


def test_the_count_is_sent_when_somebody_listens_again(tmp_path: Path) -> None:
    send = Wire(str(tmp_path / "socket"))
    send(PROCESS)
    send(losses(looks=2))
    parent = Parent(tmp_path / "socket")
    send(losses(looks=3))
    lines = received(parent.accept())
    assert lines[0] == json.loads(line_of(PROCESS))
    assert lines[1]["dropped"] == {"looks": 3, "lines": 2}
    send(losses())
    assert "dropped" not in received(parent.open[0])[-1]
    send._hang_up()
    parent.close()


def test_a_new_connection_is_told_again_who_speaks(parent: Parent) -> None:
    send = Wire(str(parent.path))
    send(PROCESS)
    send(LOOP)
    parent.accept().close()
    send(losses())  # fails: the other end is closed
    send(losses())
    kinds = [line["kind"] for line in received(parent.accept())]
    assert kinds == ["process", "loop", "losses"]
    send._hang_up()


def test_a_new_connection_is_told_the_latest_of_the_process(parent: Parent) -> None:
    send = Wire(str(parent.path))
    send(PROCESS)
    send(LOOP)
    poorer = replace(PROCESS, inactive=("stacks: gone",))
    send(poorer)
    parent.accept().close()
    send(losses())  # fails: the other end is closed
    send(losses())
    lines = received(parent.accept())
    assert [line["kind"] for line in lines] == ["process", "loop", "losses"]
    assert lines[0] == json.loads(line_of(poorer))
    send._hang_up()


def test_a_parent_that_does_not_read_costs_one_short_wait(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "RETRY_S", 60.0)
    send = Wire(str(parent.path))
    send(PROCESS)
    parent.accept()
    large = losses(**{f"kind {n}": n for n in range(1_000)})
    began = time.monotonic()
    for _ in range(200):
        send(large)
    assert send._unsent > 100
    assert time.monotonic() - began < 50 * TIMEOUT_S


def test_a_forked_child_speaks_for_itself_over_a_connection_of_its_own(parent: Parent) -> None:
    send = Wire(str(parent.path))
    send(PROCESS)
    first = parent.accept()
    pid = os.fork()
    if pid == 0:
        send(LOOP)
        os._exit(0)
    second = parent.accept()
    assert os.waitpid(pid, 0)[1] == 0
    send(LOOP)
    assert [line["kind"] for line in received(first)] == ["process", "loop"]
    assert [line["kind"] for line in received(second)] == ["loop"]
    send._hang_up()


def test_a_descriptor_that_became_another_file_is_neither_written_to_nor_closed(
    parent: Parent, tmp_path: Path
) -> None:
    send = Wire(str(parent.path))
    send(PROCESS)
    parent.accept()
    ours = send._socket
    assert ours is not None
    number = ours.fileno()
    other = tmp_path / "other"
    replacement = os.open(other, os.O_CREAT | os.O_RDWR)
    os.dup2(replacement, number)  # as a host that closed everything and opened a file
    os.close(replacement)
    send(LOOP)
    assert other.read_bytes() == b""
    os.fstat(number)
    assert [line["kind"] for line in received(parent.accept())] == ["process", "loop"]
    os.close(number)
    send._hang_up()


@pytest.mark.skipif(
    not hasattr(socket, "SO_PEERCRED"), reason="this system does not say who listens"
)
def test_nothing_is_sent_to_a_stranger_who_took_the_place(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_listening_user", lambda _: os.getuid() + 1)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 2)
    with pytest.raises(PermissionError):
        wire.connected(str(parent.path))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    wire.connected(str(parent.path)).close()


def test_who_listens_is_known(parent: Parent) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(parent.path))
        said = wire._listening_user(connection)
    assert said == (os.geteuid() if hasattr(socket, "SO_PEERCRED") else None)
