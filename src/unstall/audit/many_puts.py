"""What is put into containers, with the loops around it: `append`, `d[k] = v`, `+=`, `heappush`."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from unstall.audit.fields import LEAVES, children, dotted
from unstall.audit.many_names import HOLDS, PUTS, PUTS_ALL, PUTS_IN_FIRST
from unstall.audit.many_trail import ANY, Part, part_of
from unstall.audit.scopes import Scope
from unstall.audit.scopes_index import Index

_Over = tuple[ast.AST, ...]
_PUTTING = frozenset({ast.Call, ast.AugAssign, ast.Assign})
_LATER = frozenset({ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef})
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LOOPS = frozenset({ast.For, ast.AsyncFor, ast.While, *_COMPREHENSIONS})


class Put(NamedTuple):
    scope: Scope
    values: tuple[ast.expr, ...]
    """What is put in."""
    whole: bool
    """Of the values it is what they hold."""
    part: Part
    """The key or index under which."""
    depth: int
    """Below what the name holds: 1 for `groups[key].append(x)`."""
    over: _Over
    """The loops around it, outermost first."""


class Puts:
    """Of one module: by the scope and the dotted name of the container; of `self` by its class."""

    def __init__(self, index: Index) -> None:
        self._found: dict[tuple[str, str], list[Put]] = defaultdict(list)
        for scope in (index.root, *index.scopes.values()):
            if scope.kind not in ("lambda", "generator"):  # they are part of what is around them
                for container, values, whole, part, over in _puts(scope.node):
                    self._add(scope, container, Put(scope, values, whole, part, 0, over))

    def of(self, owner: Scope, name: str) -> list[Put]:
        return self._found.get((owner.id, name), [])

    def _add(self, scope: Scope, container: ast.expr, put: Put) -> None:
        root, depth = _root(container)
        first, _, rest = dotted(root).partition(".")
        class_ = scope.class_of_method()
        if rest and class_ is not None and first in ("self", "cls"):
            self._found[class_.id, rest].append(put._replace(depth=depth))
        elif first:
            name = f"{first}.{rest}" if rest else first
            self._found[_owner(scope, first).id, name].append(put._replace(depth=depth))


def of_first(call: ast.AST, names: frozenset[str]) -> ast.expr | None:
    """The first argument of `heapq.heappop(waiting)`."""
    if isinstance(call, ast.Call) and call.args:
        written = getattr(call.func, "attr", getattr(call.func, "id", ""))
        return call.args[0] if written in names else None
    return None


def _owner(scope: Scope, name: str) -> Scope:
    """The scope around that a name belongs to; its own where nobody says."""
    current: Scope | None = scope
    while current is not None:
        is_seen = current is scope or current.kind != "class"
        if is_seen and name in current.bindings and name not in current.globals:
            return current
        current = current.outer
    return scope


def _root(node: ast.expr) -> tuple[ast.expr, int]:
    """What a chain begins with: `groups` of `groups.setdefault(key, [])` and of `groups[key]`."""
    depth = 0
    while not dotted(node):
        match node:
            case ast.Subscript() | ast.Attribute():
                node = node.value
            case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in HOLDS:
                node = value
            case _:
                break
        depth += 1
    return node, depth


_Found = tuple[ast.expr, tuple[ast.expr, ...], bool, Part]


def _puts(function: ast.AST) -> Iterator[tuple[*_Found, _Over]]:
    """Container, values, whether they are put in whole, under which key, loops."""
    body = getattr(function, "body", ())
    waiting: list[tuple[ast.AST, _Over]] = [(each, ()) for each in body]
    while waiting:
        node, over = waiting.pop()
        kind = node.__class__
        if kind in _LATER:
            continue
        if kind in _PUTTING:
            for found in _put(node):
                yield *found, over
        if kind in _LOOPS:
            waiting += _inside(node, over)
        else:
            waiting += [(child, over) for child in children(node, LEAVES)]


def _inside(node: ast.AST, over: _Over) -> Iterator[tuple[ast.AST, _Over]]:
    """What it consists of, each with its loops."""
    looped: list[ast.AST] = []
    inner = over
    if isinstance(node, ast.For | ast.AsyncFor):
        looped, inner = [*node.body], (*over, node.iter)
    elif isinstance(node, ast.While):
        looped, inner = [*node.body], (*over, node)
    elif isinstance(node, _COMPREHENSIONS):
        for part in node.generators:
            yield part.iter, inner
            inner = (*inner, part.iter)
            looped += part.ifs
        looped += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    yield from ((each, inner) for each in looped)
    known = {id(each) for each in looped}
    for child in children(node, LEAVES):
        if id(child) not in known and not isinstance(child, ast.comprehension):
            yield child, over


def _put(node: ast.AST) -> Iterator[_Found]:
    match node:
        case ast.Call(func=ast.Attribute(attr=attr, value=value), args=[*_, last]) if attr in PUTS:
            yield value, (last,), False, ANY
        case ast.Call(func=ast.Attribute(attr=attr, value=value)) if attr in PUTS_ALL:
            yield value, tuple(node.args), True, ANY
        case ast.Call(args=[first, last, *_]) if of_first(node, PUTS_IN_FIRST) is not None:
            yield first, (last,), False, ANY
        case ast.AugAssign(op=ast.Add() | ast.BitOr(), target=changed, value=value):
            yield changed, (value,), True, ANY
        case ast.Assign(value=value):
            for target in node.targets:
                single = (value,) if isinstance(target, ast.Subscript) else ()
                for each in ast.walk(target):
                    if isinstance(each, ast.Subscript) and isinstance(each.ctx, ast.Store):
                        is_slice = isinstance(each.slice, ast.Slice)
                        yield each.value, single, is_slice, part_of(each.slice)
