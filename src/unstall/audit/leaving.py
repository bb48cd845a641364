"""Where a block of statements ends before its last one."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

_NEVER: tuple[ast.expr, bool] = (ast.Constant(False), False)


def passed(node: ast.AST) -> tuple[tuple[ast.expr, bool], ...]:
    """The condition that what comes after a statement is under."""
    if isinstance(node, ast.If) and not node.orelse:
        return ((node.test, True),) if _leaves(node.body) else ()
    return (_NEVER,) if isinstance(node, ast.stmt) and _is_last(node) else ()


def _leaves(body: Sequence[ast.stmt]) -> bool:
    return any(map(_is_last, body))


def _is_last(node: ast.stmt) -> bool:
    """Nothing runs after it in its block. `try` is not looked into, and `with` may swallow what is raised."""
    if isinstance(node, (ast.Return, ast.Raise, ast.Continue, ast.Break)):
        return True
    if isinstance(node, ast.If):
        return bool(node.orelse) and _leaves(node.body) and _leaves(node.orelse)
    if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
        return not _breaks(node.body)
    return False


def _breaks(body: Iterable[ast.AST]) -> bool:
    """Whether a loop around these statements is left by `break`."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            waiting += node.orelse
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            waiting += ast.iter_child_nodes(node)
    return False
