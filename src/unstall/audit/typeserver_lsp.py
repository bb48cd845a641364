"""As much of the language server protocol as it takes to ask where something is defined."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import unquote, urlsplit

Place = tuple[Path, int]
"""File and line, from 1."""


_CANCELLED = frozenset({-32800, -32801, -32802})
"""By a change that came while the question was worked on."""


class ServerGone(Exception):
    """It ended, or does not speak the protocol."""


class Server:
    """A language server for one root; ended on leaving, whatever it is doing."""

    def __init__(
        self,
        command: Sequence[str],
        root: Path,
        environ: Mapping[str, str],
        options: Mapping[str, object],
    ) -> None:
        self._root = root
        self._process = subprocess.Popen(
            list(command),
            cwd=root,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self._heard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(
            target=_listen, args=(self._process.stdout, self._heard), daemon=True
        )
        self._listener.start()
        self._number = 0
        self._options = options

    def __enter__(self) -> Self:
        try:
            self._request("initialize", _hello(self._root, self._options))
            self._send({"method": "initialized", "params": {}})
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def open(self, file: str, text: str) -> None:
        document = {"uri": self._uri(file), "languageId": "python", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    def ask(self, file: str, line: int, column: int) -> int:
        """Number of the question: where is defined what stands here? `line` from 1, `column` in bytes."""
        return self._request(
            "textDocument/definition",
            {
                "textDocument": {"uri": self._uri(file)},
                "position": {"line": line - 1, "character": column},
            },
        )

    def answer(self, seconds: float) -> tuple[int, list[Place] | None]:
        """The next answer and the number of its question; 0 when there is none yet. None: ask again."""
        try:
            message = self._heard.get(timeout=seconds)
        except queue.Empty:
            return 0, []
        if message is None:
            raise ServerGone
        if "method" in message:
            self._reply(message)
            return 0, []
        number = int(message.get("id") or 0)
        if (message.get("error") or {}).get("code") in _CANCELLED:
            return number, None
        return number, _places(message.get("result"))

    def _uri(self, file: str) -> str:
        return (self._root / file).as_uri()

    def _request(self, method: str, params: Mapping[str, object]) -> int:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        return self._number

    def _reply(self, message: Mapping[str, Any]) -> None:
        """A server may wait for its own questions to be answered."""
        if "id" in message:
            items = (message.get("params") or {}).get("items")
            result = [None] * len(items) if isinstance(items, list) else None
            self._send({"id": message["id"], "result": result})

    def _send(self, message: Mapping[str, object]) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        stdin.flush()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join(1.0)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was not sent yet has no reader any more
                    continue


def _hello(root: Path, options: Mapping[str, object]) -> dict[str, object]:
    folder = {"uri": root.as_uri(), "name": root.name}
    return {
        "processId": None,
        "rootUri": root.as_uri(),
        "workspaceFolders": [folder],
        "initializationOptions": dict(options),
        "capabilities": {
            "general": {"positionEncodings": ["utf-8"]},
            "textDocument": {"definition": {"linkSupport": False}},
        },
    }


def _listen(stream: IO[bytes], heard: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """Until the stream ends; then None."""
    try:
        while (message := _message(stream)) is not None:
            heard.put(message)
    except (OSError, ValueError):
        pass
    heard.put(None)


def _message(stream: IO[bytes]) -> dict[str, Any] | None:
    length = 0
    while line := stream.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
        elif not line.strip():
            found = json.loads(stream.read(length))
            return found if isinstance(found, dict) else {}
    return None


def _places(result: object) -> list[Place]:
    many = result if isinstance(result, list) else [result]
    places = []
    for each in many:
        if isinstance(each, dict) and "uri" in each:
            url = urlsplit(str(each["uri"]))
            if url.scheme == "file":
                places.append((Path(unquote(url.path)), int(each["range"]["start"]["line"]) + 1))
    return places
