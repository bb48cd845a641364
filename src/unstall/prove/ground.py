"""What a run stands on: a plan that can be carried out, the app's environment, and its upstreams' places."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unstall.chaos.kinds import spec_of
from unstall.errors import TargetError, UsageError
from unstall.hosts import is_loopback
from unstall.load.scenarios import check as check_load
from unstall.model.plan import Plan
from unstall.model.proof import HEALTHY
from unstall.prove.environment import Address, addresses, tls_gap
from unstall.triage.thresholds import check as check_thresholds

_CONNECT_S = 3.0


@dataclass(frozen=True, slots=True)
class Ground:
    env: Mapping[str, str]
    """What the app finds in its environment, before anything is moved."""
    upstreams: Mapping[str, tuple[Address, ...]]
    """By the variable that names them, in its order."""
    gaps: tuple[str, ...] = ()


def folder_of(plan: Plan) -> Path:
    """Where the app is started."""
    base = Path(plan.file).parent if plan.file else Path()
    return (base / plan.app.folder).resolve()


def check(plan: Plan, allow_remote: Iterable[str] = ()) -> None:
    """Raises UsageError for a plan that cannot be carried out here."""
    where = f"the plan {plan.file}" if plan.file else "the plan"
    if not plan.app.command:
        raise UsageError(
            f"{where} has no command in [app], and prove starts the app itself, to stand between it and its "
            "upstreams: give one, or use unstall load for what runs already"
        )
    if "{port}" not in plan.app.command and not plan.app.url and not _port_in_env(plan):
        raise UsageError(
            f"{where} starts {plan.app.command!r}, and nothing says where that listens: write {{port}} in "
            "the command or in env, or give url in [app]"
        )
    if not folder_of(plan).is_dir():
        raise UsageError(
            f"{where} starts the app in {folder_of(plan)}, which is no folder: correct folder"
        )
    check_local(plan.app.url, allow_remote)
    check_load(plan.scenarios, plan.witness)
    for fault in plan.faults:
        spec_of(fault)
    check_thresholds(plan, (HEALTHY, *(fault.title for fault in plan.faults)))


def check_local(url: str, allow_remote: Iterable[str] = ()) -> None:
    """Raises UsageError for a target on another machine that nobody has named on purpose."""
    host = urlsplit(url).hostname or ""
    if not url or is_loopback(host) or host in tuple(allow_remote):
        return
    raise UsageError(
        f"{url} is not on this machine, and load can take a service down: if it is yours to load, say so "
        f"with --allow-remote {host or 'HOST'}"
    )


def ground_of(plan: Plan, environ: Mapping[str, str]) -> Ground:
    """`environ` is what the app would find without the plan. Raises UsageError for an unknown upstream."""
    env = {**environ, **plan.app.env}
    names = dict.fromkeys((*plan.upstreams, *(fault.upstream for fault in plan.faults)))
    upstreams = {name: addresses(name, env) for name in names}
    for fault in plan.faults:
        if fault.bad > len(upstreams[fault.upstream]):
            raise UsageError(
                f"{fault.title} makes {fault.bad} addresses ill, and {fault.upstream} names "
                f"{len(upstreams[fault.upstream])}: lower bad"
            )
    remote = {
        name: far
        for name, found in upstreams.items()
        if (far := [str(each) for each in found if not is_loopback(each.host)])
    }
    gaps = [
        f"{name} points at {', '.join(far)}, which is not this machine: what the app asked there was real"
        for name, far in remote.items()
    ]
    gaps += [gap for name in names if (gap := tls_gap(name, env))]
    return Ground(env, upstreams, tuple(gaps))


async def check_reachable(ground: Ground) -> tuple[str, ...]:
    """Sentences about addresses where nobody answers. Raises TargetError if that is all of an upstream."""
    gaps: list[str] = []
    for name, found in ground.upstreams.items():
        dead = [
            str(address)
            for address, alive in zip(
                found, await asyncio.gather(*map(_listens, found)), strict=True
            )
            if not alive
        ]
        if len(dead) == len(found):
            raise TargetError(
                f"{name} points at {', '.join(dead)}, where nobody answers: start it first, for a fault "
                "proves nothing where the healthy answer is missing"
            )
        gaps += [f"{name} points at {address}, where nobody answers" for address in dead]
    return tuple(gaps)


async def check_free(url: str) -> None:
    """Raises TargetError if somebody listens there already: it would be asked in place of the app."""
    parts = urlsplit(url)
    address = Address(parts.hostname or "127.0.0.1", parts.port or 80)
    if await _listens(address):
        raise TargetError(
            f"port {address.port} is taken already: stop what listens there, or write {{port}} in the command"
        )


async def _listens(address: Address) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(*address)
        writer.close()
        return True
    return False


def _port_in_env(plan: Plan) -> bool:
    return any("{port}" in value for value in plan.app.env.values())
