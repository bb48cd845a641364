"""Which line is blamed where the application lies among its libraries, as `pip install myservice` puts it."""

from __future__ import annotations

import pytest

from tests.explain.request_stacks import (
    ANSWER,
    BACKGROUND,
    CHARGE,
    DEPENDENCIES,
    ENDPOINT,
    HANDLER,
    IMPORTS,
    LIFESPAN,
    MIDDLEWARE,
    ROUTER,
    SENDER,
    SERVER,
    on_the_loop,
)
from unstall.explain.blame import answers, entry_of, reach_of, site_of, step_of
from unstall.explain.findings import code_of, findings_of
from unstall.explain.installed import (
    FRAMEWORKS,
    HANDED_ON,
    SERVERS,
    WRAPPERS,
    is_client,
    known_below,
    package_of,
)
from unstall.explain.latent import is_quiet
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Entry, Hop, Stall
from unstall.model.place import Frame, Owner, Stack
from unstall.testing import THRESHOLD_NS, frame, library, look, request, stdlib, stretch

ORDERS = request("POST /orders")
CREATE = library("myservice.api:create", 20, "load")
LOAD = library("myservice.repo:load", 31, "self.redis.get")
REDIS = (
    library("redis.client:Redis.execute_command", 559, "conn.retry.call_with_retry"),
    library("redis._parsers.socket:SocketBuffer._read_from_socket", 64, "sock.recv"),
)


def served(*frames: Frame) -> Stack:
    """By FastAPI, without a line of an application above it."""
    return step_of(on_the_loop(*SERVER, *ROUTER, HANDLER, ENDPOINT, *frames))


def blamed(stack: Stack) -> str:
    """`module:function` of the site, and what it calls."""
    site = site_of(stack)
    if site is None:
        return "nobody"
    found = [f for f in stack.frames if (f.file, f.line) == (site.file, site.line)]
    return f"{found[-1].module}:{site.function} calls {site.call}"


def stalled(*frames: Frame, cpu_ms: float = 1, wait: str | None = "recvfrom") -> Stall:
    on_loop = on_the_loop(*SERVER, *ROUTER, HANDLER, ENDPOINT, *frames)
    looks = (look(on_loop, until_ms=500, times=9, wait=wait, running=not wait, request=ORDERS),)
    return stall_of(stretch(*looks, cpu_ms=cpu_ms), THRESHOLD_NS)


# --- the line -------------------------------------------------------------------------------


def test_an_installed_handler_is_blamed_and_not_the_client_that_it_calls() -> None:
    stack = served(CREATE, LOAD, *REDIS)
    assert blamed(stack) == "myservice.repo:load calls redis.client.Redis.execute_command"
    assert entry_of(stack, ORDERS, "run_asgi") == Entry(
        "route", "POST /orders", "myservice.api:create"
    )
    assert reach_of(stack) == (Hop(CREATE.file, 20, "create", ""),)


WAYS_IN = {
    "dependency": (*SERVER, *ROUTER, HANDLER, DEPENDENCIES),
    "background task": (*SERVER, *ROUTER, *BACKGROUND),
    "middleware": SERVER,
    "lifespan": LIFESPAN,
    "route": (*SERVER, library("starlette.endpoints:HTTPEndpoint.dispatch", 40)),
}


@pytest.mark.parametrize("kind", WAYS_IN)
def test_every_way_in_leads_to_the_installed_line(kind: str) -> None:
    stack = step_of(on_the_loop(*WAYS_IN[kind], CREATE, LOAD, *REDIS))
    assert blamed(stack).startswith("myservice.repo:load")
    entry = entry_of(stack, ORDERS, "run_asgi")
    assert entry is not None
    assert (entry.kind, entry.function) == (kind, "myservice.api:create")


def test_a_validator_of_an_installed_model_is_blamed_and_not_pydantic() -> None:
    validator = library("myservice.models:Order.in_stock", 8, "requests.get")
    stack = step_of(
        on_the_loop(*SERVER, *ROUTER, HANDLER, library("pydantic.main:BaseModel.__init__"), validator)
    )  # fmt: skip
    assert blamed(stack) == "myservice.models:Order.in_stock calls requests.get"


def test_what_a_client_calls_back_in_the_installed_app_is_blamed() -> None:
    hook = library("myservice.audit:before_execute", 12, "time.sleep")
    session = library("sqlalchemy.orm.session:Session.execute")
    assert blamed(served(CREATE, session, hook)).startswith("myservice.audit:before_execute")


def test_a_namespace_is_one_application() -> None:
    """`titiler.application` and `titiler.core` are two distributions."""
    stack = served(
        library("acme.web.api:tile", 5, "render"), library("acme.core.tiles:render", 9, "requests.get"),
        library("requests.api:get"),
    )  # fmt: skip
    assert blamed(stack) == "acme.core.tiles:render calls requests.get"


def test_a_package_that_was_started_as_a_program_is_itself() -> None:
    main = Frame("/x/site-packages/myservice/__main__.py", 4, "create", "__main__", Owner.LIBRARY)
    assert package_of(main) == "myservice"
    single = Frame("/x/site-packages/single.py", 4, "create", "__main__", Owner.LIBRARY)
    assert package_of(single) == "single"
    assert package_of(frame("__main__:create")) == "__main__"
    assert blamed(served(main, LOAD, *REDIS)).startswith("myservice.repo:load")


def test_generated_code_has_no_line_to_blame() -> None:
    made = Frame("<attrs generated>", 3, "Order.__init__", "myservice.models", Owner.LIBRARY)
    assert blamed(served(CREATE, made)).startswith("myservice.api:create")


def test_an_application_that_the_catalog_has_rows_about_is_blamed_all_the_same() -> None:
    """LiteLLM's proxy is an application, and its package a client."""
    assert is_client(library("litellm.main:completion"))
    proxy = library("litellm.proxy.server:chat", 90, "requests.post")
    stack = served(proxy, library("requests.api:post"), library("urllib3.connectionpool:urlopen"))
    assert blamed(stack) == "litellm.proxy.server:chat calls requests.post"


# --- what only hands on ---------------------------------------------------------------------

WRAPPED = {
    "tenacity": (
        library("tenacity.asyncio:AsyncRetrying.wraps.<locals>.async_wrapped", 189, "copy"),
        library("tenacity.asyncio:AsyncRetrying.__call__", 112, "fn"),
    ),
    "slowapi": (library("slowapi.extension:Limiter.limit.<locals>.async_wrapper", 742, "func"),),
    "a tracer": (
        library("ddtrace.contrib.fastapi:traced", 64, "wrapped"),
        library("wrapt:call", 3),
    ),
    "two at once": (library("sentry_sdk.tracing:span", 9), library("cachetools.keys:wrapper", 12)),
    "an unknown decorator": (library("acme_timing:timed.<locals>.inner", 7, "func"),),
    "an unknown middleware": (library("acme_asgi:Timing.__call__", 7, "self.app"),),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_who_only_hands_on_is_passed_over(case: str) -> None:
    stack = served(*WRAPPED[case], CREATE, LOAD, *REDIS)
    assert blamed(stack).startswith("myservice.repo:load")
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.function == "myservice.api:create"


@pytest.mark.parametrize("case", WRAPPED)
def test_who_only_hands_on_is_not_passed_over_for_its_own_clients(case: str) -> None:
    package = package_of(WRAPPED[case][-1])
    assert blamed(served(*WRAPPED[case], *REDIS)).startswith(package)


CLIENTS = {
    "an HTTP client": (library("requests.api:get"), library("urllib3.connectionpool:urlopen")),
    "a client of its vendor's": (library("litellm.main:completion"), library("requests.api:post")),
    "a part of a namespace": (library("google.cloud.storage.client:Client.bucket"),),
}
INSTALLED_IN_CLIENTS = {
    "a proxy in a client's package": library("litellm.proxy.server:chat", 90, "requests.post"),
    "a server in a client's package": library("chromadb.server.fastapi:query", 90, "requests.post"),
    "a server in a client's namespace": library("google.adk.cli.api:run", 90, "requests.post"),
}


@pytest.mark.parametrize("case", CLIENTS)
def test_a_decorator_that_asks_a_client_of_its_own_is_blamed(case: str) -> None:
    assert blamed(served(*WRAPPED["slowapi"], *CLIENTS[case])).startswith("slowapi")


@pytest.mark.parametrize("case", INSTALLED_IN_CLIENTS)
def test_a_decorator_is_not_blamed_for_an_application_that_is_called_like_a_client(
    case: str,
) -> None:
    handler = INSTALLED_IN_CLIENTS[case]
    stack = served(*WRAPPED["slowapi"], handler, *CLIENTS["an HTTP client"])
    assert blamed(stack) == f"{handler.module}:{handler.function} calls requests.post"


def test_a_package_hands_on_if_its_first_lines_do_and_not_its_last() -> None:
    """A platform's package holds the decorator of every handler, and the client that they call."""
    traced = library("acme_platform.trace:traced.<locals>.inner", 5, "func")
    create = library("orders.api:create", 20, "acme_platform.http.get")
    get = library("acme_platform.http:get", 9, "requests.get")
    stack = served(traced, create, get, library("requests.api:get"))
    assert blamed(stack) == "orders.api:create calls acme_platform.http.get"
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.function == "orders.api:create"


def test_below_a_decorator_of_its_own_and_of_others_an_application_is_blamed() -> None:
    timed = library("myservice.timing:timed.<locals>.inner", 5, "func")
    stack = served(timed, *WRAPPED["tenacity"], CREATE, LOAD, *REDIS)
    assert blamed(stack).startswith("myservice.repo:load")
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.function == "myservice.api:create"


def test_an_application_that_hands_on_what_blocks_is_named_as_the_entry() -> None:
    create = library("myservice.api:create", 20, "call")
    call = library("myservice.retry:call", 4, "func")
    stack = served(create, call, library("acme_sheets:Book.save", 7, "self._write"))
    assert blamed(stack).startswith("acme_sheets:Book.save")
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.function == "myservice.api:create"


def test_a_middleware_that_blocks_itself_is_blamed_at_its_own_line() -> None:
    metrics = library(
        "prometheus_fastapi_instrumentator.middleware:Count.__call__", 9, "requests.post"
    )
    stack = step_of(on_the_loop(*SERVER, metrics, library("requests.api:post"), stdlib("ssl:read")))
    assert blamed(stack) == (
        "prometheus_fastapi_instrumentator.middleware:Count.__call__ calls requests.post"
    )
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.kind == "middleware"


def test_a_plain_asgi_app_below_a_server_and_a_tracer_is_blamed() -> None:
    server = library("uvicorn.protocols.http.h11_impl:RequestResponseCycle.run_asgi", 410)
    traced = library("opentelemetry.instrumentation.asgi:OpenTelemetryMiddleware.__call__", 600)
    assert blamed(step_of(on_the_loop(server, traced, CREATE, *REDIS))).startswith("myservice.api")


def test_no_package_is_a_framework_and_a_wrapper() -> None:
    assert not FRAMEWORKS & WRAPPERS
    assert all(name.isidentifier() for name in FRAMEWORKS | WRAPPERS | HANDED_ON)


def test_every_server_lies_in_a_package_that_is_a_client_but_for_it() -> None:
    for name in SERVERS:
        package = name.partition(".")[0]
        assert is_client(library(f"{package}.client:get"))
        assert is_client(library(f"{name}s:get"))
        assert not is_client(library(f"{name}:get"))
        assert not is_client(library(f"{name}.api:get"))


# --- what is sent and received ----------------------------------------------------------------

CONTEXT = library("starlette_context.middleware:Raw.__call__.<locals>.send_wrapper", 66, "send")
BROTLI = library("brotli_asgi:BrotliResponder.send_with_brotli", 183, "self._process")
OUT = (
    library("starlette.middleware.errors:ServerErrorMiddleware.__call__.<locals>._send", 161, "send"),
    library("uvicorn.protocols.http.h11_impl:RequestResponseCycle.send", 512, "self.conn.send"),
    library("h11._connection:Connection.send", 512),
)  # fmt: skip


def answered(*frames: Frame) -> Stack:
    return step_of(on_the_loop(*SERVER, *ROUTER, *ANSWER, *frames))


@pytest.mark.parametrize("call", ["send", "_send", "self.send", "self._send"])
def test_of_those_that_a_response_passes_who_works_on_it_is_blamed(call: str) -> None:
    sends = library("acme_asgi:Headers.send", 9, call)
    assert blamed(answered(sends, BROTLI)).startswith("brotli_asgi")
    assert blamed(answered(BROTLI)).startswith("brotli_asgi")
    entry = entry_of(answered(sends, BROTLI), ORDERS, None)
    assert entry is not None
    assert entry.function == f"{BROTLI.module}:{BROTLI.function}"


def test_what_the_server_does_with_a_response_is_told_at_the_servers_line() -> None:
    assert blamed(answered(CONTEXT, *OUT)).startswith("h11._connection:Connection.send")
    assert blamed(answered(*OUT)).startswith("h11._connection:Connection.send")
    assert answers(answered(CONTEXT, *OUT)) is None


def test_a_message_that_an_installed_application_sends_elsewhere_is_its_own() -> None:
    send = library("myservice.mail:notify", 12, "self.mailer.send")
    assert blamed(served(CREATE, send, library("acme_mail:Mailer.send"))).startswith("myservice")


def test_who_passes_a_response_on_is_not_blamed_for_a_middleware_of_ones_own() -> None:
    stack = step_of(on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, *ANSWER, CONTEXT, BROTLI))
    assert blamed(stack).startswith("shop.timing")
    outer = frame("shop.timing:Timing.__call__.<locals>.send_timed", 15, "time.sleep")
    stack = step_of(on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, *ANSWER, CONTEXT, outer))
    assert blamed(stack) == "shop.timing:Timing.__call__.<locals>.send_timed calls time.sleep"


BASE = "starlette.middleware.base:BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>"
OUTWARD = {
    "the exception handler's": (SENDER,),
    "the outermost handler's": (OUT[0],),
    "a base middleware's": (library(f"{BASE}.send_no_error", 134, "send_stream.send"),),
    "a base middleware's body": (
        library(f"{BASE}.receive_or_disconnect", 124, "wrap"),
        library(f"{BASE}.receive_or_disconnect.<locals>.wrap", 119, "func"),
    ),
}
PASSED = {
    "passes it on": library("acme_asgi:Headers.send", 9, "send"),
    "works on it": library("acme_asgi:Sizes.send", 12, "self.add"),
}


@pytest.mark.parametrize("outward", OUTWARD)
@pytest.mark.parametrize("passed", PASSED)
def test_what_ones_own_line_sends_or_receives_is_its_own(outward: str, passed: str) -> None:
    endpoint = library("fastapi.routing:get_websocket_app.<locals>.app", 500)
    chat = frame("shop.chat:chat", 20, "websocket.send_bytes")
    stack = step_of(
        on_the_loop(
            *SERVER, *ROUTER[:6], endpoint, chat, library("starlette.websockets:WebSocket.send", 85),
            *OUTWARD[outward], PASSED[passed],
            library("uvicorn.protocols.websockets.impl:Protocol.asgi_send", 300),
            library("websockets.extensions.permessage_deflate:PerMessageDeflate.encode", 170),
        )
    )  # fmt: skip
    assert blamed(stack).startswith("shop.chat:chat")
    assert answers(stack) == stack.frames.index(chat)


# --- nobody's application -------------------------------------------------------------------

OWN = {
    "a server": (SERVER[0], library("h11._connection:next_event", 7)),
    "a framework": SERVER,
    "a validation": (*SERVER, *ROUTER, HANDLER, library("pydantic.main:BaseModel.__init__", 9)),
    "a client's reader": (library("redis.asyncio.connection:read", 3), library("redis._parsers:read", 9)),
    "a library's task": (library("aiokafka.consumer:fetch", 5), library("aiokafka.record:decode", 9)),
}  # fmt: skip


@pytest.mark.parametrize("case", OWN)
def test_what_a_library_does_for_itself_is_told_at_its_innermost_line(case: str) -> None:
    stack = step_of(on_the_loop(*OWN[case]))
    last = OWN[case][-1]
    assert blamed(stack).startswith(f"{last.module}:{last.function} ")
    assert answers(stack) is None
    assert is_quiet(stack, ORDERS, "run_asgi")


def test_of_a_stack_that_was_cut_nothing_is_guessed() -> None:
    assert blamed(Stack((CREATE, *REDIS), cut=40)).startswith("redis._parsers.socket")


def test_without_a_way_in_nothing_is_guessed_of_a_line_that_cannot_be_read() -> None:
    """As in what `faulthandler` writes: the line may only hand on."""
    unread = library("acme_asgi:Timing.__call__", 7)
    assert blamed(step_of(on_the_loop(SERVER[0], unread, *REDIS))).startswith("redis._parsers")
    assert blamed(served(unread, *REDIS)).startswith("acme_asgi")


def test_a_task_of_an_installed_application_is_blamed_at_its_own_line() -> None:
    stack = step_of(on_the_loop(CREATE, LOAD, *REDIS))
    assert blamed(stack).startswith("myservice.repo:load")
    assert entry_of(stack, None, "create") == Entry("task", "create", "myservice.api:create")


# --- beside an application of one's own -----------------------------------------------------


def test_a_line_of_ones_own_below_the_way_in_is_blamed_as_ever() -> None:
    assert blamed(served(library("acme_users.routes:me", 3), CHARGE, *REDIS)).startswith(
        "shop.billing"
    )
    assert blamed(served(CHARGE, library("acme_sdk:send", 3), *REDIS)).startswith("shop.billing")


def test_a_middleware_of_ones_own_is_not_blamed_for_an_installed_handler_below_it() -> None:
    stack = step_of(on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, HANDLER, ENDPOINT, CREATE, *REDIS))
    assert blamed(stack).startswith("myservice.api:create")
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert entry.kind == "route"


def test_what_the_framework_does_for_itself_stays_with_the_line_above_it() -> None:
    for below in (library("pydantic.main:dump"), library("fastapi.encoders:jsonable_encoder")):
        stack = step_of(
            on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, HANDLER, below, library("acme:x"))
        )
        assert blamed(stack).startswith("shop.timing")


# --- imports --------------------------------------------------------------------------------


def test_a_lazy_import_belongs_to_the_installed_line_that_asks_for_it() -> None:
    frozen = frame(
        "importlib._bootstrap:_find_and_load", owner=Owner.STDLIB, file="<frozen importlib>"
    )
    stack = served(
        library("myservice.api:create", 22), frozen, *IMPORTS, library("pandas:<module>", 1)
    )
    assert blamed(stack) == "myservice.api:create calls import"
    entry = entry_of(stack, ORDERS, None)
    assert entry is not None
    assert (entry.kind, entry.function) == ("route", "myservice.api:create")


def test_an_installed_app_that_is_imported_is_starting() -> None:
    server = library("uvicorn.importer:import_from_string", 19)
    stack = step_of(on_the_loop(server, *IMPORTS, library("myservice.main:<module>", 3), *IMPORTS,
                                library("pandas:<module>", 1)))  # fmt: skip
    assert blamed(stack).startswith("myservice.main:<module>")
    entry = entry_of(stack, None, "serve")
    assert entry is not None
    assert (entry.kind, entry.function) == ("startup", "myservice.main:<module>")


# --- the rule -------------------------------------------------------------------------------


def test_the_rule_is_that_of_the_call_inside_where_a_helper_stands_between() -> None:
    helper = library("acme_store.keys:fetch", 3, "self.client.get")
    stall = stalled(CREATE, helper, *REDIS)
    assert stall.site is not None
    assert stall.site.call == "acme_store.keys.fetch"
    assert (stall.cause, code_of(stall)) == (Cause.WAITING, "US104")
    (finding,) = findings_of([stall])
    assert (finding.code, finding.confidence) == ("US104", "certain")


def test_what_computes_inside_is_no_rule_for_a_wait() -> None:
    stall = stalled(CREATE, library("pandas.io.sql:read_sql"), library("psycopg2:connect"))
    assert code_of(stall) == "US103"


def test_an_applications_own_line_is_judged_by_its_own_call() -> None:
    stall = stalled(CHARGE, library("acme_store.keys:fetch"), *REDIS)
    assert stall.inside == ()
    assert code_of(stall) == "US100"


def test_where_no_call_stands_out_none_inside_is_named() -> None:
    several = [
        look(on_the_loop(*SERVER, *ROUTER, HANDLER, ENDPOINT, CREATE, library(f"acme.m{n}:f"), *REDIS),
             from_ms=70 + n, running=True)
        for n in range(6)
    ]  # fmt: skip
    stall = stall_of(stretch(*several, cpu_ms=490), THRESHOLD_NS)
    assert stall.site is not None
    assert (stall.site.call, stall.inside) == ("", ())


def test_each_rule_inside_is_named_once_and_the_outermost_first() -> None:
    assert known_below((*REDIS, library("requests.api:get"), library("acme:x", 1, "time.sleep"))) == (
        "redis.client.Redis.execute_command", "requests.api.get", "time.sleep",
    )  # fmt: skip


# --- calls that were fast -------------------------------------------------------------------


def test_a_fast_call_of_an_installed_handler_is_told() -> None:
    assert not is_quiet(served(CREATE, LOAD, *REDIS), ORDERS, "run_asgi")
    assert answers(served(CREATE, LOAD, *REDIS)) is not None


def test_a_fast_call_of_a_tracer_or_of_a_task_of_a_library_is_not() -> None:
    assert is_quiet(served(WRAPPED["a tracer"][0], *REDIS), ORDERS, "run_asgi")
    assert is_quiet(step_of(on_the_loop(CREATE, LOAD, *REDIS)), None, "reader")
