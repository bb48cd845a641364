"""Which lines belong together in a file: those of a statement, of a function, of its head."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from unstall.audit.source import parse

Read = Callable[[str], str | None]
"""The text of a file by its path relative to the root; None if it cannot be read."""


@dataclass(frozen=True, slots=True)
class Lines:
    first: int
    last: int

    def __contains__(self, line: int) -> bool:
        return self.first <= line <= self.last

    def overlaps(self, other: Lines) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class FunctionLines:
    """Decorators belong to the head, and the head to the whole."""

    head: Lines
    whole: Lines


@dataclass(frozen=True, slots=True)
class Spans:
    """Of one file; empty if it cannot be parsed."""

    functions: tuple[FunctionLines, ...] = ()
    statements: tuple[Lines, ...] = ()
    """Of a compound statement only what stands before its body."""

    def around(self, line: int) -> list[FunctionLines]:
        """The functions that a line lies in, the innermost first."""
        found = [each for each in self.functions if line in each.whole]
        return sorted(found, key=lambda each: each.whole.last - each.whole.first)

    def statement(self, line: int) -> Lines:
        """The lines of the statement that `line` belongs to."""
        found = [each for each in self.statements if line in each]
        return min(found, key=lambda each: each.last - each.first, default=Lines(line, line))


def spans_of(text: str) -> Spans:
    tree = parse(text.encode(errors="replace"))
    if isinstance(tree, str):
        return Spans()
    functions: list[FunctionLines] = []
    statements: list[Lines] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt):
            continue
        head = _head(node)
        statements.append(head)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.append(FunctionLines(head, Lines(head.first, node.end_lineno or node.lineno)))
    return Spans(tuple(functions), tuple(statements))


def spans_by_file(read: Read) -> Callable[[str], Spans]:
    """Each file is read and parsed once."""

    @cache
    def spans(file: str) -> Spans:
        text = read(file)
        return Spans() if text is None else spans_of(text)

    return spans


def _head(node: ast.stmt) -> Lines:
    decorators = [each.lineno for each in getattr(node, "decorator_list", ())]
    first = min([node.lineno, *decorators])
    last = node.end_lineno or node.lineno
    inner = min((each.lineno for each in _bodies(node)), default=None)
    if inner is not None:
        last = max(first, min(last, inner - 1))
    return Lines(first, last)


def _bodies(node: ast.stmt) -> Iterator[ast.stmt | ast.excepthandler | ast.pattern]:
    """What stands below the head."""
    for name in ("body", "handlers"):
        yield from getattr(node, name, ())
    if isinstance(node, ast.Match):
        yield from (case.pattern for case in node.cases)
