"""What a function does whenever it is called, whatever it finds: the calls that no condition guards."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence

_BUILTINS = frozenset(dir(builtins))
_NO_BODY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def surely(function: ast.AST, state: frozenset[str]) -> frozenset[int]:
    """Expressions, by identity, that run in every call which does not fail.

    A function may leave early because of what it was passed: that is the caller's choice. After it may have
    left because of anything else, as a cache, nothing is sure. `state` are parameters that are no choice of
    the caller: the receiver.
    """
    read = _Reader(_parameters(function) - state | _BUILTINS)
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        read.block(function.body)
    return frozenset(read.found)


def _parameters(function: ast.AST) -> frozenset[str]:
    arguments = getattr(function, "args", None)
    if not isinstance(arguments, ast.arguments):
        return frozenset()
    return frozenset(
        each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    )


class _Reader:
    def __init__(self, chosen: frozenset[str]) -> None:
        self.found: set[int] = set()
        self._chosen = chosen
        """Names that stand for the caller's choice."""

    def block(self, statements: Sequence[ast.stmt]) -> bool:
        """Whether what comes after it is still sure to run."""
        return all(self._statement(each) for each in statements)

    def _statement(self, node: ast.stmt) -> bool:
        match node:
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                self._all(ast.iter_child_nodes(node))
                return False
            case ast.If():
                return self._if(node)
            case ast.For() | ast.AsyncFor():
                self.expression(node.iter)
                self.block(node.body)
                return not _leaves(node.body)
            case ast.While():
                self.expression(node.test)
                self.block(node.body)
                return not _leaves(node.body)
            case ast.With() | ast.AsyncWith():
                self._all(item.context_expr for item in node.items)
                return self.block(node.body)
            case ast.Try():
                passed = self.block(node.body) and self.block(node.orelse)
                return self.block(node.finalbody) and passed
            case ast.Match():
                self.expression(node.subject)
                return not any(_leaves(case.body) for case in node.cases)
        self._all(ast.iter_child_nodes(node))
        return True

    def _if(self, node: ast.If) -> bool:
        self.expression(node.test)
        if isinstance(node.test, ast.Constant):
            return self.block(node.body if node.test.value else node.orelse)
        return self._is_chosen(node.test) or not _leaves([*node.body, *node.orelse])

    def _is_chosen(self, test: ast.expr) -> bool:
        """The condition asks for what was passed, and for nothing else."""
        names = {each.id for each in ast.walk(test) if isinstance(each, ast.Name)}
        return names <= self._chosen

    def _all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.expr):
                self.expression(node)
            elif isinstance(node, ast.keyword):
                self.expression(node.value)

    def expression(self, node: ast.expr) -> None:
        self.found.add(id(node))
        match node:
            case ast.Lambda():
                return
            case ast.IfExp():
                self.expression(node.test)
            case ast.BoolOp():
                self.expression(node.values[0])
            case ast.GeneratorExp():
                self.expression(node.generators[0].iter)
            case ast.ListComp() | ast.SetComp() | ast.DictComp():
                self._comprehension(node)
            case _:
                self._all(ast.iter_child_nodes(node))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> None:
        self.expression(node.generators[0].iter)
        if not any(generator.ifs for generator in node.generators):
            self._all((node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,))


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """There is a `return` in it, that of a function inside left out."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            return True
        if not isinstance(node, _NO_BODY):
            waiting += ast.iter_child_nodes(node)
    return False
