"""What is put into the interpreter while a trap is open, once for all of them, and taken out after the last.

Every hook ends in `Hooks.see`, which asks in this order, the cheapest first: is a trap open, does a loop run
on this thread, does an outer hook see this call already, is it allowed here, is it the loop's own business.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from asyncio import _get_running_loop
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import get_ident
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from unstall.catalog.allowed import quiet_packages
from unstall.traps.clocks import FLOOR_NS, Clocks, Moment, waited_ns
from unstall.traps.drivers import DRIVERS, Driver
from unstall.traps.events import IMPORT, TRAP_EVENTS
from unstall.traps.handles import SQLite, objects_of
from unstall.traps.imports import FirstImports
from unstall.traps.openings import Opening, Openings
from unstall.traps.patches import Function, Patches
from unstall.traps.primitives import IF_IT_WAITS, PRIMITIVES, Blocks, Primitive, always
from unstall.traps.regions import ALLOWED
from unstall.watch.audit import AUDIT, SKIP
from unstall.watch.cursors import Cursors
from unstall.watch.discover import ImportHooks

if TYPE_CHECKING:
    from unstall.traps.calls import Calls
    from unstall.traps.steps import Steps

SEES_CALLS = sys.version_info >= (3, 12)
"""`sys.monitoring` shows the calls of C code that the application makes."""
_BODY = "<module>"


class Seen(Protocol):
    """A call that is under way."""

    def took(self, ns: int) -> None: ...

    @property
    def refusal(self) -> BaseException | None: ...


class Catcher(Protocol):
    """What an open trap is to the hooks."""

    def saw(self, call: str, peer: str | None, frame: FrameType) -> Seen | None:
        """None if nobody need know of the call."""

    def waited(self, whose: str, ns: int) -> None:
        """A step waited for so long, and no call was seen in it."""


class _Several:
    """One call, for several traps."""

    __slots__ = ("_seen",)

    def __init__(self, seen: list[Seen]) -> None:
        self._seen = seen

    def took(self, ns: int) -> None:
        for each in self._seen:
            each.took(ns)

    @property
    def refusal(self) -> BaseException | None:
        return next((each.refusal for each in self._seen if each.refusal is not None), None)


class Hooks:
    """One for the process. Of nested traps the one that was opened last is told, and no other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held = 0
        self.openings: Openings[Catcher] = Openings()
        self._inside: set[int] = set()
        self._patches = Patches()
        self._imports = ImportHooks(self.failed)
        self._first_imports = FirstImports(self._audited, self.failed)
        self._functions: dict[int, Any] = {}
        """By the `id` of the original."""
        self._sqlite: SQLite | None = None
        self._cursors: Cursors | None = None
        self._calls: Calls | None = None
        self._steps: Steps | None = None
        self._clocks = Clocks()
        self._heard: Counter[int] = Counter()
        """Calls of each thread, whether or not they were anybody's business."""
        self._quiet = quiet_packages()
        self.failures: list[BaseException] = []
        """Errors of ours: nothing of them reached the host. The first of many."""
        self.failed_times = 0
        self.missing: list[str] = []
        """Rows whose library is imported and is not as the row says."""

    def failed(self, error: BaseException) -> None:
        self.failed_times += 1
        if len(self.failures) < 100:
            self.failures.append(error)

    # --- traps --------------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """The hooks stay in for as long as the block lasts, whether or not a trap is open."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        with self._lock:
            self._held += 1
            if self._held == 1:
                self._install()

    def release(self) -> None:
        with self._lock:
            self._held -= 1
            if self._held == 0:
                self._remove()

    def open(self, catcher: Catcher) -> Opening[Catcher]:
        self.hold()
        return self.openings.open(catcher)

    def close(self, catcher: Catcher) -> None:
        self.openings.close(catcher)
        self.release()

    # --- calls --------------------------------------------------------------------------------

    def see(self, call: str, peer: str | None, frame: FrameType) -> Seen | None:
        """Never raises. None if the call is nobody's business; on the thread that makes it."""
        ident = get_ident()
        self._heard[ident] += 1
        if not self.openings or ALLOWED.get():
            return None
        if ident in self._inside:
            return None
        caller = _not_ours(frame)
        if caller is None or package_of(caller) in self._quiet:
            return None
        try:
            self._inside.add(ident)  # what we do ourselves is no call of the application's
            told = self.openings.told_by(ident)
            every = [one.saw(call, peer, caller) for one in told]
            seen = [each for each in every if each is not None]
            return _Several(seen) if len(seen) > 1 else seen[0] if seen else None
        except Exception as error:
            self.failed(error)
            return None
        finally:
            self._inside.discard(ident)

    def _audited(self, call: str, peer: str | None, frame: FrameType) -> BaseException | None:
        if call == IMPORT and frame.f_code.co_name == _BODY:
            return None  # an import inside of an import
        seen = self.see(call, peer, frame)
        return seen.refusal if seen is not None else None

    def guarded(
        self, call: str, original: Callable[..., Any], blocks: Blocks = always
    ) -> Callable[..., Any]:
        """The function, seen and timed on a running loop; nothing else below it is seen."""
        inside, openings = self._inside, self.openings

        @functools.wraps(original)
        def guarded(*args: Any, **named: Any) -> Any:
            if not openings.newest or _get_running_loop() is None:
                return original(*args, **named)
            ident = get_ident()
            if ident in inside:
                return original(*args, **named)
            __tracebackhide__ = True  # pytest shows the call, not us
            peer, unknown = _other_end(blocks, args, named)
            if unknown is not None:
                result = original(
                    *args, **named
                )  # where it fails itself, that is its answer to them
                self.failed(unknown)
                return result
            if peer is IF_IT_WAITS:
                return self._watched(call, sys._getframe(1), lambda: original(*args, **named))
            seen = self.see(call, peer, sys._getframe(1)) if peer is not SKIP else None
            if seen is None:
                return original(*args, **named)
            refusal = seen.refusal
            if refusal is not None:
                raise refusal
            began = time.perf_counter_ns()
            try:
                inside.add(ident)  # in here, for a signal may be answered after any call
                return original(*args, **named)
            finally:
                inside.discard(ident)
                seen.took(time.perf_counter_ns() - began)

        return guarded

    def _watched(self, call: str, frame: FrameType, original: Callable[[], Any]) -> Any:
        """Seen afterwards, if the thread waited in it."""
        ident, waited = get_ident(), 0
        try:
            self._inside.add(ident)
            before = self._moment()
            try:
                return original()
            finally:
                after = self._moment()
                waited = waited_ns(before, after) if before and after else 0
        finally:
            self._inside.discard(ident)
            seen = self.see(call, None, frame) if waited >= FLOOR_NS else None
            if seen is not None:
                seen.took(waited)

    def _moment(self) -> Moment | None:
        try:
            return self._clocks.read()
        except Exception as error:
            self.failed(error)
            return None

    # --- what is put in -----------------------------------------------------------------------

    def _install(self) -> None:
        if not AUDIT.listen(self._audited, TRAP_EVENTS, self.failed):
            self.missing.append(
                "audit events: this interpreter has none, so no file or name is seen"
            )
        for primitive in PRIMITIVES:
            self._primitive(primitive)
        if SEES_CALLS:
            self._see_calls()
        else:
            self._rebind()
        self._see_steps()
        for driver in DRIVERS:
            self._imports.when(driver.module, functools.partial(self._driver, driver))
        self._imports.when("psycopg2", self._psycopg2)
        self._imports.when("sqlite3.dbapi2", self._sqlite3)
        self._imports.start()
        self._first_imports.start()

    def _remove(self) -> None:
        AUDIT.leave(self._audited)
        self._imports.stop()
        self._first_imports.stop()
        if self._calls is not None:
            self._calls.stop()
        self._calls = None
        self.missing.clear()
        self._patches.restore()
        if self._steps is not None:
            self._steps.stop()
        self._clocks.close()
        self._heard.clear()
        self._functions.clear()
        if self._cursors is not None:
            self._cursors.restore()
        if self._sqlite is not None:
            self._sqlite.restore()

    def _see_calls(self) -> None:
        from unstall.traps.calls import Calls

        calls = Calls(self.openings.__bool__, self.see, self._inside, self.failed)
        if calls.start():
            self._calls = calls
        else:
            self.missing.append("calls of C code: all numbers of tools of sys.monitoring are taken")

    def _see_steps(self) -> None:
        from unstall.traps.steps import Steps, Wait

        def told(wait: Wait) -> None:
            for catcher in self.openings.told_by(get_ident()):
                catcher.waited(wait.whose, wait.ns)

        self._steps = Steps(self.openings.__bool__, self._heard.__getitem__, told, self.failed)
        self._steps.start(self._patches)

    def _primitive(self, row: Primitive) -> None:
        module = import_module(row.module)
        owner = getattr(module, row.owner, None) if row.owner else module
        if owner is None:
            return  # not on this system
        for name in row.names:
            original = getattr(owner, name, None)
            if original is None:
                continue
            ours: Any = self.guarded(f"{row.call}.{name}", original, row.blocks)
            if not row.owner:
                ours = self._functions[id(original)] = Function(ours, row.module)
            self._patches.put(owner, name, ours)

    def _rebind(self) -> None:
        """Names that modules have imported one by one: `from time import sleep`."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in sys.stdlib_module_names or type(module) is not ModuleType:
                continue
            for attribute, value in list(vars(module).items()):
                if id(value) in self._functions:
                    self._patches.put(module, attribute, self._functions[id(value)])

    def _driver(self, row: Driver, module: ModuleType) -> None:
        owner = getattr(module, row.owner, None) if row.owner else module
        for name in row.names:
            own = vars(owner).get(name) if owner is not None else None
            original = getattr(owner, name, None)
            if original is None:
                self.missing.append(f"{row.module}.{row.owner or name}")
                continue
            call = "open" if row.opens else f"{row.call}.{name}"
            call = call.removesuffix(".__init__").removesuffix(".__call__")
            if isinstance(own, classmethod):
                ours: Any = classmethod(self.guarded(call, own.__func__, row.blocks))
            elif isinstance(own, staticmethod):
                ours = staticmethod(self.guarded(call, own.__func__, row.blocks))
            else:
                ours = self.guarded(call, original, row.blocks)
            try:
                self._patches.put(owner, name, ours)
            except (AttributeError, TypeError):
                self._unchangeable(row, module, name, ours)

    def _unchangeable(self, row: Driver, module: ModuleType, name: str, ours: Any) -> None:
        """A class in C that does not let itself be changed: new objects are of a subclass of ours, unless
        its calls are seen anyway."""
        owner: Any = getattr(module, row.owner, None)
        try:
            if not SEES_CALLS:
                parts = {name: ours, "__module__": row.module}
                self._patches.put(module, row.owner, type(row.owner, (owner,), parts))
        except TypeError:
            self.missing.append(f"{row.call}.{name} cannot be wrapped")

    def _psycopg2(self, module: ModuleType) -> None:
        self._cursors = Cursors(self.guarded)
        self._patches.put(module, "connect", self._cursors.connect(module))
        if not SEES_CALLS:
            for connection in objects_of(module.extensions.connection):
                self._cursors.adopt(connection)

    def _sqlite3(self, module: ModuleType) -> None:
        self._sqlite = SQLite(self.guarded, self._statement_ran)
        connect = Function(functools.wraps(module.connect)(self._sqlite.connect(module)), "sqlite3")
        for each in (module, sys.modules.get("sqlite3")):
            if each is not None and hasattr(each, "connect"):
                self._patches.put(each, "connect", connect)
        if not SEES_CALLS:
            self._sqlite.trace(module)

    def _statement_ran(self) -> None:
        """Called by SQLite in the midst of a statement; two frames of ours lie above the caller."""
        if self.openings and _get_running_loop() is not None:
            self.see("sqlite3.Connection.execute", None, sys._getframe(2))


def _other_end(
    blocks: Blocks, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """What the row says of a call, or why it cannot: arguments of a kind that it does not know."""
    try:
        return blocks(args, named), None
    except Exception as error:
        return SKIP, error


def _not_ours(frame: FrameType) -> FrameType | None:
    """A wrapper of ours may lie around the call; nor is anybody to blame for what we do ourselves."""
    caller: FrameType | None = frame
    while caller is not None and package_of(caller) == "unstall":
        caller = caller.f_back
    return caller


def package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


HOOKS = Hooks()
