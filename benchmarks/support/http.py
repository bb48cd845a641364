"""As much HTTP as the benchmarks need to speak."""

from __future__ import annotations

import asyncio
import json


def request_for(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def get(port: int, path: str) -> dict[str, int]:
    """A JSON answer, over a connection of its own. Raises RuntimeError if the answer is no 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path} was answered with {head[:60]!r}")
    found: dict[str, int] = json.loads(body)
    return found
