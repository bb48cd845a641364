"""What attributes, elements and `with` give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unstall.audit import types_names
from unstall.audit.functions import Shape
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types_classes import Member
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    COROUTINE,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    MANY,
    MODULE,
    NOTHING,
    PARAMETER,
    SUPER,
    Value,
    Values,
    guessed,
    instance,
    one,
    substituted,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_SEQUENCES = frozenset({"builtins.list", "builtins.set", "builtins.frozenset", "collections.deque"})


def member(types: Types, values: Values, name: str) -> Values:
    """`values.name`; what is passed for parameters is looked into."""
    return union(_member(types, value, name) for value in types.expanded(values))


def _member(types: Types, value: Value, name: str) -> Values:
    key = ("member", value, name)
    return types.once(key, None, lambda: guessed(_of_kind(types, value, name), value.guess))


def _of_kind(types: Types, value: Value, name: str) -> Values:
    if value.kind == MODULE:
        return of_module(types, value.name, name)
    if value.kind == EXTERNAL:
        return _of_external(types, value, name)
    if value.kind == INSTANCE:
        return of_instance(types, value, name)
    if value.kind == CLASS:
        return of_class(types, value, name)
    if value.kind == SUPER:
        return types.above(value.name, name)
    if value.kind == FUNCTION:
        return _of_function(types, value, name)
    if value.kind in (COROUTINE, GENERATOR):
        return one(EXTERNAL, f"types.{value.kind.capitalize()}Type.{name}")
    return NOTHING


def _of_function(types: Types, value: Value, name: str) -> Values:
    """A decorator may make an object of a function that is called as before: a task of a queue."""
    scope = types.project.scope(value.name)
    if scope is None or scope.outer is None:
        return NOTHING
    classes: list[str] = []
    for decorator in getattr(scope.node, "decorator_list", ()):
        for each in types.known(scope.outer, decorator):
            if each.kind == INSTANCE and ":" not in each.name:
                classes.append(each.name)
            elif each.kind == EXTERNAL:
                classes += types.table.returns(each.name)
    known = [each for each in classes if types.classes.has(each, name)]
    return union(of_foreign(types, Value(INSTANCE, each), name) for each in known[:1])


def of_module(types: Types, module: str, name: str) -> Values:
    """A member of a first-party module or folder."""
    root = types.project.roots.get(module)
    if root is not None:
        found = types_names.find(types, root, name, (1 << 30, 0))
        if found is not None:
            values = union(
                types_names.bound(types, found[0], name, binding) for binding in found[1]
            )
            # `from . import name` in a package means the module below it.
            return values or types.project.submodule(module, name)
        if "__getattr__" in root.bindings:
            return types.project.submodule(module, name)
    return types.project.submodule(module, name)


def _of_external(types: Types, value: Value, name: str) -> Values:
    full = types.project.public(f"{value.name}.{name}")
    given = types.table.attribute(full)
    if given:
        return union(instance(each) for each in given)
    return frozenset((Value(EXTERNAL, full, guess=value.guess),))


def of_instance(types: Types, value: Value, name: str) -> Values:
    """A member of an object, overrides in subclasses included unless its class is known exactly."""
    if ":" not in value.name:
        return of_foreign(types, value, name)
    found = types.classes.find(value.name, name)
    own = _found(types, value, found, name)
    if value.exact:
        return own
    below = _overrides(types, value, found, name)
    if not below:
        return own
    if isinstance(found, Member) and (
        _is_abstract(types, found) or _is_never_kept(types, value.name, found, name)
    ):
        return below
    return own | below


def _is_never_kept(types: Types, class_: str, found: Member, name: str) -> bool:
    """Every class below, of which there can be objects, defines it anew."""
    concrete = types.classes.concrete(class_)
    if class_ in concrete:
        return False
    kept = (types.classes.find(each, name) for each in concrete)
    return not any(isinstance(each, Member) and each.owner is found.owner for each in kept)


def _found(types: Types, value: Value, found: Member | str | None, name: str) -> Values:
    if isinstance(found, Member):
        return of_member(types, value, found, name)
    if found is not None:
        return of_foreign(types, value._replace(name=found), name)
    getter = types.classes.find(value.name, "__getattr__")
    foreign = [each for each in types.classes.foreign(value.name) if each not in PLAIN_BASES]
    if foreign and getter is None:
        return of_foreign(types, value._replace(name=foreign[0]), name)
    return types.seen.of_member(value.name, name)


PLAIN_BASES = frozenset(
    "builtins.object typing.Generic typing.Protocol typing_extensions.Protocol abc.ABC builtins.Exception "
    "typing.NamedTuple typing.TypedDict".split()
)


def _overrides(types: Types, value: Value, found: Member | str | None, name: str) -> Values:
    """The member as subclasses define it; of a protocol as its implementers do."""
    candidates = list(types.classes.subclasses(value.name))
    is_protocol = types.classes.is_protocol(value.name)
    if is_protocol:
        candidates += types.classes.implementers(value.name)
    classes = types.classes
    members = [(each, classes.anew(value.name, each, name)) for each in dict.fromkeys(candidates)]
    having = [(each, m) for each, m in members if m is not None]
    if found is not None and not isinstance(found, Member):
        having = [(each, m) for each, m in having if m.bindings]
    guess = max(value.guess, 1 if len({m.owner for _, m in having}) <= MANY else 2)
    if (
        len(having) == 1
        and isinstance(found, Member)
        and _is_abstract(types, found)
        and (not _is_hook(types, found) or _is_never_kept(types, value.name, found, name))
        and not is_protocol
    ):
        guess = value.guess
    results = [
        of_member(types, value._replace(name=each), m, name)
        for each, m in having
        if not _is_abstract(types, m)
    ]
    return guessed(union(results), guess)


def _is_abstract(types: Types, found: Member) -> bool:
    if found.assigned or not found.bindings:
        return False
    shapes = _shapes(types, found)
    return bool(shapes) and all(each.is_abstract for each in shapes)


def _is_hook(types: Types, found: Member) -> bool:
    """Classes below may leave it as it is."""
    return any(each.is_hook for each in _shapes(types, found))


def _shapes(types: Types, found: Member) -> list[Shape]:
    children = found.owner.children
    return [types.shape(children[id(b.node)]) for b in found.bindings if b.kind == "def"]


def of_member(types: Types, value: Value, found: Member, name: str) -> Values:
    results: list[Values] = []
    for binding in _last(found):
        bound = types_names.bound(types, found.owner, name, binding)
        results += [_through(types, value, found.owner, each) for each in bound]
    for scope, binding in found.assigned:
        values = types_names.assigned(types, scope, binding)
        results.append(types_names.filled(types, found.owner, name, values))
    known = [
        each for values in results for each in values if each.kind not in (CONSTANT, PARAMETER)
    ]
    is_default = not found.assigned and all(b.kind == "assign" for b in _last(found))
    if not known or is_default:
        results.append(types_names.put_from_outside(types, found.owner.id, name))
    # An attribute is what is assigned to it rather than the None it begins with.
    own = union(
        frozenset(each for each in values if each.kind != CONSTANT or len(results) == 1)
        for values in results
    )
    return substituted(own, types.generics.given(value))


def _last(found: Member) -> tuple[Binding, ...]:
    """Of a name that is defined again, the last; all of those under conditions."""
    chosen = []
    for binding in reversed(found.bindings):
        chosen.append(binding)
        if not binding.path and binding.kind in ("def", "class", "assign"):
            break
    if len(chosen) == 1 and chosen[0].kind == "def" and len(found.bindings) > 1:
        # @x.setter after @property: reading calls the first one
        first = found.bindings[0]
        decorators = getattr(chosen[0].node, "decorator_list", ())
        if any(
            getattr(each, "attr", "") in ("setter", "deleter", "expression", "getter")
            for each in decorators
        ):
            return (first,)
    return tuple(chosen)


def _through(types: Types, receiver: Value, owner: Scope, value: Value) -> Values:
    """What a class's attribute is when it is read through an object: bound, or what a property gives."""
    if value.kind == FUNCTION:
        scope = types.project.scope(value.name)
        if scope is None or scope.kind != "function":
            return frozenset((value,))
        bound = value._replace(owner=receiver.name, exact=receiver.exact)
        if receiver.closure or receiver.items:
            # A method sees what its object holds, as a local function sees what is around it.
            held = types.generics.held(receiver)
            merged = {**dict(receiver.closure), **held, **dict(value.closure)}
            bound = bound._replace(closure=tuple(sorted(merged.items(), key=lambda pair: pair[0])))
        if receiver.owner == "self":
            bound = bound._replace(owner="self")
        if scope.outer is owner and types.shape(scope).is_property:
            return (
                types.awaited(
                    types.called(frozenset((bound._replace(owner=receiver.name),)), None, None)
                )
                if (not types.shape(scope).is_async)
                else types.called(frozenset((bound,)), None, None)
            )
        return frozenset((bound,))
    return frozenset((value,))


def of_foreign(types: Types, value: Value, name: str) -> Values:
    """A member of somebody else's class, under the name of the base that facts are known of."""
    order = types.project.external_mro(value.name)
    for each in order:
        given = types.table.attribute(f"{each}.{name}")
        if given:
            if value.items and given == (f"{each}",):
                return frozenset((value,))
            return union(instance(g) for g in given)
    owner = next((each for each in order if types.classes.has(each, name)), None)
    guess = value.guess
    if owner is None:
        # What import saw it inherit from; it may define the member anew, which nobody has read.
        above = types.seen.bases.get(value.name, ())
        owner = next((each for each in above if types.classes.has(each, name)), None)
        guess = max(guess, 1) if owner is not None else guess
    full = f"{owner or order[0]}.{name}"
    return frozenset((Value(EXTERNAL, full, value.items, guess, value.name),))


def of_class(types: Types, value: Value, name: str) -> Values:
    """A member of a class itself."""
    found = types.classes.find(value.name, name)
    if found is None:
        foreign = [each for each in types.classes.foreign(value.name) if each not in PLAIN_BASES]
        return _of_external(types, Value(EXTERNAL, foreign[0]), name) if foreign else NOTHING
    if not isinstance(found, Member):
        return _of_external(types, Value(EXTERNAL, found), name)
    results: list[Values] = []
    is_enum = any(each.startswith("enum.") for each in types.classes.order(value.name))
    for binding in _last(found):
        if is_enum and binding.kind == "assign":
            results.append(instance(value.name, exact=True))
            continue
        bound = types_names.bound(types, found.owner, name, binding)
        results.append(frozenset(_with_class(types, value, each) for each in bound))
    for scope, binding in found.assigned:
        results.append(types_names.assigned(types, scope, binding))
    values = union(results)
    if value.owner == "self" and not value.exact:
        values |= union(
            of_class(types, Value(CLASS, each), name)
            for each in types.classes.subclasses(value.name)
            if types.classes.anew(value.name, each, name) is not None
        )
    return values


def _with_class(types: Types, class_: Value, value: Value) -> Value:
    """A class method is bound to the class that it is read from."""
    scope = types.project.scope(value.name) if value.kind == FUNCTION else None
    if scope is None or scope.kind != "function" or not types.shape(scope).is_class:
        return value
    return value._replace(owner=class_.owner or class_.name, exact=class_.exact)
