"""Which functions what runs may call although no call of them was followed: by where their names stand.

A name that nobody writes is called by nobody, unless a framework knows the function in another way: by its
decorator, or by a class of others that its class inherits from.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from unstall.audit.mentioned_given import given_to_others
from unstall.audit.mentioned_made import Made
from unstall.audit.mentioned_read import AT_IMPORT, LOADERS, Mention, Said, Wanted, said
from unstall.audit.mentioned_reflected import ANY, asked_in, is_kept, is_open, owners_in
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.types_classes import Member
from unstall.audit.values import FUNCTION, Value, ordered

_INERT_DECORATORS = frozenset(
    "staticmethod classmethod abstractmethod override overload final property cached_property setter getter "
    "deleter wraps contextmanager asynccontextmanager cache lru_cache no_type_check deprecated retry "
    "on_exception on_predicate".split()
)
"""They call nothing by themselves and tell nobody of what stands below them."""
_INERT_ON_CLASSES = frozenset(
    "dataclass final total_ordering runtime_checkable unique deprecated define frozen mutable attrs".split()
)
_INERT_BASES = frozenset(
    "builtins.object typing.Generic typing.Protocol typing_extensions.Protocol abc.ABC typing.NamedTuple "
    "typing.TypedDict typing_extensions.TypedDict enum.Enum enum.StrEnum enum.IntEnum builtins.Exception "
    "builtins.ValueError builtins.RuntimeError builtins.str builtins.dict builtins.list "
    "pydantic.BaseModel pydantic.main.BaseModel pydantic_settings.BaseSettings "
    "pydantic_settings.main.BaseSettings sqlmodel.SQLModel sqlmodel.main.SQLModel "
    "sqlalchemy.orm.DeclarativeBase".split()
)
"""Classes of others that call no method of ours, but those with two underscores."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Functions that nobody was seen to call; those that the language calls have no name here."""

    by_name: Mapping[str, list[Scope]]
    by_owner: Mapping[str, list[Scope]]
    """By the id of a class, or by the module."""
    owners: Mapping[str, list[str]]
    """By the last name of a class: ids of classes whose methods its objects have."""

    def wanted(self) -> Wanted:
        classes = self.owners.keys()
        return Wanted(self.by_name.keys(), classes, classes | LOADERS)


def mentioned(types: Types, reached: Set[str], aside: Set[str]) -> frozenset[str]:
    """`reached`, what others than the project call, and what these or the modules mention, on and on.

    A method also needs somebody who names its class, or one below it; those `aside` do so for themselves.
    """
    alive: set[str] = {AT_IMPORT, *reached}
    functions: list[Scope] = []
    special: list[Scope] = []
    hidden: dict[str, list[Scope]] = defaultdict(list)
    known_to_others = _known_to_others(types)
    for scope in types.project.own_scopes():
        if scope.kind == "function" and scope.id not in alive:
            if not _others_call(known_to_others, scope):
                (special if _is_special(scope) else functions).append(scope)
            elif scope.outer is not None and _is_hidden(types, scope):
                functions.append(scope)
                hidden[_name(scope.outer)].append(scope)
            else:
                alive.add(scope.id)
    waiting_for = _waiting_for(types, functions, special)
    by_function = said(types, waiting_for.wanted())
    classes = Made(types, waiting_for.owners, known_to_others)
    alive.update(each.id for each in special if classes.admits(each))
    made: set[str] = set()
    is_blind = False
    waiting = sorted(alive)
    while waiting:
        id_ = waiting.pop()
        own = by_function.get(id_)
        if own is None:
            continue
        found = [each for each in _called(types, own, waiting_for, alive) if classes.admits(each)]
        found += _handed_over(types, own, waiting_for)
        if id_ not in aside:
            found += classes.admitted(own)
            found += (each for name in own.named for each in hidden.get(name, ()))
        new = own.made - made
        if not is_blind and any(_is_blind(types, own, each) for each in own.reflects):
            is_blind, new = True, new | made
        made |= own.made
        if is_blind:
            found += (each for name in sorted(new) for each in _methods_of(waiting_for, name))
        for scope in found:
            if scope.id not in alive:
                alive.add(scope.id)
                waiting.append(scope.id)
    return frozenset(alive)


def _waiting_for(types: Types, functions: Sequence[Scope], special: Sequence[Scope]) -> _Waiting:
    by_name: dict[str, list[Scope]] = defaultdict(list)
    by_owner: dict[str, list[Scope]] = defaultdict(list)
    for scope in functions:
        by_name[_name(scope)].append(scope)
    for scope in (*functions, *special):
        by_owner[_owner(scope)].append(scope)
    owners: dict[str, list[str]] = defaultdict(list)
    for id_ in by_owner:
        below = types.classes.subclasses(id_) if ":" in id_ else ()
        for class_ in filter(None, map(types.classes.scope, (id_, *below))):
            owners[_name(class_)].append(id_)
    return _Waiting(by_name, by_owner, owners)


def _called(types: Types, own: Said, waiting_for: _Waiting, alive: Set[str]) -> Iterator[Scope]:
    """What may be called by one function, by its name or by one that is put together."""
    for name, mention in own.names:
        for scope in waiting_for.by_name[name]:
            if scope.id not in alive and _may_mean(types, mention, scope):
                yield scope
    for reflection in own.reflects:
        yield from _reflected(types, reflection, waiting_for)


def _owner(scope: Scope) -> str:
    outer = scope.outer
    return (outer.id or outer.module) if outer is not None else scope.module


def _name(scope: Scope) -> str:
    return getattr(scope.node, "name", "")


# What others call


def _others_call(known_to_others: Set[str], scope: Scope) -> bool:
    if _has_decorator(scope, _INERT_DECORATORS):
        return True
    return _is_method(scope) and _owner(scope) in known_to_others


def _is_hidden(types: Types, scope: Scope) -> bool:
    """Each class below has a method of its own instead: it is called only of an object of the very class."""
    below = types.classes.subclasses(_owner(scope)) if _is_method(scope) else ()
    return bool(below) and all(types.classes.own(each, _name(scope)) for each in below)


def _is_special(scope: Scope) -> bool:
    """The language calls it."""
    name = _name(scope)
    return name.startswith("__") and name.endswith("__")


def _known_to_others(types: Types) -> Set[str]:
    """Classes whose methods others may call: of what they decorate or inherit to, with all above it."""
    return {
        above
        for scope in types.project.own_scopes()
        if scope.kind == "class"
        if _has_decorator(scope, _INERT_ON_CLASSES) or _is_of_others(types, scope)
        for above in types.classes.order(scope.id)
    }


def _has_decorator(scope: Scope, inert: Set[str]) -> bool:
    decorators = getattr(scope.node, "decorator_list", ())
    return any(last_name(_made_by(each)) not in inert for each in decorators)


def _made_by(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def _is_of_others(types: Types, class_: Scope) -> bool:
    """It inherits from a class of others that may call its methods, or from what is not known."""
    for each in types.classes.order(class_.id):
        if ":" not in each:
            if each not in _INERT_BASES:
                return True
            continue
        known = types.classes.scope(each)
        bases = getattr(known.node, "bases", ()) if known is not None else ()
        if len(types.classes.bases(each)) < len(bases):
            return True
    return False


# What a mention can mean


def _may_mean(types: Types, mention: Mention, scope: Scope) -> bool:
    node = mention.node
    if isinstance(node, ast.Constant):
        return True
    values = types.known(mention.scope, node)
    if any(_is(types, value, scope) for value in ordered(values)):
        return True
    if isinstance(node, ast.Name):
        return not values and not _is_method(scope) and not _is_local(mention, node.id)
    assert isinstance(node, ast.Attribute)
    # Of an object that is not known, or only guessed, it may be this one as well.
    return (
        not values
        or any(value.guess and not value.above for value in values)
        or is_kept(types, mention.scope, node.value)
    )


def _is(types: Types, value: Value, scope: Scope) -> bool:
    if value.kind != FUNCTION:
        return False
    if value.name == scope.id or any(
        _is(types, each, scope) for _, values in value.closure for each in values
    ):
        return True
    if value.above:  # `super()` gives what it can mean, of each class below
        return False
    above = types.project.scope(value.name)
    return (
        _is_method(scope)
        and above is not None
        and above.outer is not None
        and scope.outer is not None
        and _name(above) == _name(scope)
        and above.outer.id in types.classes.order(scope.outer.id)
    )


def _is_method(scope: Scope) -> bool:
    return scope.outer is not None and scope.outer.kind == "class"


def _is_local(mention: Mention, name: str) -> bool:
    """A parameter or variable of that name hides whatever else is called so."""
    at: Scope | None = mention.scope
    while at is not None and at.kind != "module":
        if at.kind != "class" and name in at.bindings:
            return True
        at = at.outer
    return False


def _handed_over(types: Types, own: Said, waiting_for: _Waiting) -> Iterator[Scope]:
    """Methods of objects that others than the project are given: they may call them by names of theirs."""
    seen: set[str] = set()
    for call in own.calls:
        for name in given_to_others(types, call):
            if name in seen:
                continue
            seen.add(name)
            if ":" not in name:
                yield from _methods_of(waiting_for, name)
                continue
            for each in types.classes.order(name):
                methods = waiting_for.by_owner.get(each, ())
                yield from (one for one in methods if _has(types, name, one))
            for each in types.classes.subclasses(name):
                yield from waiting_for.by_owner.get(each, ())


def _has(types: Types, class_: str, method: Scope) -> bool:
    """No class between them has a method of its own instead."""
    found = types.classes.find(class_, _name(method))
    return not isinstance(found, Member) or found.owner is method.outer


def _methods_of(waiting_for: _Waiting, name: str) -> Iterator[Scope]:
    for owner in waiting_for.owners.get(name, ()):
        yield from waiting_for.by_owner[owner]


def _reflected(types: Types, reflection: Mention, waiting_for: _Waiting) -> Iterator[Scope]:
    """Members of what is looked through; of what is not known those whose names begin or end as asked."""
    for asked in asked_in(types, reflection):
        if asked == ANY:
            for owner in sorted(owners_in(types, reflection)):
                yield from waiting_for.by_owner.get(owner, ())
            continue
        for name, scopes in waiting_for.by_name.items():
            if name.startswith(asked.begin) and name.endswith(asked.end):
                yield from scopes


def _is_blind(types: Types, own: Said, reflection: Mention) -> bool:
    """It calls any method of any object that somebody keeps."""
    call = reflection.node
    assert isinstance(call, ast.Call)
    runs = id(call) in own.run or last_name(call.func) == "getmembers"
    return (
        runs
        and bool(call.args)
        and ANY in asked_in(types, reflection)
        and is_open(types, reflection.scope, call.args[0])
    )
