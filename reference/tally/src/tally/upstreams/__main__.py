"""The upstreams from the command line, all pods in one process and on one event loop.

    python -m tally.upstreams --pods 3 --hang billing:1:15

prints one JSON line, `{"auth": ["http://127.0.0.1:…", …], "billing": […], "flags": […]}`, once every
port accepts. `--hang billing:1:15` lets the first pod of billing keep each request for 15 s before
it answers. Keys are looked up in the database of `DATABASE_URL`, and among those of `--key`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tally.upstreams import http, services

SERVICES = ("auth", "billing", "flags")


@dataclass(frozen=True, slots=True)
class Hang:
    """One pod that is ill; pods are counted from 1."""

    service: str
    pod: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Hang:
        """Raises `argparse.ArgumentTypeError`."""
        try:
            service, pod, seconds = text.split(":")
            hang = cls(service, int(pod), float(seconds))
        except ValueError:
            hang = None
        if (
            hang is None
            or hang.service not in SERVICES
            or hang.pod < 1
            or not 0 <= hang.seconds < 1e6
        ):
            raise argparse.ArgumentTypeError(
                f"must be SERVICE:POD:SECONDS such as billing:1:15, of {', '.join(SERVICES)}, not {text!r}"
            )
        return hang


async def open_all(
    pods: int, latency: float, hangs: Sequence[Hang], lookup: services.Lookup, port: int = 0
) -> Mapping[str, list[asyncio.Server]]:
    """Every pod of every service, on `port` and those after it, or on free ports when it is 0."""
    delays = {(hang.service, hang.pod): hang.seconds for hang in hangs}
    opened: dict[str, list[asyncio.Server]] = {}
    for place, (service, handler) in enumerate(services.handlers(lookup).items()):
        opened[service] = [
            await http.open_pod(
                handler,
                delays.get((service, pod), latency),
                port=port + place * pods + pod - 1 if port else 0,
            )
            for pod in range(1, pods + 1)
        ]
    return opened


def urls(opened: Mapping[str, Sequence[asyncio.Server]]) -> dict[str, list[str]]:
    return {service: [http.url_of(server) for server in pods] for service, pods in opened.items()}


@contextlib.asynccontextmanager
async def in_database(url: str) -> AsyncIterator[services.Lookup]:
    """Keys of the table `api_keys`. What goes wrong there is an `OSError`."""
    import psycopg
    from psycopg_pool import AsyncConnectionPool, PoolTimeout

    pool = AsyncConnectionPool(
        url,
        kwargs={"autocommit": True, "connect_timeout": 3, "options": "-c statement_timeout=2000"},
        min_size=0,  # nobody is asked before there is a question
        max_size=4,
        timeout=2.0,
        reconnect_timeout=4.0,
        check=AsyncConnectionPool.check_connection,
        open=False,
        name="auth",
    )

    async def lookup(key_hash: bytes) -> services.Key | None:
        question = "SELECT customer_id, revoked_at IS NOT NULL FROM api_keys WHERE key_hash = %s"
        try:
            async with pool.connection() as connection:
                cursor = await connection.execute(question, (key_hash,))
                row = await cursor.fetchone()
        except (psycopg.Error, PoolTimeout) as error:
            raise OSError(f"the keys cannot be read: {error}") from error
        return services.Key(int(row[0]), bool(row[1])) if row else None

    async with pool:
        yield lookup


async def _run(args: argparse.Namespace) -> None:
    lookup = services.in_memory(dict(args.key))
    async with contextlib.AsyncExitStack() as stack:
        if database := os.environ.get("DATABASE_URL", ""):
            lookup = services.both(lookup, await stack.enter_async_context(in_database(database)))
        opened = await open_all(args.pods, args.latency, args.hang, lookup, args.port)
        line = json.dumps(urls(opened))
        if not args.quiet:
            print(line, flush=True)
        if args.ready_file:
            draft = args.ready_file.with_name(args.ready_file.name + ".draft")
            draft.write_text(line + "\n")
            draft.replace(args.ready_file)  # a reader sees the whole line or no file
        await asyncio.Event().wait()


def _key(text: str) -> tuple[str, int]:
    key, _, customer = text.rpartition("=")
    if not key or not customer.isdecimal():
        raise argparse.ArgumentTypeError(f"must be KEY=CUSTOMER, not {text!r}")
    return key, int(customer)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("tally.upstreams", description="Auth, billing and flags.")
    option = parser.add_argument
    option("--pods", type=int, default=3, metavar="N", help="of each service (3)")
    option("--latency", type=float, default=0.005, metavar="S", help="of each answer (5 ms)")
    option(
        "--hang",
        type=Hang.parse,
        action="append",
        default=[],
        metavar="SERVICE:POD:S",
        help="let this pod, counted from 1, keep each request for so many seconds",
    )
    option(
        "--key",
        type=_key,
        action="append",
        default=[],
        metavar="KEY=CUSTOMER",
        help="a key that is good, beside those of DATABASE_URL",
    )
    option("--port", type=int, default=0, help="of the first pod; 0 chooses free ones (0)")
    option("--quiet", action="store_true", help="print nothing")
    option("--ready-file", type=Path, metavar="FILE", help="write the line there as well")
    args = parser.parse_args(argv)
    if args.pods < 1 or args.latency < 0:
        parser.error("--pods must be at least 1, --latency at least 0")
    for hang in args.hang:
        if hang.pod > args.pods:
            parser.error(f"there is no pod {hang.pod} of {hang.service}: there are {args.pods}")
    # Requests that hang have nothing to finish, so there is nothing to wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        asyncio.run(_run(args))
    except OSError as error:
        sys.exit(f"tally.upstreams: {error}")


if __name__ == "__main__":
    main()
