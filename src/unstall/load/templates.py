"""`${...}` in paths, headers and bodies: compiled once, and filled in from the number of a request.

`$${` stands for `${` itself. What a placeholder gives follows from the seed, the stream, the request's number
and its place in the text, so a run can be repeated, whole or in shards.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from string import ascii_lowercase, digits

from unstall.errors import UsageError
from unstall.load.chance import draw

Maker = Callable[[int], bytes]
"""From the number of a request, from 0 on."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?:([^{}]*)\})?")
_AT_ONCE = 8
"""Digits of one draw of 64 bits: few enough for their chances to be even."""
_LONGEST_TEXT = 1_000_000
_SHOWN = 20
"""Letters of what is not understood."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a text is compiled for."""

    name: str
    """Of the stream."""
    key: int
    """Of its chance, as `chance.key_of` makes it."""
    place: int = 0
    """How many placeholders there are before this text, so that no two have the same chance."""
    environ: Mapping[str, str] | None = None
    """None: that of this process."""
    wall_s: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Kind:
    """One word that may stand in `${word:...}`."""

    form: str
    help: str
    make: Callable[[list[str], Scope, int], Maker | bytes]
    """From its arguments, for a place in the text; raises ValueError with the reason."""


Part = Maker | bytes


def compiled(text: str, scope: Scope, where: str) -> tuple[Part, ...]:
    """The parts of a text in order. Raises UsageError, which calls the text `where`."""
    parts: list[Part] = []
    at = 0
    for number, match in enumerate(_PLACEHOLDER.finditer(text)):
        parts.append(text[at : match.start()].encode())
        at = match.end()
        if match[0] == "$${":
            parts.append(b"${")
        elif match[1] is None:
            rest = text[match.start() : match.start() + _SHOWN].splitlines()[0]
            raise UsageError(
                f"{where} holds {rest!r}, and nothing closes its ${{: write the }}, or $${{ for ${{ itself"
            )
        else:
            parts.append(_made(match[1], scope, scope.place + number, where))
    parts.append(text[at:].encode())
    return joined(parts)


def joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The same with neighbouring bytes as one."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += part
        elif part != b"":
            found.append(part)
    return tuple(found)


def rendered(parts: Sequence[Part], number: int) -> bytes:
    return b"".join([part if part.__class__ is bytes else part(number) for part in parts])  # type: ignore[operator]


def escaped(text: str) -> str:
    """A template that gives `text` itself."""
    return _PLACEHOLDER.sub(lambda match: f"${match[0]}", text)


def places(text: str) -> int:
    """How many placeholders a text has."""
    return len(_PLACEHOLDER.findall(text))


def _made(inner: str, scope: Scope, place: int, where: str) -> Part:
    word, colon, rest = inner.partition(":")
    kind = KINDS.get(word)
    if kind is None:
        near = get_close_matches(word, KINDS, n=1)
        advice = (
            f"did you mean ${{{KINDS[near[0]].form}}}?"
            if near
            else f"there are {', '.join(KINDS)}; $${{ stands for ${{ itself"
        )
        raise UsageError(f"{where} holds ${{{inner}}}, which is not known: {advice}")
    try:
        return kind.make(rest.split(":") if colon else [], scope, place)
    except ValueError as error:
        raise UsageError(f"{where} holds ${{{inner}}}: {error}, as in ${{{kind.form}}}") from None


def _none(arguments: list[str]) -> None:
    if arguments:
        raise ValueError("it takes no arguments")


def _seq(arguments: list[str], scope: Scope, place: int) -> Maker:
    _none(arguments)
    return lambda number: b"%d" % (number + 1)


def _name(arguments: list[str], scope: Scope, place: int) -> bytes:
    _none(arguments)
    return scope.name.encode()


def _uuid(arguments: list[str], scope: Scope, place: int) -> Maker:
    _none(arguments)
    key = scope.key

    def make(number: int) -> bytes:
        bits = draw(key, number, 2 * place) << 64 | draw(key, number, 2 * place + 1)
        bits = bits & ~(0xF000 << 64 | 0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48
        text = b"%032x" % bits
        return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    return make


def _int(arguments: list[str], scope: Scope, place: int) -> Maker:
    try:
        low, high = map(int, arguments)
    except ValueError:
        raise ValueError("it takes two whole numbers") from None
    if low > high:
        raise ValueError("the first is above the second")
    key, span = scope.key, high - low + 1
    return lambda number: b"%d" % (low + draw(key, number, 2 * place) % span)


def _float(arguments: list[str], scope: Scope, place: int) -> Maker:
    try:
        low, high = map(float, arguments)
    except ValueError:
        raise ValueError("it takes two numbers") from None
    if not -1e300 < low <= high < 1e300:
        raise ValueError("the first is above the second, or they are endless")
    key = scope.key
    return lambda number: (
        b"%.6f" % (low + (high - low) * (draw(key, number, 2 * place) >> 11) / (1 << 53))
    )


def _choice(arguments: list[str], scope: Scope, place: int) -> Maker:
    choices = ":".join(arguments).encode().split(b",")
    if choices == [b""]:
        raise ValueError("it takes what to choose from")
    key, count = scope.key, len(choices)
    return lambda number: choices[draw(key, number, 2 * place) % count]


def _digits(letters: bytes) -> Callable[[list[str], Scope, int], Maker]:
    """So many of these, each as likely as the other but for a part in millions."""
    base = len(letters)

    def kind(arguments: list[str], scope: Scope, place: int) -> Maker:
        if len(arguments) != 1 or not arguments[0].isdecimal():
            raise ValueError("it takes a length")
        length, key = int(arguments[0]), scope.key
        if length > _LONGEST_TEXT:
            raise ValueError(f"that is more than {_LONGEST_TEXT}")

        def make(number: int) -> bytes:
            start = draw(key, number, 2 * place)
            found = bytearray()
            while len(found) < length:
                bits = draw(start, len(found), 1)
                for _ in range(min(_AT_ONCE, length - len(found))):
                    bits, digit = divmod(bits, base)
                    found.append(letters[digit])
            return bytes(found)

        return make

    return kind


_CLOCKS: Mapping[str, Callable[[float], bytes]] = {
    "": lambda wall_s: (
        datetime.fromtimestamp(wall_s, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
        .encode()
    ),
    "s": lambda wall_s: b"%d" % wall_s,
    "ms": lambda wall_s: b"%d" % (wall_s * 1e3),
}


def _now(arguments: list[str], scope: Scope, place: int) -> Maker:
    write = _CLOCKS.get(":".join(arguments))
    if write is None:
        raise ValueError("it takes nothing, s or ms")
    wall_s = scope.wall_s
    return lambda _: write(wall_s())


def _env(arguments: list[str], scope: Scope, place: int) -> bytes:
    environ = os.environ if scope.environ is None else scope.environ
    if len(arguments) != 1 or arguments[0] not in environ:
        raise ValueError("it takes the name of a variable that is set")
    return environ[arguments[0]].encode()


KINDS: Mapping[str, Kind] = {
    "seq": Kind("seq", "the request's number in its scenario, from 1", _seq),
    "uuid": Kind("uuid", "a UUID of version 4", _uuid),
    "int": Kind("int:1:100", "a whole number between two, both included", _int),
    "float": Kind("float:0:1", "a number between two, with six digits", _float),
    "choice": Kind("choice:a,b", "one of several texts", _choice),
    "text": Kind(
        "text:12", "so many small letters and digits", _digits((ascii_lowercase + digits).encode())
    ),
    "hex": Kind("hex:32", "so many digits of 16", _digits(b"0123456789abcdef")),
    "now": Kind("now", "the time in UTC as ISO 8601; `now:s` and `now:ms` since 1970", _now),
    "name": Kind("name", "the name of the scenario", _name),
    "env": Kind("env:TOKEN", "an environment variable, read before the first request", _env),
}
