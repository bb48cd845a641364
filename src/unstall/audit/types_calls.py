"""What calls give back."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unstall.audit import types_builtins, types_containers, types_standard
from unstall.audit.functions import argument_for
from unstall.audit.scopes import Scope
from unstall.audit.types_generics import says
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    CONTEXT,
    COROUTINE,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    MANAGER,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    guessed,
    instance,
    key_of,
    one,
    substituted,
    union,
    where,
)
from unstall.catalog.row import Effect

if TYPE_CHECKING:
    from unstall.audit.types import Types

_MANAGERS = frozenset(
    "contextlib.contextmanager contextlib.asynccontextmanager contextlib.closing contextlib.aclosing "
    "contextlib.nullcontext".split()
)
_MOST = 24
"""Returns of one function."""
_CALLABLE = (FUNCTION, EXTERNAL, CLASS, PARAMETER)
_CONTAINERS = frozenset("builtins.dict builtins.list builtins.set collections.deque".split())
_TO_EXECUTORS = frozenset(
    {"asyncio.AbstractEventLoop.run_in_executor", "asyncio.BaseEventLoop.run_in_executor"}
)
_PASSES = frozenset(
    "asyncio.wait_for asyncio.shield asyncio.create_task asyncio.ensure_future asyncio.run "
    "asyncio.TaskGroup.create_task copy.copy copy.deepcopy typing.cast "
    "asyncio.AbstractEventLoop.create_task asyncio.AbstractEventLoop.run_until_complete".split()
)


def called(types: Types, values: Values, scope: Scope | None, call: ast.Call | None) -> Values:
    """What calling any of the values gives. Without a call: nothing is known of the arguments."""
    return union(
        guessed(_called(types, value, scope, call), value.guess) for value in types.expanded(values)
    )


def _called(types: Types, value: Value, scope: Scope | None, call: ast.Call | None) -> Values:
    if value.kind == FUNCTION:
        return _of_function(types, value, scope, call)
    if value.kind == MANAGER:
        made = _of_function(types, value._replace(kind=FUNCTION), scope, call)
        items = union(v.items[0] if v.items else NOTHING for v in made if v.kind == GENERATOR)
        return one(CONTEXT, value.name, items)
    if value.kind == CLASS:
        return frozenset((_object(value, _to_constructor(types, value, scope, call)),))
    if value.kind == EXTERNAL:
        return _of_external(types, value, scope, call)
    if value.kind == INSTANCE:
        if ":" in value.name:
            return called(types, types.member(frozenset((value,)), "__call__"), scope, call)
        made = types_containers.provided(frozenset((value,)))
        if value not in made:
            return made
        for each in types.project.external_mro(value.name):
            given = types.table.returns(f"{each}.__call__")
            if given:
                return union(instance(g, *value.items) for g in given)
        return NOTHING
    if value.kind == "type":
        return value.items[0]
    return NOTHING


def _object(class_: Value, given: dict[str, Values]) -> Value:
    """A new object; functions that its constructor was passed stay with it."""
    functions = {
        key: values for key, values in given.items() if any(v.kind == FUNCTION for v in values)
    }
    return Value(
        INSTANCE,
        class_.name,
        owner=class_.owner,
        exact=class_.exact and class_.owner != "self",
        closure=tuple(sorted(functions.items(), key=lambda pair: pair[0])),
    )


def _to_constructor(
    types: Types, class_: Value, scope: Scope | None, call: ast.Call | None
) -> dict[str, Values]:
    target = types.classes.constructor(class_.name)
    if target is None or scope is None or call is None:
        return {}
    return _given(types, class_._replace(owner=class_.name, closure=()), target, scope, call)


def decorated_by_class(types: Types, class_: Value, values: Values) -> Values:
    """`@Class`: an object that is called in place of the function."""
    target = types.classes.constructor(class_.name)
    if target is None or types.classes.find(class_.name, "__call__") is None:
        return NOTHING
    names = types.shape(target).parameters[1:2]
    return frozenset((_object(class_, {key_of(target.id, name): values for name in names}),))


def _of_function(types: Types, value: Value, scope: Scope | None, call: ast.Call | None) -> Values:
    target = types.project.scope(value.name)
    if target is None or target.kind == "class":
        return NOTHING
    result = returns(types, target) or _wrapped(types, value)
    if ":" in value.owner:
        result = substituted(result, types.generics.of_class(value.owner))
    given = _given(types, value, target, scope, call)
    result = substituted(result, given)
    receiver = value.owner if value.owner != "self" else ""
    inside = f"{target.id}.<locals>."
    closure = tuple(
        (key, values) for key, values in given.items() if any(v.kind in _CALLABLE for v in values)
    )
    finished: set[Value] = set()
    for each in result:
        finished.add(_finished(each, value, receiver, inside, closure))
    values = frozenset(finished)
    shape = types.shape(target)
    if shape.is_context:
        return one(CONTEXT, value.name, values)
    if shape.is_generator:
        return one(GENERATOR, value.name, values)
    if shape.is_async:
        return one(COROUTINE, value.name, values)
    return one(COROUTINE, value.name, values) if value.place else values


def _wrapped(types: Types, value: Value) -> Values:
    """A wrapper that says nothing itself gives what the function gives that it is around."""
    inner = union(where(values, lambda each: each.kind == FUNCTION) for _, values in value.closure)
    return types.awaited(called(types, inner, None, None)) if inner else NOTHING


def _finished(
    each: Value, value: Value, receiver: str, inside: str, closure: tuple[tuple[str, Values], ...]
) -> Value:
    if each.owner == "self" and receiver and each.kind in (INSTANCE, CLASS):
        return each._replace(name=receiver, owner="", exact=value.exact)
    if each.owner == "self" and each.kind == INSTANCE and not each.name:
        return each._replace(name=value.name.rpartition(".")[0])
    if each.kind == FUNCTION and each.name.startswith(inside):
        merged = {**dict(value.closure), **dict(each.closure), **dict(closure)}
        return each._replace(closure=tuple(sorted(merged.items(), key=lambda pair: pair[0])))
    return each


def _given(
    types: Types, value: Value, target: Scope, scope: Scope | None, call: ast.Call | None
) -> dict[str, Values]:
    """Arguments by the key of the parameter that they are for."""
    found = dict(value.closure)
    if call is None or scope is None:
        return found
    shape = types.shape(target)
    skip = 1 if value.owner and not shape.is_static else 0
    for name in (*shape.parameters[skip:], *shape.keywords):
        node = argument_for(call, shape, name, skip)
        if node is not None:
            passed = types.values(scope, node)
            if passed:
                found[key_of(target.id, name)] = passed
    return found


def returns(types: Types, target: Scope) -> Values:
    """What the body gives: returned, or yielded by a generator. Parameters stay parameters."""
    return types.once(("returns", target.id), target, lambda: _returns(types, target))


def _returns(types: Types, target: Scope) -> Values:
    node = target.node
    if isinstance(node, ast.Lambda):
        return types.values(target, node.body)
    shape = types.shape(target)
    stated = getattr(node, "returns", None)
    lazy = shape.is_generator
    variables = NOTHING
    if stated is not None:
        values = types.annotation(target.outer or target, stated)
        if lazy or shape.is_context:
            values = union(v.items[0] if v.items else NOTHING for v in values)
        if says(values):
            return _exact(types, target, values, lazy)
        variables = values
    found = union(_given_back(types, target, lazy))
    return (found if lazy else where(found, lambda value: value.kind != CONSTANT)) or variables


def _given_back(types: Types, target: Scope, lazy: bool) -> list[Values]:
    """What it returns, or yields."""
    if not lazy:
        return [
            types.values(target, r.value) for r in target.returns[:_MOST] if r.value is not None
        ]
    events = types.project.scan(target).events
    yields = [e.node.value for e in events if e.kind == "yield" and isinstance(e.node, ast.Yield)]
    return [types.values(target, each) for each in yields[:_MOST] if each is not None]


def _exact(types: Types, target: Scope, stated: Values, lazy: bool) -> Values:
    """An annotated base is narrowed to what the body makes, where all of it is known: classes, contexts."""
    if not any(
        v.kind == CONTEXT or (v.kind == INSTANCE and types.classes.is_open(v.name))
        for v in types.expanded(stated)
    ):
        return stated
    given = _given_back(types, target, lazy)
    found = where(union(given), lambda value: value.kind != CONSTANT)
    is_made = all(v.kind == CONTEXT or (v.kind == INSTANCE and v.exact) for v in found)
    if found and is_made and _is_whole(given):
        inner = union(v.items[0] for v in stated if v.kind == CONTEXT and v.items)
        return frozenset(v._replace(items=(inner,)) if inner and _is_vague(v) else v for v in found)
    return stated


def tells_all(types: Types, function: str) -> bool:
    """All that it returns, or yields, is known."""
    target = types.project.scope(function)
    if target is None or target.kind != "function":
        return False
    return _is_whole(_given_back(types, target, types.shape(target).is_generator))


def _is_whole(given: Sequence[Values]) -> bool:
    return all(given) and len(given) < _MOST


def _is_vague(value: Value) -> bool:
    """A context manager of which is not surely known what `with` gives."""
    return value.kind == CONTEXT and not any(
        each.guess == 0 for values in value.items for each in values
    )


# Others' functions


def _of_external(types: Types, value: Value, scope: Scope | None, call: ast.Call | None) -> Values:
    module, _, name = value.name.rpartition(".")
    if module == "builtins":
        return types_builtins.of_builtin(types, name, scope, call)
    if module in _CONTAINERS and value.items:
        return types_builtins.of_container(module, name, value.items)
    if call is not None and scope is not None:
        found = types_standard.of_standard(types, value.name, scope, call)
        found = found or types_containers.made(types, value, scope, call)
        if found:
            return found
    if value.name in _PASSES and call is not None and scope is not None and call.args:
        return types.values(scope, call.args[-1 if value.name == "typing.cast" else 0])
    if value.name in _MANAGERS and call is not None and scope is not None and call.args:
        given = types.values(scope, call.args[0])
        if value.name.endswith("contextmanager"):
            return frozenset(v._replace(kind=MANAGER) for v in given if v.kind == FUNCTION)
        return one(CONTEXT, value.name, given)
    if name in ("enter_context", "enter_async_context") and call is not None and scope is not None:
        inner = types.values(scope, call.args[0]) if call.args else NOTHING
        return types.entered(inner, is_async=name != "enter_context")
    if value.name == "asyncio.gather" and call is not None and scope is not None:
        return one(COROUTINE, value.name, _gathered(types, scope, call))
    if name == "result" and value.items and module.endswith("Future"):
        return value.items[0]
    row = types.table.row_for(value.name)
    if row is not None and row.effect is Effect.OFFLOADS and call is not None and scope is not None:
        return _of_offloader(types, value, scope, call)
    unpacked = types.table.unpacks(value.name)
    if unpacked:
        return instance("builtins.tuple", *(instance(each) for each in unpacked))
    for each in (value.name, *_inherited(types, value, name)):
        known = types.table.returns(each)
        if known:
            return union(_instance(each_known, value) for each_known in known)
    class_ = module.rpartition(".")[2]
    if class_[:1].isupper() and (name.startswith("from_") or name in _OTHER_CONSTRUCTORS):
        return instance(module, guess=1)
    if module.partition(".")[0] in _STANDARD_TOPS or value.name.count("()") > 1:
        return NOTHING
    return instance(f"{value.name}()", guess=1)


_OTHER_CONSTRUCTORS = frozenset({"create", "connect"})
_STANDARD_TOPS = frozenset(
    "builtins asyncio typing os sys re json logging types functools itertools".split()
)


def _instance(name: str, value: Value) -> Values:
    items = value.items if name in value.name or name.startswith("builtins.") else ()
    return frozenset((Value(INSTANCE, name, items, value.guess, exact=name == value.name),))


def _inherited(types: Types, value: Value, name: str) -> list[str]:
    return (
        [f"{each}.{name}" for each in types.project.external_mro(value.owner)]
        if value.owner
        else []
    )


def _gathered(types: Types, scope: Scope, call: ast.Call) -> Values:
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        inner = union(
            types.element(types.known(scope, a.value))
            for a in call.args
            if isinstance(a, ast.Starred)
        )
        return instance("builtins.list", types.awaited(inner))
    return instance("builtins.tuple", *(types.awaited(types.values(scope, a)) for a in call.args))


def offloaded(
    types: Types, value: Value, scope: Scope, call: ast.Call
) -> tuple[ast.expr, str, bool] | None:
    """Of a call that runs one of its arguments elsewhere: the argument, the place, and whether only later."""
    row = types.table.row_for(value.name)
    if row is None or not row.place:
        return None
    node: ast.expr | None = None
    if isinstance(row.argument, int) and row.argument < len(call.args):
        node = call.args[row.argument]
    elif isinstance(row.argument, str):
        node = next((k.value for k in call.keywords if k.arg == row.argument), None)
    if node is None:
        names = ("target", "func", "function", "fn", "call", "callback")
        node = next((k.value for k in call.keywords if k.arg in names), None)
    if node is None:
        return None
    if row.name not in _TO_EXECUTORS or not call.args:
        return node, row.place, row.wraps
    return node, _where_it_submits(types, scope, call.args[0]) or row.place, row.wraps


def _where_it_submits(types: Types, scope: Scope, executor: ast.expr) -> str:
    """Where an executor runs what it is given, by its own `submit`; empty: it is not known."""
    submits = types.member(types.known(scope, executor), "submit")
    rows = [types.table.row_for(each.name) for each in submits if each.kind == EXTERNAL]
    places = {row.place if row is not None else "" for row in rows}
    return next(iter(places)) if len(places) == 1 and len(rows) == len(submits) else ""


def _of_offloader(types: Types, value: Value, scope: Scope, call: ast.Call) -> Values:
    moved = offloaded(types, value, scope, call)
    known = types.table.returns(value.name)
    if moved is None:
        return union(instance(each) for each in known)
    node, place, wraps = moved
    functions = types.values(scope, node)
    if wraps:
        return frozenset(each._replace(place=place) for each in functions if each.kind in _CALLABLE)
    result = types.awaited(types.called(functions, None, None))
    if known and not all(each.startswith("asyncio.") for each in known):
        return union(instance(each, result) for each in known)
    return one(COROUTINE, value.name, result)


def wrapped_by_row(types: Types, maker: Value, values: Values) -> Values:
    """A decorator that the catalog knows: calls of what it decorates run elsewhere."""
    row = types.table.row_for(maker.name)
    if row is None or not row.wraps or not row.place:
        return NOTHING
    return frozenset(each._replace(place=row.place) for each in values)


def applied(types: Types, maker: Value, values: Values) -> Values:
    """What a first-party decorator gives for a function: its first parameter is that function."""
    target = types.project.scope(maker.name)
    if target is None or target.kind == "class":
        return NOTHING
    shape = types.shape(target)
    skip = 1 if maker.owner and not shape.is_static else 0
    names = shape.parameters[skip : skip + 1]
    closure = dict(maker.closure)
    if names:
        closure[key_of(target.id, names[0])] = values
    wrapper = maker._replace(closure=tuple(sorted(closure.items(), key=lambda pair: pair[0])))
    return _called(types, wrapper, None, None)
