"""What tests of gates share: gates with their findings, and one look at one pool."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from unstall.gates.gate import Statistics
from unstall.integrations.pools import Gates
from unstall.model.finding import Finding

SOON_S = 30.0
"""A generous wait for what happens at once on a machine with nothing else to do."""


class Watching:
    """Gates that are on, and what they found."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.gates = Gates(on_finding=self.findings.append)

    def one(self, name: str) -> Statistics:
        """Of the only pool of that name."""
        (seen,) = [seen for seen in self.gates.statistics() if seen.name == name]
        return seen

    def found(self) -> Finding:
        """The only finding, which another thread brings."""
        until(lambda: bool(self.findings))
        (finding,) = self.findings
        return finding


@contextmanager
def watching() -> Iterator[Watching]:
    watch = Watching()
    with watch.gates:
        yield watch


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def methods(*places: tuple[Any, str]) -> list[object]:
    """What classes have under these names now."""
    return [vars(owner).get(name) for owner, name in places]


@contextmanager
def slow_server() -> Iterator[str]:
    """The address of an HTTP server that answers `/0.2` after 0.2 s."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is no error."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(float(self.path.rpartition("/")[2]))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
