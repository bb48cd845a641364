"""What is surely true of an expression, with what the function around it was passed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from unstall.audit.constants import compared, last_of, said, truth
from unstall.audit.known import (
    NONE,
    UNKNOWN,
    Known,
    either,
    has_keys,
    is_fixed,
    joined,
    of_class,
    of_literal,
    plain,
    tuple_of,
    without_keys,
)
from unstall.audit.known_classes import called, has_attribute, is_instance, named, stated
from unstall.audit.known_names import Kept
from unstall.audit.known_stated import (
    backed,
    constant_of_module,
    field_of,
    gives_none,
    member_of,
    or_default,
)
from unstall.audit.many_origins import dependency_of, injected
from unstall.audit.scopes import Binding, Scope
from unstall.audit.types_parameters import default_of
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, INSTANCE, Value, ordered, union

if TYPE_CHECKING:
    from unstall.audit.types import Types

Own = Mapping[str, Known]
"""By parameter, what the function that is looked at was passed."""
_DEEPEST = 6
_MOST_WAYS = 4
"""In so many ways a name gets its value; then nothing is known of it."""
_MOST_RETURNS = 24
_MAKES = frozenset(
    "builtins.str builtins.bytes builtins.int builtins.float builtins.bool builtins.list builtins.dict "
    "builtins.set builtins.tuple builtins.frozenset pathlib.Path io.BytesIO io.StringIO".split()
)
"""Calls that give an object of what is called."""
_GIVE_THEMSELVES = frozenset({"io.BytesIO", "io.StringIO"})
"""To `with`."""
_ASKS_CLASS = "isinstance"


class Knowledge:
    """Of tests only what was passed counts; of what is passed on, also what annotations say."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.names = Kept()
        self._annotations: dict[int, tuple[ast.expr, Known]] = {}
        self._given: dict[tuple[str, bool, Known | None], Known] = {}
        self._open = 0

    # Conditions

    def answer(self, scope: Scope, test: ast.expr, own: Own) -> bool | None:
        """What a condition comes to with what was passed; None: it depends."""
        return truth(test, lambda part: self._leaf(scope, part, own))

    def _leaf(self, scope: Scope, part: ast.expr, own: Own) -> bool | None:
        known = said(part)
        if known is not None:
            return known
        if isinstance(part, ast.Name):
            return self._named(scope, part, own)
        if isinstance(part, ast.Compare) and len(part.ops) == 1:
            return self._compared(scope, part, own)
        attribute = asks_attribute(part)
        if attribute is not None and named(self._types, scope, part.func) == "builtins.hasattr":  # type: ignore[attr-defined]
            return has_attribute(self._types, self.passed(scope, attribute[0], own), attribute[1])
        asked = asks_class(part)
        if asked is None:
            return None
        return is_instance(self._types, scope, self.passed(scope, asked[0], own), asked[1])

    def _named(self, scope: Scope, name: ast.Name, own: Own) -> bool | None:
        """Of what was passed, or of what a condition came to that has a name."""
        known = self.passed(scope, name, own).truth
        test = None if known is not None else self.names.condition(scope, name)
        return self.answer(scope, test, own) if test is not None else known

    def _compared(self, scope: Scope, test: ast.Compare, own: Own) -> bool | None:
        left, op, right = test.left, test.ops[0], test.comparators[0]
        if isinstance(right, ast.Constant) and right.value is None:
            none = self.passed(scope, left, own).none
            if none is None or not isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
                return None
            return none is isinstance(op, (ast.Is, ast.Eq))
        literal = self.passed(scope, left, own).literal
        if literal is None:
            return None
        return compared(literal, op, right, lambda each: member_of(self._types, scope, each))

    def passed(self, scope: Scope, node: ast.expr, own: Own) -> Known:
        """Of a parameter, or of what is unpacked from one."""
        if not isinstance(node, ast.Name):
            return UNKNOWN
        base = self.names.parameter(scope, node)
        if base is not None:
            return own.get(base[0], UNKNOWN).at(base[1])
        ways = self.names.or_literals(scope, node)
        if not 0 < len(ways) <= _MOST_WAYS:
            return UNKNOWN
        return joined(
            of_literal(each.value) if each.value is not None else own.get(node.id, UNKNOWN)
            for each in ways
        )

    def answer_of_class(self, scope: Scope, test: ast.expr) -> bool | None:
        """`isinstance` of what a local name was given, by what its maker is annotated with."""
        asked = asks_class(test)
        if asked is None or not isinstance(asked[0], ast.Name) or scope.kind != "function":
            return None
        if self.names.parameter(scope, asked[0]) is not None:
            return None  # an annotation of its own is what such a test does not believe
        return is_instance(self._types, scope, self.of(scope, asked[0], {}), asked[1])

    # Expressions

    def of(self, scope: Scope, node: ast.expr, own: Own, depth: int = 0) -> Known:
        """Of what an expression gives."""
        said_itself = plain(node)
        if said_itself is not None:
            return said_itself
        if depth > _DEEPEST:
            return UNKNOWN
        below = depth + 1
        if isinstance(node, ast.Name):
            return self._name(scope, node, own, below)
        if isinstance(node, ast.Tuple):
            if any(isinstance(each, ast.Starred) for each in node.elts):
                return of_class("builtins.tuple")
            return tuple_of(tuple(self.of(scope, each, own, below) for each in node.elts))
        if isinstance(node, ast.Dict):
            return self._dict(scope, node, own, below)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return either([self.of(scope, each, own, below) for each in node.values])
        if isinstance(node, ast.IfExp):
            return joined(self.of(scope, each, own, below) for each in (node.body, node.orelse))
        if isinstance(node, ast.Await):
            inner = node.value
            return self._called(scope, inner, True) if isinstance(inner, ast.Call) else UNKNOWN
        if isinstance(node, ast.Call):
            return self._called(scope, node, False)
        if isinstance(node, ast.Attribute):
            return self._attribute(scope, node)
        if isinstance(node, ast.NamedExpr):
            return self.of(scope, node.value, own, below)
        return UNKNOWN

    def _dict(self, scope: Scope, node: ast.Dict, own: Own, depth: int) -> Known:
        """Of one that is written out: its keywords."""
        pairs = [
            (key.value, without_keys(self.of(scope, value, own, depth)))
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        ]
        is_whole = len(pairs) == len(node.keys)
        keys = tuple(sorted(dict(pairs).items())) if is_whole else ()
        return Known(None, False, ("builtins.dict",), keys=keys, open=not is_whole)

    def _name(self, scope: Scope, name: ast.Name, own: Own, depth: int) -> Known:
        """It holds one of all that the function ever gives it."""
        only = self.names.only(scope, name)
        bindings = (only,) if only is not None else self.names.all(scope, name)
        if not bindings or len(bindings) > _MOST_WAYS:
            return UNKNOWN if bindings else self.fixed(scope, name)
        depth += len(bindings) - 1  # ways multiply from name to name
        known = joined(self._bound(scope, name.id, each, own, depth) for each in bindings)
        if has_keys(known) and not self.names.only_read(scope, name.id):
            return without_keys(known)
        return known

    def fixed(self, scope: Scope, node: ast.expr | None) -> Known:
        """Of a literal that nobody can change, or a constant of the module that is one."""
        if isinstance(node, ast.Name):
            node = constant_of_module(self._types, scope, node)
        if isinstance(node, ast.Attribute):
            return self._member(scope, node)
        return self.of(scope, node, {}) if node is not None and is_fixed(node) else UNKNOWN

    def _member(self, scope: Scope, node: ast.Attribute) -> Known:
        found = member_of(self._types, scope, node)
        return Known(None, False, found[:1], literal=found) if found else UNKNOWN

    def _bound(self, scope: Scope, name: str, binding: Binding, own: Own, depth: int) -> Known:
        if binding.kind in ("parameter", "rest"):
            known = own.get(name)
            return known if known is not None else self._parameter(scope, name, binding)
        if binding.value is None:
            return UNKNOWN
        if binding.kind == "with":
            known = self.of(scope, binding.value, own, depth)
            return known if _GIVE_THEMSELVES.issuperset(known.classes) else UNKNOWN
        if binding.kind != "assign":
            return UNKNOWN
        if isinstance(binding.value, ast.Dict):
            return of_class("builtins.dict")  # it may have been filled since
        return self.of(scope, binding.value, own, depth).at(binding.item)

    def _parameter(self, scope: Scope, name: str, binding: Binding) -> Known:
        """By its annotation, which a default may contradict."""
        outer = scope.outer or scope
        if binding.kind != "parameter" or binding.annotation is None:
            return UNKNOWN
        default, stated = default_of(scope, name), self._stated(outer, binding.annotation)
        if stated == UNKNOWN:
            return UNKNOWN
        calls = injected(self._types, scope, name, binding.annotation)
        is_injected = any(call is default for _, call in calls)
        if default is not None and not is_injected and plain(default) in (None, NONE):
            return UNKNOWN
        given = (self._depended(where, call, stated) for where, call in calls)
        return joined((stated, *chain.from_iterable(given)))

    def _depended(self, scope: Scope, call: ast.Call, stated: Known) -> Iterator[Known]:
        """What a dependency gives that is no class; `stated`: by the parameter's annotation."""
        asked, types = dependency_of(call), self._types
        if asked is None:
            return
        called = union(
            types.member(frozenset((value,)), "__call__")
            if value.kind == INSTANCE
            else frozenset((value,))
            for value in types.values(scope, asked)
        )
        for each in ordered(called) or (Value(EXTERNAL, ""),):
            target = types.project.scope(each.name) if each.kind == FUNCTION else None
            shape = types.shape(target) if target is not None else None
            if each.kind != CLASS and not (shape and shape.is_generator):
                yield self._returned(each.name, bool(shape and shape.is_async), stated)

    def _stated(self, scope: Scope, annotation: ast.expr) -> Known:
        known = self._annotations.get(id(annotation))
        if known is None:
            found = stated(self._types, scope, annotation)
            known = self._annotations[id(annotation)] = (annotation, found)
        return known[1]

    def _called(self, scope: Scope, call: ast.Call, awaited: bool) -> Known:
        values = self._types.values(scope, call.func)
        if not values or len(values) > 8:
            return UNKNOWN
        return joined(
            UNKNOWN if value.guess else self._given_by(value.kind, value.name, awaited)
            for value in ordered(values)
        )

    def _given_by(self, kind: str, name: str, awaited: bool) -> Known:
        if kind == CLASS and not awaited:
            return called(self._types, name)
        if kind == FUNCTION:
            return self._returned(name, awaited)
        if name in _MAKES and not awaited:
            return of_class(name)
        return _exactly(self._types.table.returns(name)) if kind == EXTERNAL else UNKNOWN

    def _returned(self, name: str, awaited: bool, stated: Known | None = None) -> Known:
        """`stated`: what is said of it elsewhere, if it has no annotation of its own."""
        key = (name, awaited, stated)
        if key not in self._given:
            if self._open > _DEEPEST:
                return UNKNOWN
            self._given[key] = UNKNOWN  # a function that gives what it gives itself
            self._open += 1
            self._given[key] = self._of_function(name, awaited, stated)
            self._open -= 1
        return self._given[key]

    def _of_function(self, name: str, awaited: bool, stated: Known | None) -> Known:
        """What a function gives: by its annotation, as far as its body does not say otherwise."""
        target = self._types.project.scope(name)
        if target is None or target.outer is None or not hands_on(target):
            return UNKNOWN
        shape = self._types.shape(target)
        annotation = getattr(target.node, "returns", None)
        is_lazy = shape.is_generator or shape.is_context
        if is_lazy or shape.is_async is not awaited:
            return UNKNOWN
        if annotation is not None:
            stated = self._stated(target.outer, annotation)
        if stated is None:
            return UNKNOWN
        if stated.none is not False or shape.is_abstract:
            return stated
        if gives_none(target) or len(target.returns) > _MOST_RETURNS:
            return UNKNOWN
        given = [each.value for each in target.returns if each.value is not None]
        return backed(stated, [self.of(target, each, {}) for each in given])

    def _attribute(self, scope: Scope, node: ast.Attribute) -> Known:
        """A field, by its annotation; of others' objects, by the catalog."""
        types = self._types
        if isinstance(node.value, ast.Name) and named(types, scope, node.value):
            return self._member(scope, node)
        values = types.values(scope, node.value)
        if len(values) != 1:
            return UNKNOWN
        (value,) = values
        if value.kind != INSTANCE or value.guess:
            return UNKNOWN
        if ":" not in value.name:
            return _exactly(types.table.attribute(f"{value.name}.{node.attr}"))
        found = field_of(types, value, node.attr)
        owner, binding = found if found is not None else (scope, None)
        if binding is None or binding.annotation is None:
            return UNKNOWN
        return or_default(types, owner, binding.value, self._stated(owner, binding.annotation))


_EXACT = frozenset({"builtins.bytes", "pathlib.Path", "PIL.Image.Image"})
"""Where the catalog says one of these, it is that: a `str` may be bytes, too, and a `dict` any JSON."""


def _exactly(given: tuple[str, ...]) -> Known:
    return of_class(*given) if len(given) == 1 and _EXACT.issuperset(given) else UNKNOWN


_HAND_ON = frozenset({"staticmethod", "classmethod", "override", "final"})
"""Decorators that hand on what the caller passed, and give what the function gives."""


def hands_on(scope: Scope) -> bool:
    """No decorator stands between the caller and the function."""
    decorators = getattr(scope.node, "decorator_list", ())
    return scope.kind == "function" and all(last_of(each) in _HAND_ON for each in decorators)


def asks_class(test: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """Of `isinstance(a, B)`: both."""
    if isinstance(test, ast.Call) and last_of(test.func) == _ASKS_CLASS and len(test.args) == 2:
        return test.args[0], test.args[1]
    return None


def asks_attribute(test: ast.expr) -> tuple[ast.expr, str] | None:
    """Of `hasattr(a, "name")`: both."""
    match test:
        case ast.Call(ast.Name("hasattr"), [asked, ast.Constant(str(name))]):
            return asked, name
    return None
