"""Gates for every pool of this process, from `Gates.start` to `Gates.stop`; and `unstall.gate` to name one.

Methods are replaced on the classes of a library when it has been imported, so pools made before are seen,
too. Several `Gates` share one set of replaced methods and one set of numbers.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from unstall.errors import UsageError
from unstall.gates.adapter import Adapter, Hook
from unstall.gates.flow import HOP, flow_here
from unstall.gates.gate import Gate, Kind, Loan, Statistics
from unstall.gates.nested import Nested
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry
from unstall.integrations import asyncpg, httpx, psycopg, redis, sqlalchemy
from unstall.integrations.sighting import Sighting, explained, sighting_of, waits_for
from unstall.meters import METERS
from unstall.model.finding import Finding
from unstall.model.place import Owner
from unstall.settings import working_folder
from unstall.watch.callbacks import Worker
from unstall.watch.discover import ImportHooks
from unstall.watch.stacks import Places, StackReader

_LONGEST_NAME = 120


# --- worker threads -------------------------------------------------------------------------


def _hops(module: ModuleType, patches: Patches, registry: Registry) -> None:
    """What a thread of anyio's takes while a task waits for it is the task's: FastAPI's plain `def`."""

    def hopping(original: Any) -> Any:
        async def run_sync_in_worker_thread(cls: Any, *args: Any, **named: Any) -> Any:
            if named.get("abandon_on_cancel") or any(args[2:3]):
                return await original(cls, *args, **named)  # then nobody waits for the thread
            flow = flow_here(True)
            flow.task = asyncio.current_task()
            token = HOP.set(flow)
            try:
                return await original(cls, *args, **named)
            finally:
                flow.task = None
                try:
                    HOP.reset(token)
                except ValueError:  # thrown away, and closed by somebody else
                    pass

        return run_sync_in_worker_thread

    patches.wrap(module.AsyncIOBackend, "run_sync_in_worker_thread", hopping)


ADAPTERS: tuple[Adapter, ...] = (
    sqlalchemy.ADAPTER,
    asyncpg.ADAPTER,
    psycopg.ADAPTER,
    httpx.ADAPTER,
    redis.ADAPTER,
)
_HOPS = Adapter("anyio's threads", (), (Hook("anyio._backends._asyncio", _hops),), lambda thing: [])


# --- what all `Gates` of the process share --------------------------------------------------


class _Apps(dict[str, bool]):
    """Whether a file is the application's; looked up once for each."""

    def __missing__(self, file: str) -> bool:
        self[file] = Places(working_folder()).locate(file)[1] is Owner.APP
        return self[file]


class _Shared:
    """Replaced methods, as long as anybody wants them."""

    def __init__(self) -> None:
        self.registry = Registry(_Apps())
        self.registry.on_nested = self._seen
        self.registry.waits_for = waits_for
        self.registry.failed = self._failed
        self.inactive: dict[str, str] = {}
        """What does not work in this process, each with its reason."""
        self._users: list[Gates] = []
        self._patches: dict[str, Patches] = {}
        self._done: set[str] = set()
        self._lock = threading.RLock()

    def enter(self, user: Gates, imports: ImportHooks) -> None:
        with self._lock:
            if not self._users:
                self.inactive.clear()
                self.registry.thinning.renew()
                self.registry.told.clear()
                METERS.add(*self.registry.families.all)
            self._users.append(user)
        for adapter in (*ADAPTERS, _HOPS):
            for hook in adapter.hooks:
                imports.when(hook.module, partial(self._install, adapter, hook))

    def leave(self, user: Gates) -> None:
        with self._lock:
            if user in self._users:
                self._users.remove(user)
            if self._users:
                return
            for patches in self._patches.values():
                patches.restore()
            self._done.clear()
            self.registry.forget()
            METERS.remove(*self.registry.families.all)

    def _install(self, adapter: Adapter, hook: Hook, module: ModuleType) -> None:
        with self._lock:
            if not self._users or hook.module in self._done or adapter.takes in self.inactive:
                return
            self._done.add(hook.module)
            try:
                hook.install(module, self._patches_of(adapter), self.registry)
            except Exception as error:  # a version that we do not know
                self._give_up(adapter, error)

    def _patches_of(self, adapter: Adapter) -> Patches:
        return self._patches.setdefault(adapter.takes, Patches())

    def _failed(self, kind: Kind, error: BaseException) -> None:
        """In the middle of the host's own call: its library is left alone from now on."""
        adapter = next(one for one in ADAPTERS if kind in one.kinds)
        with self._lock:
            self._give_up(adapter, error)

    def _give_up(self, adapter: Adapter, error: BaseException) -> None:
        self._patches_of(adapter).restore()
        self.inactive[adapter.takes] = f"{type(error).__name__}: {error}"
        for user in self._users:
            user.failed(error)

    def _seen(self, nested: Nested) -> None:
        sighting = sighting_of(nested)
        with self._lock:
            for user in self._users:
                user.seen(sighting)


# --- what users see -------------------------------------------------------------------------


class Gates:
    """Sees the pools of every known library from `start` to `stop`.

    `on_finding` is given each finding of rule US405 once, on a thread of its own, while the request that
    asks is still asking. `imports` are a monitor's; without them, its own.
    """

    def __init__(
        self,
        imports: ImportHooks | None = None,
        *,
        on_finding: Callable[[Finding], None] | None = None,
        root: Path | None = None,
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self.failed = failed
        self._own = ImportHooks(failed) if imports is None else None
        self._imports = imports or self._own or ImportHooks(failed)
        self._on_finding = on_finding
        self._reader = StackReader(Places(root or working_folder()))
        self._worker = Worker(self._tell, lambda _: None)
        self._running = False

    def start(self) -> Gates:
        if not self._running:
            self._running = True
            _SHARED.enter(self, self._imports)
            if self._own is not None:
                self._own.start()
        return self

    def stop(self) -> None:
        """Puts back what was replaced, unless other gates are still on."""
        if self._running:
            self._running = False
            if self._own is not None:
                self._own.stop()
            _SHARED.leave(self)
            self._worker.stop()

    def __enter__(self) -> Gates:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def statistics(self) -> tuple[Statistics, ...]:
        """Of every pool that was used or named; safe from any thread, at any time."""
        return _SHARED.registry.statistics()

    def lent(self) -> tuple[Loan, ...]:
        """Slots that were taken since a start and have not come back."""
        return tuple(_SHARED.registry.loans.values())

    @property
    def inactive(self) -> tuple[str, ...]:
        """Libraries that cannot be seen here, each with its reason."""
        return tuple(f"{what}: {why}" for what, why in _SHARED.inactive.items())

    def seen(self, sighting: Sighting) -> None:
        if self._on_finding is not None:
            self._worker.put(sighting)

    def _tell(self, sighting: Sighting) -> None:
        if self._on_finding is not None:
            self._on_finding(explained(sighting, self._reader))


def gate(pool: Any, *, name: str) -> Gate | None:
    """Names a pool, before or after it has been used; what was counted before stays under its old name.

    None for an asyncpg pool that is not open yet: it will have the name. Raises UsageError for a thing of
    a kind that is not known.
    """
    _check_name(name)
    found = [one for adapter in ADAPTERS for one in adapter.pools_of(pool)]
    if not found:
        takes = ", ".join(adapter.takes for adapter in ADAPTERS[:-1]) + f", or {ADAPTERS[-1].takes}"
        kind = f"{type(pool).__module__}.{type(pool).__qualname__}"
        raise UsageError(
            f"unstall.gate was given a {kind}, and no pool is known behind it: give {takes}"
        )
    for one, kind_of in found:
        _SHARED.registry.name(one, kind_of, name)
    return _SHARED.registry.known(found[0][0])


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise UsageError(
            f"the name of a pool is {name!r}: give 1 to {_LONGEST_NAME} characters, for example 'billing'"
        )


_SHARED = _Shared()
os.register_at_fork(after_in_child=_SHARED.registry.forget)
