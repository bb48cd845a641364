"""Applications and routers: what they were made with, and how they hang together."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Class, Where
from unstall.audit.entrances_syntax import argument, default_of
from unstall.audit.entrances_table import APPS, ROUTERS, short
from unstall.audit.entrances_targets import Targets
from unstall.audit.entrances_texts import texts_of
from unstall.audit.entrances_values import Value, Values

MOUNTS = frozenset({"starlette.Mount", "starlette.Host"})


@dataclass(frozen=True, slots=True)
class Owner:
    """An app, a router or a mount. Two expressions mean the same one when their keys are equal."""

    key: tuple[str, int, int]
    is_app: bool
    is_fastapi: bool
    made: Value | None = None
    """The call that made it."""
    class_: str = ""
    """First-party class it is an instance of."""


@dataclass(frozen=True, slots=True)
class Link:
    """One owner inside another."""

    outer: Owner
    inner: Owner
    prefixes: tuple[str, ...]
    dependencies: tuple[Value, ...] = ()
    is_mount: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an owner from outside."""

    prefix: str = ""
    dependencies: tuple[Value, ...] = ()
    apps: tuple[Owner, ...] = ()
    """Whose middleware runs, outermost first."""


@dataclass(slots=True)
class Owners:
    targets: Targets
    _links: dict[tuple[str, int, int], list[Link]] | None = None
    _prefixes: dict[tuple[str, int, int], tuple[str, ...]] = field(default_factory=dict)

    _all: tuple[Owner, ...] | None = None
    _extra: dict[tuple[str, int, int], list[Value]] | None = None
    _instances: dict[str, tuple[Owner, ...]] | None = None

    @property
    def values(self) -> Values:
        return self.targets.values

    def of(self, node: ast.expr, where: Where) -> tuple[Owner, ...]:
        """The apps and routers that the expression can be."""
        found: dict[tuple[str, int, int], Owner] = {}
        for value in self.values.of(node, where):
            for owner in self._owner(value):
                found.setdefault(owner.key, owner)
        return tuple(found.values())

    def _owner(self, value: Value) -> Iterator[Owner]:
        node, where = value.node, value.where
        if isinstance(node, ast.Call):
            named = self.values.named(node.func, where)
            for name in named:
                role = (False, False) if short(name) in MOUNTS else self._role(name)
                if role is not None:
                    class_ = name if name in self.values.index.classes else ""
                    yield Owner(_key(value), *role, made=value, class_=class_)
                    return
        elif isinstance(node, ast.Attribute) and node.attr in ("router", "app"):
            outer = self.of(node.value, where)
            if outer:
                yield from outer
                return
        for class_ in self.values.classes(node, where):
            role = self._role(class_)
            if role is not None:
                if class_ not in self.values.index.classes:
                    yield Owner(_key(value), *role)
                else:
                    yield from self.instances(class_) or (
                        Owner((class_, 0, 0), *role, class_=class_),
                    )
                return

    def _role(self, class_: str) -> tuple[bool, bool] | None:
        """Whether it is an app, and FastAPI's; None: it is no owner of routes."""
        for root in self.values.roots(class_):
            name = short(root)
            if name in APPS:
                return True, name.startswith("fastapi")
            if name in ROUTERS or ("fastapi" in name and name.endswith("Router")):
                return False, not name.startswith("starlette")
        return None

    def setting(self, owner: Owner, name: str) -> list[Value]:
        """What an owner was made with: in the call, else in the constructor of its class."""
        found = self._in_call(owner.made, name) if owner.made is not None else []
        for class_ in self.values.lineage(owner.class_) if owner.class_ and not found else ():
            found = found or self._in_class(class_, name)
        return found

    def _in_call(self, made: Value, name: str) -> list[Value]:
        assert isinstance(made.node, ast.Call)
        given = argument(made.node, None, name)
        if given is not None:
            return [Value(given, made.where)]
        for keyword in made.node.keywords:
            if keyword.arg is None:  # **settings
                for value in self.values.of(keyword.value, made.where):
                    found = _item(value, name)
                    if found is not None:
                        return [found]
        return []

    def _in_class(self, class_: Class, name: str) -> list[Value]:
        init = self.values.index.functions.get(f"{class_.id}.__init__")
        if init is None:
            return []
        default = default_of(init.node.args, name)
        found = [
            Value(given, use.where)
            for use in self.values.index.uses("__init__")
            if use.where.scope == init.id and (given := argument(use.call, None, name)) is not None
        ]
        if found and not (isinstance(found[0].node, ast.Name) and default is not None):
            return found
        return [Value(default, class_.inside)] if default is not None else found

    def prefixes(self, owner: Owner) -> tuple[str, ...]:
        """Its own prefix, in all values it can have."""
        known = self._prefixes.get(owner.key)
        if known is None:
            texts = [
                t
                for v in self.setting(owner, "prefix")
                for t in texts_of(self.values, v.node, v.where)
            ]
            known = self._prefixes[owner.key] = tuple(dict.fromkeys(texts)) or ("",)
        return known

    def dependencies(self, owner: Owner) -> tuple[Value, ...]:
        found = self.setting(owner, "dependencies")
        return tuple(
            item for value in found for item in self.values.elements(value.node, value.where)
        )

    def ways(self, owner: Owner, inside: tuple[Owner, ...] = ()) -> list[Way]:
        """All ways to an owner; to one that nobody includes there is the direct one."""
        apps = (owner,) if owner.is_app else ()
        found: list[Way] = []
        for link in self.links().get(owner.key, ()):
            if link.outer in inside or link.outer == owner:
                continue
            for way in self.ways(link.outer, (*inside, owner)):
                for prefix in link.prefixes:
                    found += self._through(link, way, prefix, apps)
        return found or [Way(apps=apps)]

    def _through(self, link: Link, way: Way, prefix: str, apps: tuple[Owner, ...]) -> Iterator[Way]:
        if link.is_mount:
            yield Way(way.prefix + prefix.rstrip("/"), (), (*way.apps, *apps))
            return
        for own in self.prefixes(link.outer):
            dependencies = (*way.dependencies, *self.dependencies(link.outer), *link.dependencies)
            yield Way(way.prefix + own + prefix, dependencies, (*way.apps, *apps))

    def links(self) -> dict[tuple[str, int, int], list[Link]]:
        """By the inner owner."""
        if self._links is None:
            found: defaultdict[tuple[str, int, int], list[Link]] = defaultdict(list)
            for link in (*self._included(), *self._mounted(), *self._listed()):
                if link not in found[link.inner.key]:
                    found[link.inner.key].append(link)
            self._links = dict(found)
        return self._links

    def _included(self) -> Iterator[Link]:
        for use in self.values.index.uses("include_router"):
            call, where = use.call, use.where
            router = argument(call, 0, "router")
            if router is None or not isinstance(call.func, ast.Attribute):
                continue
            for outer, inner, text in self._pairs(
                call.func.value, router, argument(call, None, "prefix"), where
            ):
                given = argument(call, None, "dependencies")
                items = self.values.elements(given, where) if given is not None else []
                yield Link(outer, inner, text, tuple(items))

    def _pairs(
        self, outer: ast.expr, inner: ast.expr, prefix: ast.expr | None, where: Where
    ) -> Iterator[tuple[Owner, Owner, tuple[str, ...]]]:
        texts = texts_of(self.values, prefix, where) or ("",)
        inners = self.of(inner, where)
        # In a loop over pairs of router and prefix each router has the prefix beside it.
        paired = len(inners) == len(texts) > 1
        for one in self.of(outer, where):
            for at, other in enumerate(inners):
                yield one, other, texts[at : at + 1] if paired else texts

    def _mounted(self) -> Iterator[Link]:
        for use in self.values.index.uses("mount", "host"):
            call = use.call
            app = argument(call, 1, "app")
            if app is None or not isinstance(call.func, ast.Attribute):
                continue
            for outer in self.of(call.func.value, use.where):
                paths = texts_of(self.values, argument(call, 0, "path"), use.where)
                for inner in self.of(app, use.where):
                    yield Link(
                        outer, inner, paths if call.func.attr == "mount" else ("",), is_mount=True
                    )

    def _listed(self) -> Iterator[Link]:
        """`Mount(…)` in lists of routes."""
        for use in self.values.index.uses("Mount", "Host"):
            made = Value(use.call, use.where)
            for mount in self._owner(made):
                app = argument(use.call, 1, "app")
                paths = texts_of(self.values, argument(use.call, 0, "path", "host"), use.where)
                for inner in self.of(app, use.where) if app is not None else ():
                    yield Link(mount, inner, ("",), is_mount=True)
                for outer in self._holding(made):
                    yield Link(outer, mount, paths if paths[:1] != ("",) else ("",), is_mount=True)

    def _holding(self, item: Value) -> list[Owner]:
        """Owners in whose list of routes the item stands."""
        return [
            owner for owner in self.all() if any(v.node is item.node for v in self.listed(owner))
        ]

    def all(self) -> tuple[Owner, ...]:
        """Every owner that a call makes, outside of tests."""
        if self._all is None:
            names = {name.rpartition(".")[2] for name in (*APPS, *ROUTERS, *MOUNTS)}
            names |= {
                one.node.name for one in self.values.index.classes.values() if self._role(one.id)
            }
            found = (
                o
                for use in self.values.index.uses(*names)
                for o in self._owner(Value(use.call, use.where))
            )
            self._all = tuple({owner.key: owner for owner in found}.values())
        return self._all

    def listed(self, owner: Owner) -> list[Value]:
        """`Route(…)` and its like, given or appended to an owner."""
        given = [
            found
            for value in self.setting(owner, "routes")
            for item in self.values.elements(value.node, value.where)
            for found in self.values.of(item.node, item.where)
        ]
        return given + self._appended().get(owner.key, [])

    def _appended(self) -> dict[tuple[str, int, int], list[Value]]:
        """`app.routes.append(Route(…))`"""
        if self._extra is None:
            found: defaultdict[tuple[str, int, int], list[Value]] = defaultdict(list)
            for use in self.values.index.uses("append", "extend", "insert"):
                func = use.call.func
                if not (use.call.args and isinstance(func, ast.Attribute)):
                    continue
                if not (isinstance(func.value, ast.Attribute) and func.value.attr == "routes"):
                    continue
                given = use.call.args[-1]
                items = (
                    self.values.elements(given, use.where)
                    if func.attr == "extend"
                    else [Value(given, use.where)]
                )
                for owner in self.of(func.value.value, use.where):
                    found[owner.key] += [
                        v for item in items for v in self.values.of(item.node, item.where)
                    ]
            self._extra = dict(found)
        return self._extra

    def instances(self, class_: str) -> tuple[Owner, ...]:
        """The owners that are made of a first-party class or of one below it."""
        if self._instances is None:
            self._instances = {}
            for one in self.values.index.classes.values():
                role = self._role(one.id)
                for use in self.values.index.uses(one.node.name) if role is not None else ():
                    if role is not None and one.id in self.values.named(use.call.func, use.where):
                        made = Value(use.call, use.where)
                        owner = Owner(_key(made), *role, made=made, class_=one.id)
                        for above in self.values.lineage(one.id):
                            self._instances[above.id] = (*self._instances.get(above.id, ()), owner)
        return self._instances.get(class_, ())


def _key(value: Value) -> tuple[str, int, int]:
    return value.where.module, value.node.lineno, value.node.col_offset


def _item(value: Value, name: str) -> Value | None:
    node = value.node
    if isinstance(node, ast.Dict):
        for key, item in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == name:
                return Value(item, value.where)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        given = argument(node, None, name)
        return Value(given, value.where) if given is not None else None
    return None
