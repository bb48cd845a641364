"""Source in syntax that is newer than this Python, as older syntax, line for line.

What 3.12 to 3.14 brought: type parameters and aliases, f-strings that hold any expression, templates, and
`except` without parentheses. Columns may move; names and calls do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_EXCEPT = re.compile(
    r"^([ \t]*except\*?[ \t]+)([\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)[ \t]*:", re.MULTILINE
)
HEAD = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+(\w+)(?=\[)", re.MULTILINE)
"""What has type parameters."""
_ALIAS = re.compile(r"^([ \t]*)type[ \t]+(\w+)(?=[ \t]*[\[=])", re.MULTILINE)
_TEMPLATE = re.compile(r"(?<![\w'\"])[tT](r?['\"])")
_STRING = re.compile(r"(?<![\w])([A-Za-z]{0,2})('''|\"\"\"|'|\")")
_BRACKET = re.compile(r"[(){}\[\]]")
_LONGEST = 2_000
"""Characters of a list of type parameters. In a broken file each would be looked for to the end."""
_CLOSES = {"(": ")", "[": "]", "{": "}"}


def rewrites(text: str) -> Iterator[str]:
    """Each step further than the one before it; the last one is the oldest syntax."""
    for step in _STEPS:
        changed = step(text)
        if changed != text:
            text = changed
            yield text


def _excepts(text: str) -> str:
    return _EXCEPT.sub(r"\1(\2):", text)


def _parameters(text: str) -> str:
    """Without `[T: …]` behind the names of functions and classes; a line that it took is continued."""
    return _without_brackets(text, HEAD)


def _aliases(text: str) -> str:
    return _ALIAS.sub(r"\1\2", _without_brackets(text, _ALIAS))


def _templates(text: str) -> str:
    return _TEMPLATE.sub(r"f\1", text)


def _without_brackets(text: str, before: re.Pattern[str]) -> str:
    parts, done = [], 0
    for found in before.finditer(text):
        start = found.end()
        if start < done or text[start : start + 1] != "[":
            continue
        end = closed(text, start)
        if end is None:
            continue
        parts += [text[done:start], text[start:end].count("\n") * "\\\n"]
        done = end
    return "".join((*parts, text[done:]))


def closed(text: str, start: int) -> int | None:
    """Behind the bracket that closes the one at `start`, if it does so soon."""
    depth = 0
    for bracket in _BRACKET.finditer(text, start, start + _LONGEST):
        depth += 1 if bracket[0] in "([{" else -1
        if not depth:
            return bracket.end()
    return None


# --- f-strings ------------------------------------------------------------------------------


def _formatted(text: str) -> str:
    """Those that reuse their quotes, or hold backslashes, comments or line ends, in triple quotes."""
    parts, done, at = [], 0, 0
    while at < len(text):
        if text[at] == "#":
            at = _line_end(text, at)
            continue
        found = _STRING.match(text, at)
        if found is None:
            at += 1
            continue
        prefix, quote = found[1].lower(), found[2]
        if "f" not in prefix:
            at = _plain_end(text, found.end(), quote)
            continue
        end, body = _f_string(text, found.end(), quote)
        if body is not None:
            parts += [text[done : found.start()], found[1], body]
            done = end
        at = end
    return "".join((*parts, text[done:]))


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _plain_end(text: str, at: int, quote: str) -> int:
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(quote, at):
            return at + len(quote)
        else:
            at += 1
    return len(text)


def _f_string(text: str, at: int, quote: str) -> tuple[int, str | None]:
    """Where it ends, and what it becomes with its quotes; None if it may stay."""
    parts: list[str] = []
    odd = False
    while at < len(text):
        if text.startswith(quote, at):
            body = "".join(parts)
            return at + len(quote), _quoted(body) if odd else None
        if text[at] == "\\" and text[at + 1 : at + 2] not in ("{", ""):
            escape = text[at : text.find("}", at) + 1] if text.startswith("\\N{", at) else ""
            parts.append(escape or text[at : at + 2])
            at += len(parts[-1])
        elif text[at : at + 2] in ("{{", "}}"):
            parts.append(text[at : at + 2])
            at += 2
        elif text[at] == "{":
            end, field, strange = _field(text, at, quote)
            parts.append(field)
            odd = odd or strange
            at = end
        else:
            parts.append(text[at])
            at += 1
    return len(text), None


def _quoted(body: str) -> str | None:
    for quote in ('"""', "'''"):
        if quote not in body and not body.endswith(quote[0]):
            return f"{quote}{body}{quote}"
    return None


def _field(text: str, start: int, outer: str) -> tuple[int, str, bool]:
    """One `{…}`: where it ends, what it becomes, and whether 3.11 could not read it."""
    parts, at, depth, odd = [], start, 0, False
    while at < len(text):
        char = text[at]
        found = _STRING.match(text, at)
        if found is not None and depth:
            end = _plain_end(text, found.end(), found[2])
            inside = text[at:end]
            odd = odd or found[2][0] == outer[0] or "\\" in inside
            parts.append(inside.replace("\\", "_"))
            at = end
        elif char == "#" and depth:
            odd, at = True, _line_end(text, at)
        else:
            odd = odd or (char == "\n" and len(outer) == 1)
            depth += (char in _CLOSES) - (char in ")]}")
            parts.append(char)
            at += 1
            if not depth:
                break
    return at, "".join(parts), odd


_STEPS: tuple[Callable[[str], str], ...] = (
    _excepts,
    _parameters,
    _aliases,
    _templates,
    _formatted,
)
