"""The file in a request, however it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from starlette.requests import Request

from tally.problems import Problem
from tally.routes.uploads import MOST_FRAMING, clean_name, incoming, kind_of
from tally.worker.contents import Kind

BOUNDARY = "----frontier"
DATA = b'{"event_id": "a"}\r\n--\r\n------frontie\r\n' * 50


def form(data: bytes = DATA, *, name: str = "file", before: bytes = b"", end: bool = True) -> bytes:
    return (
        before
        + f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="a.ndjson"\r\n'
        "Content-Type: application/x-ndjson\r\n\r\n".encode()
        + data
        + (f"\r\n--{BOUNDARY}--\r\n".encode() if end else b"")
    )


FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def taken(
    body: bytes, headers: Mapping[str, str], *, size: int = 10**9, query: str = ""
) -> tuple[str, Kind, bytes]:
    """Of a request whose body comes in chunks of `size` bytes."""
    parts: Iterator[bytes] = (body[at : at + size] for at in range(0, len(body), size))

    async def receive() -> dict[str, object]:
        part = next(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/imports",
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }

    async def main() -> tuple[str, Kind, bytes]:
        found = await incoming(Request(scope, receive))
        return found.filename, found.kind, b"".join([chunk async for chunk in found.chunks])

    return asyncio.run(main())


def problem_of(body: bytes, headers: Mapping[str, str], size: int = 10**9) -> tuple[int, str]:
    with pytest.raises(Problem) as problem:
        taken(body, headers, size=size)
    return problem.value.status, problem.value.reason


def test_a_body_is_the_file() -> None:
    headers = {"content-type": "application/x-ndjson; charset=utf-8"}
    found = taken(DATA, headers, query="filename=..%2F..%2Fa.ndjson")
    assert found == ("a.ndjson", Kind.NDJSON, DATA)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10**9])
def test_the_file_of_a_form_comes_as_it_was(size: int) -> None:
    assert taken(form(), FORM, size=size) == ("a.ndjson", Kind.NDJSON, DATA)


def test_the_first_file_counts_and_other_fields_do_not() -> None:
    note = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'.encode()
    body = form(before=note)[: -len(f"--{BOUNDARY}--\r\n")] + form(b"second")
    assert taken(body, FORM, size=11)[2] == DATA


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"x", {"content-type": "multipart/form-data"}, (400, "malformed")),
        (b"no form at all", FORM, (400, "malformed")),
        (form(end=False), FORM, (400, "malformed")),
        (form(name="other"), FORM, (422, "no-file")),
        (b"", FORM, (422, "no-file")),
        (b"x", {}, (415, "media-type")),
        (b"x", {"content-type": "application/json"}, (415, "media-type")),
        (form(b"x" * 2 * MOST_FRAMING, name="other"), FORM, (413, "too-large")),
    ],
)
def test_what_is_no_upload_is_refused(
    body: bytes, headers: Mapping[str, str], expected: tuple[int, str]
) -> None:
    assert problem_of(body, headers, size=1000) == expected


@pytest.mark.parametrize(
    ("media_type", "name", "kind"),
    [
        ("application/zip", "a.ndjson", Kind.ZIP),
        ("application/octet-stream", "a.JSONL", Kind.NDJSON),
        ("", "a.ndjson.gz", Kind.GZIP),
    ],
)
def test_the_type_counts_and_the_name_where_there_is_none(
    media_type: str, name: str, kind: Kind
) -> None:
    assert kind_of(media_type, name) is kind


def test_names_are_for_people() -> None:
    assert clean_name("C:\\data\\..\\e\x00v\n.zip") == "ev.zip"
    assert len(clean_name("x" * 1000)) == 255
