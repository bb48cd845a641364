"""What names, attributes and parameters hold, and where that comes from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from unstall.audit import types_names
from unstall.audit.fields import dotted
from unstall.audit.functions import argument_for
from unstall.audit.many_filled import filled
from unstall.audit.many_names import REQUESTS
from unstall.audit.many_origins import brought, dependency_of, injected, is_collection
from unstall.audit.many_trail import ANY, Call, Part, Trail
from unstall.audit.scopes import Binding, Position, Scope, imported
from unstall.audit.types_callers import Mention
from unstall.audit.types_classes import Member
from unstall.audit.values import CLASS, FUNCTION, INSTANCE, MODULE, Value

if TYPE_CHECKING:
    from unstall.audit.many import Many

_MOST_CLASSES = 24


def name(many: Many, scope: Scope, node: ast.Name, trail: Trail) -> str:
    return named(many, scope, node.id, (node.lineno, node.col_offset), trail)


def named(many: Many, scope: Scope, name_: str, at: Position, trail: Trail) -> str:
    """What a name holds where it is used, and what is put into it anywhere."""
    found = types_names.find(many.types, scope, name_, at)
    if found is None:
        return ""
    owner, bindings = found
    if any(each.kind == "narrow" for each in bindings):  # it says what kind, not how many
        bindings = owner.bindings[name_]
    return _first(bound(many, owner, name_, each, trail) for each in bindings) or filled(
        many, owner, name_, trail
    )


def bound(many: Many, owner: Scope, name_: str, binding: Binding, trail: Trail) -> str:
    match binding.kind:
        case "parameter":
            return parameter(many, owner, name_, binding, trail)
        case "rest":
            return _rest(many, owner, trail)
        case "from":
            statement, alias = imported(binding)
            if not isinstance(statement, ast.ImportFrom) or not trail.enters(binding.node):
                return ""  # modules that import a name from each other
            modules = many.types.project.import_from(owner.module, statement)
            return _of_modules(many, modules, alias.name, trail)
        case "assign" | "with" | "for" if binding.value is not None:
            inner = owner
            if binding.path == (-1,):  # a function's `global`
                inner = owner.children.get(id(binding.value), owner)
            parts = _parts(binding)
            return many.ask(inner, binding.value, trail.into(*parts) if parts else trail)
    return ""


def _parts(binding: Binding) -> tuple[Part, ...]:
    """Of what is unpacked or gone over: which part; `*rest` is as long as the whole."""
    item = binding.item[:-1] if binding.item[-1:] == (-1,) else binding.item
    return ((ANY,) if binding.kind == "for" else ()) + item


def _of_modules(many: Many, modules: Iterable[Value], name_: str, trail: Trail) -> str:
    roots = many.types.project.roots
    found = (each.name for each in modules if each.kind == MODULE and each.name in roots)
    at = (1 << 30, 0)
    return _first(named(many, roots[module], name_, at, trail) for module in found)


# Attributes


def attribute(many: Many, scope: Scope, node: ast.Attribute, trail: Trail) -> str:
    types = many.types
    base = types.known(scope, node.value)
    of_classes = (_of_class(many, scope, node, each, trail) for each in base)
    return (
        _of_modules(many, base, node.attr, trail)
        or _first(of_classes)
        or _filled_here(many, scope, node, trail)
        or _of_whole(many, scope, node, trail)
    )


def _of_whole(many: Many, scope: Scope, node: ast.Attribute, trail: Trail) -> str:
    """What a request brings is as long as it likes in each of its parts."""
    if trail.inside or is_collection(many.types.known(scope, node)):
        return many.ask(scope, node.value, trail.into(node.attr))
    return ""


def _filled_here(many: Many, scope: Scope, node: ast.Attribute, trail: Trail) -> str:
    """`order.names.append(n)`"""
    text = dotted(node)
    first, _, rest = text.partition(".")
    owner = scope.class_of_method()
    if owner is not None and first in ("self", "cls"):
        return filled(many, owner, rest, trail)
    found = types_names.find(many.types, scope, first, (node.lineno, node.col_offset))
    return filled(many, found[0], text, trail) if text and found is not None else ""


def _of_class(many: Many, scope: Scope, node: ast.Attribute, value: Value, trail: Trail) -> str:
    """What methods assign to it, in the order of the class and in classes below that it may be of."""
    if value.kind not in (INSTANCE, CLASS) or ":" not in value.name:
        return ""
    classes = many.types.classes
    found = classes.find(value.name, node.attr)
    nearest = found.owner.id if isinstance(found, Member) else ""
    below = () if value.exact else classes.subclasses(value.name)
    for each in (*classes.order(value.name), *below)[:_MOST_CLASSES]:
        member, class_ = classes.own(each, node.attr), classes.scope(each)
        held = list(member.assigned) if member is not None else []
        if member is not None and (each == nearest or each in below):
            held += [(member.owner, binding) for binding in member.bindings]
        for where, binding in held:
            if said := _member(many, scope, node, where, binding, trail):
                return said
        if class_ is not None and (said := filled(many, class_, node.attr, trail)):
            return said
    return ""


def _member(
    many: Many, scope: Scope, node: ast.Attribute, where: Scope, binding: Binding, trail: Trail
) -> str:
    if binding.kind != "def":
        return bound(many, where, node.attr, binding, trail)
    function = where.children[id(binding.node)]
    if not many.types.shape(function).is_property:
        return ""
    call = Call(function, scope, many.made(node, node, ()), node.value, True)
    return many.given_by(call, trail)


# Parameters


def parameter(many: Many, owner: Scope, name_: str, binding: Binding, trail: Trail) -> str:
    call = trail.call_of(owner)
    if call is not None:
        return _passed(many, call, name_, trail.before(call))
    annotation = binding.annotation
    if owner.id in many.answering and brought(many.types, owner, name_, annotation, trail.held):
        return REQUESTS
    if said := _injected(many, owner, name_, binding, trail):
        return said
    shape = many.types.shape(owner)
    is_receiver = not shape.is_static and shape.parameters[:1] == (name_,)
    for mention in many.calls_of(owner):
        node = many.types.callers.argument(mention, owner, name_)
        if is_receiver:
            place, call_ = mention.argument, mention.call
            method = call_.func if place < 0 else call_.args[place]
            node = method.value if isinstance(method, ast.Attribute) else None
        if node is not None and (said := many.ask(mention.scope, node, trail)):
            return said
    return ""


def _injected(many: Many, owner: Scope, name_: str, binding: Binding, trail: Trail) -> str:
    """What the functions give that it depends on."""
    types = many.types
    functions = dict.fromkeys(
        function
        for where, call in injected(types, owner, name_, binding.annotation)
        if (asked := dependency_of(call)) is not None
        for value in types.values(where, asked)
        for function in functions_of(value)
    )
    targets = [each for each in map(types.project.scope, functions) if each is not None]
    outside = replace(trail, calls=())
    return _first(many.given(each, outside) for each in targets)


def _passed(many: Many, call: Call, name_: str, trail: Trail) -> str:
    shape = many.types.shape(call.function)
    if call.has_receiver and shape.parameters[:1] == (name_,):
        return many.ask(call.scope, call.receiver or call.node, trail)
    node = argument_for(call.node, shape, name_, int(call.has_receiver))
    return many.ask(call.scope, node, trail) if node is not None else ""


def _rest(many: Many, owner: Scope, trail: Trail) -> str:
    """`*names`: as many as a call unpacks."""
    call = trail.call_of(owner)
    if call is not None:
        return many.any(call.scope, _unpacked(call.node), trail.before(call))
    calls = many.calls_of(owner)
    return _first(many.any(each.scope, _unpacked(each.call), trail) for each in calls)


def _unpacked(call: ast.Call) -> list[ast.expr]:
    starred = [each.value for each in call.args if isinstance(each, ast.Starred)]
    return starred + [each.value for each in call.keywords if each.arg is None]


def calls_on_loops(many: Many, owner: Scope) -> Iterator[Mention]:
    """Calls of a function that run on a loop; an async one runs there wherever it is handed."""
    types = many.types
    is_async = types.shape(owner).is_async
    for mention in (*types.callers.mentions(owner), *_of_constructor(many, owner)):
        if mention.scope.id not in many.on_loops:
            continue
        if (mention.argument < 0 or is_async) and types.callers.is_call_of(mention, owner):
            yield mention


def _of_constructor(many: Many, owner: Scope) -> Iterator[Mention]:
    """`Sub(…)` runs the `__init__` that it inherits, and `super().__init__(…)` that of a base."""
    class_, types = owner.outer, many.types
    if class_ is None or class_.kind != "class" or getattr(owner.node, "name", "") != "__init__":
        return
    below = types.classes.subclasses(class_.id)
    for each in below:
        scope = types.classes.scope(each)
        if scope is not None and types.classes.constructor(each) is owner:
            yield from types.callers.calling(getattr(scope.node, "name", ""))
    for mention in types.callers.calling("__init__") if below else ():
        around = mention.scope.class_of_method()
        if around is not None and around.id in below:
            yield mention


def made_with(many: Many, class_: Value, scope: Scope, node: ast.Call, trail: Trail) -> str:
    """What was passed for an attribute where an object is made: by its own `__init__`, else by its fields."""
    part, classes = trail.held[0], many.types.classes
    if not isinstance(part, str):
        return ""
    constructor = classes.constructor(class_.name)
    if constructor is not None:
        inner = trail.out().following(Call(constructor, scope, node, None, True))
        owner = constructor.outer
        assigned = owner.attributes.get(part, ()) if owner is not None else ()
        return _first(
            bound(many, where, part, each, inner)
            for where, each in assigned
            if where is constructor
        )
    fields = _fields(many, class_.name)
    passed = {each.arg: each.value for each in node.keywords}
    passed |= dict(zip(fields, node.args, strict=False))
    if part in passed:
        return many.ask(scope, passed[part], trail.out())
    return many.any(scope, _unpacked(node), trail)


def _fields(many: Many, class_: str) -> list[str]:
    """Those of its bases first, as dataclasses have them."""
    scopes = map(many.types.classes.scope, reversed(many.types.classes.order(class_)))
    found = [
        name_
        for scope in scopes
        if scope is not None
        for name_, bindings in scope.bindings.items()
        if any(each.annotation is not None for each in bindings)
    ]
    return list(dict.fromkeys(found))


def functions_of(value: Value) -> Iterator[str]:
    """A function, and those that a decorator has put it around."""
    if value.kind == FUNCTION:
        yield value.name
        for _, values in value.closure:
            for each in values:
                yield from functions_of(each)


def _first(said: Iterable[str]) -> str:
    return next(filter(None, said), "")
