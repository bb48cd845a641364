"""Which of the pools and clients that the imported app holds a call in the source has made."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from unstall.audit.entrances_index import Use
from unstall.audit.imported import Pool
from unstall.audit.rules.subject import Subject

_TYPES = {
    "sqlalchemy": ("sqlalchemy.",),
    "sqlmodel": ("sqlalchemy.",),
    "psycopg_pool": ("psycopg_pool.",),
    "asyncpg": ("asyncpg.",),
    "redis": ("redis.",),
    "valkey": ("valkey.",),
    "httpx": ("httpx.",),
    "httpx2": ("httpx2.",),
}
"""Package of the call to the beginning of the class of what it makes."""


def pool_of(subject: Subject, use: Use, name: str, alike: Sequence[Use]) -> Pool | None:
    """By the global that holds it; else if there is one of its kind, and one call that makes such.

    `alike` are the calls that could have made it.
    """
    if subject.imported is None:
        return None
    kind = _TYPES.get(name.partition(".")[0], ("?",))
    pools = [each for each in subject.imported.pools if each.type.startswith(kind)]
    by_name = {each.name: each for each in pools if each.name}
    for held in _held(subject, use):
        if held in by_name:
            return by_name[held]
    taken = {held for other in alike for held in _held(subject, other)}
    left = [each for each in pools if each.name not in taken]
    nameless = [each for each in alike if not any(n in by_name for n in _held(subject, each))]
    return left[0] if len(left) == 1 and nameless == [use] else None


def _held(subject: Subject, use: Use) -> tuple[str, ...]:
    """Globals that the call is assigned to."""
    statement = subject.shapes.statements.get(id(use.call))
    if use.where.scope or not isinstance(statement, ast.Assign):
        return ()
    return tuple(
        f"{use.where.module}:{target.id}"
        for target in statement.targets
        if isinstance(target, ast.Name)
    )


def waits_for_ever(pool: Pool) -> bool:
    """For a slot, and surely: not every class says how long it waits."""
    return pool.pool_class.endswith("QueuePool") and pool.acquire_timeout is None


def bounds(pool: Pool) -> str:
    """The time-outs that are set, in words: names, and options as text."""
    return " ".join(f"{name}={value}" for name, value in pool.timeouts.items() if value is not None)
