"""What a function does for the first time only: until something that is kept is filled."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from unstall.audit.constants import is_empty
from unstall.audit.fields import children, dotted, walk
from unstall.audit.scopes import statements_in


def first_times(
    function: ast.AST,
    *,
    shared: bool = False,
    own: frozenset[str] = frozenset(),
    lost: frozenset[str] = frozenset(),
) -> frozenset[int]:
    """Nodes, by identity, that run under `if kept is None:` or after `if kept is not None: return kept`.

    `kept` is then filled, and emptied nowhere in the function. `shared`: only if it lives as long as the
    process, in a global or a class. `own`: names that do not, beside those of the function; `lost`: what is
    emptied elsewhere, as `emptied` has it.
    """
    body = getattr(function, "body", None)
    if not isinstance(body, list):
        return frozenset()
    kept = _kept(function, list(statements_in(body)), shared, own)
    kept = frozenset(each for each in kept if each.rpartition(".")[2] not in lost)
    found: set[int] = set()
    returned = False
    for statement in body if kept else ():
        for node in _outside_of_loops(statement):
            if returned:
                found.add(id(node))
            elif isinstance(node, ast.If) and _missing(node.test) & kept:
                found.update(id(each) for part in node.body for each in _outside_of_loops(part))
        returned = returned or (
            isinstance(statement, ast.If)
            and bool(_present(statement.test) & kept)
            and isinstance(statement.body[-1], ast.Return)
        )
    return frozenset(found)


Key = tuple[str, str]
"""A collection and a key, as written."""


class Keys(NamedTuple):
    """What a function fills by key."""

    filled: frozenset[Key]
    """Of collections that it does not empty; single keys may be dropped."""
    got: Mapping[str, Key]
    """Names for what `kept.get(key)` gives."""


def keys_of(function: ast.AST) -> Keys:
    body = getattr(function, "body", None)
    nodes = list(statements_in(body)) if isinstance(body, list) else []
    filled = {key for node in nodes for target in _targets(node) if (key := _item(target))}
    if not filled:
        return Keys(frozenset(), {})
    got = {
        name: key
        for node in nodes
        for name in map(dotted, _targets(node))
        if name and (key := _got(getattr(node, "value", None), {}))
    }
    emptied_here = _emptied(nodes)
    return Keys(frozenset(each for each in filled if each[0] not in emptied_here), got)


def lacking(test: ast.expr, holds: bool, got: Mapping[str, Key]) -> frozenset[Key]:
    """What is missing where the condition holds, or where it does not."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return lacking(operand, not holds, got)
        case ast.BoolOp(op=op, values=values) if isinstance(op, ast.And) is holds:
            return frozenset().union(*(lacking(each, holds, got) for each in values))
        case ast.Compare(left=key, ops=[ast.In() | ast.NotIn() as op], comparators=[kept]):
            name = dotted(kept) if isinstance(op, ast.NotIn) is holds else ""
            found = (name, _written(key)) if name else None
        case ast.Compare(
            left=asked, ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(value=None)]
        ):
            found = _got(asked, got) if isinstance(op, ast.Is) is holds else None
        case _:
            found = None if holds else _got(test, got)
    return frozenset([found] if found else ())


def _got(value: ast.expr | None, got: Mapping[str, Key]) -> Key | None:
    match value:
        case ast.Name(id=name):
            return got.get(name)
        case ast.NamedExpr(value=value):
            return _got(value, got)
        case ast.Call(func=ast.Attribute(kept, "get"), args=[key]) if name := dotted(kept):
            return name, _written(key)
    return None


def _item(target: ast.expr) -> Key | None:
    if isinstance(target, ast.Subscript) and (name := dotted(target.value)):
        return name, _written(target.slice)
    return None


def emptied(function: ast.AST) -> frozenset[str]:
    """Globals and attributes that a function empties; of attributes the last name."""
    body = getattr(function, "body", ())
    nodes = list(statements_in(body)) if isinstance(body, list) else []
    assigned = {name for node in nodes for target in _targets(node) if (name := dotted(target))}
    own = assigned - _outer_names(nodes, ast.Global)
    written = _emptied(nodes)
    return frozenset(each.rpartition(".")[2] for each in written if "." in each or each not in own)


def _kept(
    function: ast.AST, nodes: Sequence[ast.stmt], shared: bool, around: frozenset[str]
) -> frozenset[str]:
    """What the function assigns to, does not own and does not empty, as written."""
    outer = _outer_names(nodes, *((ast.Global,) if shared else (ast.Global, ast.Nonlocal)))
    filled = {name for node in nodes for target in _targets(node) if (name := dotted(target))}
    kept = {each for each in filled if "." in each or each in outer}
    if not kept:
        return frozenset()
    own = (own_names(function) | around) - outer if shared else frozenset[str]()
    return frozenset(each for each in kept if each.partition(".")[0] not in own) - _emptied(nodes)


def _outer_names(
    nodes: Sequence[ast.stmt], *kinds: type[ast.Global] | type[ast.Nonlocal]
) -> set[str]:
    return {name for node in nodes if isinstance(node, kinds) for name in node.names}


def _written(node: ast.expr) -> str:
    return dotted(node) or ast.unparse(node)


def _emptied(nodes: Iterable[ast.stmt]) -> frozenset[str]:
    """What is deleted, cleared, or assigned something that is false, as written."""
    found: list[ast.expr] = []
    for node in nodes:
        match node:
            case ast.Delete(targets=targets):
                found += targets
            case ast.Expr(ast.Call(ast.Attribute(value, "clear"))):
                found.append(value)
            case ast.Assign(targets=targets, value=value):
                found += [each for target in targets for each in _left_empty(target, value)]
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                found += _left_empty(target, value)
    return frozenset(name for each in found if (name := dotted(each)))


def _left_empty(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            for each, given in zip(targets, values, strict=True):
                yield from _left_empty(each, given)
        case _, ast.Constant(value=false) if not false:
            yield target
        case _ if is_empty(value):
            yield target


def _targets(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.AnnAssign):
        return [node.target]
    return node.targets if isinstance(node, ast.Assign) else []


def _outside_of_loops(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, without what repeats or runs later."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, _LOOPS | _LATER):
            yield each
            waiting += children(each)


_LOOPS = ast.For | ast.AsyncFor | ast.While | ast.comprehension | ast.ListComp | ast.GeneratorExp
_LATER = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def own_names(function: ast.AST) -> set[str]:
    """Names that the function binds itself; an imported one is shared, and so is `cls` of a method."""
    found: set[str] = set()
    for node in walk(function):
        kind = node.__class__
        if kind is ast.Name:
            if node.ctx.__class__ is ast.Store:  # type: ignore[attr-defined]
                found.add(node.id)  # type: ignore[attr-defined]
        elif kind is ast.arg:
            if node.arg != "cls":  # type: ignore[attr-defined]
                found.add(node.arg)  # type: ignore[attr-defined]
        elif kind in _NAMED and node.name is not None:  # type: ignore[attr-defined]
            found.add(node.name)  # type: ignore[attr-defined]
    return found


_NAMED = frozenset({ast.ExceptHandler, ast.MatchAs, ast.MatchStar})


def _missing(test: ast.expr) -> frozenset[str]:
    """What is None, or false, where the condition holds."""
    match test:
        case ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            return frozenset((_written(left),))
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() | ast.Attribute() as operand):
            return frozenset((_written(operand),))
        case ast.BoolOp(op=ast.And(), values=values):
            return frozenset().union(*map(_missing, values))
        case _:
            return frozenset()


def _present(test: ast.expr) -> frozenset[str]:
    """What is there, where the condition holds."""
    match test:
        case ast.Name() | ast.Attribute():
            return frozenset((_written(test),))
        case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return frozenset((_written(left),))
        case _:
            return frozenset()


def is_part(whole: ast.AST, part: ast.AST) -> bool:
    return any(node is part for node in walk(whole))


def repeats(above: Sequence[ast.AST]) -> bool:
    """Inside a loop or comprehension."""
    return any(isinstance(node, _LOOPS) for node in above)


def path_to(body: Sequence[ast.AST], wanted: ast.AST) -> tuple[ast.AST, ...]:
    """From the outermost statement to the node's parent."""
    stack: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(node, ()) for node in body]
    while stack:
        node, above = stack.pop()
        if node is wanted:
            return above
        stack += [(child, (*above, node)) for child in ast.iter_child_nodes(node)]
    return ()
