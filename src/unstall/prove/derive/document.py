"""An OpenAPI 3 document as operations: references followed, nothing guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from unstall.errors import UsageError

Schema: TypeAlias = Mapping[str, Any] | bool

METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
_PLACES = ("path", "query", "header", "cookie")
# What these parameters say is said by other parts of the document, so OpenAPI ignores them.
_IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
_MAX_HOPS = 50


class Unreadable(Exception):
    """A part of the document is not what OpenAPI says; the message is a clause."""


class Impossible(Exception):
    """No value satisfies a schema, or none was found; the message is a clause."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    """path, query, header or cookie"""
    required: bool
    schema: Schema
    examples: tuple[Any, ...] = ()
    style: str = ""
    explode: bool = True
    media: str = ""
    """The value is written in it; empty: as `style` says."""


@dataclass(frozen=True, slots=True)
class Body:
    media: str
    schema: Schema
    examples: tuple[Any, ...] = ()
    parts: Mapping[str, str] | None = None
    """Media type of each part of a multipart body for which one is given."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request must carry: a parameter of that name in that place."""

    name: str
    place: str


@dataclass(frozen=True, slots=True)
class Link:
    """A parameter of another operation that this one's answer holds, at a JSON pointer."""

    operation: str
    """Its `operationId`."""
    parameter: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    name: str = ""
    """Its `operationId`."""
    parameters: tuple[Parameter, ...] = ()
    bodies: tuple[Body, ...] = ()
    body_required: bool = False
    credentials: tuple[Credential, ...] = ()
    statuses: frozenset[str] = frozenset()
    """Those that its contract tells of."""
    links: tuple[Link, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Document:
    """What was read. `broken` are operations that could not be, each with a clause that says why."""

    data: Mapping[str, Any]
    operations: tuple[Operation, ...]
    broken: tuple[tuple[str, str], ...] = ()

    def resolved(self, node: Any) -> Any:
        """The node itself, or what it refers to. Raises `Unreadable`."""
        return resolved(self.data, node)


def read_document(data: Any) -> Document:
    """Raises `UsageError` when `data` is no OpenAPI 3 document."""
    if not isinstance(data, Mapping):
        raise UsageError(
            f"the OpenAPI document is a {type(data).__name__} where an object was expected: "
            "give the document itself"
        )
    version = data.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        found = f"Swagger {data['swagger']}" if "swagger" in data else f"openapi: {version!r}"
        raise UsageError(f"the document says {found}, and requests are made up from OpenAPI 3 only")
    paths = data.get("paths", {})
    if not isinstance(paths, Mapping):
        raise UsageError(
            f"`paths` of the OpenAPI document is a {type(paths).__name__} where an object was "
            "expected: it cannot be read"
        )
    operations: list[Operation] = []
    broken: list[tuple[str, str]] = []
    for path, item, method in _entries(data, paths):
        title = f"{method.upper()} {path}"
        try:
            operations.append(_operation(data, str(path), method, resolved(data, item)))
        except Unreadable as error:
            broken.append((title, str(error)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            broken.append((title, f"{type(error).__name__}: {error}"))
    return Document(data, tuple(operations), tuple(broken))


def resolved(data: Mapping[str, Any], node: Any) -> Any:
    """Raises `Unreadable` for a reference that leads nowhere, elsewhere or in circles."""
    for _ in range(_MAX_HOPS):
        if not (isinstance(node, Mapping) and isinstance(reference := node.get("$ref"), str)):
            return node
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = _pointed(data, reference)
        if beside and isinstance(node, Mapping):  # OpenAPI 3.1: what stands beside counts, too
            node = {**node, **beside}
    raise Unreadable("its references go in circles")


def _pointed(data: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#"):
        raise Unreadable(f"it refers to {reference}, which is outside the document")
    node: Any = data
    for key in reference.lstrip("#").strip("/").split("/"):
        plain = key.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and plain.isdigit() and int(plain) < len(node):
            node = node[int(plain)]
        elif isinstance(node, Mapping) and plain in node:
            node = node[plain]
        else:
            raise Unreadable(f"it refers to {reference}, which is not in the document")
    return node


def _entries(data: Mapping[str, Any], paths: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for path, item in paths.items():
        try:
            methods = resolved(data, item)
        except Unreadable:
            methods = {}
        if isinstance(methods, Mapping):
            yield from ((path, item, method) for method in METHODS if method in methods)


def _operation(
    data: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]
) -> Operation:
    described = item[method]
    if not isinstance(described, Mapping):
        raise Unreadable(f"it is a {type(described).__name__} where an object was expected")
    body = resolved(data, described.get("requestBody")) or {}
    answers = described.get("responses") or {}
    return Operation(
        method=method.upper(),
        path=path,
        name=str(described.get("operationId", "")),
        parameters=_parameters(data, path, item, described),
        bodies=tuple(
            _body(data, media, content) for media, content in (body.get("content") or {}).items()
        ),
        body_required=bool(body.get("required", False)),
        credentials=_credentials(data, described),
        statuses=frozenset(str(status) for status in answers),
        links=tuple(_links(data, answers)),
    )


def _parameters(
    data: Mapping[str, Any], path: str, item: Mapping[str, Any], described: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    found: dict[tuple[str, str], Parameter] = {}
    for node in (*item.get("parameters", ()), *described.get("parameters", ())):
        parameter = _parameter(data, resolved(data, node))
        if parameter.place == "header" and parameter.name.lower() in _IGNORED_HEADERS:
            continue
        found[parameter.place, parameter.name] = parameter
    for name in names_in(path):
        found.setdefault(("path", name), Parameter(name, "path", True, {"type": "string"}))
    return tuple(found.values())


def _parameter(data: Mapping[str, Any], node: Mapping[str, Any]) -> Parameter:
    place = node["in"]
    if place not in _PLACES:
        raise Unreadable(f"its parameter {node['name']} is in {place!r}")
    media, content = next(iter((node.get("content") or {}).items()), ("", node))
    style = node.get("style", "form" if place in ("query", "cookie") else "simple")
    return Parameter(
        name=str(node["name"]),
        place=place,
        required=bool(node.get("required", False)) or place == "path",
        schema=content.get("schema", {}),
        examples=(*_examples(data, node), *(_examples(data, content) if media else ())),
        style=style,
        explode=bool(node.get("explode", style == "form")),
        media=media,
    )


def _body(data: Mapping[str, Any], media: str, content: Mapping[str, Any]) -> Body:
    parts = {
        name: str(part["contentType"]).split(",")[0].strip()
        for name, part in (content.get("encoding") or {}).items()
        if "contentType" in part
    }
    return Body(
        media.lower(), content.get("schema", {}), tuple(_examples(data, content)), parts or None
    )


def _examples(data: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Any]:
    """Of a parameter or a media type: the values that its author wrote down."""
    if "example" in node:
        yield node["example"]
    several = node.get("examples")
    for example in several.values() if isinstance(several, Mapping) else ():
        shown = resolved(data, example)
        if isinstance(shown, Mapping) and "value" in shown:
            yield shown["value"]


def _credentials(data: Mapping[str, Any], described: Mapping[str, Any]) -> tuple[Credential, ...]:
    """Of the first way in which a request may prove who sends it; none if it need not."""
    ways = described.get("security", data.get("security")) or []
    if not ways or any(not way for way in ways):
        return ()
    schemes = (data.get("components") or {}).get("securitySchemes") or {}
    found = []
    for name in ways[0]:
        scheme = resolved(data, schemes.get(name, {}))
        if scheme.get("type") == "apiKey":
            found.append(Credential(str(scheme["name"]), str(scheme["in"])))
        elif scheme.get("type") != "mutualTLS":
            found.append(Credential("Authorization", "header"))
    return tuple(found)


def _links(data: Mapping[str, Any], answers: Mapping[str, Any]) -> Iterator[Link]:
    for answer in answers.values():
        for node in (resolved(data, answer).get("links") or {}).values():
            link = resolved(data, node)
            for parameter, source in (link.get("parameters") or {}).items():
                if "operationId" in link and str(source).startswith("$response.body#"):
                    pointer = str(source).removeprefix("$response.body#")
                    yield Link(link["operationId"], parameter.split(".")[-1], pointer)


def names_in(path: str) -> tuple[str, ...]:
    """`/a/{b}/c/{d}` has `b` and `d`."""
    return tuple(piece.split("}")[0] for piece in path.split("{")[1:] if "}" in piece)
