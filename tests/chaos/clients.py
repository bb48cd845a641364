"""Clients as services use them, each reduced to: connect, and ask for an answer that is known."""

from __future__ import annotations

import asyncio
import queue
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

Ask = Callable[[], object]
"""Raises what the library raises."""
Session = Callable[[str, int], AbstractContextManager[Ask]]
ANSWER = "x" * 1_000


@contextmanager
def psycopg(host: str, port: int) -> Iterator[Ask]:
    import psycopg

    connection = psycopg.connect(_dsn(host, port), autocommit=True)
    try:
        yield lambda: connection.execute(_QUERY).fetchone()[0]  # type: ignore[index]
    finally:
        connection.close()


@contextmanager
def psycopg2(host: str, port: int) -> Iterator[Ask]:
    import psycopg2

    connection = psycopg2.connect(_dsn(host, port))
    connection.autocommit = True
    try:

        def ask() -> object:
            with connection.cursor() as cursor:
                cursor.execute(_QUERY)
                return cursor.fetchone()[0]

        yield ask
    finally:
        connection.close()


@contextmanager
def asyncpg(host: str, port: int) -> Iterator[Ask]:
    import asyncpg

    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(_dsn(host, port), ssl=False))
        try:
            yield lambda: runner.run(connection.fetchval(_QUERY))
        finally:
            connection.terminate()


@contextmanager
def redis(host: str, port: int) -> Iterator[Ask]:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    with Redis(host=host, port=port, retry=Retry(NoBackoff(), 0)) as client:
        yield lambda: _text(client.echo(ANSWER))


@contextmanager
def redis_asyncio(host: str, port: int) -> Iterator[Ask]:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    with asyncio.Runner() as runner:
        client = Redis(host=host, port=port, retry=Retry(NoBackoff(), 0))

        async def ask() -> object:
            return _text(await client.echo(ANSWER))

        yield lambda: runner.run(ask())
        runner.run(client.aclose())


def http_client(scheme: str, verify: Any) -> Session:
    @contextmanager
    def session(host: str, port: int) -> Iterator[Ask]:
        import httpx2

        with httpx2.Client(
            base_url=f"{scheme}://{host}:{port}", timeout=None, verify=verify
        ) as client:
            yield lambda: client.get("/").raise_for_status().text

    return session


def _text(answer: Any) -> object:
    return answer.decode()


_QUERY = f"select repeat('x', {len(ANSWER)})"


def _dsn(host: str, port: int) -> str:
    return f"postgresql://postgres@{host}:{port}/postgres?sslmode=disable"


# --- a site ---------------------------------------------------------------------------------


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write((head + ANSWER).encode())
    except (OSError, EOFError):
        pass  # a connection that was cut is what is tested
    finally:
        writer.close()


@contextmanager
def site(certificate: ssl.SSLContext | None = None) -> Iterator[tuple[str, int]]:
    """A server that answers every request the same, on a thread of its own."""
    ready: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.Queue()

    async def serve() -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(_talk, "127.0.0.1", 0, ssl=certificate)
        ready.put((asyncio.get_running_loop(), over, server.sockets[0].getsockname()[1]))
        await over.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    loop, over, port = ready.get(timeout=20)
    try:
        yield "127.0.0.1", port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and of its clients, with a certificate that nobody else trusts."""
    program = shutil.which("openssl")
    if program is None:
        import pytest

        pytest.skip("there is no openssl to make a certificate with")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
