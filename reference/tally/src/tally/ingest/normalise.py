"""From an event to its row, in two ways that give the same: as teams write it, and fast.

Keys become lower case, with `_` for what is no letter, digit, `_` or `.`; texts lose the space around them
and are composed (NFC); properties are flattened to dotted keys, and those without a value are dropped. Two
keys that become the same are refused: which of them is meant, nobody knows.

The two differ in one thing: how the exponent of a very large or very small number is spelled.
"""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from tally.ingest.rows import Row
from tally.model import Event, Rejected

MOST_DIMENSIONS: Final = 2_200
"""Bytes of an event's dimensions as they are kept: so they fit into an index, beside the longest name. Only
texts that are full of quotes and control characters come to that within the limits of each.
"""
_LONGEST_KNOWN: Final = 100
_OTHER = re.compile(r"[^a-z0-9_.]+")
_CANONICAL = msgspec.json.Encoder(order="sorted")


# --- as teams write it -----------------------------------------------------------------------------


def naive(event: Event, customer: int) -> Row:
    """Copies, expressions and round trips through JSON: several times what `fast` takes."""
    payload = copy.deepcopy(msgspec.to_builtins(event))
    dimensions: dict[str, str] = {}
    for key, value in payload.get("dimensions", {}).items():
        _put(dimensions, clean_key(key), clean_text(_told(value)))
    properties: dict[str, Any] = {}
    _flatten_naive("", payload.get("properties", {}), properties)
    properties = json.loads(json.dumps(properties, sort_keys=True))
    return Row(
        customer,
        event.event_id,
        event.name,
        event.at,
        float(payload.get("value", 1.0)),
        _bounded(json.dumps(dimensions, sort_keys=True, separators=(",", ":"), ensure_ascii=False)),
        json.dumps(properties, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    )


def _flatten_naive(prefix: str, value: Any, into: dict[str, Any]) -> None:
    for key, inner in value.items():
        path = f"{prefix}.{clean_key(key)}" if prefix else clean_key(key)
        if isinstance(inner, dict):
            _flatten_naive(path, inner, into)
        elif inner is not None:
            _put(into, path, _cleaned_naive(inner))


def _cleaned_naive(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_cleaned_naive(each) for each in value]
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        _flatten_naive("", value, found)
        return found
    return value


# --- fast ------------------------------------------------------------------------------------------


def fast(event: Event, customer: int) -> Row:
    """One walk, keys remembered, texts looked at only if they may need it."""
    dimensions: dict[str, str] = {}
    if event.dimensions is not UNSET:
        for key, value in event.dimensions.items():
            _put(dimensions, _known_key(key), _text(_told(value)))
    properties: dict[str, Any] = {}
    if event.properties is not UNSET:
        _flatten("", event.properties, properties)
    return Row(
        customer,
        event.event_id,
        event.name,
        event.at,
        1.0 if event.value is UNSET else event.value,
        _bounded(_CANONICAL.encode(dimensions).decode()),
        _CANONICAL.encode(properties).decode(),
    )


def _flatten(prefix: str, value: dict[str, Any], into: dict[str, Any]) -> None:
    for key, inner in value.items():
        # `_known_key`, without a call for each key of each event
        path = prefix + (_kept_key(key) if len(key) <= _LONGEST_KNOWN else clean_key(key))
        kind = type(inner)
        if kind is str:
            _put(into, path, _text(inner))
        elif kind is dict:
            _flatten(path + ".", inner, into)
        elif kind is list:
            _put(into, path, [_cleaned(each) for each in inner])
        elif inner is not None:
            _put(into, path, inner)


def _cleaned(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is list:
        return [_cleaned(each) for each in value]
    if kind is dict:
        found: dict[str, Any] = {}
        _flatten("", value, found)
        return found
    return value


def _text(text: str) -> str:
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


# --- what both mean --------------------------------------------------------------------------------


def clean_key(key: str) -> str:
    return _OTHER.sub("_", key.strip().lower()).strip("_") or "_"


_kept_key = lru_cache(maxsize=10_000)(clean_key)


def _known_key(key: str) -> str:
    """A key may be as long as its event, and ten thousand of those are not kept."""
    return _kept_key(key) if len(key) <= _LONGEST_KNOWN else clean_key(key)


def clean_text(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _told(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _bounded(dimensions: str) -> str:
    size = len(dimensions) if dimensions.isascii() else len(dimensions.encode())
    if size > MOST_DIMENSIONS:
        raise Rejected(
            "dimensions-too-long",
            f"the dimensions have {size} bytes as JSON; at most {MOST_DIMENSIONS} are allowed",
        )
    return dimensions


def _put(into: dict[str, Any], key: str, value: Any) -> None:
    if key in into:
        raise Rejected("ambiguous-key", f"two keys become {key[:80]!r}: give them different names")
    into[key] = value
