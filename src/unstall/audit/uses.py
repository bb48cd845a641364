"""What becomes of what a call gives: who is handed it, and where it leaves the function."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from unstall.audit import types_names
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types import Types


class Use(NamedTuple):
    """Where it gets to somebody else."""

    scope: Scope
    into: ast.AST
    """The call that has it as an argument; else what it leaves by: a `return`, an attribute, a container."""
    given: ast.AST
    """What stands there: it, its keyword, or a container that holds it."""
    is_inside: bool
    attribute: str
    """Only this of it is used, and not called where it stands; empty: it itself."""


class _Held(NamedTuple):
    """An expression that is what the call gives, an attribute of it, or a container that holds it."""

    node: ast.AST
    is_inside: bool
    attribute: str
    names: frozenset[str]
    """By `:=` in there."""
    bound: frozenset[int]
    """By identity, what these names are bound to."""


def handed_on(types: Types, scope: Scope, made: ast.expr | ast.arg) -> Iterator[Use]:
    """Uses of what a call gives, or of a parameter, other than those where it stands: its methods, a loop
    over it, a test of it.
    """
    tree = _tree(scope)
    waiting: list[ast.AST] = [made]
    if isinstance(made, ast.arg):
        waiting = [*tree.uses(types, frozenset({made.arg}), frozenset({id(made)}))]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        held = _held(tree, node)
        parent, where = tree.around.get(id(held.node), (scope.node, scope))
        names = held.names
        use = Use(where, parent, held.node, held.is_inside, held.attribute)
        if held.attribute:
            yield use
            continue
        if isinstance(parent, _BINDS):
            targets = _targets(parent)
            own = {each.id for each in targets if isinstance(each, ast.Name)}
            names |= own
            if held.is_inside or len(targets) > len(own) or where.kind != "function":
                yield use
        elif not _stays(parent, held):
            yield use
        if names & where.globals:
            yield use
        waiting += tree.uses(types, names, held.bound | {id(held.node)})


def _stays(parent: ast.AST, held: _Held) -> bool:
    """Nobody else has a part in it."""
    if isinstance(parent, ast.Call):
        return parent.func is held.node
    return isinstance(parent, _TESTS if held.is_inside else _STAYS)


class _Tree:
    """What stands around each expression of a function, with the scope of each."""

    def __init__(self, scope: Scope) -> None:
        self.around: dict[int, tuple[ast.AST, Scope]] = {}
        self._names: dict[str, list[tuple[ast.Name, Scope]]] = defaultdict(list)
        waiting: list[tuple[ast.AST, Scope]] = [(scope.node, scope)]
        while waiting:
            node, where = waiting.pop()
            where = where.children.get(id(node), where)
            for child in ast.iter_child_nodes(node):
                self.around[id(child)] = node, where
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
                    self._names[child.id].append((child, where))
                waiting.append((child, where))

    def uses(
        self, types: Types, names: frozenset[str], values: frozenset[int]
    ) -> Iterator[ast.Name]:
        """Where one of the names can be one of these values, or parameters."""
        for name, where in (use for each in names for use in self._names.get(each, ())):
            found = types_names.find(types, where, name.id, (name.lineno, name.col_offset))
            if found is not None and any(
                _gives(each, values) for each in self._bindings(name, *found)
            ):
                yield name

    def _bindings(self, use: ast.Name, owner: Scope, found: Sequence[Binding]) -> Iterator[Binding]:
        """Those that were found; of one that a test narrows, and in a loop, others as well."""
        yield from found
        every = owner.bindings.get(use.id, ())
        if found and found[0] in every:  # it is not the target of a comprehension
            is_narrow = any(each.kind == "narrow" for each in found)
            yield from (each for each in every if is_narrow or self._comes_round(use, each))

    def _comes_round(self, use: ast.Name, binding: Binding) -> bool:
        """A loop around both: what is bound in one round is used in the next."""
        return not self._loops(use).isdisjoint(self._loops(binding.value or binding.node))

    def _loops(self, node: ast.AST) -> set[int]:
        found: set[int] = set()
        while id(node) in self.around:
            node = self.around[id(node)][0]
            if isinstance(node, ast.For | ast.AsyncFor | ast.While):
                found.add(id(node))
        return found


@lru_cache(maxsize=1)
def _tree(scope: Scope) -> _Tree:
    """One module may open a thousand files."""
    return _Tree(scope)


def _gives(binding: Binding, values: frozenset[int]) -> bool:
    return id(binding.value) in values or id(binding.node) in values


def _held(tree: _Tree, node: ast.AST) -> _Held:
    """The largest expression around that still is, or holds, the same; and its names in there."""
    names: set[str] = set()
    bound: set[int] = set()
    is_inside, attribute = False, ""
    while True:
        parent = tree.around[id(node)][0] if id(node) in tree.around else None
        match parent:
            case ast.NamedExpr(target=ast.Name(id=name)):
                names.add(name)
                bound.add(id(node))
            case ast.IfExp(test=test) if test is not node:
                pass
            case ast.BoolOp() | ast.Await() | ast.keyword():
                pass
            case ast.List() | ast.Tuple() | ast.Set() | ast.Dict() | ast.Starred():
                is_inside = True
            case ast.Attribute(attr=name) if not attribute and not _is_used_at_once(tree, parent):
                attribute = name
            case _:
                return _Held(node, is_inside, attribute, frozenset(names), frozenset(bound))
        assert parent is not None
        node = parent


def _is_used_at_once(tree: _Tree, node: ast.Attribute) -> bool:
    around = tree.around[id(node)][0]
    return isinstance(around, _STAYS) or (isinstance(around, ast.Call) and around.func is node)


_BINDS = (ast.Assign, ast.AnnAssign, ast.withitem)


def _targets(node: ast.Assign | ast.AnnAssign | ast.withitem) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    target = node.target if isinstance(node, ast.AnnAssign) else node.optional_vars
    return [target] if target is not None else []


_TESTS = (
    ast.Compare,
    ast.UnaryOp,
    ast.FormattedValue,
    ast.Expr,
    ast.If,
    ast.IfExp,
    ast.While,
    ast.Assert,
)
"""What stands around a use that nobody else has a part in, of a container as well."""
_STAYS = (
    *_TESTS,
    ast.For,
    ast.AsyncFor,
    ast.comprehension,
    ast.Attribute,
    ast.Subscript,
    ast.BinOp,
    ast.Match,
)
"""The same of the thing itself."""
