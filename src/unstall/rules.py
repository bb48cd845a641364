"""The rules, one row each. A row has a page in `docs/rules/` and a line in the changelog."""

from __future__ import annotations

from dataclasses import dataclass

from unstall.model.finding import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    code: str
    slug: str
    title: str
    remedy: str
    severity: Severity = Severity.ERROR


RULES: tuple[Rule, ...] = (
    Rule("US100", "wait", "a wait on the event loop",
         "await an asynchronous call instead, or run this one in anyio.to_thread.run_sync with a limiter"),
    Rule("US101", "sleep", "a synchronous sleep on the event loop",
         "await asyncio.sleep(…) instead"),
    Rule("US102", "http", "a synchronous HTTP call on the event loop",
         "one shared httpx2.AsyncClient with a time-out; else anyio.to_thread.run_sync with a limiter"),
    Rule("US103", "database", "a synchronous database call on the event loop",
         "use the driver's asynchronous twin (psycopg AsyncConnection, SQLAlchemy AsyncSession, asyncpg), "
         "or make the route a plain def"),
    Rule("US104", "cache", "a synchronous cache call on the event loop",
         "use redis.asyncio with a BlockingConnectionPool"),
    Rule("US105", "broker", "a synchronous message broker call on the event loop",
         "use the broker's asynchronous client, or publish in anyio.to_thread.run_sync with a limiter"),
    Rule("US106", "file", "file I/O on the event loop",
         "read and write in anyio.to_thread.run_sync with a limiter, or before the request is served"),
    Rule("US107", "subprocess", "a wait for a subprocess on the event loop",
         "use asyncio.create_subprocess_exec"),
    Rule("US108", "socket", "a synchronous socket or DNS call on the event loop",
         "use asyncio.open_connection and loop.getaddrinfo"),
    Rule("US109", "lock", "a wait for a lock, queue or future of threads on the event loop",
         "use asyncio.Lock or asyncio.Queue, or await asyncio.wrap_future(…)"),
    Rule("US110", "cloud-sdk", "a synchronous cloud SDK call on the event loop",
         "use the SDK's asynchronous client, or call it in anyio.to_thread.run_sync with a limiter"),
    Rule("US111", "mail", "a synchronous mail, FTP, SSH or LDAP call on the event loop",
         "send it from a job, or in anyio.to_thread.run_sync with a limiter"),
    Rule("US112", "import", "an import or first load while a request is served",
         "import it at start-up, so that no request pays for it", Severity.WARNING),
    Rule("US200", "compute", "computing on the event loop",
         "run it in a process pool: a thread would still hold the interpreter lock"),
    Rule("US201", "hashing", "hashing or key derivation on the event loop",
         "run it with asyncio.to_thread: hashlib lets go of the interpreter lock"),
    Rule("US202", "compression", "compression on the event loop",
         "run it with asyncio.to_thread: zlib, bz2 and lzma let go of the interpreter lock"),
    Rule("US205", "parsing", "parsing or rendering a large document on the event loop",
         "bound its size, and parse it in a process pool or with a faster parser"),
    Rule("US206", "regex", "a regular expression that runs for long on the event loop",
         "rewrite the expression without nested repetition, bound the input, or use a linear-time engine"),
    Rule("US405", "two-slots", "two slots of one pool in one request",
         "hand the connection or session you hold on to what needs one, or return it before you ask again"),
    Rule("US901", "gc", "a garbage collection that held the event loop",
         "gc.freeze() after start-up, and keep fewer long-lived objects that refer to each other"),
    Rule("US902", "starved", "the process got no processor",
         "look at CPU limits, neighbours and stopped or suspended hosts: the code is not at fault",
         Severity.WARNING),
    Rule("US903", "saturated", "many small steps that together kept the event loop",
         "do less in each step, take off the loop what the looks name, or add workers", Severity.WARNING),
    Rule("US904", "gil", "the interpreter lock was held, and not by the loop",
         "move what those threads compute to a process"),
    Rule("US905", "unknown", "a stall whose cause was not seen",
         "run on Linux with /proc readable, or with a lower threshold", Severity.WARNING),
)  # fmt: skip

BY_CODE = {rule.code: rule for rule in RULES}
