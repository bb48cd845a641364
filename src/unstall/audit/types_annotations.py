"""From annotations to classes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit.scopes import Scope
from unstall.audit.values import (
    CLASS,
    COROUTINE,
    EXTERNAL,
    INSTANCE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    instance,
    one,
    union,
)

if TYPE_CHECKING:
    from unstall.audit.types import Types

_TYPE = "type"
"""A type made of types, as a value: `items[0]` are its instances."""
_NEXT = frozenset(
    "Optional ClassVar Final Required NotRequired ReadOnly Mapped DynamicMapped WriteOnlyMapped "
    "SkipValidation InitVar Annotated FromDishka Injected".split()
)
_LISTS = frozenset(
    "List list Sequence MutableSequence Iterable Iterator Collection Set set FrozenSet frozenset Deque deque "
    "AbstractSet AsyncIterable AsyncIterator Reversible KeysView ValuesView conlist".split()
)
_DICTS = frozenset(
    "Dict dict Mapping MutableMapping DefaultDict defaultdict OrderedDict Counter ChainMap".split()
)
_AWAITABLE = frozenset({"Awaitable", "Coroutine", "Future", "Task"})
_TYPING = frozenset(
    {"typing", "typing_extensions", "builtins", "collections", "collections.abc", "contextlib"}
)
_NO_CLASS = frozenset(
    "Any any object Callable callable Literal LiteralString TypeVar ParamSpec NoReturn Never None "
    "Concatenate Unpack".split()
)
_MANAGERS = frozenset(
    "ContextManager AsyncContextManager AbstractContextManager AbstractAsyncContextManager".split()
)


def annotation(types: Types, scope: Scope, node: ast.expr) -> Values:
    """Classes that a value so annotated is an instance of."""
    return types.once(("annotation", id(node)), node, lambda: _annotation(types, scope, node))


def _annotation(types: Types, scope: Scope, node: ast.expr) -> Values:
    if isinstance(node, ast.Constant):
        return _text(types, scope, node.value) if isinstance(node.value, str) else NOTHING
    if isinstance(node, ast.BinOp):
        return annotation(types, scope, node.left) | annotation(types, scope, node.right)
    if isinstance(node, ast.Subscript):
        return _subscript(types, scope, node)
    if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
        return union(_instances(types, value) for value in types.values(scope, node))
    return NOTHING


def _text(types: Types, scope: Scope, text: str) -> Values:
    node = quoted(text)
    if node is None:
        return NOTHING
    return types.once(("annotation", id(node)), node, lambda: _annotation(types, scope, node))


def quoted(text: str) -> ast.expr | None:
    """The annotation that a text holds; None: it holds none."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for each in ast.walk(node):  # a forward reference sees the whole module
        if isinstance(each, ast.expr):
            each.lineno = each.end_lineno = 1 << 29
    return node


def _instances(types: Types, value: Value) -> Values:
    if value.kind == CLASS:
        return frozenset((Value(INSTANCE, value.name, owner=value.owner),))
    if value.kind == _TYPE:
        return value.items[0]
    if value.kind == EXTERNAL:
        module, _, name = value.name.rpartition(".")
        if module in _TYPING:
            if name == "Self":
                return frozenset((Value(INSTANCE, "", owner="self"),))
            return NOTHING if name in _NO_CLASS else instance(_plain(value.name, name))
        return instance(types.table.meant(value.name))
    return NOTHING


def _plain(full: str, name: str) -> str:
    """One name for each kind of container."""
    if name in _DICTS:
        return "builtins.dict"
    if name in ("Tuple", "tuple"):
        return "builtins.tuple"
    return "builtins.list" if name in _LISTS else full


def subscripted(types: Types, scope: Scope, node: ast.Subscript, base: Values) -> Values | None:
    """`X[…]` where X is a class or a form of typing: a type as a value. None: it is an element."""
    if not any(value.kind in (CLASS, EXTERNAL, _TYPE) for value in base):
        return None
    if any(value.kind == EXTERNAL and value.name in ("os.environ", "sys.argv") for value in base):
        return None
    return one(_TYPE, "", annotation(types, scope, node))


def union_of_classes(types: Types, scope: Scope, node: ast.BinOp) -> Values:
    sides = types.values(scope, node.left)
    if any(value.kind in (CLASS, _TYPE) for value in sides) or any(
        value.kind == EXTERNAL and value.name.rpartition(".")[2][:1].isupper() for value in sides
    ):
        return one(_TYPE, "", annotation(types, scope, node))
    return NOTHING


def _subscript(types: Types, scope: Scope, node: ast.Subscript) -> Values:
    arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    found: list[Values] = []
    for value in types.values(scope, node.value):
        name = value.name.rpartition(".")[2] if value.kind == EXTERNAL else ""
        found.append(_generic(types, scope, value, name, arguments))
    return union(found)


def _generic(
    types: Types, scope: Scope, value: Value, name: str, arguments: list[ast.expr]
) -> Values:
    def at(place: int) -> Values:
        return (
            annotation(types, scope, arguments[place])
            if -len(arguments) <= place < len(arguments)
            else NOTHING
        )

    if name == "Annotated":
        from unstall.audit import types_parameters

        stated = at(0)
        if stated:
            return types_parameters.narrowed(types, scope, stated, arguments[1:])
        return union(types_parameters.dependency(types, scope, each) for each in arguments[1:])
    if name in _NEXT:
        return at(0)
    if name == "Union":
        return union(annotation(types, scope, each) for each in arguments)
    if name in ("Type", "type"):
        return union(_class_of(each) for each in at(0))
    if name in ("Generator", "AsyncGenerator") or name in _LISTS:
        return instance("builtins.list", at(0))
    if name in _DICTS:
        return instance("builtins.dict", at(0), at(1))
    if name in ("Tuple", "tuple"):
        if (
            len(arguments) == 2
            and isinstance(arguments[1], ast.Constant)
            and arguments[1].value is ...
        ):
            return instance("builtins.list", at(0))
        return instance("builtins.tuple", *(annotation(types, scope, each) for each in arguments))
    if name in _AWAITABLE:
        return one(COROUTINE, value.name, at(-1))
    if name in _MANAGERS:
        return one("context", value.name, at(0))
    if name in _NO_CLASS:
        return NOTHING
    return frozenset(
        each._replace(items=tuple(annotation(types, scope, a) for a in arguments))
        for each in _instances(types, value)
    )


def _class_of(value: Value) -> Values:
    if value.kind == PARAMETER and value.items:
        return union(map(_class_of, value.items[0]))
    if value.kind != INSTANCE or not value.name:
        return NOTHING
    return one(CLASS if ":" in value.name else EXTERNAL, value.name)
