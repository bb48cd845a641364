"""What several rules ask of the nodes that the index has kept: where calls stand, and what is beside them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Index
from unstall.audit.ir import Module


@dataclass(slots=True)
class Shapes:
    """Nodes by `id`; they live as long as their trees."""

    aliases: dict[str, set[str]] = field(default_factory=dict)
    """By last name: what imports call it instead."""
    blocks: dict[int, ast.With | ast.AsyncWith] = field(default_factory=dict)
    """By the call that a `with` enters."""
    statements: dict[int, ast.Expr | ast.Assign] = field(default_factory=dict)
    """By the call that is all of an expression statement, or of what is assigned."""
    awaited: set[int] = field(default_factory=set)
    """Calls that are awaited."""
    classes: list[tuple[Module, ast.Constant]] = field(default_factory=list)
    """Texts under the key `class` in dictionaries: handlers for `dictConfig`."""
    withs: list[tuple[Module, ast.With | ast.AsyncWith]] = field(default_factory=list)
    endless: list[tuple[Module, ast.While]] = field(default_factory=list)
    """`while True`"""
    imports: list[tuple[Module, ast.Import | ast.ImportFrom]] = field(default_factory=list)
    tokens: list[ast.expr] = field(default_factory=list)
    """What somebody's `total_tokens` are set to."""
    limits_bodies: bool = False
    """Something sets `max_body_size`, or reads Content-Length."""


def shapes(index: Index) -> Shapes:
    """Of all modules that are no tests."""
    found = Shapes()
    for name, nodes in index.kept.items():
        module = index.modules[name]
        for node in () if module.is_test else nodes:
            _TAKERS[type(node)](found, module, node)
    return found


def _import(found: Shapes, module: Module, node: ast.Import | ast.ImportFrom) -> None:
    found.imports.append((module, node))
    for alias in node.names:
        if alias.asname:
            found.aliases.setdefault(alias.name.rpartition(".")[2], set()).add(alias.asname)


def _with(found: Shapes, module: Module, node: ast.With | ast.AsyncWith) -> None:
    found.withs.append((module, node))
    found.blocks.update((id(item.context_expr), node) for item in node.items)


def _while(found: Shapes, module: Module, node: ast.While) -> None:
    if isinstance(node.test, ast.Constant) and node.test.value:
        found.endless.append((module, node))


def _statement(found: Shapes, module: Module, node: ast.Expr | ast.Assign) -> None:
    if isinstance(node.value, ast.Call):
        found.statements[id(node.value)] = node
    if isinstance(node, ast.Assign) and any(
        target.__class__ is ast.Attribute and target.attr == "total_tokens"
        for target in node.targets
    ):
        found.tokens.append(node.value)


def _await(found: Shapes, module: Module, node: ast.Await) -> None:
    found.awaited.add(id(node.value))


def _keyword(found: Shapes, module: Module, node: ast.keyword) -> None:
    if node.arg == "max_body_size" and not (
        isinstance(node.value, ast.Constant) and node.value.value is None
    ):
        found.limits_bodies = True


def _dict(found: Shapes, module: Module, node: ast.Dict) -> None:
    for key, value in zip(node.keys, node.values, strict=True):
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if is_text and isinstance(key, ast.Constant) and key.value in ("class", "()"):
            assert isinstance(value, ast.Constant)
            found.classes.append((module, value))


def _headers(found: Shapes, module: Module, node: ast.Call | ast.Compare | ast.Subscript) -> None:
    """Headers are asked for, compared or subscripted."""
    if isinstance(node, ast.Subscript):
        texts: list[ast.expr] = [node.slice]
    else:
        texts = node.args if isinstance(node, ast.Call) else [node.left, *node.comparators]
    for each in texts:
        if (
            type(each) is ast.Constant
            and isinstance(each.value, (str, bytes))
            and len(each.value) == 14
        ):
            found.limits_bodies |= each.value.lower() in ("content-length", b"content-length")


_TAKERS: dict[type[ast.AST], Callable[[Shapes, Module, ast.AST], None]] = {
    ast.Import: _import,  # type: ignore[dict-item]
    ast.ImportFrom: _import,  # type: ignore[dict-item]
    ast.With: _with,  # type: ignore[dict-item]
    ast.AsyncWith: _with,  # type: ignore[dict-item]
    ast.While: _while,  # type: ignore[dict-item]
    ast.Expr: _statement,  # type: ignore[dict-item]
    ast.Assign: _statement,  # type: ignore[dict-item]
    ast.Await: _await,  # type: ignore[dict-item]
    ast.keyword: _keyword,  # type: ignore[dict-item]
    ast.Dict: _dict,  # type: ignore[dict-item]
    ast.Call: _headers,  # type: ignore[dict-item]
    ast.Compare: _headers,  # type: ignore[dict-item]
    ast.Subscript: _headers,  # type: ignore[dict-item]
}
