"""Values that hold no others: words, numbers, dates and addresses as people would type them."""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from unstall.prove.derive.document import Impossible
from unstall.prove.derive.library import matching, odd

PLAIN = ("string", "integer", "number", "boolean", "null")
_WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "hazel", "ivory", "juniper",
    "kelp", "linden", "maple", "north", "opal", "pine", "quartz", "river", "sage", "tundra",
)  # fmt: skip

# What stands in a string of a format; the number makes it unlike those of other turns. URLs lead to a port
# of this machine where nobody listens, so that an app which follows them loads nobody else.
_FORMATS: Mapping[str, Callable[[Random, int], str]] = {
    "date-time": lambda random, turn: f"2024-05-{turn % 28 + 1:02d}T09:30:00Z",
    "date": lambda random, turn: f"2024-05-{turn % 28 + 1:02d}",
    "time": lambda random, turn: f"09:{turn % 60:02d}:00Z",
    "duration": lambda random, turn: f"PT{turn % 24 + 1}H",
    "email": lambda random, turn: f"{random.choice(_WORDS)}{turn}@example.com",
    "idn-email": lambda random, turn: f"{random.choice(_WORDS)}{turn}@example.com",
    "hostname": lambda random, turn: f"host{turn}.example.com",
    "ipv4": lambda random, turn: f"192.0.2.{turn % 254 + 1}",
    "ipv6": lambda random, turn: f"2001:db8::{turn % 65535 + 1:x}",
    "ipvanyaddress": lambda random, turn: f"192.0.2.{turn % 254 + 1}",
    "ipvanynetwork": lambda random, turn: "192.0.2.0/24",
    "ipvanyinterface": lambda random, turn: f"192.0.2.{turn % 254 + 1}/24",
    "uri": lambda random, turn: f"http://127.0.0.1:9/{turn}",
    "url": lambda random, turn: f"http://127.0.0.1:9/{turn}",
    "iri": lambda random, turn: f"http://127.0.0.1:9/{turn}",
    "uri-reference": lambda random, turn: f"/{random.choice(_WORDS)}/{turn}",
    "uuid": lambda random, turn: str(uuid.UUID(int=random.getrandbits(128), version=4)),
    "uuid1": lambda random, turn: str(uuid.UUID(int=random.getrandbits(128), version=1)),
    "uuid4": lambda random, turn: str(uuid.UUID(int=random.getrandbits(128), version=4)),
    "byte": lambda random, turn: base64.b64encode(f"unstall {turn}".encode()).decode(),
    "base64": lambda random, turn: base64.b64encode(f"unstall {turn}".encode()).decode(),
    "password": lambda random, turn: f"Correct-Horse-{turn}",
    "json-string": lambda random, turn: '"unstall"',
    "json-pointer": lambda random, turn: "/unstall",
    "regex": lambda random, turn: "^[a-z]+$",
    "color": lambda random, turn: "#336699",
    "path": lambda random, turn: f"{random.choice(_WORDS)}.txt",
    "file-path": lambda random, turn: f"{random.choice(_WORDS)}.txt",
}
# A plain string's name often says what it holds: the end of the name, and the format.
_NAMED = (
    ("email", "email"), ("e_mail", "email"), ("url", "uri"), ("uri", "uri"), ("website", "uri"),
    ("password", "password"), ("date", "date"), ("_at", "date-time"), ("uuid", "uuid"),
    ("ip", "ipv4"), ("ip_address", "ipv4"), ("hostname", "hostname"),
)  # fmt: skip
# Ordinary values of a parameter that many APIs have.
_USUAL: Mapping[str, Any] = {
    "limit": 10, "page_size": 10, "per_page": 10, "size": 10, "offset": 0, "skip": 0, "page": 1,
    "lat": 52.5, "latitude": 52.5, "lon": 13.4, "lng": 13.4, "longitude": 13.4,
    "lang": "en", "language": "en", "locale": "en", "country": "DE", "currency": "EUR",
    "timezone": "UTC", "tz": "UTC",
}  # fmt: skip
_PYTHON: Mapping[str, Any] = {"string": str, "integer": int, "number": (int, float)}


def leaf(schema: Mapping[str, Any], kind: str, name: str, seed: int, turn: int) -> Any:
    """A value of one of the `PLAIN` kinds. Raises `Impossible`."""
    usual = _USUAL.get(name.lower())
    if isinstance(usual, _PYTHON.get(kind, ())) and matching(schema, usual):
        return usual
    value = _KINDS[kind](schema, name, Random(f"{seed} {turn} {name}"), turn)
    if matching(schema, value):
        return value
    if found := odd(schema, seed):
        return found[turn % len(found)]
    raise Impossible(f"no value was found for {name or 'a value'}")


def _string(schema: Mapping[str, Any], name: str, random: Random, turn: int) -> str:
    described = str(schema.get("format", ""))
    if described not in _FORMATS:
        lower = name.lower()
        described = next((form for end, form in _NAMED if lower.endswith(end)), "")
    if make := _FORMATS.get(described):
        text = make(random, turn)
        if matching(schema, text):
            return text
    text = f"{random.choice(_WORDS)}{turn}"
    low, high = int(schema.get("minLength", 0)), schema.get("maxLength")
    if low > len(text):
        text = (text * (low // len(text) + 1))[:low]
    return text[-int(high) :] if high is not None and len(text) > int(high) > 0 else text


def _number(schema: Mapping[str, Any], name: str, random: Random, turn: int) -> float | int:
    whole = schema.get("type") != "number"
    step = schema.get("multipleOf") or (1 if whole else 0.5)
    low, high = _bounds(schema, step)
    value = (turn + 1) * step
    if low is not None and value < low:
        value = math.ceil(low / step) * step + turn * step
    if high is not None and value > high:
        value = math.floor(high / step) * step
    return round(value) if whole else float(value)


def _bounds(schema: Mapping[str, Any], step: float) -> tuple[float | None, float | None]:
    """Both ends, inclusive; in OpenAPI 3.0 an exclusive one is a flag beside the plain one."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is True and low is not None:
        above = low
    if below is True and high is not None:
        below = high
    if isinstance(above, int | float) and not isinstance(above, bool):
        low = max(above + step, above + step if low is None else low)
    if isinstance(below, int | float) and not isinstance(below, bool):
        high = min(below - step, below - step if high is None else high)
    return low, high


_KINDS: Mapping[str, Callable[[Mapping[str, Any], str, Random, int], Any]] = {
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda schema, name, random, turn: turn % 2 == 0,
    "null": lambda schema, name, random, turn: None,
}
