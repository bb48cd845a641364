"""What each finding in a foreign suite is, as judged by reading the code. A new finding has no verdict.

All of the tests' own code: none of the projects blocks a loop itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FALSE = "false"

Key = tuple[str, str, str, str]
"""Rule, file, function, call."""


def key_of(finding: Mapping[str, Any]) -> Key:
    site = finding["site"] or {}
    return finding["code"], site.get("file", ""), site.get("function", ""), site.get("call", "")


def verdict_on(suite: str, finding: Mapping[str, Any]) -> str:
    """Empty if nobody has judged it."""
    return VERDICTS.get(suite, {}).get(key_of(finding), "")


def _rows(
    verdict: str, code: str, file: str, calls: str, functions: str, within: str = ""
) -> dict[Key, str]:
    """Each call in each function."""
    return {
        (code, file, f"{within}{function}", call): verdict
        for function in functions.split()
        for call in calls.split()
    }


_SOCKETS, _TLS, _THREADS = (
    "tests/test_sockets.py",
    "tests/streams/test_tls.py",
    "tests/test_from_thread.py",
)
_PEER = "right: the test is its own peer, over a socket that blocks"
_JOIN = "right: the test joins the thread of its peer, for up to 4 ms"
_ON_PURPOSE = "right: the test blocks the loop on purpose"
_POOL = "right: the test waits on its loop for a thread of a pool"
_TALK = "socket.socket.accept socket.socket.connect socket.socket.recv socket.socket.sendall"
_JOINS = "threading.Thread.join"
_EXECUTOR = (
    "concurrent.futures.thread.ThreadPoolExecutor concurrent.futures._base.Executor.__exit__"
)
"""The end of its `with` block, as Python 3.13 and 3.11 show it."""

VERDICTS: Mapping[str, Mapping[Key, str]] = {
    "starlette-1.10.0": {
        **_rows(
            "right: OpenTelemetry looks for its resources in threads and waits for their futures",
            "US109", "tests/middleware/test_opentelemetry.py", "opentelemetry.sdk.trace.TracerProvider",
            "test_explicit_tracer_provider",
        ),
    },
    "anyio-4.16.0": {
        **_rows(
            _PEER, "US108", _SOCKETS, _TALK,
            "test_cancelled_send_does_not_send_the_next_one test_send_receive test_reset_during_send "
            "test_receive_after_peer_closed test_send_after_peer_closed "
            "test_receive_exception_cause_preserved test_send_exception_cause_preserved",
            "TestTCPStream.",
        ),
        **_rows(_PEER, "US108", _SOCKETS, _TALK, "test_send_receive", "TestUNIXStream."),
        **_rows(
            _PEER, "US108", _SOCKETS, _TALK,
            "test_accept test_socket_options test_send_after_eof test_from_socket", "TestUNIXListener.",
        ),
        **_rows(_PEER, "US108", _SOCKETS, _TALK, "test_wait_socket sock_or_fd_factory.<locals>.factory"),
        **_rows(_PEER, "US108", _TLS, _TALK, "TestTLSListener.test_handshake_fail"),
        **_rows(
            "right: the test asks the resolver itself, to compare", "US108", _SOCKETS,
            "socket.getnameinfo", "test_getnameinfo",
        ),
        **_rows(
            _JOIN, "US109", _SOCKETS, _JOINS,
            "test_happy_eyeballs test_connect_tcp_with_tls test_connect_tcp_with_tls_cert_check_fail "
            "test_unretrieved_future_exception_server_crash", "TestTCPStream.",
        ),
        **_rows(
            _JOIN, "US109", _SOCKETS, _JOINS,
            "test_send_large_buffer test_send_fds test_receive_fds", "TestUNIXStream.",
        ),
        **_rows(
            _JOIN, "US109", _TLS, _JOINS,
            "test_ragged_eofs test_receive_send_after_eof test_send_eof_not_implemented", "TestTLSStream.",
        ),
        **_rows(
            _POOL, "US109", _THREADS, _EXECUTOR,
            "TestRunAsyncFromThread.test_run_async_from_unclaimed_thread "
            "TestRunSyncFromThread.test_run_sync_from_unclaimed_thread",
        ),
        **_rows(
            _POOL, "US109", _THREADS, "concurrent.futures._base.Future.result",
            "test_thread_cancelled_and_abandoned",
        ),
        **_rows(
            _POOL, "US109", "tests/test_to_thread.py", "concurrent.futures._base.Future.result",
            "test_cancel_wait_on_thread",
        ),
        **_rows(
            "right: the test waits on its loop for the portal's", "US109", _THREADS,
            "anyio.from_thread.BlockingPortal.call contextlib._GeneratorContextManager.__exit__",
            "test_from_async", "TestBlockingPortal.",
        ),
        **_rows(
            _POOL, "US109", "tests/test_to_thread.py", "queue.Queue.join",
            "test_asyncio_worker_reused_after_cancelled_call",
        ),
        **_rows(
            _ON_PURPOSE, "US109", _THREADS, "threading.Event.wait",
            "test_call_async_cancellation_does_not_block.<locals>.block_event_loop "
            "test_future_cancellation_does_not_block.<locals>.block_event_loop", "TestBlockingPortal.",
        ),
        **_rows(
            _ON_PURPOSE, "US101", "tests/test_taskgroups.py", "time.sleep",
            "test_fail_after_scope_cancelled_before_timeout",
        ),
        **_rows(
            "right: the test has the collector look at every object, for half a second in a large process",
            "US200", "tests/test_to_thread.py", "gc.get_referrers", "test_run_sync_worker_cyclic_references",
        ),
        **_rows(
            "right: the test collects garbage, a quarter of a second of CPU in a large process",
            "US200", "tests/streams/test_memory.py", "weakref.WeakKeyDictionary.__init__.<locals>.remove",
            "test_not_closed_warning",
        ),
    },
}  # fmt: skip
