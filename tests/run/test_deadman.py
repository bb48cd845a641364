"""The child's side of the word that gets out while the interpreter lock is held."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.running import running
from unstall.model.observation import Process
from unstall.prove.processes import free_port
from unstall.run.vigil import ask
from unstall.watch.deadman import BEAT_NS, Deadman

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a signal to one thread")

PROCESS = Process("7-a", os.getpid(), 0.0, 0, ("python",), "3.11.7", 100_000_000)
LOOPS = ((1, 20, 30),)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        listening.settimeout(20)
        yield listening


@pytest.fixture
def deadman(listener: socket.socket) -> Iterator[Deadman]:
    ours = Deadman(listener.getsockname(), stacks=True)
    ours.speaks_for(PROCESS, 20_000_000)
    yield ours
    ours.stop()


def is_armed() -> bool:
    """Whether `faulthandler` holds the signal; looking takes it away."""
    return bool(faulthandler.unregister(signal.SIGURG))  # type: ignore[func-returns-value]


def lines(connection: socket.socket) -> list[str]:
    connection.setblocking(False)
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except BlockingIOError:
        pass
    return data.decode().splitlines()


def test_nothing_is_armed_before_a_loop_runs(listener: socket.socket, deadman: Deadman) -> None:
    deadman.alive(time.monotonic_ns(), 0, ())
    assert not is_armed()


def test_a_hello_is_followed_by_beats_and_by_changes_of_the_loops(
    listener: socket.socket, deadman: Deadman
) -> None:
    for at_ms, loops in ((0, LOOPS), (60, LOOPS), (70, LOOPS), (75, ()), (140, ())):
        deadman.alive(at_ms * 1_000_000 + 1, at_ms, loops)
    connection, _ = listener.accept()
    hello, *rest = lines(connection)
    assert json.loads(hello) | {"stdlib": ""} == {
        "kind": "deadman", "process": "7-a", "pid": os.getpid(), "threshold_ns": 100_000_000,
        "interval_ns": 20_000_000, "switch_ns": int(sys.getswitchinterval() * 1e9), "stdlib": "",
        "tid": threading.get_native_id(),
    }  # fmt: skip
    assert rest == [
        "b 1 0", '{"loops": [[1, 20, 30]]}', "b 60000001 60", "b 75000001 75", '{"loops": []}',
        "b 140000001 140",
    ]  # fmt: skip
    assert BEAT_NS == 50_000_000
    connection.close()


def test_whoever_asks_is_given_the_stacks(listener: socket.socket, deadman: Deadman) -> None:
    deadman.alive(1, 0, LOOPS)
    connection, _ = listener.accept()
    lines(connection)
    line = sys._getframe().f_lineno + 1
    ask(os.getpid(), threading.get_native_id())
    told = lines(connection)
    assert f"line {line} in test_whoever_asks_is_given_the_stacks" in "\n".join(told)
    connection.close()


def test_stop_puts_the_signal_back(listener: socket.socket, deadman: Deadman) -> None:
    deadman.alive(1, 0, LOOPS)
    deadman.stop()
    assert not is_armed()
    os.kill(os.getpid(), signal.SIGURG)  # ignored, as it was
    connection, _ = listener.accept()
    lines(connection)
    assert connection.recv(1) == b""
    connection.close()


def test_a_program_that_uses_the_signal_itself_keeps_it(listener: socket.socket) -> None:
    before = signal.signal(signal.SIGURG, lambda *_: None)
    try:
        deadman = Deadman(listener.getsockname(), stacks=True)
        assert deadman.inactive is not None
        assert "SIGURG" in deadman.inactive
        deadman.alive(1, 0, LOOPS)
        assert not is_armed()
    finally:
        signal.signal(signal.SIGURG, before)


@pytest.mark.parametrize("with_a_beat_between", [True, False])
def test_a_handler_that_came_after_ours_outlives_us(
    listener: socket.socket, deadman: Deadman, with_a_beat_between: bool
) -> None:
    deadman.alive(1, 0, LOOPS)
    heard: list[int] = []
    before = signal.signal(signal.SIGURG, lambda number, _: heard.append(number))
    try:
        if with_a_beat_between:
            deadman.alive(1 + BEAT_NS, 0, LOOPS)
            assert "SIGURG" in str(deadman.inactive)
            connection, _ = listener.accept()
            connection.settimeout(20)
            while connection.recv(1 << 16):  # hung up: nobody asks the program's handler
                pass
            connection.close()
        deadman.stop()
        signal.raise_signal(signal.SIGURG)
        assert heard == [signal.SIGURG]
    finally:
        signal.signal(signal.SIGURG, before)
        is_armed()  # what `faulthandler` kept for itself goes, too


def test_a_parent_that_is_gone_disarms(listener: socket.socket, deadman: Deadman) -> None:
    deadman.alive(1, 0, LOOPS)
    connection, _ = listener.accept()
    connection.close()
    for n in range(1, 4):
        deadman.alive(1 + n * BEAT_NS, 0, LOOPS)
    assert not is_armed()


def test_a_reader_that_is_slow_costs_beats_and_no_time(
    listener: socket.socket, deadman: Deadman
) -> None:
    deadman.alive(1, 0, LOOPS)
    connection, _ = listener.accept()
    began = time.monotonic()
    for n in range(1, 40_000):
        deadman.alive(1 + n * BEAT_NS, 0, LOOPS)
    assert time.monotonic() - began < 60
    connection.close()


@pytest.mark.live
def test_a_process_that_is_stopped_and_goes_on_is_not_called_frozen(tmp_path: Path) -> None:
    port = free_port()
    uvicorn = [str(Path(sys.executable).parent / "uvicorn"), "service:app", "--port", str(port)]
    with running(tmp_path, [*uvicorn, "--log-level", "critical"]) as service:
        pid = int(service.get(f"http://127.0.0.1:{port}/pid"))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.8)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)
        service.end()
    assert "FROZEN" not in service.stderr
    assert "the process did not run at all" in service.stderr
