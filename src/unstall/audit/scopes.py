"""What each scope of a module binds, statement by statement: one pass, no expression is entered."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Position = tuple[int, int]
NOWHERE: Position = (0, -1)
AFTER_ALL: Position = (1 << 30, 0)
"""Where a function assigns a global: some time after the module has run."""


class Binding(NamedTuple):
    """One way in which a name gets a value."""

    kind: str
    """assign, annotation, item (of an unpacking), for, with, import, from, star, def, class, parameter,
    narrow, except, other"""
    node: ast.AST
    value: ast.expr | None
    annotation: ast.expr | None
    item: tuple[int, ...]
    """Of an unpacked item: where it stands in what is unpacked."""
    at: Position
    """From here on the name has the value."""
    path: tuple[int, ...]
    """The blocks around it: it surely ran before a use whose path begins with these."""
    is_async: bool = False


class Scope:
    """A module, class, function or lambda, and what it binds."""

    __slots__ = (
        "attributes",
        "bindings",
        "blocks",
        "changed",
        "children",
        "globals",
        "id",
        "items",
        "kind",
        "module",
        "node",
        "outer",
        "returns",
        "spans",
    )

    def __init__(
        self, id_: str, kind: str, module: str, node: ast.AST, outer: Scope | None
    ) -> None:
        self.id = id_
        self.kind = kind
        self.module = module
        self.node = node
        self.outer = outer
        self.bindings: dict[str, list[Binding]] = {}
        self.children: dict[int, Scope] = {}
        """By the identity of the defining node."""
        self.attributes: dict[str, list[tuple[Scope, Binding]]] = {}
        """Of a class: what its methods assign to `self`."""
        self.items: dict[str, list[tuple[Scope, ast.expr]]] = {}
        """What is put into a container that a name holds, or an attribute of `self`."""
        self.globals: set[str] = set()
        self.changed: frozenset[str] = frozenset()
        """Names that `x += y`, or a function inside, gives another value without binding them here."""
        self.blocks: list[tuple[int, int, tuple[int, ...]]] = []
        self.returns: list[ast.Return] = []
        self.spans: list[tuple[Position, Position, str, Binding]] | None = None
        """Names of comprehensions: they are seen only between two positions. None: not looked for yet."""

    def path_at(self, line: int) -> tuple[int, ...]:
        """The innermost block around a line."""
        best: tuple[int, ...] = ()
        for first, last, path in self.blocks:
            if first <= line <= last and len(path) > len(best):
                best = path
        return best

    def keeps(self, name: str) -> bool:
        """A parameter that is never anything else than what was passed."""
        kinds = [binding.kind for binding in self.bindings.get(name, ())]
        return kinds == ["parameter"] and name not in self.changed

    def class_of_method(self) -> Scope | None:
        """The class whose `self` this function sees; through local functions and lambdas."""
        scope: Scope | None = self
        while scope is not None and scope.kind in ("function", "lambda", "generator"):
            if scope.outer is not None and scope.outer.kind == "class":
                return scope.outer
            scope = scope.outer
        return None


class ImportedName(ast.AST):
    """One imported name together with its statement."""

    def __init__(self, statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        super().__init__()
        self.statement = statement
        self.alias = alias


def imported(binding: Binding) -> tuple[ast.Import | ast.ImportFrom, ast.alias]:
    """The statement and the alias of an import's binding."""
    assert isinstance(binding.node, ImportedName)
    return binding.node.statement, binding.node.alias


_CLOSED = frozenset(
    {
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
        ast.AugAssign,
        ast.Expr,
        ast.Return,
        ast.Raise,
        ast.Import,
        ast.ImportFrom,
        ast.Pass,
        ast.Assert,
        ast.Delete,
    }
)
"""Statements without a block, or with one of their own."""


def statements_of(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a function, without those of functions and classes in it."""
    return statements_in(getattr(node, "body", ()))


def statements_in(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a body and of the blocks in it; expressions are not looked into."""
    waiting = list(body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if type(statement) in _CLOSED:
            continue
        for field in ("body", "orelse", "finalbody"):
            waiting += getattr(statement, field, ())
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            waiting += part.body
