"""One kind of request, compiled: from its number to its bytes.

Each has an id of its own (`X-Request-ID`) and a trace of its own (`traceparent`), by which the server's side
can name it, and says whose it is (`X-Scenario`). What the user gives himself is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

from unstall.errors import UsageError
from unstall.load.chance import draw, key_of
from unstall.load.place import Place
from unstall.load.templates import Part, Scope, compiled, joined, places, rendered

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_IN_PATH = re.compile(r"[\x21-\x7e]*")
_IN_FIELD = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_OURS = ("content-length", "transfer-encoding")
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")
# Far from any that a text uses: a placeholder has its position there.
_TRACE, _SPAN = 1 << 40, 1 << 41


def is_header(name: str, value: str) -> bool:
    """Whether it can be sent as it is."""
    return bool(_TOKEN.fullmatch(name) and _IN_FIELD.fullmatch(value)) and name.lower() not in _OURS


def is_path(text: str) -> bool:
    """With its query, encoded."""
    return text.startswith("/") and bool(_IN_PATH.fullmatch(text))


class Requests(Protocol):
    """Makes the requests of a stream."""

    @property
    def bodiless(self) -> bool:
        """They are HEAD requests."""

    @property
    def repeatable(self) -> bool:
        """Their method is idempotent."""

    def __call__(self, number: int) -> bytes:
        """The whole request, by its number from 0 on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    head: tuple[Part, ...]
    """Up to the body, or to its length if that varies."""
    body: tuple[Part, ...]
    """Only where it varies."""
    bodiless: bool
    repeatable: bool

    def __call__(self, number: int) -> bytes:
        if not self.body:
            return rendered(self.head, number)
        body = rendered(self.body, number)
        return b"%bContent-Length: %d\r\n\r\n%b" % (rendered(self.head, number), len(body), body)

    @classmethod
    def of(
        cls,
        place: Place,
        *,
        name: str,
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        body: str | bytes = "",
        seed: int = 0,
        literal: bool = False,
    ) -> Self:
        """Raises UsageError for what makes no request; `name` is that of the stream.

        `literal`: nothing in path, headers and body is a template.
        """
        where = f"scenario {name!r}"
        if not _TOKEN.fullmatch(method):
            raise UsageError(f"{where} has the method {method!r}: write it as in GET")
        if not _IN_FIELD.fullmatch(name):
            raise UsageError(
                f"{where} has a name that no header can hold: leave out what is no text"
            )
        given = dict(headers or {})
        scope = _Scopes(Scope(name, key_of(seed, name)), literal=literal)
        line = (method.encode(), b" ", place.prefix.encode(), *scope.path(path, where))
        fields = _fields(place, name, given, scope, where)
        head = [*line, b" HTTP/1.1\r\n", *fields]
        parts = (body,) if isinstance(body, bytes) else scope.compiled(body, f"the body of {where}")
        varies = any(not isinstance(part, bytes) for part in parts)
        if not varies:
            whole = b"".join(part for part in parts if isinstance(part, bytes))
            if whole or method in ("POST", "PUT", "PATCH"):
                head.append(b"Content-Length: %d\r\n" % len(whole))
            head += [b"\r\n", whole]
        return cls(joined(head), parts if varies else (), method == "HEAD", method in _REPEATABLE)


@dataclass(frozen=True, slots=True)
class InTurn:
    """Several of one method, one after the other and then again."""

    recipes: tuple[Recipe, ...]

    @property
    def bodiless(self) -> bool:
        return self.recipes[0].bodiless

    @property
    def repeatable(self) -> bool:
        return self.recipes[0].repeatable

    def __call__(self, number: int) -> bytes:
        return self.recipes[number % len(self.recipes)](number)


class _Scopes:
    """Gives each text of one request places of its own."""

    def __init__(self, scope: Scope, *, literal: bool) -> None:
        self.scope = scope
        self._literal = literal
        self._used = 0

    def compiled(self, text: str, where: str) -> tuple[Part, ...]:
        if self._literal:
            return (text.encode(),)
        own = replace(self.scope, place=self._used)
        self._used += places(text)
        return compiled(text, own, where)

    def path(self, path: str, where: str) -> tuple[Part, ...]:
        """With a slash before it."""
        parts = self.compiled("/" + path.lstrip("/"), f"the path of {where}")
        # The text holds all that can be chosen, the rendered one what comes from the environment.
        for text in (path, rendered(parts, 0).decode()):
            if not _IN_PATH.fullmatch(text):
                raise UsageError(
                    f"the path of {where} is {text!r}: write spaces, umlauts and the like as %20 does"
                )
        return parts


def _fields(
    place: Place, name: str, given: Mapping[str, str], scope: _Scopes, where: str
) -> list[Part]:
    """Header lines, the user's own last."""
    names = {key.lower() for key in given}
    fields: list[Part] = []
    for key, value in _standard(place, name, scope.scope).items():
        if key.lower() not in names:
            fields += [key.encode(), b": ", *value, b"\r\n"]
    for key, text in given.items():
        if not _TOKEN.fullmatch(key) or key.lower() in _OURS:
            raise UsageError(f"{where} has a header {key!r}, which cannot be given: leave it out")
        parts = scope.compiled(text, f"the header {key} of {where}")
        if not all(_IN_FIELD.fullmatch(each) for each in (text, rendered(parts, 0).decode())):
            raise UsageError(f"the header {key} of {where} has a line break in it: take it out")
        fields += [key.encode(), b": ", *parts, b"\r\n"]
    return fields


def _standard(place: Place, name: str, scope: Scope) -> dict[str, tuple[Part, ...]]:
    label = "-".join(name.split()).encode()
    return {
        "Host": (place.authority.encode(),),
        "User-Agent": (b"unstall",),
        "Accept": (b"*/*",),
        "X-Scenario": (name.encode(),),
        "X-Request-ID": (label + b"-", lambda number: b"%d" % (number + 1)),
        "traceparent": (b"00-", lambda number: _trace(scope.key, number), b"-01"),
    }


def _trace(key: int, number: int) -> bytes:
    """Ids of a trace and of the span in it; W3C forbids those that are all zero."""
    high, low = draw(key, number, _TRACE), draw(key, number, _TRACE + 1)
    span = draw(key, number, _SPAN) or 1
    return b"%016x%016x-%016x" % (high, low or 1, span)
