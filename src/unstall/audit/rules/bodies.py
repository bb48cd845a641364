"""What a route takes in its body, as its signature says."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Def
from unstall.audit.ir import Entrance
from unstall.audit.many_declared import bare
from unstall.audit.rules.subject import Subject

COLLECTIONS = frozenset(
    "list set dict tuple frozenset List Set Dict Sequence Iterable Mapping Collection MutableSequence".split()
)
BODY_METHODS = ("POST ", "PUT ", "PATCH ")


def parameters(subject: Subject, entrance: Entrance) -> Iterator[tuple[str, ast.expr, Def]]:
    definition = subject.index.functions.get(entrance.function)
    if definition is None:
        return
    arguments = definition.node.args
    for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if each.annotation is not None:
            yield each.arg, bare(each.annotation), definition


def collection(annotation: ast.expr) -> bool:
    """A list, dict, set or the like, of any length."""
    match bare(annotation):
        case ast.Subscript(value=ast.Name(id="tuple" | "Tuple"), slice=ast.Tuple(elts=parts)):
            return any(isinstance(part, ast.Constant) and part.value is Ellipsis for part in parts)
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name):
            return name in COLLECTIONS
        case _:
            return False
