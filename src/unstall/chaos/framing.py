"""Where HTTP/1.1 messages begin and end in a stream of bytes. Bytes are passed on as they come."""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Iterator

_MOST_HEAD = 65_536
_METHOD = re.compile(rb"[A-Z][A-Z-]{0,23}( |$)")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(;.*)?$", re.DOTALL)


class NotHttp(Exception):
    """The bytes are something else, or HTTP of a version with frames of its own."""


class _State(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    """So many bytes that were announced."""
    SIZE = enum.auto()
    CHUNK = enum.auto()
    TRAILER = enum.auto()
    REST = enum.auto()
    """Everything to the end of the connection."""


class Messages:
    """One direction. `feed` takes it apart; a subclass says what follows a head."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._line = bytearray()
        """What is there of a head, or of a line between chunks."""
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Parts of `data`, in order and without a gap, each with whether a message begins with it.

        Raises NotHttp; what was not yielded before is unread.
        """
        start = at = 0
        begins = False
        while at < len(data):
            if self._state is _State.HEAD and not self._line:
                if start < at:
                    yield begins, data[start:at]
                start, begins = at, self._begins()
            at = self._step(data, at)
        if start < at:
            yield begins, data[start:at]

    def tunnel(self) -> None:
        """What follows is no HTTP any more, and belongs to the last message."""
        self._state = _State.REST

    def _begins(self) -> bool:
        return True

    def _check(self, start: bytes) -> None:
        """Raises NotHttp if no head starts like this."""

    def _follows(self, head: bytes) -> None:
        """Sets what follows this head."""
        raise AssertionError

    def _step(self, data: bytes, at: int) -> int:
        """Reads on from `at`; how far it came."""
        match self._state:
            case _State.HEAD:
                end = self._until(b"\r\n\r\n", data, at)
                self._check(bytes(self._line[:32]))
                if end is None:
                    return len(data)
                head, self._line = bytes(self._line), bytearray()
                self._follows(head)
                return end
            case _State.BODY | _State.CHUNK:
                end = min(len(data), at + self._left)
                self._left -= end - at
                if not self._left:
                    over = self._state is _State.BODY
                    self._state = _State.HEAD if over else _State.SIZE
                return end
            case _State.SIZE | _State.TRAILER:
                end = self._until(b"\r\n", data, at)
                if end is None:
                    return len(data)
                line, self._line = bytes(self._line[:-2]), bytearray()
                self._next_chunk(line)
                return end
            case _State.REST:
                return len(data)

    def _next_chunk(self, line: bytes) -> None:
        if self._state is _State.TRAILER:
            self._state = _State.TRAILER if line else _State.HEAD
            return
        found = _CHUNK_SIZE.match(line)
        if found is None:
            raise NotHttp
        size = int(found[1], 16)
        # The line end that follows a chunk is read as part of it.
        self._state, self._left = (_State.CHUNK, size + 2) if size else (_State.TRAILER, 0)

    def _until(self, mark: bytes, data: bytes, at: int) -> int | None:
        """Gathers up to and with `mark`; where it ends in `data`."""
        had = len(self._line)
        self._line += data[at:]
        found = self._line.find(mark, max(0, had - len(mark) + 1))
        if found < 0:
            if len(self._line) > _MOST_HEAD:
                raise NotHttp
            return None
        length = found + len(mark)
        del self._line[length:]
        return at + length - had

    def _body(self, head: bytes, otherwise: _State) -> None:
        fields = _fields(head)
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            self._state = _State.SIZE
            return
        length = fields.get(b"content-length")
        if length is None:
            self._state = otherwise
            return
        try:
            self._left = int(length.split(b",")[0])
        except ValueError:
            raise NotHttp from None
        self._state = _State.BODY if self._left else _State.HEAD


class Requests(Messages):
    """What a client asks; `methods` of the requests whose answers have not begun."""

    def __init__(self) -> None:
        super().__init__()
        self.methods: deque[bytes] = deque()

    def _check(self, start: bytes) -> None:
        text = start.lstrip(b"\r\n")
        if (text and _METHOD.match(text) is None) or text.startswith(b"PRI * HTTP/2"):
            raise NotHttp

    def _follows(self, head: bytes) -> None:
        self.methods.append(head.lstrip().partition(b" ")[0])
        self._body(head, _State.HEAD)


class Answers(Messages):
    """What comes back. An answer with a status below 200 is a part of the one that follows."""

    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests
        self._again = False

    def _begins(self) -> bool:
        again, self._again = self._again, False
        return not again

    def _check(self, start: bytes) -> None:
        if not (start.startswith(b"HTTP/1.") or b"HTTP/1.".startswith(start)):
            raise NotHttp

    def _follows(self, head: bytes) -> None:
        found = _STATUS.match(head)
        if found is None:
            raise NotHttp
        status = int(found[1])
        if 100 <= status < 200 and status != 101:
            self._again = True
            return
        methods = self._requests.methods
        method = methods.popleft() if methods else b""
        if status == 101 or (method == b"CONNECT" and status < 300):
            self.tunnel()
            self._requests.tunnel()
        elif method == b"HEAD" or status in (204, 304):
            self._state = _State.HEAD
        else:
            self._body(head, _State.REST)


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = head.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
