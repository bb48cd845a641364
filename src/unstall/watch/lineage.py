"""The request behind a task that nobody waits for, such as one that a handler started and forgot.

A task carries a copy of the context it was created in, and a measured request leaves its path there. So who
started it is known if that request was measured, and not known else: to note it for every request would
cost every request. Of a bare callback (`call_soon`, `call_later`) it is not known: that context cannot be
read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from unstall.watch.carried import context_of
from unstall.watch.pieces import PATH
from unstall.watch.scope import ASGIScope


def scope_that_started(task: asyncio.Task[Any] | None) -> ASGIScope | None:
    """The scope of the request in whose context a task was created, if that is known."""
    context = context_of(task) if task is not None else None
    path = context.get(PATH) if context is not None else None
    scope = getattr(path, "scope", None)
    return scope if isinstance(scope, dict) else None
