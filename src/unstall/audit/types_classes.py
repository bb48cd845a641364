"""First-party classes: what they inherit, who inherits from them, and where a member is defined."""

from __future__ import annotations

import ast
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from unstall.audit.constants import last_of
from unstall.audit.functions import takes
from unstall.audit.scopes import Binding, Scope
from unstall.audit.values import CLASS, EXTERNAL

if TYPE_CHECKING:
    from unstall.audit.types import Types

_DEEPEST = 24


class Member(NamedTuple):
    """Where a class of the order of resolution has an attribute."""

    owner: Scope
    bindings: tuple[Binding, ...]
    """In the body of the class."""
    assigned: tuple[tuple[Scope, Binding], ...]
    """To `self`, in its methods."""


class Classes:
    def __init__(self, types: Types) -> None:
        self._types = types
        self._bases: dict[str, tuple[str, ...]] = {}
        self._orders: dict[str, tuple[str, ...]] = {}
        self._below: dict[str, tuple[str, ...]] | None = None
        self._concrete: dict[str, tuple[str, ...]] = {}
        self._hiding: dict[int, tuple[ast.AST, bool]] = {}

    def scope(self, name: str) -> Scope | None:
        found = self._types.project.scope(name) if ":" in name else None
        return found if found is not None and found.kind == "class" else None

    def bases(self, name: str) -> tuple[str, ...]:
        """Of a first-party class: ids and dotted names, in order."""
        known = self._bases.get(name)
        if known is not None:
            return known
        self._bases[name] = ()  # a class that is its own base has none
        scope = self.scope(name)
        found: list[str] = []
        if scope is not None and scope.outer is not None and isinstance(scope.node, ast.ClassDef):
            for base in scope.node.bases:
                node = base.value if isinstance(base, ast.Subscript) else base
                values = self._types.known(scope.outer, node)
                found += [v.name for v in values if v.kind in (CLASS, EXTERNAL) and v.name != name]
        self._bases[name] = tuple(dict.fromkeys(found))
        return self._bases[name]

    def order(self, name: str) -> tuple[str, ...]:
        """The class, then what it inherits from, nearest first; the classes of others with their bases."""
        known = self._orders.get(name)
        if known is None:
            known = self._orders[name] = tuple(self._order(name, 0))
        return known

    def _order(self, name: str, depth: int) -> list[str]:
        if depth > _DEEPEST:
            return [name]
        if ":" not in name:
            return list(self._types.project.external_mro(name))
        below = [self._order(base, depth + 1) for base in self.bases(name)]
        merged = [name]
        for line in below:
            # A base that a later line inherits from comes after it, as in Python's own order.
            for each in line:
                if each in merged:
                    merged.remove(each)
                merged.append(each)
        return merged

    def subclasses(self, name: str) -> tuple[str, ...]:
        """First-party classes below, in modules that are no tests."""
        if self._below is None:
            below: dict[str, list[str]] = defaultdict(list)
            for scope in self._types.project.own_scopes():
                if scope.kind == "class":
                    for above in self.order(scope.id)[1:]:
                        below[above].append(scope.id)
            self._below = {name: tuple(names) for name, names in below.items()}
        return self._below.get(name, ())

    def concrete(self, name: str) -> tuple[str, ...]:
        """What its objects can really be of: classes below, and itself if it is not abstract."""
        known = self._concrete.get(name)
        if known is None:
            many = (name, *self.subclasses(name))
            known = tuple(each for each in many if not self._is_abstract(each)) or many
            self._concrete[name] = known
        return known

    def _is_abstract(self, name: str) -> bool:
        """Python itself refuses to make an object of it."""
        if not self.has_abc_meta(name):
            return False
        return any(
            self._is_left_open(name, attribute)
            for scope in map(self.scope, self.order(name))
            if scope is not None
            for attribute, bindings in scope.bindings.items()
            if any(map(_is_marked, bindings))
        )

    def has_abc_meta(self, name: str) -> bool:
        order = self.order(name)
        return "abc.ABC" in order or any(map(self._has_meta, order))

    def _has_meta(self, name: str) -> bool:
        scope = self.scope(name)
        keywords = getattr(scope.node, "keywords", ()) if scope is not None else ()
        return any(k.arg == "metaclass" and last_of(k.value) == "ABCMeta" for k in keywords)

    def _is_left_open(self, name: str, attribute: str) -> bool:
        found = self.find(name, attribute)
        return isinstance(found, Member) and any(map(_is_marked, found.bindings))

    def find(self, name: str, attribute: str) -> Member | str | None:
        """The first in the order that has the attribute: ours, or the name of a foreign class."""
        for each in self.order(name):
            if ":" in each:
                member = self.own(each, attribute)
                if member is not None:
                    return member
            elif self.has(each, attribute):
                return each
        return None

    def own(self, name: str, attribute: str) -> Member | None:
        scope = self.scope(name)
        if scope is None:
            return None
        bindings = tuple(scope.bindings.get(attribute, ()))
        assigned = tuple(scope.attributes.get(attribute, ()))
        return Member(scope, bindings, assigned) if bindings or assigned else None

    def anew(self, above: str, name: str, attribute: str) -> Member | None:
        """How a class below another one has a member anew: of its own, or of a base beside that one."""
        own = self.own(name, attribute)
        if own is not None or len(self.bases(name)) < 2:
            return own
        found = self.find(name, attribute)
        if not isinstance(found, Member) or found.owner.id in self.order(above):
            return None
        return None if above in self.order(found.owner.id) else found

    def hides_super(self, method: ast.AST) -> bool:
        """What `super()` does there cannot be told; of the definition of a method."""
        known = self._hiding.get(id(method))
        if known is None:
            known = self._hiding[id(method)] = (method, _hides_super(method))
        return known[1]

    def constructor(self, name: str) -> Scope | None:
        """The `__init__` that making an object runs, if it is ours."""
        found = self.find(name, "__init__")
        if not isinstance(found, Member):
            return None
        nodes = [binding.node for binding in found.bindings if binding.kind == "def"]
        return found.owner.children[id(nodes[-1])] if nodes else None

    def has(self, external: str, attribute: str) -> bool:
        """Whether anything is known of a foreign class's member."""
        full, table = f"{external}.{attribute}", self._types.table
        return bool(
            (full, "call") in table.rows or (full, "read") in table.rows
            or full in table.facts.returns or full in table.facts.attributes
        )  # fmt: skip

    def foreign(self, name: str) -> tuple[str, ...]:
        return tuple(each for each in self.order(name) if ":" not in each)

    def is_protocol(self, name: str) -> bool:
        return any(
            base in ("typing.Protocol", "typing_extensions.Protocol") for base in self.bases(name)
        )

    def is_open(self, name: str) -> bool:
        """Its objects can be of another class."""
        return bool(self.subclasses(name)) or self.is_protocol(name)

    def is_unfinished(self, name: str) -> bool:
        """It leaves a method to others: its body is empty, or raises NotImplementedError."""
        methods: dict[str, Scope] = {}
        for scope in map(self.scope, reversed(self.order(name))):
            methods.update(self._methods(scope) if scope is not None else {})
        return any(self._types.shape(each).is_abstract for each in methods.values())

    def implementers(self, name: str) -> tuple[str, ...]:
        """Classes with all methods of a protocol, called as it says, that do not inherit from it."""
        scope = self.scope(name)
        wanted = self._methods(scope) if scope is not None else {}
        if not wanted:
            return ()
        return tuple(
            other.id
            for other in self._types.project.own_scopes()
            if other.kind == "class" and other.id != name and wanted.keys() <= other.bindings.keys()
            if not self.is_protocol(other.id)
            if all(self._fits(other, method, asked) for method, asked in wanted.items())
        )

    def _methods(self, scope: Scope) -> dict[str, Scope]:
        """As a class body defines them last."""
        return {
            name: scope.children[id(nodes[-1])]
            for name, bindings in scope.bindings.items()
            if (nodes := [binding.node for binding in bindings if binding.kind == "def"])
        }

    def _fits(self, class_: Scope, method: str, wanted: Scope) -> bool:
        """What is no `def` may be anything."""
        own = self._methods(class_).get(method)
        return own is None or takes(self._types.shape(own), self._types.shape(wanted))


def _hides_super(method: ast.AST) -> bool:
    """It is neither asked for an attribute nor given a name: `getattr(super(), name)`."""
    made: set[int] = set()
    read: set[int] = set()
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "super":
            made.add(id(node))
        elif isinstance(node, (ast.Attribute, ast.Assign)):
            read.add(id(node.value))
    return not made <= read


def _is_marked(binding: Binding) -> bool:
    decorators = getattr(binding.node, "decorator_list", ())
    return any(last_of(each) == "abstractmethod" for each in decorators)
