"""How complex a JSON text is, seen from its bytes: no value is built and nothing is parsed.

Slices of 32 KiB are taken apart by what `bytes` does in C: delete, count, replace, and a split at quotes
where keys or long strings have to be looked at. Brackets are emptied from the inside, one depth at a time;
keys are grouped by what stands between braces, and of records that are alike one is looked at.
A text that is no JSON is left to the parser: what comes after its first error does not count, but nothing
before it may exceed a limit.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from itertools import compress
from typing import Final

from unstall.errors import UsageError
from unstall.guard.json_records import counts, repeated

SLICE: Final = 32 * 1024
MOST_DEPTH: Final = 500
_SPACE: Final = b" \t\r\n"
_NUMBER: Final = b"0123456789+-.eE"
_UTF_16_OR_32: Final = (b"\xff\xfe", b"\xfe\xff")
_TOLD: Final = 40


def _all_but(kept: bytes) -> bytes:
    return bytes(set(range(256)) - set(kept))


_FILLER: Final = b"\1\1"
"""For what is masked; no JSON text has it."""
_NO_SHAPE = _all_but(b'[]{},:"')
_NO_BRACKETS = _all_but(b"[]{}")
_BRACES_AND_COLONS = b"{}:"
_IS_KEY = bytes(code == ord("k") for code in range(256))
_AS_LIST = bytes.maketrans(b"{}", b"[]")
_DIGITS = bytes(ord("0") if code in _NUMBER else ord(" ") for code in range(256))
_FEW: Final = 16
"""Bytes for each quote; beyond that, deleting them all takes longer than splitting at the quotes."""
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_TOKEN = re.compile(rb'"[^"]*"|[\[\]{},:]|[0-9+\-.eE]+|[^\s"\[\]{},:0-9+\-.eE]+')


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """What a text may have at most; lengths are those in the text, escapes as they are written."""

    depth: int = 32
    """Arrays and objects inside one another."""
    items: int = 100_000
    """Elements and members of all arrays and objects together."""
    string: int = 1_000_000
    """Bytes between the quotes of one string or key."""
    number: int = 64
    """Characters of one number."""
    duplicate_keys: bool = False
    """Whether an object may have a key twice; parsers differ in which one they take."""

    def __post_init__(self) -> None:
        for name in ("depth", "items", "string", "number"):
            value = getattr(self, name)
            most = MOST_DEPTH if name == "depth" else 1 << 40
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
                raise UsageError(
                    f"{name} of the limits for JSON is {value!r}: give a whole number from 1 to {most}"
                )


@dataclass(frozen=True, slots=True)
class Excess:
    """The first limit that a text exceeds."""

    limit: str
    """The name in `JsonLimits`, or `encoding`."""
    most: int | None
    value: str
    """What was seen: a number, or the key that is there twice."""
    at: int
    """Offset in bytes."""

    def __str__(self) -> str:
        if self.limit == "duplicate_keys":
            return (
                f"The key {self.value} is there twice in an object that has it at byte {self.at}."
            )
        if self.limit == "encoding":
            return "The JSON text is not in UTF-8."
        what = f"{_WORDS[self.limit]} {self.value} at byte {self.at}"
        return f"The JSON text has {what}; at most {self.most} is allowed."


_WORDS: Final = {
    "depth": "a depth of",
    "items": "items up to",
    "string": "a string of length",
    "number": "a number of length",
}


class JsonScan:
    """Of one text, that comes in parts. `feed` until it returns an excess, then `end`."""

    def __init__(self, limits: JsonLimits) -> None:
        self._limits = limits
        self._parts: list[bytes] = []
        self._have = 0
        """Bytes in the parts."""
        self._rest = b""
        """What the last slice left over: a string or a number that may go on."""
        self._base = 0
        """Offset of the rest."""
        self._depth = self._items = 0
        self._last = b""
        """The last character that is no space."""
        self._keys: list[bytes] = []
        """Of the object that is open, since the slice began."""
        self._open: list[list[bytes]] = []
        """Of those around it."""
        self._known: dict[int, set[bytes]] = {}
        """By depth: of objects that are open, from earlier slices."""
        self._before: set[bytes] = set()
        self._proved: dict[bytes, list[bytes]] = {}
        """Keys that are all different, by what was between two braces."""
        self._broken = False
        self._begun = False

    def feed(self, data: bytes) -> Excess | None:
        """Looks at what has come as soon as it is a slice; at once twice what is left over, so that all of it
        takes time in proportion to the text."""
        self._parts.append(data)
        self._have += len(data)
        return self._look(last=False) if self._have >= max(SLICE, len(self._rest)) else None

    def end(self) -> Excess | None:
        return self._look(last=True)

    def _look(self, *, last: bool) -> Excess | None:
        chunk = b"".join((self._rest, *self._parts))
        self._parts.clear()
        self._have = 0
        if self._broken:
            return None
        if not self._begun:
            self._begun = True
            if chunk.startswith(_UTF_16_OR_32) or b"\0" in chunk[:4]:
                return Excess("encoding", None, "", 0)
        masked = _masked(chunk)
        cut = len(chunk) if last else _cut(masked)
        self._rest = chunk[cut:]
        if masked.count(b'"', 0, cut) % 2:  # ends inside a string: no JSON, but the string counts
            begun = masked.rfind(b'"', 0, cut)
            if cut - begun - 1 > self._limits.string:
                return Excess(
                    "string", self._limits.string, str(cut - begun - 1), self._base + begun
                )
            cut = begun
        found = self._slice(chunk[:cut], masked[:cut])
        self._base += len(chunk) - len(self._rest)
        if found is None:
            found = self._too_long_already()
        return found

    def _too_long_already(self) -> Excess | None:
        """What is left over may exceed its limit before its end has come."""
        rest, limits = self._rest, self._limits
        if rest[:1] == b'"':
            if len(rest) - 1 > limits.string and b'"' not in _masked(rest)[1 : limits.string + 2]:
                return Excess("string", limits.string, f"{len(rest) - 1} and more", self._base)
        elif len(rest) > limits.number:
            return Excess("number", limits.number, f"{len(rest)} and more", self._base)
        return None

    # --- one slice ------------------------------------------------------------------------------

    def _slice(self, chunk: bytes, masked: bytes) -> Excess | None:
        """Whole strings and whole numbers only, outside of a string at both ends."""
        limits = self._limits
        strings: list[bytes] | None = None
        text = masked
        if self._apart(masked):
            parts = masked.split(b'"')
            strings, text = parts[1::2], b'"'.join(parts[::2])
        text = text.translate(None, _SPACE)
        if not text:
            return None
        shape = text.translate(None, _NO_SHAPE)
        bare = shape.translate(None, b'"')
        brackets = bare.translate(_AS_LIST, b",:")
        depth = self._depth
        empty = text.count(b"[]") + text.count(b"{}") + ((self._last + text[:1]) in (b"[]", b"{}"))
        opened = brackets.count(b"[")
        items = self._items + bare.count(b",") + opened - empty
        self._depth += 2 * opened - len(brackets)
        deep, self._broken = _emptied(brackets, depth, self._depth, limits.depth)
        pending = text[-1:] in (b"[", b"{")
        if deep or items - pending > limits.items:
            return self._at_structure(masked, depth)
        if _has_long_number(text, limits.number):
            return self._at_number(masked)
        if strings and max(map(len, strings)) > limits.string:
            return self._at_string(masked)
        self._items, self._last = items, text[-1:]
        if limits.duplicate_keys or strings is None:
            return None
        return self._twice(chunk, shape, strings)

    def _apart(self, masked: bytes) -> bool:
        """Whether strings have to be taken apart from the rest, or it is quicker: there are few of them.

        They need not where no keys count, and none of them has a bracket or a comma, is longer than it may
        be, or could be taken for a long number.
        """
        limits = self._limits
        if self._open or len(masked) > limits.string or masked.count(b'"') * _FEW < len(masked):
            return True
        has_keys = b"{" in masked or b"}" in masked or b":" in masked
        if has_keys and not limits.duplicate_keys:
            return True
        if _has_long_number(masked, limits.number):
            return True
        shape = masked.translate(None, _NO_SHAPE)
        return shape.count(b'""') * 2 != shape.count(b'"')

    def _twice(self, chunk: bytes, shape: bytes, strings: list[bytes]) -> Excess | None:
        """`shape` is what stands outside of strings, with a quote for each."""
        shape = shape.translate(None, b"[],").replace(b'":', b"k")
        flags = shape.translate(_IS_KEY, b"{}:")
        keys = _plain_keys(list(compress(strings, flags)), chunk, flags)
        here, outer, proved = self._keys, self._open, self._proved
        position = 0
        *closed, rest = shape.translate(None, b'":').split(b"}")
        again = repeated(closed, keys)
        if again is not None:
            closed[again.pieces] = []
            del keys[again.keys]
        for piece in closed:
            # Keys before and after each brace that opens; the last object of them ends here.
            for number, count in enumerate(counts(piece)):
                if number:
                    outer.append(here)
                    here = keys[position : position + count]
                elif count:
                    here += keys[position : position + count]
                position += count
            # Most objects are as another was.
            if here != proved.get(piece) or len(outer) in self._known:
                if len(set(here)) < len(here) or not self._is_new(here, len(outer)):
                    return self._at_key(chunk, here, keys[position:])
                proved[piece] = here
            here = outer.pop() if outer else []
        for number, count in enumerate(counts(rest)):
            if number:
                outer.append(here)
                here = []
            here += keys[position : position + count]
            position += count
        self._keys = here
        proved.clear()
        for depth, each in enumerate((*outer, here)):
            if each and not self._is_new(each, depth, remember=True):
                return self._at_key(chunk, each, [])
            each.clear()
        return None

    def _is_new(self, keys: list[bytes], depth: int, *, remember: bool = False) -> bool:
        """Whether the object at this depth has none of them twice, those of earlier slices counted."""
        known = self._known.get(depth) if remember else self._known.pop(depth, None)
        if known is None:
            known = set()
        elif not known.isdisjoint(keys):
            self._before = known
            return False
        if remember:
            before = len(known)
            known.update(keys)
            self._known[depth] = known
            return len(known) == before + len(keys)
        return True

    # --- where it is; once, when it is refused ----------------------------------------------------

    def _at_structure(self, masked: bytes, depth: int) -> Excess:
        limits, items, last = self._limits, self._items, self._last
        for token in _TOKEN.finditer(masked):
            word = token.group()
            if word in (b"[", b"{"):
                depth += 1
            if last in (b"[", b"{") and word not in (b"]", b"}"):
                items += 1
            if word == b",":
                items += 1
            elif word in (b"]", b"}"):
                depth -= 1
            last = word
            if depth > limits.depth:
                return Excess("depth", limits.depth, str(depth), self._base + token.start())
            if items > limits.items:
                return Excess("items", limits.items, str(items), self._base + token.start())
        return Excess("items", limits.items, str(items), self._base + len(masked))

    def _at_number(self, masked: bytes) -> Excess:
        limit = self._limits.number
        for token in _TOKEN.finditer(masked):
            if token.group()[:1] not in b'"[]{},' and len(token.group()) > limit:
                return Excess("number", limit, str(len(token.group())), self._base + token.start())
        return Excess("number", limit, f"more than {limit}", self._base)

    def _at_string(self, masked: bytes) -> Excess:
        limit = self._limits.string
        for token in _TOKEN.finditer(masked):
            if token.group()[:1] == b'"' and len(token.group()) - 2 > limit:
                return Excess(
                    "string", limit, str(len(token.group()) - 2), self._base + token.start()
                )
        return Excess("string", limit, f"more than {limit}", self._base)

    def _at_key(self, chunk: bytes, keys: list[bytes], later: list[bytes]) -> Excess:
        """`keys` are those of the object, `later` those after it in the slice."""
        key, times = Counter(keys).most_common(1)[0]
        if times == 1:
            key = next(key for key in keys if key in self._before)
        written = b'"' + key + b'"'
        at = chunk.find(written) if key in later else chunk.rfind(written)
        shown = key[:_TOLD].decode(errors="replace")
        return Excess("duplicate_keys", None, repr(shown), self._base + max(0, at))


def _has_long_number(text: bytes, limit: int) -> bool:
    """Whether so many characters of numbers, and one more, stand side by side."""
    return limit < len(text) and b"0" * (limit + 1) in text.translate(_DIGITS)


def _masked(chunk: bytes) -> bytes:
    """Of the same length, without escaped quotes and escaped backslashes."""
    if b"\\" not in chunk:
        return chunk
    return chunk.replace(b"\\\\", _FILLER).replace(b'\\"', _FILLER)


def _cut(masked: bytes) -> int:
    """Where what is certain ends: before a string that is open, or whose colon may follow, and before a
    number.
    """
    if masked.count(b'"') % 2:
        return masked.rfind(b'"')
    end = len(masked.rstrip(_SPACE))
    if masked[end - 1 : end] == b'"':
        return masked.rfind(b'"', 0, end - 1)
    return len(masked.rstrip(_NUMBER))


def _emptied(brackets: bytes, before: int, after: int, limit: int) -> tuple[bool, bool]:
    """Whether brackets go deeper than the limit, and whether more were closed than open.

    `before` were open already. Those that stay open are closed here, so that each depth is one round.
    """
    rest = b"[" * before + brackets + b"]" * max(0, after)
    for _ in range(limit):
        if not rest:
            return False, False
        fewer = rest.replace(b"[]", b"")
        if len(fewer) == len(rest):
            return False, True
        rest = fewer
    return b"[]" in rest, bool(rest) and b"[]" not in rest


def _plain_keys(keys: list[bytes], chunk: bytes, flags: bytes) -> list[bytes]:
    """As they would be without escapes."""
    if b"\\" not in chunk:
        return keys
    together = b"".join(keys)
    if _FILLER in together:
        keys = list(compress(_STRING.findall(chunk), flags))
    elif b"\\" not in together:
        return keys
    plain = _decoded(keys)
    return plain + keys[len(plain) :]


def _decoded(strings: list[bytes]) -> list[bytes]:
    """As their letters would be in UTF-8, up to the first that is no string: the parser comes no further.

    All at once: to ask the parser for each of them takes longer than the rest of a slice.
    """
    try:
        texts: list[str] = json.loads(b'["%b"]' % b'","'.join(strings))
        return [text.encode("utf-8", "surrogatepass") for text in texts]
    except ValueError:
        if len(strings) == 1:
            return []
    half = len(strings) // 2
    first = _decoded(strings[:half])
    return first if len(first) < half else first + _decoded(strings[half:])
