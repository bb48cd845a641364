"""What an app says about itself once it is imported: exact routes, dependency trees, globals and pools.

Names are those the running interpreter gives; `Imported.under` puts them in the words of the audit, whose
module names come from files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from unstall.catalog.table import canonical

Told = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Callee:
    """A function, class or object that the framework calls."""

    function: str
    """By name, as in `audit.ir`."""
    kind: str
    """async, sync, async generator, generator, class"""
    file: str
    """Relative to the root; empty: not the project's own."""
    line: int
    receiver: str = ""
    """Of a method the class of the object that it is called on, and of none below; empty: somebody else's."""


@dataclass(frozen=True, slots=True)
class Dependency:
    call: Callee
    use_cache: bool = True
    scope: str = ""
    """function or request, where FastAPI was told."""
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Middleware:
    name: str
    """The class."""
    call: Callee
    """What of it runs for a request."""
    base_http: bool = False
    """A BaseHTTPMiddleware."""
    options: Mapping[str, int | float | bool] = field(default_factory=dict)
    """Numbers and switches among what it was given."""


@dataclass(frozen=True, slots=True)
class Route:
    kind: str
    """route, websocket, mount"""
    methods: tuple[str, ...]
    path: str
    """In full, with the prefixes of routers and mounts."""
    endpoint: Callee
    middleware: tuple[Middleware, ...] = ()
    """The outermost first."""
    dependencies: tuple[Dependency, ...] = ()
    """In the order of solving; those of the app and its routers first."""


@dataclass(frozen=True, slots=True)
class Handler:
    """Of an exception."""

    error: str
    """Status code or class."""
    call: Callee


@dataclass(frozen=True, slots=True)
class Global:
    module: str
    name: str
    """Of a class attribute `Class.name`."""
    type: str
    gives: str = ""
    """What calling it makes: the class of a sessionmaker's sessions."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Of an object of the project's own: attribute to class."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool or client; None is not known, or has no bound."""

    kind: str
    """engine, pool, client"""
    type: str
    name: str = ""
    """`module:name` of the global that holds it; empty: none does."""
    is_async: bool = False
    host: str | None = None
    port: int | None = None
    driver: str = ""
    """Of an engine: `postgresql+psycopg2`; of a boto3 client: the service."""
    pool_class: str = ""
    size: int | None = None
    overflow: int | None = None
    """Beyond `size`; -1 is without bound."""
    most: int | None = None
    """`size + overflow`, or the library's own maximum."""
    acquire_timeout: float | None = None
    """Seconds a request waits for a slot."""
    timeouts: Mapping[str, float | str | None] = field(default_factory=dict)
    """Seconds, by the library's own names; text for options of a driver. None: it waits for ever."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that the import tried and that was not done."""

    kind: str
    """network, process, write, signal, limit, serve"""
    event: str
    argument: str
    file: str
    line: int
    pretended: bool
    """The code was told that it was done; else it got a PermissionError."""


@dataclass(frozen=True, slots=True)
class Imported:
    app: str
    """`package.module:app`"""
    interpreter: str = ""
    routes: tuple[Route, ...] = ()
    middleware: tuple[Middleware, ...] = ()
    handlers: tuple[Handler, ...] = ()
    lifespan: tuple[Callee, ...] = ()
    startup: tuple[Callee, ...] = ()
    """Startup and shutdown handlers."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """`dependency_overrides`, as far as they are set at import."""
    globals: Mapping[tuple[str, str], Global] = field(default_factory=dict)
    bases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class to those it inherits from, nearest first: of the classes of globals."""
    pools: tuple[Pool, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    unread: tuple[str, ...] = ()
    """Routes that could not be made out, each with the error."""
    unfenced: tuple[str, ...] = ()
    """What the kernel could not hold back while the app was imported, in clauses."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """First-party module to its file, relative to the root."""
    told: Told = field(default_factory=dict, repr=False, compare=False)
    """The probe's answer."""

    def type_of_global(self, module: str, name: str) -> tuple[str, ...]:
        """Class of a module's global, or of a class attribute by `Class.name`; empty: not known."""
        found = self.globals.get((module, name))
        return (found.type,) if found is not None else ()

    def type_of_attribute(self, module: str, name: str, attribute: str) -> tuple[str, ...]:
        """Class of an attribute of an object that a global holds."""
        found = self.globals.get((module, name))
        known = found.attributes.get(attribute) if found is not None else None
        return (known,) if known else ()

    def under(self, modules: Mapping[str, str]) -> Imported:
        """The same, with modules named as in `modules`: file to name."""
        return decode(self.told, self.app, self.interpreter, modules)


@dataclass(frozen=True, slots=True)
class Refused:
    """The app could not be imported, and why, in one sentence."""

    why: str
    partial: Imported | None = None
    """What modules that were imported before it failed say."""


def decode(
    answer: Told, app: str, interpreter: str = "", modules: Mapping[str, str] | None = None
) -> Imported:
    """The probe's answer as values; `modules` names files."""
    reader = _Reader(answer, modules or {})
    told: Told = answer.get("app") or {}
    globals_ = tuple(reader.global_(each) for each in answer.get("globals", ()))
    lineages = [each["types"] for each in answer.get("globals", ())]
    lineages += [line for each in answer.get("globals", ()) for line in each["attributes"].values()]
    lineages += [each["gives"] for each in answer.get("globals", ()) if each.get("gives")]
    return Imported(
        app=app,
        interpreter=interpreter,
        routes=reader.many(told, "routes", reader.route),
        middleware=reader.many(told, "middleware", reader.middleware),
        handlers=reader.many(told, "handlers", reader.handler),
        lifespan=reader.many(told, "lifespan", reader.callee),
        startup=(
            *reader.many(told, "startup", reader.callee),
            *reader.many(told, "shutdown", reader.callee),
        ),
        overrides={
            reader.callee(old).function: reader.callee(new).function
            for old, new in told.get("overrides", ())
        },
        globals={(each.module, each.name): each for each in globals_ if each.type},
        bases={
            reader.type_(line[0]): tuple(map(reader.type_, line[1:])) for line in lineages if line
        },
        pools=reader.many(answer, "pools", reader.pool),
        versions=dict(answer.get("versions", {})),
        refusals=reader.many(answer, "refusals", reader.refusal),
        unread=tuple(told.get("unread", ())),
        unfenced=tuple(answer.get("unfenced", ())),
        modules={name: reader.file(file) for name, file in answer.get("modules", {}).items()},
        told=answer,
    )


class _Reader:
    """Turns what the child told into values, in the names of the audit."""

    def __init__(self, answer: Told, modules: Mapping[str, str]) -> None:
        self._root = f"{answer.get('root', '')}/"
        files: Mapping[str, str] = answer.get("modules", {})
        self._names = {name: modules.get(self.file(file), name) for name, file in files.items()}

    def many(self, told: Told, key: str, read: Callable[[Told], T]) -> tuple[T, ...]:
        return tuple(read(each) for each in told.get(key, ()))

    def file(self, path: str) -> str:
        inside = path.startswith(self._root) and "site-packages" not in path
        return path.removeprefix(self._root).replace("\\", "/") if inside else ""

    def name(self, module: str, qualname: str) -> str:
        known = self._names.get(module)
        return canonical(f"{module}.{qualname}") if known is None else f"{known}:{qualname}"

    def type_(self, class_: list[str]) -> str:
        """By its module, and where the catalog knows nothing of that, by the package that exports it."""
        module, name, package = class_
        known = self.name(module, name)
        return canonical(f"{package}.{name}") if known == f"{module}.{name}" else known

    def callee(self, told: Told) -> Callee:
        is_ours = told["module"] in self._names
        name = self.name(told["module"], told["name"])
        return Callee(
            name if is_ours else name.removesuffix(".__init__"),  # as source names foreign classes
            told["kind"],
            self.file(told["file"]) if is_ours else "",
            told["line"] if is_ours else 0,
            self._receiver(told.get("receiver")) if is_ours else "",
        )

    def _receiver(self, told: list[str] | None) -> str:
        return self.name(*told) if told is not None and told[0] in self._names else ""

    def dependency(self, told: Told) -> Dependency:
        below = self.many(told, "dependencies", self.dependency)
        return Dependency(self.callee(told), told["use_cache"], told["scope"], below)

    def middleware(self, told: Told) -> Middleware:
        call = self.callee(told["call"])
        name = self.name(told["module"], told["name"])
        return Middleware(name, call, told["base_http"], told["options"])

    def route(self, told: Told) -> Route:
        return Route(
            told["kind"],
            tuple(told["methods"]),
            told["path"],
            self.callee(told["endpoint"]),
            self.many(told, "middleware", self.middleware),
            self.many(told, "dependencies", self.dependency),
        )

    def handler(self, told: Told) -> Handler:
        return Handler(told["for"], self.callee(told))

    def global_(self, told: Told) -> Global:
        module: str = told["module"]
        return Global(
            self._names.get(module, module),
            told["name"],
            self.type_(told["types"][0]) if told["types"] else "",
            self.type_(told["gives"][0]) if told.get("gives") else "",
            {str(name): self.type_(line[0]) for name, line in told["attributes"].items() if line},
        )

    def pool(self, told: Told) -> Pool:
        module, _, name = told["name"].partition(":")
        size, overflow, most = told.get("size"), told.get("overflow"), told.get("most")
        if most is None and size is not None and overflow is not None and overflow >= 0:
            most = size + overflow
        return Pool(
            kind=told["kind"],
            type=canonical(told["type"]),
            name=f"{self._names.get(module, module)}:{name}" if name else "",
            is_async=bool(told.get("is_async")),
            host=told.get("host"),
            port=told.get("port"),
            driver=told.get("driver") or told.get("service") or "",
            pool_class=canonical(told.get("pool_class", "")),
            size=size,
            overflow=overflow,
            most=most,
            acquire_timeout=told.get("acquire_timeout"),
            timeouts=told.get("timeouts", {}),
        )

    def refusal(self, told: Told) -> Refusal:
        return Refusal(
            told["kind"],
            told["event"],
            told["argument"],
            self.file(told["file"]),
            told["line"],
            told["pretended"],
        )


def walk(dependencies: tuple[Dependency, ...], depth: int = 0) -> Iterator[tuple[Dependency, int]]:
    """All of a tree in the order of running: what a dependency asks for comes before it."""
    for each in dependencies:
        yield from walk(each.dependencies, depth + 1)
        yield each, depth
