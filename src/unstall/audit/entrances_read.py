"""One walk over all trees, which finds what the index holds."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from unstall.audit.entrances_index import DEFINITIONS, Class, Def, Definition, Index, Use, Where
from unstall.audit.fields import LEAVES, REVERSED
from unstall.audit.ir import Module

_KEPT = frozenset(
    {
        ast.Import,
        ast.ImportFrom,
        ast.With,
        ast.AsyncWith,
        ast.While,
        ast.Expr,
        ast.Assign,
        ast.Await,
        ast.keyword,
        ast.Dict,
        ast.Call,
        ast.Compare,
        ast.Subscript,
    }
)
"""What rules ask for."""


def index(modules: Mapping[str, Module]) -> Index:
    found = Index(modules)
    for name, module in modules.items():
        _Reader(found, name).read(module.tree)
    return found


class _Reader:
    """Reads one module in the order of its source. The stack is explicit: expressions may nest deeply."""

    def __init__(self, found: Index, module: str) -> None:
        self._found = found
        self._module = module
        self._here: _Here = (Where(module), False)
        self._stack: list[Any] = []
        """Nodes, and between them where those below it in the list stand."""
        self._kept = found.kept[module] = []

    def read(self, tree: ast.Module) -> None:
        stack, special = self._stack, _SPECIAL
        self._push(tree.body)
        while stack:
            node = stack.pop()
            kind = node.__class__
            if kind is tuple:
                self._here = node
                continue
            if kind in _KEPT:
                self._kept.append(node)
            if kind in special and special[kind](self, node):
                continue
            for name in REVERSED[kind]:
                value: Any = getattr(node, name, None)
                below = value.__class__
                if below is list:
                    self._push(value)
                elif below not in LEAVES:
                    stack.append(value)

    def _push(self, nodes: Sequence[ast.AST]) -> None:
        self._stack += [node for node in reversed(nodes) if node.__class__ not in LEAVES]

    def _inside(self, here: _Here, nodes: Sequence[ast.AST]) -> None:
        """Nodes that stand elsewhere than what is read now."""
        self._stack.append(self._here)
        self._push(nodes)
        self._stack.append(here)

    def _if(self, node: ast.If) -> bool:
        """What runs only as a script is told; True: all below has been taken."""
        if not is_main_check(node.test):
            return False
        where = self._here[0]
        self._inside((where, False), node.orelse)
        self._inside((where, True), node.body)
        return True

    def _call(self, call: ast.Call) -> bool:
        where, in_main = self._here
        found, use = self._found, Use(call, where, in_main)
        func = call.func
        if isinstance(func, ast.Attribute):
            found.calls[func.attr].append(use)
        elif isinstance(func, ast.Name):
            found.calls[func.id].append(use)
        elif isinstance(func, ast.Call):
            found.applied[id(func)] = call
        if in_main:
            found.in_main.append(use)
        elif not where.scope:
            found.at_import.append(use)
        return False

    def _import(self, node: ast.Import | ast.ImportFrom) -> bool:
        names = (
            [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        self._found.imports.update(name.partition(".")[0] for name in names)
        return True

    def _definition(self, node: Definition) -> bool:
        found, (where, in_main) = self._found, self._here
        if isinstance(node, ast.Lambda):
            new = Def(self._free(found.child(where, f"<lambda>@{node.lineno}")), node, where)
            found.functions[new.id] = new
            found.lambdas[id(node)] = new
            self._inside((new.inside, in_main), [node.body])
            self._push([node.args])
            return True
        id_ = self._free(found.child(where, node.name))
        made: Def | Class
        if isinstance(node, ast.ClassDef):
            made = found.classes[id_] = Class(id_, node, where)
            outside: list[ast.AST] = [*node.bases, *node.keywords]
        else:
            made = found.functions[id_] = Def(id_, node, where, where.scope in found.classes)
            outside = [node.args]
        for decorator in node.decorator_list:
            found.decorated[id(decorator)] = made
            found.decorators.append((decorator, made))
        self._inside((made.inside, in_main), node.body)
        self._push([*node.decorator_list, *outside])
        return True

    def _free(self, id_: str) -> str:
        """What is defined again under the same name has a number: `module:name@2`."""
        known = self._found
        if id_ not in known.functions and id_ not in known.classes:
            return id_
        number = 2
        while f"{id_}@{number}" in known.functions or f"{id_}@{number}" in known.classes:
            number += 1
        return f"{id_}@{number}"


_Here = tuple[Where, bool]
"""In which scope, and whether under `if __name__ == "__main__"`."""
_SPECIAL: dict[type[ast.AST], Any] = {
    **dict.fromkeys(DEFINITIONS, _Reader._definition),
    ast.Call: _Reader._call,
    ast.Import: _Reader._import,
    ast.ImportFrom: _Reader._import,
    ast.If: _Reader._if,
}
"""True: nothing is left below."""


def is_main_check(test: ast.expr) -> bool:
    """`__name__ == "__main__"`"""
    if not isinstance(test, ast.Compare) or len(test.comparators) != 1:
        return False
    sides = test.left, test.comparators[0]
    return any(isinstance(s, ast.Name) and s.id == "__name__" for s in sides) and any(
        isinstance(s, ast.Constant) and s.value == "__main__" for s in sides
    )
