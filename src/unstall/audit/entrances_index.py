"""One walk over the trees: definitions, calls by name, decorators, and what names are bound to."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unstall.audit.fields import LEAVES, children
from unstall.audit.ir import Module

Callable = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Definition = Callable | ast.ClassDef
DEFINITIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda})


class Where(NamedTuple):
    """Where an expression stands."""

    module: str
    scope: str = ""
    """Id of the enclosing function or class; empty at module level."""


@dataclass(frozen=True, slots=True, eq=False)
class Def:
    """A function or lambda."""

    id: str
    node: Callable
    where: Where
    """Where it is defined."""
    in_class: bool = False

    @property
    def inside(self) -> Where:
        return Where(self.where.module, self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Class:
    id: str
    node: ast.ClassDef
    where: Where

    @property
    def inside(self) -> Where:
        return Where(self.where.module, self.id)


class Use(NamedTuple):
    """A call, and where it stands."""

    call: ast.Call
    where: Where
    in_main: bool = False
    """Under `if __name__ == "__main__"`."""

    @property
    def order(self) -> tuple[str, int, int]:
        return self.where.module, self.call.lineno, self.call.col_offset


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """What a name is bound to: the value itself, or what is taken out of it."""

    value: ast.expr
    line: int
    element: bool = False
    """It is an element of the value: a loop, a comprehension."""
    position: int | None = None
    """Of a tuple that is unpacked."""
    certain: bool = True
    """It runs whenever its scope does."""
    inside: tuple[int, int] | None = None
    """First and last line of the loop or comprehension whose variable it is."""


@dataclass(slots=True)
class Index:
    modules: Mapping[str, Module]
    functions: dict[str, Def] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    calls: defaultdict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    """By the last name of what is called."""
    decorated: dict[int, Def | Class] = field(default_factory=dict)
    """By the id of the decorator's node."""
    decorators: list[tuple[ast.expr, Def | Class]] = field(default_factory=list)
    lambdas: dict[int, Def] = field(default_factory=dict)
    """By the id of their node."""
    applied: dict[int, ast.Call] = field(default_factory=dict)
    """Calls of what a call returned, by the id of the inner one: `router.post("/x")(f)`."""
    in_main: list[Use] = field(default_factory=list)
    at_import: list[Use] = field(default_factory=list)
    """Calls at module level."""
    imports: set[str] = field(default_factory=set)
    """Top-level packages that are imported anywhere."""
    kept: dict[str, list[ast.AST]] = field(default_factory=dict)
    """By module: nodes that rules ask for, in the order of the source."""
    _uses: dict[tuple[str, ...], tuple[Use, ...]] = field(default_factory=dict)
    _added: defaultdict[Where, list[Use]] | None = None
    _bindings: dict[str, dict[str, list[Binding]]] = field(default_factory=dict)

    def uses(self, *names: str) -> tuple[Use, ...]:
        """Calls of these names, tests left out, in the order of the source."""
        known = self._uses.get(names)
        if known is None:
            found = [
                use
                for name in names
                for use in self.calls.get(name, ())
                if not self.is_test(use.where)
            ]
            known = self._uses[names] = tuple(sorted(found, key=lambda use: use.order))
        return known

    def added(self, where: Where) -> Sequence[Use]:
        """Calls in this scope that put something into a list."""
        if self._added is None:
            self._added = defaultdict(list)
            for use in self.uses("append", "extend", "insert"):
                if use.call.args and isinstance(use.call.func, ast.Attribute):
                    self._added[use.where].append(use)
        return self._added.get(where, ())

    def is_test(self, where: Where) -> bool:
        return self.modules[where.module].is_test

    def child(self, where: Where, name: str) -> str:
        """Id of what is defined in this scope under the name."""
        if not where.scope:
            return f"{where.module}:{name}"
        return (
            f"{where.scope}.{name}"
            if where.scope in self.classes
            else f"{where.scope}.<locals>.{name}"
        )

    def outer(self, where: Where) -> Where:
        """The scope around a function or class."""
        known = self.functions.get(where.scope) or self.classes.get(where.scope)
        return known.where if known else Where(where.module)

    def class_of(self, where: Where) -> Class | None:
        """The class whose method this is, or the method around it."""
        while where.scope:
            known = self.functions.get(where.scope)
            if known is None:
                return self.classes.get(where.scope)
            where = known.where
        return None

    def bindings(self, where: Where) -> Mapping[str, list[Binding]]:
        """What names are bound to in this scope itself."""
        key = where.scope or where.module + ":"
        found = self._bindings.get(key)
        if found is None:
            found = self._bindings[key] = _bindings(self._body(where))
        return found

    def _body(self, where: Where) -> Iterable[ast.AST]:
        if not where.scope:
            return self.modules[where.module].tree.body
        known = self.functions.get(where.scope) or self.classes.get(where.scope)
        if known is None:
            return ()
        return body_of(known.node)

    def nodes_of(self, function: str) -> Iterator[ast.AST]:
        """The nodes of a function itself; none of what is no function of ours."""
        known = self.functions.get(function)
        for node, _ in own_nodes(body_of(known.node)) if known is not None else ():
            yield node


def body_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda) -> list[Any]:
    """Statements, or the expression of a lambda."""
    return node.body if isinstance(node.body, list) else [node.body]


_CONDITIONS = frozenset({ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match})


def own_nodes(body: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, bool]]:
    """The nodes of a scope without those of functions and classes in it; and whether each surely runs."""
    stack = [(node, True) for node in reversed(list(body))]
    while stack:
        node, certain = stack.pop()
        yield node, certain
        kind = node.__class__
        if kind not in DEFINITIONS and kind not in LEAVES:
            certain = certain and kind not in _CONDITIONS
            stack += [(child, certain) for child in reversed(children(node))]


def _bindings(body: Iterable[ast.AST]) -> dict[str, list[Binding]]:
    found: defaultdict[str, list[Binding]] = defaultdict(list)

    def bind(target: ast.expr, value: ast.expr, certain: bool, **taken: object) -> None:
        if isinstance(target, ast.Name):
            found[target.id].append(Binding(value, value.lineno, certain=certain, **taken))  # type: ignore[arg-type]
        elif isinstance(target, ast.Tuple | ast.List):
            for position, part in enumerate(target.elts):
                bind(part, value, certain, **{**taken, "position": position})

    for node, certain in own_nodes(body):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                bind(target, node.value, certain)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            bind(node.target, node.value, certain)
        elif isinstance(node, ast.AugAssign):
            bind(node.target, node.value, False)
        elif isinstance(node, ast.For | ast.AsyncFor):
            lines = node.lineno, node.end_lineno or node.lineno
            bind(node.target, node.iter, False, element=True, inside=lines)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            lines = node.lineno, node.end_lineno or node.lineno
            for generator in node.generators:
                bind(generator.target, generator.iter, False, element=True, inside=lines)
        elif type(node).__name__ == "TypeAlias":  # from Python 3.12 on
            bind(node.name, node.value, certain)  # type: ignore[attr-defined]
    return dict(found)
