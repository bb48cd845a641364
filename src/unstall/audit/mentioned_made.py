"""Classes that there may be objects of: who writes the name of a method calls none of another class."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from unstall.audit.constants import last_of
from unstall.audit.mentioned_read import LOADERS, Said
from unstall.audit.mentioned_reflected import owners_in
from unstall.audit.scopes import Scope
from unstall.audit.types import Types

_METACLASSES = frozenset({"ABCMeta", "EnumMeta", "EnumType"})
"""They keep no list of their classes."""


class Made:
    """What is named so far by something that runs, and the methods that wait for their class to be."""

    def __init__(
        self, types: Types, owners: Mapping[str, Sequence[str]], known: Iterable[str]
    ) -> None:
        self._types = types
        self._owners = owners
        self._known = {*known, *_listed(types)}
        """Ids of classes, and modules that are looked through."""
        self._held: dict[str, dict[str, Scope]] = defaultdict(dict)
        self._is_any = False

    def admits(self, function: Scope) -> bool:
        """A function, or a method of such a class; another one is kept."""
        class_ = function.outer
        if class_ is None or class_.kind != "class" or self._has(class_.id):
            return True
        self._held[class_.id][function.id] = function
        return False

    def admitted(self, own: Said) -> list[Scope]:
        """What was kept until one more function said what it says."""
        before = len(self._known), self._is_any
        self._known.update(id_ for name in own.named for id_ in self._owners.get(name, ()))
        for each in own.reflects:
            self._known.update(id_ for id_ in owners_in(self._types, each) if ":" not in id_)
        self._is_any = self._is_any or not LOADERS.isdisjoint(own.named)
        if before == (len(self._known), self._is_any):
            return []
        free = [id_ for id_ in self._held if self._has(id_)]
        return [function for id_ in free for function in self._held.pop(id_).values()]

    def _has(self, class_: str) -> bool:
        return self._is_any or class_ in self._known or class_.partition(":")[0] in self._known


def _listed(types: Types) -> set[str]:
    """With a base that is told of the classes below it, and may make objects of them."""
    return {
        above
        for scope in types.project.own_scopes()
        if scope.kind == "class"
        if any(_is_told(types.classes.scope(each)) for each in types.classes.order(scope.id))
        for above in types.classes.order(scope.id)
    }


def _is_told(class_: Scope | None) -> bool:
    if class_ is None:
        return False
    keywords: Sequence[ast.keyword] = getattr(class_.node, "keywords", ())
    return "__init_subclass__" in class_.bindings or any(
        each.arg == "metaclass" and last_of(each.value) not in _METACLASSES for each in keywords
    )
