"""Type parameters of classes and functions, each a type variable of its own.

`class Box[T: Base](Shelf)` is read as `class Box(Shelf, Generic[T])` with `T = TypeVar("T", bound=Base)`, and
so is a function's. The variable has a name that nobody else in the module can have.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from unstall.audit.newer import HEAD, closed
from unstall.audit.types_annotations import quoted

_STARS = re.compile(r"(^|[,=(\[])(\s*)\*+(?=\s*\w)")
_TYPING = "@typing"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class _Head(NamedTuple):
    """A class or function that is written with type parameters."""

    name: str
    line: int
    parameters: tuple[ast.arg, ...]
    """What bounds one is its annotation."""


def tell(tree: ast.Module, text: str) -> None:
    """Make type variables of what the text of a module declares in brackets."""
    heads = {each.line: each for each in _heads(text)}
    nodes = [
        (node, heads[node.lineno])
        for node in (ast.walk(tree) if heads else ())
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if node.lineno in heads and heads[node.lineno].name == node.name
    ]
    if not nodes:
        return
    behind = text.count("\n") + 2
    made: list[ast.stmt] = [ast.Import([ast.alias("typing", _TYPING)])]
    # From the last one: what stands inside has its own variables before those around it.
    for node, head in sorted(nodes, key=lambda pair: pair[1].line, reverse=True):
        names = {each.arg: f"{each.arg}@{head.line}" for each in head.parameters}
        if hasattr(node, "type_params"):
            node.type_params = []  # one tree, whichever Python reads it
        _rename(node, names)
        if isinstance(node, ast.ClassDef):
            node.bases.append(_generic(names.values()))
            _put(node.bases[-1], node.lineno, 0)
        for each in head.parameters:
            _rename(each, names)
            made.append(_variable(names[each.arg], each.annotation))
    for number, statement in enumerate(made):
        _put(statement, behind, number)
    tree.body += made


def _heads(text: str) -> Iterator[_Head]:
    line, at = 1, 0
    done = 0
    for found in HEAD.finditer(text):
        line, at = line + text.count("\n", at, found.start()), found.start()
        end = closed(text, found.end()) if found.end() >= done else None
        if end is None:
            continue
        done = end
        parameters = _parameters(text[found.end() + 1 : end - 1])
        if parameters:
            yield _Head(found[1], line, parameters)


def _parameters(inside: str) -> tuple[ast.arg, ...]:
    """But for their stars they are written as the parameters of a function are."""
    plain = _STARS.sub(r"\1\2", inside)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (node,) = ast.parse(f"def _({plain}\n): ...").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(node.args.args) if isinstance(node, ast.FunctionDef) else ()


def _rename(top: ast.AST, names: Mapping[str, str]) -> None:
    waiting = [(top, names)]
    while waiting:
        node, names = waiting.pop()
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, _FUNCTIONS):
            own = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            names = {name: new for name, new in names.items() if name not in own}
        _read_quoted(node, names)
        waiting += [(child, names) for child in ast.iter_child_nodes(node)] if names else []


def _read_quoted(node: ast.AST, names: Iterable[str]) -> None:
    """An annotation in quotes sees the whole module."""
    for field in ("annotation", "returns"):
        said = getattr(node, field, None)
        text = said.value if isinstance(said, ast.Constant) else None
        if not isinstance(text, str) or not any(name in text for name in names):
            continue
        inner = quoted(text)
        if inner is not None:
            setattr(node, field, inner)


def _generic(names: Iterable[str]) -> ast.expr:
    first, *others = [ast.Name(each, ast.Load()) for each in names]
    inside = ast.Tuple([first, *others], ast.Load()) if others else first
    return ast.Subscript(_of_typing("Generic"), inside, ast.Load())


def _variable(name: str, bound: ast.expr | None) -> ast.stmt:
    arguments: list[ast.expr] = [ast.Constant(name)]
    arguments += bound.elts if isinstance(bound, ast.Tuple) else []  # one of several
    is_bound = bound is not None and not isinstance(bound, ast.Tuple)
    keywords = [ast.keyword("bound", bound)] if is_bound and bound is not None else []
    made = ast.Call(_of_typing("TypeVar"), arguments, keywords)
    return ast.Assign([ast.Name(name, ast.Store())], made)


def _of_typing(name: str) -> ast.expr:
    return ast.Attribute(ast.Name(_TYPING, ast.Load()), name, ast.Load())


def _put(node: ast.AST, line: int, column: int) -> None:
    """All of it at one position."""
    for each in ast.walk(node):
        if isinstance(each, (ast.expr, ast.stmt, ast.keyword, ast.arg, ast.alias)):
            each.lineno = each.end_lineno = line
            each.col_offset = each.end_col_offset = column
