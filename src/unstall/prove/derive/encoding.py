"""An operation and values for it, as a request on the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from unstall.model.plan import Example
from unstall.prove.derive.document import (
    Body,
    Impossible,
    Operation,
    Parameter,
    Schema,
    Unreadable,
)
from unstall.prove.derive.values import Values

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
GIVEN = ("path", "query")
"""Places of parameters that users can give values for."""
_IN_PATH = "/%:@!$&'()*+,;=~"
_BOUNDARY = "unstall-part"

# The smallest that a decoder takes: one grey pixel.
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
)
# By the end of the part's media type or the words of its name.
_FILES: tuple[tuple[tuple[str, ...], tuple[str, bytes, str]], ...] = (
    (
        ("image", "photo", "picture", "avatar", "png", "logo"),
        ("image.png", _PIXEL, "image/png"),
    ),
    (("csv",), ("table.csv", b"id,name\n1,amber\n2,birch\n", "text/csv")),
    (("json",), ("data.json", b'{"name": "amber"}', "application/json")),
)
_PLAIN_FILE = ("note.txt", b"a line of text\n", "text/plain")


def encoded(
    operation: Operation, values: Values, in_path: Mapping[str, Any], full: bool
) -> Example:
    """The request; `in_path` are values that are known for parameters of the path.

    `full` sends optional parameters, too. Raises `Impossible` and `Unreadable`.
    """
    try:
        return _encoded(operation, values, in_path, full)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"its schema cannot be read ({type(error).__name__}: {error})") from None


def _encoded(
    operation: Operation, values: Values, in_path: Mapping[str, Any], full: bool
) -> Example:
    path, headers, query, cookies = operation.path, dict[str, str](), [], []
    for parameter in operation.parameters:
        known = _known(parameter, values, in_path)
        wanted = parameter.required or full or bool(parameter.examples)
        if known is None and not wanted:
            continue
        try:
            value = _value(parameter, values) if known is None else known
        except Impossible:
            if parameter.required:
                raise
            continue
        if parameter.place == "path":
            path = path.replace(f"{{{parameter.name}}}", quote(_simple(value), safe="") or "-")
        elif parameter.place == "query":
            query += _pairs(parameter, value)
        elif parameter.place == "header":
            headers[parameter.name] = _simple(value)
        else:
            cookies += _pairs(parameter, value)
    for credential in operation.credentials:
        if credential.place == "query" and (text := values.given_for(credential.name)) is not None:
            query.append((credential.name, text))
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={quote(text)}" for name, text in cookies)
    path = quote(path, safe=_IN_PATH)
    if query:
        path += "?" + urlencode(query)
    content, media = _content(operation, values)
    if media:
        headers["Content-Type"] = media
    try:
        return Example(path, headers, content.decode("utf-8"))
    except UnicodeDecodeError:
        return Example(path, headers, base64.b64encode(content).decode(), base64=True)


def _known(parameter: Parameter, values: Values, in_path: Mapping[str, Any]) -> Any:
    """What the user gave for it, or the app's own answers; None: nothing."""
    given = values.given_for(parameter.name) if parameter.place in GIVEN else None
    if given is not None:
        return given
    return in_path.get(parameter.name) if parameter.place == "path" else None


def _value(parameter: Parameter, values: Values) -> Any:
    if parameter.examples:
        return parameter.examples[values.turn % len(parameter.examples)]
    if (existing := values.known(parameter.name)) is not None:
        return existing
    schema = parameter.schema
    if isinstance(schema, Mapping) and not schema.keys() - {"title", "description"}:
        schema = {"type": "string"}  # in a URL everything is
    value = values.of(schema, parameter.name)
    if parameter.media:
        return json.dumps(value)
    if value is None or value == "":
        raise Impossible(f"nothing can be said for {parameter.name}")
    return value


def _pairs(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    """A value of a query or of cookies, as its style says."""
    name = parameter.name
    if isinstance(value, Mapping):
        if parameter.style == "deepObject":
            return [(f"{name}[{key}]", _simple(item)) for key, item in value.items()]
        if parameter.explode:
            return [(key, _simple(item)) for key, item in value.items()]
    elif isinstance(value, list):
        if parameter.explode:
            return [(name, _simple(item)) for item in value]
        between = {"spaceDelimited": " ", "pipeDelimited": "|"}.get(parameter.style, ",")
        return [(name, between.join(map(_simple, value)))]
    return [(name, _simple(value))]


def _simple(value: Any) -> str:
    """As text: JSON's words for what is no string, lists with commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ",".join(map(_simple, value))
    if isinstance(value, Mapping):
        return ",".join(f"{key},{_simple(item)}" for key, item in value.items())
    return json.dumps(value)


def _content(operation: Operation, values: Values) -> tuple[bytes, str]:
    """The body and its media type; nothing where the operation asks for none."""
    if not operation.bodies:
        return b"", ""
    for fits, write in _WRITERS:
        for body in operation.bodies:
            if fits(body.media.split(";")[0]):
                return write(body, values)
    for body in operation.bodies:
        if body.examples and isinstance(body.examples[0], str):
            return body.examples[values.turn % len(body.examples)].encode(), body.media
    if not operation.body_required:
        return b"", ""
    wanted = " or ".join(body.media for body in operation.bodies)
    raise Impossible(f"its body is {wanted}, which is not made up here")


def _made(body: Body, values: Values) -> Any:
    if body.examples:
        return body.examples[values.turn % len(body.examples)]
    return values.of(body.schema)


def _json(body: Body, values: Values) -> tuple[bytes, str]:
    media = JSON if "*" in body.media else body.media
    return json.dumps(_made(body, values)).encode(), media


def _form(body: Body, values: Values) -> tuple[bytes, str]:
    made = _made(body, values)
    fields = _fields(made) if isinstance(made, Mapping) else ()
    return urlencode(list(fields)).encode(), FORM


def _multipart(body: Body, values: Values) -> tuple[bytes, str]:
    made = _made(body, values)
    lines: list[bytes] = []
    schema = values.document.resolved(body.schema)
    properties = values.document.resolved(schema).get("properties", {})
    for name, item in made.items() if isinstance(made, Mapping) else ():
        described = values.document.resolved(properties.get(name, {}))
        if _is_file(described):
            copies = len(item) if isinstance(item, list) else 1
            lines += [_file(name, described, body.parts or {})] * copies
        else:
            lines += [
                _part(f'name="{name}"', "", text.encode()) for _, text in _fields({name: item})
            ]
    lines.append(f"--{_BOUNDARY}--\r\n".encode())
    return b"".join(lines), f"{MULTIPART}; boundary={_BOUNDARY}"


def _file(name: str, schema: Schema, media: Mapping[str, str]) -> bytes:
    told = schema.get("contentMediaType", "") if isinstance(schema, Mapping) else ""
    words = f"{media.get(name, '')} {told} {name}".lower()
    file, content, kind = next(
        (file for known, file in _FILES if any(word in words for word in known)), _PLAIN_FILE
    )
    return _part(f'name="{name}"; filename="{file}"', media.get(name) or kind, content)


def _part(disposition: str, media: str, content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
    head += f"Content-Type: {media}\r\n" if media else ""
    return head.encode() + b"\r\n" + content + b"\r\n"


def _is_file(schema: Schema) -> bool:
    """A file, or a list of them; the branch of a union counts."""
    if not isinstance(schema, Mapping):
        return False
    if schema.get("format") == "binary" or (
        "contentMediaType" in schema and "contentEncoding" not in schema
    ):
        return True
    return _is_file(schema.get("items", False)) or any(
        _is_file(branch) for word in ("anyOf", "oneOf") for branch in schema.get(word) or ()
    )


def _fields(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lists are said again and again, objects as JSON, and null by silence."""
    for name, item in made.items():
        for each in item if isinstance(item, list) else (item,):
            if isinstance(each, Mapping | list):
                yield name, json.dumps(each)
            elif each is not None:
                yield name, _simple(each)


def _raw(body: Body, values: Values) -> tuple[bytes, str]:
    made = _made(body, values)
    text = made if isinstance(made, str) else "a line of text\n"
    kind = body.media if "*" not in body.media else "text/plain"
    return text.encode(), kind


# In the order of preference.
_WRITERS: tuple[tuple[Callable[[str], bool], Callable[[Body, Values], tuple[bytes, str]]], ...] = (
    (lambda media: media == JSON or media.endswith("+json"), _json),
    (lambda media: media == FORM, _form),
    (lambda media: media == MULTIPART, _multipart),
    (lambda media: media.startswith("text/") or media == "application/octet-stream", _raw),
    (lambda media: media == "*/*", _json),
)
