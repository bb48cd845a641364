"""What a JSON text exceeds, told by the parser and a plain walk over its tokens."""

from __future__ import annotations

import json
import re
from typing import Any

from unstall.guard.json_scan import JsonLimits

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)


def exceeded(text: bytes, limits: JsonLimits) -> set[str]:
    """What a valid text exceeds, told by the parser and a plain walk over its tokens."""
    found: set[str] = set()
    depth = items = 0
    last = b""
    for token in TOKEN.findall(text):
        if token[:1] == b'"' and len(token) - 2 > limits.string:
            found.add("string")
        if token[:1] in b"0123456789-" and len(token) > limits.number:
            found.add("number")
        if last in (b"[", b"{") and token not in (b"]", b"}"):
            items += 1
        items += token == b","
        depth += (token in (b"[", b"{")) - (token in (b"]", b"}"))
        last = token
        if depth > limits.depth:
            found.add("depth")
    if items > limits.items:
        found.add("items")
    json.loads(text, object_pairs_hook=lambda pairs: found.update(_twice(pairs)))
    return found


def _twice(pairs: list[tuple[str, Any]]) -> set[str]:
    names = [name for name, _ in pairs]
    return {"duplicate_keys"} if len(set(names)) < len(names) else set()
