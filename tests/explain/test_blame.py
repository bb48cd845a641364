"""Which line is blamed, where the loop entered the code, and by which calls it got there."""

from __future__ import annotations

import pytest

from tests.explain.request_stacks import (
    BACKGROUND,
    CHARGE,
    CREATE,
    DEPENDENCIES,
    ENDPOINT,
    HANDLER,
    IMPORTS,
    LIFESPAN,
    MAIN,
    MIDDLEWARE,
    REQUESTS,
    ROUTER,
    SERVER,
    STARTER,
    in_a_route,
    on_the_loop,
)
from unstall.explain.blame import api_of, entry_of, is_native, reach_of, site_of, step_of
from unstall.model.finding import Entry, Hop, Site
from unstall.model.place import Owner, Stack
from unstall.testing import frame, library, request, stdlib

ORDERS = request("POST /orders")


# --- the step -------------------------------------------------------------------------------


def test_what_started_the_loop_is_no_part_of_the_step() -> None:
    assert step_of(on_the_loop(CREATE)).frames == (CREATE,)


def test_an_idle_loop_of_a_script_blames_nobody() -> None:
    idle = Stack((*STARTER[:-1], stdlib("selectors:EpollSelector.select")))
    assert site_of(step_of(idle)) is None
    assert entry_of(step_of(idle), None, None) is None
    assert reach_of(step_of(idle)) == ()


def test_the_starter_is_never_blamed_for_a_step_of_a_library() -> None:
    site = site_of(step_of(on_the_loop(library("aiokafka.consumer:fetch", 5))))
    assert site is not None
    assert site.file != MAIN.file


def test_a_stack_of_another_loop_is_left_as_it_is() -> None:
    whole = Stack((CREATE, CHARGE))
    assert step_of(whole) == whole


def test_a_loop_started_inside_a_step_does_not_cut_the_step() -> None:
    nested = on_the_loop(CREATE, *STARTER[1:], CHARGE)
    assert step_of(nested).frames[0] == CREATE


# --- the site -------------------------------------------------------------------------------


def test_the_innermost_line_of_the_application_is_blamed() -> None:
    stack = step_of(in_a_route(CREATE, CHARGE, *REQUESTS))
    assert site_of(stack) == Site("shop/billing.py", 31, "Billing.charge", "requests.get")


def test_without_the_application_the_innermost_line_of_a_library_is_blamed() -> None:
    stack = step_of(on_the_loop(*SERVER, stdlib("json:dumps")))
    site = site_of(stack)
    assert site is not None
    assert site.function == "ServerErrorMiddleware.__call__"
    assert site.call == "json.dumps"


def test_the_standard_library_alone_is_never_blamed() -> None:
    assert site_of(step_of(on_the_loop(stdlib("ssl:SSLContext.wrap_socket")))) is None


def test_the_watch_itself_is_never_blamed() -> None:
    ours = frame("unstall.watch.scope:serve", owner=Owner.SELF)
    assert site_of(Stack((ours, stdlib("asyncio.tasks:wait_for")))) is None


# --- what is called there -------------------------------------------------------------------

SELF = frame("unstall.watch.hooks:around", owner=Owner.SELF)
FROZEN = frame("os:walk", owner=Owner.STDLIB, file="<frozen os>")
IMPORT = frame(
    "importlib._bootstrap:_find_and_load", owner=Owner.STDLIB, file="<frozen importlib._bootstrap>"
)


@pytest.mark.parametrize(
    ("call", "below", "shown"),
    [
        pytest.param("requests.get", (library("requests.api:get"),), "requests.get", id="qualified"),
        pytest.param(
            "self.client.get", (library("requests.sessions:Session.get"),),
            "requests.sessions.Session.get", id="a local name says less than the frame below",
        ),
        pytest.param("cursor.execute", (), "cursor.execute", id="C code has no frame below"),
        pytest.param("", (), "", id="nothing is known"),
        pytest.param("", (library("yaml:load"),), "yaml.load", id="only the frame below is known"),
        pytest.param(
            "with threading.Lock", (stdlib("threading:Lock.__enter__"),),
            "threading.Lock.__enter__", id="entering a context",
        ),
        pytest.param(
            "requests.get", (SELF, library("requests.api:get")), "requests.get", id="our own hook",
        ),
        pytest.param("os.walk", (FROZEN,), "os.walk", id="a frozen module"),
        pytest.param("", (IMPORT,), "import", id="an import statement"),
        pytest.param("", (FROZEN,), "", id="a frozen module that is no import"),
    ],
)  # fmt: skip
def test_the_outermost_meaningful_api_is_named(call: str, below: tuple, shown: str) -> None:  # type: ignore[type-arg]
    assert api_of(Stack((frame(call=call), *below)), 0) == shown


def test_a_call_into_c_code_is_told_from_one_into_python() -> None:
    assert is_native(Stack((CREATE, frame(call="cursor.execute"))))
    assert not is_native(Stack((CREATE, CHARGE, *REQUESTS)))
    assert not is_native(Stack(()))


# --- the entry ------------------------------------------------------------------------------

PRICE = frame("shop.prices:price", 8)
STEPS = {
    "route": in_a_route(CREATE, CHARGE),
    "dependency": on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, HANDLER, DEPENDENCIES, CREATE),
    "teardown of a generator dependency": on_the_loop(
        *SERVER, MIDDLEWARE, *ROUTER,
        stdlib("contextlib:AsyncExitStack.__aexit__", 728),
        library("fastapi.concurrency:_asynccontextmanager_with_shielded_exit", 64),
        stdlib("contextlib:_AsyncGeneratorContextManager.__aexit__", 217),
        CREATE,
    ),
    "middleware": on_the_loop(*SERVER, CREATE),
    "middleware by decorator": on_the_loop(
        *SERVER, MIDDLEWARE,
        library("starlette.middleware.base:BaseHTTPMiddleware.__call__", 203),
        CREATE,
    ),
    "exception handler": on_the_loop(*SERVER, MIDDLEWARE, *ROUTER[:2], CREATE),
    "exception handler of a route": on_the_loop(*SERVER, MIDDLEWARE, *ROUTER[:8], CREATE),
    "background task": on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, *BACKGROUND, CREATE),
    "validator in the body": on_the_loop(
        *SERVER, MIDDLEWARE, *ROUTER, HANDLER, library("pydantic.main:BaseModel.__init__"), CREATE
    ),
    "streamed body": on_the_loop(
        library("anyio._core._tasks:TaskHandle._run_coro", 327),
        library("starlette.responses:StreamingResponse.stream_response", 250),
        CREATE,
    ),
    "WebSocket": on_the_loop(
        *SERVER, *ROUTER[:6], library("fastapi.routing:get_websocket_app.<locals>.app", 500), CREATE
    ),
    "plain Starlette route": on_the_loop(
        *SERVER, library("starlette.routing:request_response.<locals>.app", 70), CREATE
    ),
}  # fmt: skip
KINDS = {
    "route": "route",
    "dependency": "dependency",
    "teardown of a generator dependency": "dependency",
    "middleware": "middleware",
    "middleware by decorator": "middleware",
    "exception handler": "exception handler",
    "exception handler of a route": "exception handler",
    "background task": "background task",
    "validator in the body": "route",
    "streamed body": "route",
    "WebSocket": "route",
    "plain Starlette route": "route",
}


@pytest.mark.parametrize("case", STEPS)
def test_what_serves_a_request_enters_by_the_innermost_way_in(case: str) -> None:
    entry = entry_of(step_of(STEPS[case]), ORDERS, "RequestResponseCycle.run_asgi")
    assert entry == Entry(KINDS[case], "POST /orders", "shop.orders:create")


def test_every_kind_of_entry_has_an_example() -> None:
    assert set(STEPS) == set(KINDS)


@pytest.mark.parametrize(
    ("stack", "asked", "task", "entry"),
    [
        pytest.param(
            on_the_loop(*LIFESPAN, CREATE), None, "LifespanOn.main",
            Entry("lifespan", "create", "shop.orders:create"), id="lifespan",
        ),
        pytest.param(
            on_the_loop(*LIFESPAN, CREATE), ORDERS, "LifespanOn.main",
            Entry("lifespan", "create", "shop.orders:create"), id="lifespan is nobody's request",
        ),
        pytest.param(
            on_the_loop(*IMPORTS, frame("shop.app:<module>", 3)), None, "serve",
            Entry("startup", "<module>", "shop.app:<module>"), id="import",
        ),
        pytest.param(
            on_the_loop(frame("shop.jobs:tidy")), None, "tidy",
            Entry("task", "tidy", "shop.jobs:tidy"), id="task",
        ),
        pytest.param(
            on_the_loop(frame("shop.jobs:tidy")), ORDERS, "tidy",
            Entry("task", "POST /orders", "shop.jobs:tidy"), id="task that a request left behind",
        ),
        pytest.param(
            on_the_loop(frame("shop.jobs:on_timer")), None, None,
            Entry("callback", "on_timer", "shop.jobs:on_timer"), id="callback",
        ),
        pytest.param(
            on_the_loop(library("aiokafka.consumer:Fetcher.fetch")), None, "Fetcher.fetch",
            Entry("task", "Fetcher.fetch", "aiokafka.consumer:Fetcher.fetch"), id="library only",
        ),
    ],
)  # fmt: skip
def test_what_serves_no_request_is_named_by_its_function(
    stack: Stack, asked: object, task: str | None, entry: Entry
) -> None:
    assert entry_of(step_of(stack), asked, task) == entry  # type: ignore[arg-type]


def test_a_lazy_import_in_a_route_enters_by_the_route() -> None:
    handler = frame("shop.orders:create", 22)
    stack = in_a_route(handler, IMPORT, library("pandas:<module>", 1))
    entry = entry_of(step_of(stack), ORDERS, "run_asgi")
    assert entry is not None
    assert (entry.kind, entry.name) == ("route", "POST /orders")


# --- the reach ------------------------------------------------------------------------------


def test_the_reach_is_the_applications_own_calls_from_entry_to_site() -> None:
    stack = in_a_route(CREATE, library("tenacity:retry"), PRICE, CHARGE, *REQUESTS)
    assert reach_of(step_of(stack)) == (
        Hop("shop/orders.py", 20, "create", ""),
        Hop("shop/prices.py", 8, "price", ""),
    )


def test_middleware_above_a_route_is_not_in_its_reach() -> None:
    assert reach_of(step_of(in_a_route(CREATE))) == ()


def test_middleware_above_a_dependency_is_not_in_its_reach() -> None:
    stack = step_of(
        on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, HANDLER, DEPENDENCIES, CREATE, CHARGE)
    )
    assert [hop.function for hop in reach_of(stack)] == ["create"]


def test_one_middleware_mounted_twice_is_entered_where_the_blame_is() -> None:
    mounted = (MIDDLEWARE, *SERVER[1:], MIDDLEWARE, CHARGE)
    assert len(reach_of(step_of(on_the_loop(*SERVER, *mounted)))) == 1


def test_recursion_is_cut_to_the_nearest_calls() -> None:
    deep = [frame("shop.tree:walk", 5) for _ in range(50)]
    reach = reach_of(step_of(on_the_loop(*SERVER, *ROUTER, HANDLER, ENDPOINT, CREATE, *deep)))
    assert len(reach) == 12
    assert {hop.function for hop in reach} == {"walk"}
