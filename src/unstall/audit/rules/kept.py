"""What becomes of a value that a call makes: kept for later, let go, or handed on."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator, Sequence

from unstall.audit.entrances_index import Use, own_nodes
from unstall.audit.first_time import is_part, path_to
from unstall.audit.rules.subject import Subject

CACHES = frozenset(
    "functools.cache functools.lru_cache functools.cached_property cachetools.cached cachetools.cachedmethod "
    "async_lru.alru_cache aiocache.cached asyncstdlib.cache asyncstdlib.lru_cache methodtools.lru_cache "
    "streamlit.cache_resource django.utils.functional.cached_property".split()
)


class Fate(enum.Enum):
    KEPT = enum.auto()
    """In an attribute, a global, a collection, or under a cache."""
    RETURNED = enum.auto()
    """The caller decides."""
    HANDED_ON = enum.auto()
    """To the constructor of something else."""
    LENT = enum.auto()
    """To a function, or to one that is made here; few keep it."""
    LET_GO = enum.auto()
    """It does not outlive the function."""


def fate(subject: Subject, use: Use) -> Fate:
    """Of what `use` makes, inside a function."""
    definition = subject.definition(use.where)
    if definition is None or is_cached(subject, definition.id):
        return Fate.KEPT
    body = definition.node.body
    if not isinstance(body, list) or definition.id.endswith(_MAKERS):
        return Fate.RETURNED  # it lives as long as the object
    above = path_to(body, use.call)
    return _of_expression(body, above, use.call)


def is_cached(subject: Subject, function: str) -> bool:
    definition = subject.index.functions.get(function)
    if definition is None or isinstance(definition.node, ast.Lambda):
        return False
    for decorator in definition.node.decorator_list:
        expression = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not CACHES.isdisjoint(subject.targets(definition.where, expression)):
            return True
        if (
            isinstance(expression, ast.Name | ast.Attribute)
            and "cache" in ast.unparse(expression).lower()
        ):
            return True
    return False


def _of_expression(body: Sequence[ast.stmt], above: Sequence[ast.AST], value: ast.AST) -> Fate:
    for node in reversed(above):
        match node:
            case ast.Await() | ast.IfExp() | ast.BoolOp() | ast.NamedExpr() | ast.Starred():
                value = node
            case ast.Tuple() | ast.List() | ast.Dict() | ast.Set() | ast.keyword():
                value = node
            case ast.Assign(targets=targets):
                return _of_targets(body, targets)
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                return _of_targets(body, [target])
            case ast.Return() | ast.Yield():
                return Fate.RETURNED
            case ast.Call(func=func):
                if func is value or is_part(func, value):
                    return Fate.LET_GO
                return _of_argument(func)
            case ast.withitem(optional_vars=name):
                # What is returned from inside `with` is closed: it does not outlive it.
                return Fate.RETURNED if _is_yielded(body, name) else Fate.LET_GO
            case ast.Attribute():
                value = node  # who keeps a part of it keeps it
            case ast.Subscript():
                return Fate.LET_GO
            case ast.stmt():
                return Fate.LET_GO
            case _:
                value = node
    return Fate.LET_GO


def _of_targets(body: Sequence[ast.stmt], targets: Sequence[ast.expr]) -> Fate:
    if any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets):
        return Fate.KEPT
    names = {
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    }
    return max((_of_name(body, name) for name in names), key=_RANK.index, default=Fate.LET_GO)


_RANK = [Fate.LET_GO, Fate.LENT, Fate.HANDED_ON, Fate.RETURNED, Fate.KEPT]


def _of_name(body: Sequence[ast.stmt], name: str) -> Fate:
    fates = [Fate.LET_GO]
    for node, _ in own_nodes(body):
        match node:
            case ast.Global(names=names) | ast.Nonlocal(names=names) if name in names:
                fates.append(Fate.KEPT)
            case ast.Assign(targets=targets, value=value) if _mentions_whole(value, name):
                if any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets):
                    fates.append(Fate.KEPT)
            case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value):
                if _mentions_whole(value, name):
                    fates.append(Fate.RETURNED)
            case ast.Call(func=func, args=args, keywords=keywords):
                given = [*args, *(keyword.value for keyword in keywords)]
                if any(_mentions_whole(each, name) for each in given):
                    fates.append(_of_argument(func))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() if _reads(node, name):
                fates.append(Fate.LENT)
            case _:
                pass
    return max(fates, key=_RANK.index)


def _reads(function: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(function))


def _mentions_whole(value: ast.expr, name: str) -> bool:
    """The value itself, alone or in a display; not what is made of it."""
    match value:
        case ast.Name(id=found):
            return found == name
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return any(_mentions_whole(each, name) for each in elements)
        case ast.Dict(values=values):
            return any(_mentions_whole(each, name) for each in values)
        case ast.Await(value=inner) | ast.Starred(value=inner):
            return _mentions_whole(inner, name)
        case _:
            return False


_BORROWING = frozenset(("Session", "AsyncSession"))
"""They live as long as a request."""
_MAKERS = (".__init__", ".__new__", ".__post_init__", ".model_post_init")
_KEEPING = frozenset("append appendleft add insert put register set setdefault setattr".split())


def _of_argument(func: ast.expr) -> Fate:
    """`items.append(x)` keeps it, `Service(x)` may, `fetch(x)` does not."""
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in _KEEPING:
        return Fate.KEPT
    if name in _BORROWING:
        return Fate.LET_GO
    return Fate.HANDED_ON if name.lstrip("_")[:1].isupper() else Fate.LENT


def _is_yielded(body: Sequence[ast.stmt], name: ast.expr | None) -> bool:
    if not isinstance(name, ast.Name):
        return False
    yields: Iterator[ast.expr | None] = (
        n.value for n, _ in own_nodes(body) if isinstance(n, ast.Yield)
    )
    return any(value is not None and _mentions_whole(value, name.id) for value in yields)
