"""A program that watches itself while it is watched."""

from __future__ import annotations

from unstall.model.recording import Entry
from unstall.run.wire import tell
from unstall.watch.monitor import active

NOTE = (
    "a process runs a Monitor of its own as well: what that one sees is not in this summary, so nothing "
    "is counted twice"
)


class Company:
    """A `Listener` that says once if its monitor is not alone in the process."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._told = False

    def __call__(self, entry: Entry) -> None:
        if not self._told and active() > 1:
            self._told = True
            tell(self._path, NOTE)
