"""Local names that keep what they were given once: a parameter, a part of one, or what a call gave."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.constants import is_empty, last_of
from unstall.audit.fields import walk
from unstall.audit.known import is_fixed
from unstall.audit.scopes import Binding, Scope

_DEEPEST = 6


class Kept:
    """Of functions that were scanned; loops are looked for once for each."""

    def __init__(self) -> None:
        self._loops: dict[str, tuple[tuple[int, int], ...]] = {}
        self._read: dict[str, frozenset[int]] = {}
        self._bound: dict[tuple[str, str], tuple[Binding, ...]] = {}

    def only(self, scope: Scope, name: ast.Name) -> Binding | None:
        """The one way in which a function's own name got its value so far; None: not one."""
        bindings = self.all(scope, name)
        if len(bindings) > 1:
            bindings = self._so_far(scope, name, bindings)
        return bindings[0] if len(bindings) == 1 else None

    def all(self, scope: Scope, name: ast.Name) -> tuple[Binding, ...]:
        """All the ways in which a function's own name gets a value; none if one of them cannot be read."""
        key = scope.id, name.id
        known = self._bound.get(key)
        if known is None:
            known = self._bound[key] = _bound(scope, name.id)
        return known

    def _so_far(
        self, scope: Scope, name: ast.Name, bindings: tuple[Binding, ...]
    ) -> tuple[Binding, ...]:
        """`if x is None: x = …`: before that, a parameter is what was passed."""
        first, *others = bindings
        at = (name.lineno, name.col_offset)
        is_before = all(each.at > at for each in others)
        if first.kind != "parameter" or not is_before or self._is_in_loop(scope, name.lineno):
            return bindings
        return (first,)

    def _is_in_loop(self, scope: Scope, line: int) -> bool:
        known = self._loops.get(scope.id)
        if known is None:
            loops = (ast.For, ast.AsyncFor, ast.While)
            known = self._loops[scope.id] = tuple(
                (node.lineno, node.end_lineno or node.lineno)
                for node in walk(scope.node)
                if isinstance(node, loops)
            )
        return any(first <= line <= last for first, last in known)

    def only_read(self, scope: Scope, name: str) -> bool:
        """Nobody puts anything into the dict or list that a function's own name holds, or takes it out."""
        read = self._read.get(scope.id)
        if read is None:
            read = self._read[scope.id] = frozenset(map(id, _read_in(scope.node)))
        return all(
            id(each) in read or isinstance(each.ctx, ast.Store)
            for each in walk(scope.node)
            if isinstance(each, ast.Name) and each.id == name
        )

    def parameter(
        self, scope: Scope, name: ast.Name, depth: int = 0
    ) -> tuple[str, tuple[int, ...]] | None:
        """The parameter that a name is, or is a part of, and which part."""
        binding = self.only(scope, name)
        if binding is None or depth > _DEEPEST:
            return None
        if binding.kind in ("parameter", "rest"):
            return name.id, ()
        if binding.kind != "assign" or not isinstance(binding.value, ast.Name):
            return None
        base = self.parameter(scope, binding.value, depth + 1)
        return (base[0], (*base[1], *binding.item)) if base is not None else None

    def condition(self, scope: Scope, name: ast.Name) -> ast.expr | None:
        """What `isinstance`, `hasattr` or a comparison came to, if that is all a name is ever given."""
        binding = self.only(scope, name)
        if binding is None or binding.kind != "assign" or binding.item:
            return None
        value = binding.value
        inner = value.operand if isinstance(value, ast.UnaryOp) else value
        return value if isinstance(inner, (ast.Call, ast.Compare)) else None

    def or_literals(self, scope: Scope, name: ast.Name) -> tuple[Binding, ...]:
        """All the ways of a parameter that is given nothing but literals besides; none: it is no such one."""
        found = self.all(scope, name)
        given = [each for each in found if each.kind != "parameter"]
        if len(given) == len(found) or not all(map(_is_literal, given)):
            return ()
        stays = all(is_fixed(each.value) for each in given) or self.only_read(scope, name.id)
        return found if stays else ()


def _bound(scope: Scope, name: str) -> tuple[Binding, ...]:
    if scope.kind != "function" or name in scope.changed or name in scope.globals:
        return ()
    found = tuple(each for each in scope.bindings.get(name, ()) if not _only_says(each))
    if any(each.item and _has_star(each.node) for each in found):
        return ()
    return () if found and _is_bound_inside(scope, name) else found


_READ = frozenset({"get", "items", "keys", "values", "copy"})
"""Methods of a dict that leave it as it is."""


def _read_in(function: ast.AST) -> Iterator[ast.expr]:
    """What is passed on as `**name`, asked about, or looked into."""
    for node in walk(function):
        if isinstance(node, ast.keyword) and node.arg is None:
            yield node.value
        elif isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            yield from _asked_in(node.test)
        elif isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)
        elif isinstance(node, (ast.For, ast.comprehension)):
            yield node.iter
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            yield node.value
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if key is None)
        elif isinstance(node, ast.FormattedValue):
            yield node.value
        elif isinstance(node, ast.Call) and last_of(node.func) in _READ:
            yield getattr(node.func, "value", node.func)


def _asked_in(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp):
        for each in test.values:
            yield from _asked_in(each)
    elif isinstance(test, ast.UnaryOp):
        yield from _asked_in(test.operand)
    else:
        yield test


def _is_bound_inside(scope: Scope, name: str) -> bool:
    """In a comprehension, or by `:=` in a generator expression."""
    return any(bound == name for _, _, bound, _ in scope.spans or ()) or any(
        child.kind == "generator" and name in child.bindings for child in scope.children.values()
    )


def _is_literal(binding: Binding) -> bool:
    """One that nobody changes, or an empty one that has no other name."""
    if binding.kind != "assign" or binding.item:
        return False
    match binding.node:
        case ast.Assign(targets=[_], value=value) | ast.AnnAssign(value=ast.expr() as value):
            return is_fixed(value) or is_empty(value)
    return is_fixed(binding.value)


def _only_says(binding: Binding) -> bool:
    """`name: int` without a value, or a branch of `isinstance`."""
    if binding.kind == "narrow":
        return isinstance(binding.node, ast.Call)
    return isinstance(binding.node, ast.AnnAssign) and binding.value is None


def _has_star(node: ast.AST) -> bool:
    """What is unpacked beside `*rest` does not stand where it is counted."""
    targets = getattr(node, "targets", ())
    return any(isinstance(each, ast.Starred) for target in targets for each in walk(target))
