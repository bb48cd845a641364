"""What a name stands for where it is used: local order, closures, globals, imports, builtins."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from unstall.audit import types_parameters
from unstall.audit.constants import last_of
from unstall.audit.project import BUILTINS
from unstall.audit.scopes import Binding, Position, Scope, imported
from unstall.audit.types_generics import says
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    CONTEXT,
    EXTERNAL,
    FUNCTION,
    INSTANCE,
    MODULE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    guessed,
    instance,
    one,
    union,
    where,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_END: Position = (1 << 30, 0)


def lookup(types: Types, scope: Scope, name: str, at: Position) -> Values:
    """All that a name can be at a position of a scope."""
    found = find(types, scope, name, at)
    if found is None:
        if name in BUILTINS:
            return one(EXTERNAL, f"builtins.{name}")
        return _from_library(types, scope.module, name)
    return held(types, *found, name)


def held(types: Types, owner: Scope, bindings: Sequence[Binding], name: str) -> Values:
    """What a name holds where any of these may have been the last to give it a value."""
    given = [bound(types, owner, name, binding) for binding in bindings]
    if len(given) < 2 or all(given):
        return union(given)
    return opened(types, given, [(owner, each) for each in owner.bindings.get(name, ())])


def opened(
    types: Types, given: Sequence[Values], bindings: Iterable[tuple[Scope, Binding]]
) -> Values:
    """Some of it is not known: so it is what is annotated, or what is known, and neither surely.

    Where nothing but the annotation speaks, that is believed. What is cut off is asked again, and not judged.
    """
    values = union(given)
    stating = [each for each in bindings if each[1].kind == "assign" and each[1].annotation]
    if not values or types.is_cut or any(binding.value is None for _, binding in stating):
        return values
    stated = [
        types.annotation(scope, each.annotation) for scope, each in stating if each.annotation
    ]
    return frozenset(
        each._replace(guess=max(each.guess, 1), exact=False) for each in union((values, *stated))
    )


def find(
    types: Types, scope: Scope, name: str, at: Position
) -> tuple[Scope, Sequence[Binding]] | None:
    """The scope that binds a name for this use, and the bindings that can hold there."""
    while scope.kind == "generator" and scope.outer is not None:
        scope = scope.outer
    current: Scope | None = scope
    while current is not None:
        if current is scope or current.kind != "class":
            types.project.scan(current)
            for start, end, bound_name, binding in reversed(current.spans or ()):
                if bound_name == name and start <= at <= end:
                    return current, (binding,)
            bindings = current.bindings.get(name)
            if bindings:
                here = current is scope and current.kind != "module"
                chosen = _holding(current, bindings, at if here else _END, here)
                if chosen:
                    return current, chosen
        current = current.outer
    root = types.project.roots[scope.module]
    return _starred(types, root, name)


def _starred(
    types: Types, root: Scope, name: str, seen: tuple[str, ...] = ()
) -> tuple[Scope, Sequence[Binding]] | None:
    """A name that `from … import *` brings, maybe through several modules."""
    project = types.project
    for statement in project.indexes[root.module].stars:
        for value in project.import_from(root.module, statement):
            if value.name in seen or value.name == root.module or value.name not in project.roots:
                continue
            other = project.roots[value.name]
            bindings = other.bindings.get(name)
            if bindings:
                return other, _holding(other, bindings, _END, False)
            deeper = _starred(types, other, name, (*seen, root.module))
            if deeper is not None:
                return deeper
    return None


def _from_library(types: Types, module: str, name: str, depth: int = 0) -> Values:
    """A name that only `from library import *` can have brought."""
    for statement in types.project.indexes[module].stars:
        for value in types.project.import_from(module, statement):
            if value.kind == EXTERNAL:
                return one(EXTERNAL, types.project.public(f"{value.name}.{name}"), guess=1)
            if value.name in types.project.roots and value.name != module and depth < 4:
                found = _from_library(types, value.name, name, depth + 1)
                if found:
                    return found
    return NOTHING


def _holding(
    scope: Scope, bindings: Sequence[Binding], at: Position, ordered: bool
) -> Sequence[Binding]:
    """From the last one back to the one that surely ran before."""
    if len(bindings) == 1 and bindings[0].kind != "narrow":
        return (bindings[0],)
    path = scope.path_at(at[0]) if ordered else ()
    chosen: list[Binding] = []
    for binding in sorted(bindings, key=lambda b: b.at, reverse=True):
        surely = path[: len(binding.path)] == binding.path
        if binding.kind == "narrow" and not surely:
            continue
        if ordered and binding.at > at:
            continue
        chosen.append(binding)
        if surely and not (
            binding.kind == "assign" and binding.value is None and binding.annotation is None
        ):
            break
    if not chosen and ordered:  # in a loop, or after a branch that goes round
        chosen = [b for b in bindings if b.kind != "narrow"]
    return chosen


def bound(types: Types, scope: Scope, name: str, binding: Binding) -> Values:
    """What one binding gives the name."""
    key = ("binding", id(binding.node), id(binding.value), name, binding.item)
    return types.once(key, binding, lambda: _bound(types, scope, name, binding))


def _bound(types: Types, scope: Scope, name: str, binding: Binding) -> Values:
    kind, node = binding.kind, binding.node
    if kind == "def":
        return defined(types, scope, scope.children[id(node)])
    if kind == "class":
        return one(CLASS, scope.children[id(node)].id, exact=True)
    if kind in ("import", "from"):
        return _imported(types, scope, binding)
    if kind == "parameter":
        return types_parameters.parameter(types, scope, name, binding)
    if kind == "rest":
        return instance(
            "builtins.dict" if node is types_parameters.rest_keywords(scope) else "builtins.tuple"
        )
    if kind in ("narrow", "except"):
        return _narrowed(types, scope, binding)
    inner = scope.children.get(id(binding.value), scope) if binding.path == (-1,) else scope
    values = filled(types, scope, name, assigned(types, inner, binding))
    return types.seen.of_global(scope.module, name, values) if scope.kind == "module" else values


def filled(types: Types, scope: Scope, name: str, values: Values) -> Values:
    """A container holds what is put into it later, too."""
    put = scope.items.get(name)
    if not put or all(v.kind != INSTANCE or v.name not in _BARE for v in values):
        return values
    held = union(_put(types, where_, node) for where_, node in put[:16])
    return frozenset(_holds(value, held) for value in values)


def _put(types: Types, scope: Scope, node: ast.expr) -> Values:
    """A decorator that registers puts in what stands below it."""
    values = types.values(scope, node)
    return values | union(types.callers.decorated(v.name) for v in values if v.kind == PARAMETER)


def _holds(value: Value, held: Values) -> Value:
    if value.kind != INSTANCE or value.name not in _BARE or value.name == "builtins.tuple":
        return value
    before = where(value.items[-1], lambda each: each.kind != CONSTANT) if value.items else NOTHING
    if value.name != "builtins.dict":
        return value._replace(items=(before | held,))
    return value._replace(items=(value.items[0] if value.items else NOTHING, before | held))


def assigned(types: Types, scope: Scope, binding: Binding) -> Values:
    """Of an assignment, a loop or `with`, in the scope where it stands."""
    value = binding.value
    values = NOTHING
    if scope.kind == "class" and binding.annotation is not None:
        # Of a field the annotation says what it holds; the value only describes it.
        stated = types.annotation(scope, binding.annotation)
        if says(stated) or value is None:
            return stated
    if value is not None:
        values = types.values(scope, value)
        if binding.kind == "for":
            values = types.element(values, binding.is_async)
        elif binding.kind == "with":
            values = types.entered(values, binding.is_async)
        if binding.item:
            values = types.item(values, binding.item)
    if binding.annotation is not None and not where(values, _says_something):
        stated = types.annotation(scope, binding.annotation)
        if stated:
            return values | stated if value is not None and not says(stated) else stated
        if value is not None and types_parameters.depends(types, scope, value):
            return types_parameters.dependency(types, scope, value)
    return values


def _says_something(value: Value) -> bool:
    """An empty list says less than its annotation."""
    if value.kind in (CONSTANT, PARAMETER) or value.name.endswith("()"):
        return False
    return not (value.kind == INSTANCE and value.name in _BARE and not any(value.items))


_BARE = frozenset(
    {"builtins.list", "builtins.dict", "builtins.set", "builtins.tuple", "collections.deque"}
)


def _narrowed(types: Types, scope: Scope, binding: Binding) -> Values:
    node = binding.annotation
    if node is None:
        return NOTHING
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return union(types.annotation(scope, part) for part in parts)


def _imported(types: Types, scope: Scope, binding: Binding) -> Values:
    statement, alias = imported(binding)
    project = types.project
    if isinstance(statement, ast.Import):
        if alias.asname:
            return project.import_module(scope.module, alias.name)
        top = alias.name.partition(".")[0]
        found = project.import_module(scope.module, top)
        if any(value.kind == MODULE for value in project.import_module(scope.module, alias.name)):
            return where(found, lambda value: value.kind == MODULE) or _folder(
                types, scope, alias.name, top
            )
        return found
    base = project.import_from(scope.module, statement)
    return types.member(base, alias.name)


def _folder(types: Types, scope: Scope, name: str, top: str) -> Values:
    """`import a.b.c` where only the whole is found: `a` is the folder that leads there."""
    return types.project.import_module(scope.module, top)


def defined(types: Types, scope: Scope, inner: Scope) -> Values:
    """A function as its decorators leave it."""
    return types.once(("defined", inner.id), inner, lambda: _decorated(types, scope, inner))


def _decorated(types: Types, scope: Scope, inner: Scope) -> Values:
    values = one(FUNCTION, inner.id, exact=True)
    for decorator in reversed(getattr(inner.node, "decorator_list", ())):
        if isinstance(decorator, ast.Name) and decorator.id in _TRANSPARENT:
            continue
        makers = types.values(scope, decorator)
        changed = union(_applied(types, maker, values) for maker in makers)
        if changed:
            values = changed
        elif not makers and last_of(decorator) not in _ACCESSORS:
            values = guessed(values, 1)  # whatever it makes of the function
    return values


_TRANSPARENT = frozenset(
    "property staticmethod classmethod contextmanager asynccontextmanager wraps".split()
)

_ACCESSORS = frozenset({"setter", "getter", "deleter"})


def _applied(types: Types, maker: Value, values: Values) -> Values:
    """What a decorator makes of a function; nothing where it leaves it as it is, or is not known."""
    from unstall.audit import types_calls

    if maker.kind == EXTERNAL:
        return types_calls.wrapped_by_row(types, maker, values)
    if maker.kind == CLASS:
        return types_calls.decorated_by_class(types, maker, values)
    if maker.kind == INSTANCE and ":" in maker.name:
        called = types.member(frozenset((maker,)), "__call__")
        return union(_applied(types, each, values) for each in called if each.kind == FUNCTION)
    if maker.kind != FUNCTION:
        return NOTHING
    result = types_calls.applied(types, maker, values)
    return _fitting(types, where(result, lambda v: v.kind in (FUNCTION, CONTEXT)), values)


def _fitting(types: Types, wrappers: Values, values: Values) -> Values:
    """Of an async and a plain wrapper, the decorator gives the one of the function's own kind."""
    kinds = {types.is_async(value) for value in values}
    if len(kinds) != 1 or {types.is_async(value) for value in wrappers} != {True, False}:
        return wrappers
    return where(wrappers, lambda value: types.is_async(value) in kinds) or wrappers


def stored(types: Types, name: str) -> Values:
    """What anybody assigns to `….state.NAME`."""
    found = [
        types.known(scope, value)
        for scope, base, value in types.project.stores(name)
        if getattr(base, "attr", getattr(base, "id", "")) == "state"
    ]
    return guessed(union(found), 1)


def put_from_outside(types: Types, class_name: str, name: str) -> Values:
    """What is assigned to an attribute of a class's objects by others: `thing.NAME = value`."""
    found = []
    for scope, base, value in types.project.stores(name)[:_MOST_STORES]:
        holders = types.known(scope, base)
        if any(v.kind == INSTANCE and class_name in types.classes.order(v.name) for v in holders):
            found.append(types.known(scope, value))
    return guessed(union(found), 1)


_MOST_STORES = 24
