"""What a function does for the first time only: until something that is kept is filled."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence


def first_times(function: ast.AST, *, shared: bool = False) -> frozenset[int]:
    """Nodes, by identity, that run under `if kept is None:` or after `if kept is not None: return kept`.

    `kept` is then filled. `shared`: only if it lives as long as the process, in a global or a class.
    """
    body = getattr(function, "body", None)
    if not isinstance(body, list):
        return frozenset()
    kept = _kept(function, list(_statements(body)), shared)
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


def _kept(function: ast.AST, nodes: Sequence[ast.stmt], shared: bool) -> frozenset[str]:
    """What the function assigns to and does not own, as written."""
    far = (ast.Global,) if shared else (ast.Global, ast.Nonlocal)
    outer = {name for node in nodes if isinstance(node, far) for name in node.names}
    targets = [target for node in nodes for target in _targets(node)]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    own = (names - outer) | _parameters(function) if shared else frozenset[str]()
    attributes = {ast.unparse(target) for target in targets if isinstance(target, ast.Attribute)}
    return frozenset(names & outer) | {a for a in attributes if a.partition(".")[0] not in own}


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a function itself; expressions are not looked into, because most functions keep nothing."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _LATER):
            continue
        for field in ("body", "orelse", "finalbody"):
            waiting += getattr(node, field, ())
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            waiting += part.body


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
            waiting += ast.iter_child_nodes(each)


_LOOPS = ast.For | ast.AsyncFor | ast.While | ast.comprehension | ast.ListComp | ast.GeneratorExp
_LATER = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def _parameters(function: ast.AST) -> frozenset[str]:
    """`cls` is left out: it is the class, which all share."""
    arguments = getattr(function, "args", None)
    if not isinstance(arguments, ast.arguments):
        return frozenset()
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return frozenset(each.arg for each in every) - {"cls"}


def _missing(test: ast.expr) -> frozenset[str]:
    """What is None, or false, where the condition holds."""
    match test:
        case ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            return frozenset((ast.unparse(left),))
        case ast.UnaryOp(op=ast.Not(), operand=ast.Name() | ast.Attribute() as operand):
            return frozenset((ast.unparse(operand),))
        case ast.BoolOp(op=ast.And(), values=values):
            return frozenset().union(*map(_missing, values))
        case _:
            return frozenset()


def _present(test: ast.expr) -> frozenset[str]:
    """What is there, where the condition holds."""
    match test:
        case ast.Name() | ast.Attribute():
            return frozenset((ast.unparse(test),))
        case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return frozenset((ast.unparse(left),))
        case _:
            return frozenset()


def is_part(whole: ast.AST, part: ast.AST) -> bool:
    return any(node is part for node in ast.walk(whole))


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
