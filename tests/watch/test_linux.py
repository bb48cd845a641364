"""What the kernel says of a thread that certainly does one thing."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unstall.model.observation import Wait
from unstall.watch.lateness import was_stopped
from unstall.watch.linux import ThreadProbe, cpu_clock_ns, keeping_pread, peer_of, switches

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def thread_that(does: Callable[[], object]) -> Iterator[ThreadProbe]:
    known = threading.Event()
    tid = 0

    def body() -> None:
        nonlocal tid
        tid = threading.get_native_id()
        known.set()
        does()

    thread = threading.Thread(target=body)
    thread.start()
    known.wait()
    probe = ThreadProbe(tid)
    try:
        yield probe
    finally:
        thread.join()
        probe.close()


def wait_seen(probe: ThreadProbe, syscall: str) -> Wait | None:
    """The first wait in one of those system calls that the probe sees, None after a long time."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        look = probe.look()
        if look and look.wait and look.wait.syscall in syscall.split():
            return look.wait
        time.sleep(0.002)
    return None


def test_a_file_read_with_the_interpreter_lock_kept_says_the_same(tmp_path: Path) -> None:
    probe = ThreadProbe(threading.get_native_id(), ("schedstat",), keeping_pread)
    assert (probe.queued_ns() is None) is bool(probe.inactive)
    probe.close()
    with (tmp_path / "file").open("wb+") as file:
        file.write(b"0123456789")
        file.flush()
        assert keeping_pread(file.fileno(), 4, 3) == b"3456"
        assert keeping_pread(file.fileno(), 4, 8) == b"89"
    reader, writer = os.pipe()
    with pytest.raises(OSError, match="pread"):
        keeping_pread(reader, 4, 0)
    os.close(reader)
    os.close(writer)


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            yield near, far


def text_of(peer: tuple[str, int]) -> str:
    return f"{peer[0]}:{peer[1]}"


def test_a_read_from_a_socket_is_named_with_its_peer(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    near, far = connection
    with thread_that(lambda: near.recv(1)) as probe:
        wait = wait_seen(probe, "recvfrom")
        far.send(b"x")
    assert wait == Wait("recvfrom", near.fileno(), text_of(near.getpeername()))


@pytest.mark.parametrize("how", ["poll", "select"])
def test_a_poll_on_one_descriptor_is_named_with_its_peer(
    connection: tuple[socket.socket, socket.socket], how: str
) -> None:
    near, far = connection

    def poll() -> None:
        if how == "select":
            select.select([near], [], [])
            return
        poller = select.poll()
        poller.register(near, select.POLLIN)
        poller.poll()

    with thread_that(poll) as probe:
        wait = wait_seen(probe, "poll ppoll select pselect6")
        far.send(b"x")
    assert wait is not None
    assert wait.peer == text_of(near.getpeername())


def test_a_poll_on_two_descriptors_names_no_peer(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    near, far = connection

    def poll() -> None:
        select.select([near, far], [], [])

    with thread_that(poll) as probe:
        wait = wait_seen(probe, "select pselect6")
        far.send(b"x")
    assert wait is not None
    assert wait.peer is None


def test_a_lock_is_a_futex() -> None:
    lock = threading.Lock()
    lock.acquire()
    with thread_that(lock.acquire) as probe:
        wait = wait_seen(probe, "futex")
        lock.release()
    assert wait == Wait("futex")


def test_a_wait_for_a_pipe_names_the_pipe() -> None:
    reading, writing = os.pipe()
    with thread_that(lambda: os.read(reading, 1)) as probe:
        wait = wait_seen(probe, "read")
        os.write(writing, b"x")
    os.close(reading)
    os.close(writing)
    assert wait == Wait("read", reading, "pipe")


def test_a_unix_socket_is_named_by_its_path(tmp_path: object) -> None:
    path = f"{tmp_path}/s"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as near:
        server.bind(path)
        server.listen()
        near.connect(path)
        assert peer_of(near.fileno()) == path


def test_looking_at_a_socket_does_not_change_it(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = connection
    socket.setdefaulttimeout(5)
    try:
        before = os.get_blocking(near.fileno())
        peer_of(near.fileno())
        assert os.get_blocking(near.fileno()) is before is True
    finally:
        socket.setdefaulttimeout(None)


def test_a_thread_that_has_ended_is_no_crash() -> None:
    with thread_that(lambda: None) as probe:
        pass
    ended = ThreadProbe(threading.get_native_id())
    ended.close()
    assert probe.look() is None
    assert probe.queued_ns() is None
    assert cpu_clock_ns(2**22 - 1) is None


def test_a_probe_does_not_close_what_became_of_its_files() -> None:
    probe = ThreadProbe(threading.get_native_id())
    ours = list(probe._files.values())
    for file in ours:
        os.close(file)
    theirs = os.pipe()
    assert set(theirs) & set(ours)
    probe.close()
    for file in theirs:
        os.close(file)  # raises if it is closed already


def test_a_closed_descriptor_has_no_peer() -> None:
    assert peer_of(10_000) is None


@pytest.mark.parametrize(
    ("late_ms", "woken", "stopped"),
    [
        (500, 100, False),  # woke once per switch interval: waited for the interpreter lock
        (500, 2, True),  # hardly scheduled: SIGSTOP, a throttled cgroup
        (12, 1, False),  # too short to tell: nobody is excused
        (500, None, False),  # not counted here: nobody is excused
    ],
)
def test_the_watchdog_tells_a_stop_from_a_lock(
    late_ms: int, woken: int | None, stopped: bool
) -> None:
    assert was_stopped(late_ms * 1_000_000, woken) is stopped


def test_a_thread_that_sleeps_is_switched_to_again() -> None:
    before = switches()
    time.sleep(0.001)
    after = switches()
    assert before is not None
    assert after is not None
    assert after > before
