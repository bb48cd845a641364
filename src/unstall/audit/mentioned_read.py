"""What each function says that may be the name of another: names, attributes and texts."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from unstall.audit.entrances_index import Definition, body_of
from unstall.audit.fields import children
from unstall.audit.scopes import Scope
from unstall.audit.types import Types
from unstall.audit.types_callers import last_name

AT_IMPORT = ""
"""In place of a function: modules and the bodies of classes."""
_REFLECTS = frozenset("getattr getmembers dir vars".split())
"""They give members of an object by what stands nowhere as a name."""
_OF_MODULES = "globals"
LOADERS = frozenset(
    "__import__ __subclasses__ DriverManager ExtensionManager ImportString PyObject entry_points exec_module "
    "get_class import_class import_from_string import_item import_module import_object import_string "
    "instantiate iter_entry_points load_class load_object locate namedAny symbol_by_name".split()
)
"""Where one of these names stands, any class may be found by what is written nowhere."""
_SAID = frozenset({ast.Name, ast.Attribute, ast.Constant})
_TELLING = frozenset(
    {
        ast.Call,
        ast.ImportFrom,
        ast.Expr,
        ast.Assign,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Lambda,
    }
)
"""Beside names, attributes and texts; of all other nodes only what is in them says something."""
_NO_OBJECTS = (ast.Constant, ast.JoinedStr, ast.Compare)
"""No argument of these kinds is an object of a class of ours."""


class Mention(NamedTuple):
    """A name, an attribute or a text that may be the name of a function."""

    scope: Scope
    node: ast.expr


@dataclass(slots=True)
class Said:
    """What one function says, or all modules at their top."""

    names: list[tuple[str, Mention]] = field(default_factory=list)
    reflects: list[Mention] = field(default_factory=list)
    run: set[int] = field(default_factory=set)
    """Which of `reflects` give what is called there, by identity."""
    calls: list[Mention] = field(default_factory=list)
    """With arguments that may be objects."""
    made: set[str] = field(default_factory=set)
    """Last names of the classes that objects are made of."""
    named: set[str] = field(default_factory=set)
    """Last names of classes, and of `LOADERS`, wherever they stand but as a base."""


def said(types: Types, wanted: Wanted) -> Mapping[str, Said]:
    """By function, the modules and their classes under the empty id."""
    found: dict[str, Said] = defaultdict(Said)
    project = types.project
    for name, root in project.roots.items():
        module = project.modules[name]
        if not module.is_test:
            with project.slips.kept(module.file, "the names in it"):
                bodies = [_Body(module.tree.body, root, AT_IMPORT)]
                while bodies:
                    body = bodies.pop()
                    bodies += _read(found[body.said_by], wanted, body)
    return found


class Wanted(NamedTuple):
    """Last names of functions that wait to be called, and of classes whose objects have such methods."""

    functions: Set[str]
    classes: Set[str]
    named: Set[str]
    """`classes`, and `LOADERS`."""


class _Body(NamedTuple):
    nodes: Sequence[ast.AST]
    scope: Scope
    said_by: str


def _read(own: Said, wanted: Wanted, body: _Body) -> list[_Body]:
    """What a body says itself; what is defined in it comes back."""
    inside: list[_Body] = []
    scope, stack = body.scope, list(body.nodes)
    names, classes = wanted.functions, wanted.named
    kept: list[tuple[str, ast.expr]] = []
    called: set[str] = set()
    while stack:
        node = stack.pop()
        kind = node.__class__
        if kind in _SAID:
            name = _said(node)
            if name in names:
                own.names.append((name, Mention(scope, node)))  # type: ignore[arg-type]
            if name in classes:
                own.named.add(name)
            stack += children(node) if kind is ast.Attribute else ()
            continue
        if kind not in _TELLING:
            stack += children(node)
            continue
        match node:
            case ast.Call():
                _read_call(own, wanted, Mention(scope, node))
                if isinstance(node.func, ast.Name):
                    called.add(node.func.id)
            case ast.ImportFrom():
                own.names += _renamed(node, scope, names)
                own.named.update(
                    each.name for each in node.names if each.asname and each.name in classes
                )
                continue
            case ast.Expr() | ast.Assign() if _is_no_mention(node):
                continue
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=ast.Call() as value)
            ):
                kept.append((name, value))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                inside.append(_defined(node, body))
                stack += _outside(node)
                continue
        stack += children(node)
    own.run.update(id(value) for name, value in kept if name in called)
    return inside


def _read_call(own: Said, wanted: Wanted, mention: Mention) -> None:
    call = mention.node
    assert isinstance(call, ast.Call)
    func = call.func
    if _reflects(call):
        own.reflects.append(mention)
    if isinstance(func, ast.Call):
        own.run.add(id(func))
    if wanted.classes:
        if any(not isinstance(each, _NO_OBJECTS) for each in arguments(call)):
            own.calls.append(mention)
        # `Napper()`, and `Napper.of(…)`, which may make one.
        names = (last_name(func), last_name(func.value) if isinstance(func, ast.Attribute) else "")
        own.made.update(name for name in names if name in wanted.classes)


def arguments(call: ast.Call) -> Iterator[ast.expr]:
    yield from call.args
    for keyword in call.keywords:
        yield keyword.value


def _reflects(call: ast.Call) -> bool:
    """A member whose name is written out is a text like others."""
    name = last_name(call.func)
    if not call.args:
        return name == _OF_MODULES
    is_written = len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
    return not is_written and name in _REFLECTS


def _renamed(node: ast.ImportFrom, scope: Scope, wanted: Set[str]) -> Iterator[tuple[str, Mention]]:
    """What is imported under another name is called by that."""
    for alias in node.names:
        if alias.asname is not None and alias.asname != alias.name and alias.name in wanted:
            yield alias.name, Mention(scope, ast.Constant(alias.name))


def _is_no_mention(node: ast.AST) -> bool:
    """Documentation, and `__all__`: who may import it is not who calls it."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assign) and last_name(node.targets[0]) == "__all__"


def _defined(node: Definition, around: _Body) -> _Body:
    """A function says its body itself; that of a class or lambda is said by what is around it."""
    inner = around.scope.children.get(id(node), around.scope)
    is_own = inner is not around.scope and inner.kind == "function"
    return _Body(body_of(node), inner, inner.id if is_own else around.said_by)


def _outside(node: Definition) -> list[ast.AST]:
    """Decorators, defaults and bases run where they stand."""
    if isinstance(node, ast.Lambda):
        return [node.args]
    if isinstance(node, ast.ClassDef):
        named = (ast.Name, ast.Attribute)  # what a class inherits from is not made by it
        bases = [each for each in node.bases if not isinstance(each, named)]
        return [*node.decorator_list, *bases, *node.keywords]
    return [*node.decorator_list, node.args]


def _said(node: ast.AST) -> str:
    """The last name of what is written, also in a text."""
    if isinstance(node, ast.Constant):
        return _last_part(node.value) if isinstance(node.value, str) else ""
    return last_name(node)  # type: ignore[arg-type]


def _last_part(text: str) -> str:
    """`run` of `app.tasks:run` and of `run` itself."""
    return text.rpartition(".")[2].rpartition(":")[2] if len(text) < _LONGEST else ""


_LONGEST = 200
