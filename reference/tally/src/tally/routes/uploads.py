"""What is uploaded in a request: its body as it stands, or a form's file, never whole in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from python_multipart.exceptions import ParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from tally.problems import Problem
from tally.worker.contents import MEDIA_TYPES, Kind

FORM = "multipart/form-data"
FIELD = "file"
MOST_FRAMING = 64 * 1024
"""Bytes of a form that are not of its file."""
LONGEST_NAME = 255
_SUFFIXES = {
    ".ndjson": Kind.NDJSON,
    ".jsonl": Kind.NDJSON,
    ".gz": Kind.GZIP,
    ".zip": Kind.ZIP,
}
_ANYTHING = ("application/octet-stream", "")
"""What clients say that do not know: then the name counts."""


@dataclass(frozen=True, slots=True)
class Incoming:
    filename: str
    kind: Kind
    chunks: AsyncIterator[bytes]


async def incoming(request: Request) -> Incoming:
    """Raises Problem."""
    media_type, options = parse_options_header(request.headers.get("content-type"))
    said = media_type.decode("latin-1").lower()
    if said != FORM:
        name = clean_name(request.query_params.get("filename", ""))
        return Incoming(name, kind_of(said, name), request.stream())
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "malformed", "The form names no boundary.")
    try:
        form = _Form(boundary)
        body = request.stream()
        async for chunk in body:
            form.feed(chunk)
            if form.found:
                break
        else:
            raise Problem(422, "no-file", f"The form has no file in the field {FIELD!r}.")
    except ParseError as error:
        raise Problem(400, "malformed", f"The form cannot be read: {error}.") from None
    return Incoming(form.filename, kind_of(form.media_type, form.filename), _rest(form, body))


async def _rest(form: _Form, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield form.take()
        async for chunk in body:
            form.feed(chunk)
            yield form.take()
    except ParseError as error:
        raise Problem(400, "malformed", f"The form cannot be read: {error}.") from None
    if not form.ended:
        raise Problem(400, "malformed", "The form ends in the middle of its file.")


def kind_of(media_type: str, filename: str) -> Kind:
    """Raises Problem."""
    kind = MEDIA_TYPES.get(media_type)
    if kind is None and media_type in _ANYTHING:
        kind = _SUFFIXES.get(PurePosixPath(filename.lower()).suffix)
    if kind is None:
        raise Problem(
            415,
            "media-type",
            f"{media_type or 'An upload without a type'} is not taken: send lines of JSON as"
            " application/x-ndjson, plain, in application/gzip or in application/zip.",
        )
    return kind


def clean_name(name: str) -> str:
    """For people to recognise; no path is ever made of it."""
    name = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in name if each.isprintable())[:LONGEST_NAME]


class _Form:
    """Takes the first file of a form out of it, chunk by chunk."""

    def __init__(self, boundary: bytes) -> None:
        self.found = self.ended = False
        self.filename = self.media_type = ""
        self._inside = False
        self._framing = 0
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._data: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._part,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Raises ParseError, and Problem for a form that is mostly something else."""
        before = sum(map(len, self._data))
        self._parser.write(chunk)
        self._framing += len(chunk) - (sum(map(len, self._data)) - before)
        if self._framing > MOST_FRAMING and not self._inside:
            raise Problem(413, "too-large", "The form has too much in it beside its file.")

    def take(self) -> bytes:
        taken = b"".join(self._data)
        self._data.clear()
        return taken

    def _header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _part(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if self.found or kind != b"form-data" or options.get(b"name") != FIELD.encode():
            return
        self.found = self._inside = True
        self.filename = clean_name(options.get(b"filename", b"").decode(errors="replace"))
        said, _ = parse_options_header(self._headers.get(b"content-type", b""))
        self.media_type = said.decode("latin-1").lower()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._data.append(data[start:end])

    def _part_end(self) -> None:
        if self._inside:
            self._inside, self.ended = False, True
