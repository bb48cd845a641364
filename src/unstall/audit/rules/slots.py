"""US405: a second slot of a pool, asked for while the first is held."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from unstall.audit.entrances_index import Use, own_nodes
from unstall.audit.rules.arguments import argument
from unstall.audit.rules.subject import Spot, Subject, Way, found, shown
from unstall.model.finding import Confidence, Finding, Severity

ASKS = frozenset("acquire connection connect begin getconn".split())
"""Methods of a pool or engine that take a slot."""
DIRECT = frozenset("execute executemany fetch fetchrow fetchval".split())
"""Methods of asyncpg's pool that take one and give it back."""
POOL_TYPES = frozenset(
    "asyncpg.Pool psycopg_pool.ConnectionPool psycopg_pool.AsyncConnectionPool aiomysql.Pool "
    "sqlalchemy.Engine sqlalchemy.engine.Engine sqlalchemy.ext.asyncio.AsyncEngine".split()
)
MAKERS = frozenset("sqlalchemy.orm.sessionmaker sqlalchemy.ext.asyncio.async_sessionmaker".split())
SESSION_CLASSES = frozenset(
    "sqlalchemy.orm.Session sqlmodel.Session sqlalchemy.ext.asyncio.AsyncSession "
    "sqlmodel.ext.asyncio.session.AsyncSession".split()
)


def check_nested(subject: Subject) -> Iterator[Finding]:
    """US405"""
    holders: dict[str, tuple[str, ast.With | ast.AsyncWith]] = {}
    for module, block in subject.shapes.withs:
        around = subject.function_at(module, block.lineno)
        ways = subject.requests(around.id) if around else ()
        if around is None or not ways:
            continue
        calls = [
            item.context_expr for item in block.items if isinstance(item.context_expr, ast.Call)
        ]
        pool = next((p for call in calls if (p := _pool_of(subject, Use(call, around.inside)))), "")
        if pool:
            yield from _second(subject, around.id, block, pool, ways)
            if ":" in pool and any(
                isinstance(node, ast.Yield) for node, _ in own_nodes(block.body)
            ):
                holders[around.id] = pool, block
    yield from _beside_dependencies(subject, holders)


def _beside_dependencies(
    subject: Subject, holders: Mapping[str, tuple[str, ast.With | ast.AsyncWith]]
) -> Iterator[Finding]:
    """A dependency holds a slot while the endpoint, or another step, takes a second one."""
    for entrance in subject.program.entrances:
        for place, step in enumerate(entrance.steps):
            held = holders.get(step.function) if step.kind == "dependency" else None
            for later in entrance.steps[place + 1 :] if held else ():
                second = (
                    _takes(subject, later.function, held[0], 3)
                    if held and later.function != step.function
                    else None
                )
                if second is not None and held is not None:
                    because = f"{shown(step.function)} holds a slot of {_bare(held[0])} for the whole request"
                    yield found("US405", second, because, ways=[Way(entrance, later.place)],
                                severity=Severity.WARNING, confidence=Confidence.LIKELY)  # fmt: skip


def _second(
    subject: Subject,
    function: str,
    block: ast.With | ast.AsyncWith,
    pool: str,
    ways: tuple[Way, ...],
) -> Iterator[Finding]:
    """The first call in the block that takes a slot of the same pool, itself or in what it calls."""
    where = subject.index.functions[function].inside
    for node, _ in own_nodes(block.body):
        if not isinstance(node, ast.Call):
            continue
        if _pool_of(subject, Use(node, where)) == pool:
            because = f"a slot of {_bare(pool)} is held since line {block.lineno}"
            yield found("US405", subject.spot(where, node, ast.unparse(node.func)), because,
                        ways=ways, severity=Severity.WARNING, confidence=_sure(node))  # fmt: skip
            return
        for target in subject.targets(where, node.func):
            inner = _takes(subject, target, pool, 3)
            if inner is not None:
                spot = subject.spot(where, node, ast.unparse(node.func))
                because = (
                    f"a slot of {_bare(pool)} is held since line {block.lineno}, "
                    f"and {inner.function} takes another in {inner.file}:{inner.line}"
                )
                yield found("US405", spot, because, ways=ways, severity=Severity.WARNING,
                            confidence=Confidence.LIKELY)  # fmt: skip
                return


def _sure(call: ast.Call) -> Confidence:
    """A session takes its slot with its first statement, not when it is made."""
    is_asked = isinstance(call.func, ast.Attribute) and call.func.attr in ASKS | DIRECT
    return Confidence.CERTAIN if is_asked else Confidence.LIKELY


def _takes(subject: Subject, function: str, pool: str, deepest: int) -> Spot | None:
    """Where a function asks for a slot of the pool, itself or below."""
    definition = subject.index.functions.get(function)
    if definition is None or deepest == 0 or isinstance(definition.node, ast.Lambda):
        return None
    calls = [node for node, _ in own_nodes(definition.node.body) if isinstance(node, ast.Call)]
    for call in calls:
        if _pool_of(subject, Use(call, definition.inside)) == pool and ":" in pool:
            return subject.spot(definition.inside, call, ast.unparse(call.func))
    for call in calls:
        for target in subject.targets(definition.inside, call.func):
            inner = _takes(subject, target, pool, deepest - 1)
            if inner is not None:
                return inner
    return None


def _pool_of(subject: Subject, use: Use) -> str:
    """The pool that a call takes a slot of: a global by its name, else as written; empty: it takes none."""
    func = use.call.func
    if isinstance(func, ast.Attribute) and func.attr in ASKS | DIRECT:
        classes = subject.types(use.where, func.value)
        is_asyncpg = any(cls.startswith("asyncpg.") for cls in classes)
        if not POOL_TYPES.isdisjoint(classes) and (func.attr in ASKS or is_asyncpg):
            return _identity(subject, use, func.value)
        return ""
    if not MAKERS.isdisjoint(subject.types(use.where, func)):
        return _identity(subject, use, func)
    if not SESSION_CLASSES.isdisjoint(subject.targets(use.where, func)):
        engine = argument(use.call, "bind", 0)
        return _identity(subject, use, engine) if engine is not None else ""
    return ""


def _identity(subject: Subject, use: Use, expression: ast.expr) -> str:
    names = subject.names.name_of(use.where.module, use.where.scope, expression)
    if len(names) == 1 and ":" in names[0]:
        return names[0]
    return ast.unparse(expression)


def _bare(pool: str) -> str:
    return pool.rpartition(":")[2]
