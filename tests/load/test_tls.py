"""The same over TLS: answers are counted, and a certificate that nobody vouches for is its own error."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.load.wire_server import asked
from unstall.load import Stream, StreamOutcome, run

OPENSSL = shutil.which("openssl")
pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(OPENSSL is None, reason="openssl makes the certificate"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def played(certificate: tuple[Path, Path]) -> StreamOutcome:
    cert, key = certificate

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(2):
                await asked(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has left
        finally:
            writer.close()

    async def play() -> StreamOutcome:
        server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_side.load_cert_chain(cert, key)
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side) as server:
            port = server.sockets[0].getsockname()[1]
            stream = Stream("load", "GET", "/", (0, 50_000_000))
            return (await run(f"https://localhost:{port}", [stream], timeout_s=10))["load"]

    return asyncio.run(play())


def test_a_certificate_that_is_trusted_is_no_matter(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert played(certificate).statuses == {"200": 2}


def test_a_certificate_that_nobody_vouches_for_is_an_error(certificate: tuple[Path, Path]) -> None:
    assert played(certificate).errors == {"tls": 2}
