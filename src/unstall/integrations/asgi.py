"""`unstall.instrument(app)`: everything that may stay on in production, in one line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from unstall.errors import UsageError
from unstall.export.exporter import Exporter
from unstall.integrations.pools import Gates
from unstall.model.finding import Stall
from unstall.settings import Settings, from_environment
from unstall.watch.monitor import Monitor
from unstall.watch.scope import Scope

App = TypeVar("App")


class Instruments:
    """What `instrument` has switched on in this process; `stop` puts everything back."""

    def __init__(
        self,
        settings: Settings,
        *,
        metrics: int | str | None,
        gates: bool,
        on_stall: Callable[[Stall], None] | None,
    ) -> None:
        self.settings = settings
        self.monitor = Monitor(settings, on_stall=on_stall)
        self.gates = Gates(root=settings.root, on_finding=self.monitor.report) if gates else None
        self.exporter = _exporter(self.monitor, metrics)

    def start(self) -> None:
        self.monitor.start()
        if self.gates is not None:
            self.gates.start()
        self.exporter.start()

    def stop(self) -> None:
        global _instruments  # noqa: PLW0603 - one set for each process
        self.exporter.stop()
        if self.gates is not None:
            self.gates.stop()
        self.monitor.stop()
        if _instruments is self:
            _instruments = None


_instruments: Instruments | None = None
_lock = threading.Lock()


def instrument(
    app: App,
    *,
    settings: Settings | None = None,
    metrics: int | str | None = None,
    gates: bool = True,
    on_stall: Callable[[Stall], None] | None = None,
) -> App | Scope:
    """Switches on the monitor, the gates of known pools and the exporter, and returns what to serve.

    `app` is returned as it is if it is Starlette's or FastAPI's; another ASGI app comes back wrapped, so that
    its requests are counted and named. `metrics` is a port, or the path of a Unix socket; without it, what
    `UNSTALL_METRICS_PORT` says, or nothing. Several apps of a process share one set of instruments: the first
    call decides. Raises UsageError for an app that cannot be called, or other settings than the first time.
    """
    global _instruments  # noqa: PLW0603
    if not callable(app):
        raise UsageError(
            f"instrument() was given {app!r}, which is no ASGI app: give the app itself"
        )
    with _lock:
        if _instruments is None:
            chosen = Instruments(
                settings or from_environment(), metrics=metrics, gates=gates, on_stall=on_stall
            )
            try:
                chosen.start()
            except BaseException:
                chosen.stop()
                raise
            _instruments = chosen
        elif settings is not None and settings != _instruments.settings:
            raise UsageError(
                f"instrument() was given {settings} after other settings: one monitor watches the whole "
                "process, so give them with the first app"
            )
    return app if _is_starlette(app) else Scope(app)


def instruments() -> Instruments | None:
    """What is on in this process."""
    return _instruments


def _exporter(monitor: Monitor, metrics: int | str | None) -> Exporter:
    if isinstance(metrics, str) and "/" in metrics:
        return Exporter(monitor, socket=metrics)
    if metrics is None:
        return Exporter(monitor)
    try:
        return Exporter(monitor, port=int(metrics))
    except ValueError:
        raise UsageError(
            f"metrics is {metrics!r}: give a port, for example 9108, or the path of a Unix socket"
        ) from None


def _is_starlette(app: Any) -> bool:
    return any(
        cls.__module__.partition(".")[0] == "starlette" and cls.__name__ == "Starlette"
        for cls in type(app).__mro__
    )
