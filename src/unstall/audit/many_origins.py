"""What a request brings, and what was installed with the code: as many as somebody likes, and a fixed few."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from unstall.audit import types_names
from unstall.audit.entrances_table import MODELS
from unstall.audit.ir import Entrance
from unstall.audit.many_declared import Said, is_few
from unstall.audit.many_names import INSTALLED, TEXTS
from unstall.audit.many_trail import TEXT, Part
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name
from unstall.audit.types_parameters import default_of, depends
from unstall.audit.values import CLASS, INSTANCE, Value, Values

_COLLECTIONS = frozenset(
    f"builtins.{name}" for name in ("list", "tuple", "set", "frozenset", "dict")
)
_SETTINGS = frozenset({"pydantic_settings.BaseSettings", "pydantic.BaseSettings"})
_CONFIG = ("model_config", "Config")
_DEEPEST = 4
"""Names that stand for names."""


def answering(entrances: Iterable[Entrance]) -> frozenset[str]:
    """Functions that FastAPI calls with what a request brings."""
    return frozenset(
        function
        for each in entrances
        if each.kind in ("route", "websocket")
        for function in (
            each.function,
            *(step.function for step in each.steps if step.kind in ("endpoint", "dependency")),
        )
    )


def brought(
    types: Types,
    function: Scope,
    name: str,
    annotation: ast.expr | None,
    held: Sequence[Part],
) -> bool:
    """Whether a parameter of such a function, or what it holds, is as long as the request says.

    What is injected is not, nor what its annotation bounds.
    """
    if annotation is None:
        return False
    scope = function.outer or function
    values = types.annotation(scope, annotation)
    is_brought = bool(held) and any(_is_model(types, value) for value in values)
    asked = injected(types, function, name, annotation)
    if asked:
        is_brought = is_brought and all(_is_of_class(types, *each) for each in asked)
    else:
        is_text = TEXT in held and any(value.name.endswith(TEXTS) for value in values)
        is_brought = is_brought or is_text or is_collection(values)
    default = default_of(function, name)
    return is_brought and not is_few(types, Said(scope, annotation, default), held)


def is_collection(values: Values) -> bool:
    return any(value.kind == INSTANCE and value.name in _COLLECTIONS for value in values)


def injected(
    types: Types, function: Scope, name: str, annotation: ast.expr | None
) -> list[tuple[Scope, ast.Call]]:
    """`Depends(…)` in its default, its annotation, or what a name stands for that is its annotation."""
    scope, default = function.outer or function, default_of(function, name)
    asked = [(scope, each) for each in (default, annotation) if each is not None]
    if isinstance(annotation, ast.Name):
        asked += _values_of(types, scope, annotation)
    return [
        (where, each)
        for where, said in asked
        for each in ast.walk(said)
        if isinstance(each, ast.Call) and depends(types, where, each)
    ]


def dependency_of(call: ast.Call) -> ast.expr | None:
    """What `Depends` is given; None: the annotation says it."""
    named = (each.value for each in call.keywords if each.arg == "dependency")
    return call.args[0] if call.args else next(named, None)


def _is_of_class(types: Types, scope: Scope, call: ast.Call) -> bool:
    """FastAPI makes the object of what the request brings."""
    asked = dependency_of(call)
    return asked is None or any(value.kind == CLASS for value in types.values(scope, asked))


def _is_model(types: Types, value: Value) -> bool:
    """A class whose objects FastAPI makes of a body."""
    order = types.classes.order(value.name) if value.kind == INSTANCE else ()
    if not _SETTINGS.isdisjoint(order):
        return False
    return not MODELS.isdisjoint(order) or any(_is_dataclass(types, each) for each in order)


def are_closed(types: Types, values: Values) -> bool:
    """Models that have the fields which are written out, and no others."""
    return bool(values) and all(
        _is_model(types, value)
        and not any(_is_open(types, each) for each in types.classes.order(value.name))
        for value in values
    )


def _is_open(types: Types, name: str) -> bool:
    """`extra="allow"`, or its one field is the whole."""
    class_ = types.classes.scope(name)
    if class_ is None:
        return name == "pydantic.RootModel"
    said = [each.value or each.node for n in _CONFIG for each in class_.bindings.get(n, ())]
    return any(
        (isinstance(each, ast.Constant) and each.value == "allow")
        or (isinstance(each, ast.Attribute) and each.attr == "allow")
        for node in (*said, *getattr(class_.node, "keywords", ()))
        for each in ast.walk(node)
    )


def _is_dataclass(types: Types, name: str) -> bool:
    scope = types.classes.scope(name)
    decorators = getattr(scope.node, "decorator_list", ()) if scope is not None else ()
    return any(last_name(getattr(each, "func", each)) == "dataclass" for each in decorators)


def is_installed(types: Types, scope: Scope, listing: ast.Call) -> bool:
    """It lists what was installed with the code: as many as there were on the first day."""
    if any(mark in _end_of(each) for each in listing.args for mark in INSTALLED):
        return True
    func = listing.func
    folders = [func.value] if isinstance(func, ast.Attribute) else []
    return any(_is_own_folder(types, scope, each) for each in (*folders, *listing.args[:1]))


def _end_of(node: ast.expr) -> str:
    """The text that a pattern ends with."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[*_, last]):
            return _end_of(last)
        case ast.BinOp(right=last) | ast.Call(func=ast.Attribute(attr="join"), args=[*_, last]):
            return _end_of(last)
        case ast.Call(func=ast.Name(id="str"), args=[only]):
            return _end_of(only)
    return ""


def _is_own_folder(types: Types, scope: Scope, node: ast.expr, depth: int = 0) -> bool:
    """`Path(__file__).parent` and nothing below it: a folder in it may be one for data."""
    match node:
        case ast.Name(id="__file__"):
            return True
        case ast.Name():
            values = _values_of(types, scope, node) if depth < _DEEPEST else []
            return bool(values) and all(
                _is_own_folder(types, owner, each, depth + 1) for owner, each in values
            )
        case ast.Call(func=ast.Attribute(attr=attr, value=inner), args=[]) if attr in _SAME:
            return _is_own_folder(types, scope, inner, depth)
        case ast.Call(func=func, args=[inner], keywords=[]) if last_name(func) in _OWN:
            return _is_own_folder(types, scope, inner, depth)
        case ast.Attribute(attr="parent", value=inner):
            return _is_own_folder(types, scope, inner, depth)
        case ast.Subscript(value=ast.Attribute(attr="parents", value=inner), slice=ast.Constant()):
            return _is_own_folder(types, scope, inner, depth)
    return False


_SAME = frozenset("resolve absolute as_posix".split())
"""Methods of a path that name the same folder."""
_OWN = frozenset("Path PurePath dirname abspath realpath normpath str fspath".split())
"""Functions of one argument that name it, or the folder that it lies in."""


def _values_of(types: Types, scope: Scope, node: ast.Name) -> list[tuple[Scope, ast.expr]]:
    """What is assigned to a name, and where."""
    found = types_names.find(types, scope, node.id, (node.lineno, node.col_offset))
    if found is None:
        return []
    owner, bindings = found
    return [(owner, each.value) for each in bindings if each.value is not None]
