"""What is told of a place: commands and threads with a loop of their own, start-up, and who counts once."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from tests.audit.reading import HEAD, found, names_in, parsed, sites
from unstall.audit import rules
from unstall.audit.entrances_index import Where
from unstall.audit.entrances_lookup import MOST_BASES, Lookup
from unstall.audit.entrances_read import index
from unstall.audit.program import work_out
from unstall.catalog.table import default
from unstall.model.finding import Confidence, Finding, Severity

SEED = """
    import asyncio, time
    @app.get("/")
    def route(): return 1
    async def seed():
        time.sleep(1)
"""


def of_rule(code: str, source: str) -> list[Finding]:
    worked = work_out(Path(), parsed({"app.py": HEAD + dedent(source)}), [], default())
    return [each for each in rules.beyond(worked, default(), None) if each.code == code]


def test_what_a_command_gives_to_asyncio_run_has_a_loop_of_its_own() -> None:
    assert sites(SEED + "\n    if __name__ == '__main__':\n        asyncio.run(seed())\n") == []


def test_what_a_thread_gives_to_asyncio_run_has_a_loop_of_its_own() -> None:
    service = """
    def job():
        asyncio.run(seed())
    @app.get("/job")
    async def start():
        await asyncio.to_thread(job)
    """
    assert sites(SEED + service) == []


def test_the_command_that_serves_is_the_service() -> None:
    service = """
    import uvicorn
    async def main():
        await seed()
        await uvicorn.Server(uvicorn.Config(app)).serve()
    if __name__ == "__main__":
        asyncio.run(main())
    """
    assert sites(SEED + service) == ["seed time.sleep"]


def test_what_a_command_hands_to_a_runner_of_its_own_is_the_commands() -> None:
    runner = """
    def run(main):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
    if __name__ == '__main__':
        run(seed)
    """
    assert sites(SEED + runner) == []


BUS = """
    import time, uvicorn
    from somewhere import {taken}
    @app.get("/")
    def route(): return 1
    async def on_order(order={{}}):
        time.sleep(1)
    if __name__ == "__main__":
        {taken}.{given}(on_order)
        uvicorn.run(app)
"""


def test_what_a_command_leaves_with_somebody_else_is_no_command() -> None:
    (nap,) = found(BUS.format(taken="bus", given="subscribe"))
    assert (nap.confidence, nap.runs_on) == (Confidence.LIKELY, "loop")


def test_what_a_command_hands_to_a_known_runner_is_the_commands() -> None:
    runs = BUS.format(taken="anyio", given="run").replace("from somewhere import", "import")
    assert found(runs) == []


POOL = """
    import asyncio, uvicorn
    from concurrent.futures import ThreadPoolExecutor
    async def main():
        {around}
            with ThreadPoolExecutor() as pool:
                await uvicorn.Server(uvicorn.Config(app)).serve()
"""
RUN = """
    if __name__ == "__main__":
        asyncio.run(main())
"""


def test_what_a_program_leaves_at_its_end_keeps_nobody_waiting() -> None:
    assert sites(POOL.format(around="if True:") + RUN) == []


def test_a_pool_that_a_program_leaves_again_and_again_keeps_the_loop_waiting() -> None:
    again = POOL.format(around="while True:") + RUN
    assert sites(again) == ["main concurrent.futures.Executor"]


@pytest.mark.parametrize("command", ["", RUN], ids=["alone", "and the program"])
def test_a_pool_that_a_request_leaves_keeps_the_loop_waiting(command: str) -> None:
    route = """
    @app.get("/")
    async def route():
        await main()
    """
    source = POOL.format(around="if True:") + route + command
    assert sites(source) == ["main concurrent.futures.Executor"]


def test_a_program_that_is_a_route_as_well_is_left_by_requests() -> None:
    entered = POOL.format(around="if True:").replace("async def", '@app.get("/")\n    async def')
    assert sites(entered + RUN) == ["main concurrent.futures.Executor"]


def test_a_command_beside_the_one_that_serves_has_a_loop_of_its_own() -> None:
    service = """
    import uvicorn
    jobs = [seed]
    if __name__ == "__main__":
        uvicorn.run(app)
    """
    other = """
    import asyncio, time
    async def build():
        time.sleep(1)
    def main():
        asyncio.run(build())
    if __name__ == "__main__":
        main()
    """
    assert sites(SEED + service, other=dedent(other)) == ["seed time.sleep"]


def test_a_request_that_awaits_what_a_command_runs_is_told() -> None:
    service = """
    @app.get("/seed")
    async def again():
        await seed()
    if __name__ == "__main__":
        asyncio.run(seed())
    """
    assert sites(SEED + service) == ["seed time.sleep"]


LIFESPAN = """
    import asyncio, time
    from contextlib import asynccontextmanager
    async def poll():
        while True:
            time.sleep(1)
            await asyncio.sleep(1)
    @asynccontextmanager
    async def lifespan(app):
        {start}
        yield
    app = FastAPI(lifespan=lifespan)
"""


def places(source: str) -> list[tuple[str, str]]:
    return sorted((each.site.call, each.runs_on) for each in found(source) if each.site)


FILLED = """
    import boto3
    from contextlib import asynccontextmanager
    engine = None
    def make():
        return boto3.client("secretsmanager").get_secret_value(SecretId="dsn")
    def get():
        global engine
        if {empty}:
            engine = make()
        return engine
    @asynccontextmanager
    async def lifespan(app):
        {start}
        yield
    app = FastAPI(lifespan=lifespan)
    @app.get("/")
    async def route():
        return get()
"""
SECRET = "botocore.client.BaseClient.get_secret_value"


def test_what_start_up_fills_keeps_no_request_waiting() -> None:
    source = FILLED.format(empty="engine is None", start="get()")
    assert sites(source) == []
    assert (SECRET, "start-up") in places(source)


def test_what_the_first_request_fills_is_told() -> None:
    source = FILLED.format(empty="engine is None", start="pass")
    assert sites(source) == [f"make {SECRET}"]


def test_what_is_filled_where_it_is_asked_for_is_start_ups_too() -> None:
    at_once = 'boto3.client("secretsmanager").get_secret_value(SecretId="dsn")'
    source = FILLED.format(empty="engine is None", start="{start}").replace(
        "= make()", f"= {at_once}"
    )
    assert sites(source.format(start="get()")) == []
    assert sites(source.format(start="pass")) == [f"get {SECRET}"]


def test_what_start_up_fills_is_filled_for_all_that_it_begins() -> None:
    begun = """
    import asyncio
    def refresh():
        get()
    """
    later = "get(); asyncio.get_running_loop().call_later(60, refresh)"
    assert sites(FILLED.format(empty="engine is None", start=later) + begun) == []
    later = "asyncio.get_running_loop().call_later(60, refresh)"
    assert sites(FILLED.format(empty="engine is None", start=later) + begun) == [f"make {SECRET}"]


EMPTIES = """
    async def empty():
        global engine
        {left}
"""
LEFT = ["engine = None", "del engine", "engine, other = None, 1", "engine.clear()"]


@pytest.mark.parametrize("left", LEFT)
def test_what_a_request_empties_is_filled_again(left: str) -> None:
    empties = EMPTIES.replace("async", '@app.post("/reload")\n    async').format(left=left)
    source = FILLED.format(empty="engine is None", start="get()") + empties
    assert sites(source) == [f"make {SECRET}"]


@pytest.mark.parametrize("left", LEFT)
def test_what_shut_down_empties_is_not_filled_again(left: str) -> None:
    source = FILLED.format(empty="engine is None", start="get()") + EMPTIES.format(left=left)
    ends = source.replace("yield", "yield\n        await empty()")
    assert sites(ends) == []
    reloads = """
    @app.post("/reload")
    async def reload():
        await empty()
    """
    assert sites(ends + reloads) == [f"make {SECRET}"]


@pytest.mark.parametrize(
    "other",
    [
        "def other():\n        engine = None",
        "def other():\n        global another\n        another = None",
    ],
)
def test_what_another_function_calls_by_the_same_name_empties_nothing(other: str) -> None:
    assert sites(FILLED.format(empty="engine is None", start="get()") + f"\n    {other}\n") == []


def test_what_start_up_and_each_request_ask_for_is_told_twice() -> None:
    source = FILLED.format(empty="stale()", start="get()")
    assert sites(source) == [f"make {SECRET}"]
    assert (SECRET, "start-up") in places(source)


def test_what_start_up_hands_to_a_task_is_not_filled_then() -> None:
    begun = "asyncio.create_task(asyncio.to_thread(get))"
    source = FILLED.format(empty="engine is None", start=begun)
    assert sites(source) == [f"make {SECRET}"]


def test_a_task_that_start_up_begins_is_told_on_the_loop_alone() -> None:
    assert places(LIFESPAN.format(start="kept = asyncio.create_task(poll())")) == [
        ("time.sleep", "loop")
    ]


STEPS = """
    async def sync():
        {first}
        {later}
"""
NAP, WAIT = "time.sleep(1)", "await asyncio.sleep(1)"
BEGIN = "kept = asyncio.create_task(sync())"

BLOCK = """
    class nap:
        def __enter__(self): ...
        def __exit__(self, *_): time.sleep(1)
"""


def of_task(source: str) -> set[str]:
    """Where the task, or what it calls, sleeps."""
    told = [each for each in found(source) if each.site and each.site.call == "time.sleep"]
    return {each.runs_on for each in told if each.site and each.site.function != "poll"}


@pytest.mark.parametrize("first", [NAP, "if app: time.sleep(1)", "helper()"])
def test_the_first_step_of_a_task_that_start_up_begins_is_start_ups(first: str) -> None:
    helper = "\n    def helper(): time.sleep(1)\n"
    source = LIFESPAN.format(start=BEGIN) + helper + STEPS.format(first=first, later=WAIT)

    assert of_task(source) == {"start-up"}


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (WAIT, NAP),
        ("async with app: pass", NAP),
        ("async for _ in app: pass", NAP),
        ("_ = [each async for each in app]", NAP),
        ("if app: await app", NAP),
        ("for _ in range(9): time.sleep(1)", WAIT),
        ("with nap():\n            await app", "\n"),
    ],
)
def test_what_a_task_does_once_it_has_waited_is_on_the_loop(first: str, later: str) -> None:
    source = LIFESPAN.format(start=BEGIN) + BLOCK + STEPS.format(first=first, later=later)

    assert of_task(source) == {"loop"}


@pytest.mark.parametrize(
    "other",
    [
        "async def route(): await sync()",
        "async def route(): asyncio.create_task(sync())",
        "async def route(): await begin()\n    async def begin(): asyncio.create_task(sync())",
        "async def route(): later = [sync()]; await later[0]",
    ],
)
def test_a_task_that_requests_begin_too_is_on_the_loop(other: str) -> None:
    route = f"\n    @app.get('/')\n    {other}\n"
    source = LIFESPAN.format(start=BEGIN) + STEPS.format(first=NAP, later=WAIT) + route

    assert of_task(source) == {"loop"}


def test_a_block_around_the_yield_of_a_lifespan_is_left_at_the_end() -> None:
    around = LIFESPAN.format(start="pass").replace("yield", "with nap(): yield") + BLOCK

    assert of_task(around) == set()


def test_a_task_that_is_begun_after_the_last_request_is_no_start_up() -> None:
    after = LIFESPAN.format(start="pass").replace("yield", f"yield\n        {BEGIN}")
    source = after + STEPS.format(first=NAP, later=WAIT)

    assert of_task(source) == {"loop"}


@pytest.mark.parametrize("start", ["await poll()", "await asyncio.create_task(poll())"])
def test_what_start_up_waits_for_delays_it(start: str) -> None:
    assert ("time.sleep", "start-up") in places(LIFESPAN.format(start=start))


def test_what_follows_the_yield_of_a_lifespan_is_no_start_up() -> None:
    after = LIFESPAN.format(start="pass").replace("yield", "yield\n        time.sleep(2)")
    before = LIFESPAN.format(start="time.sleep(3)")
    assert ("time.sleep", "start-up") not in places(after)
    assert ("time.sleep", "start-up") in places(before)


def test_a_shutdown_handler_is_no_start_up() -> None:
    handler = """
        import time
        @app.on_event("{event}")
        def nap():
            time.sleep(1)
    """
    assert places(handler.format(event="shutdown")) == []
    assert places(handler.format(event="startup")) == [("time.sleep", "start-up")]


def test_a_route_that_could_be_a_plain_def_names_who_awaits_it_by_hand() -> None:
    source = """
        import requests
        async def user(): return requests.get("http://a", timeout=1)
        async def user_or_none():
            try:
                return {call}
            except Exception:
                return None
        @app.get("/mine")
        async def mine(who=Depends(user), perhaps=Depends(user_or_none)): ...
    """

    def remedy(call: str) -> str:
        found = of_rule("US306", source.format(call=call))
        return next(
            each.remedy.summary for each in found if each.site and each.site.function == "user"
        )

    assert "user_or_none must no longer await it" in remedy("await user()")
    assert "await it" not in remedy("None")


def test_who_comes_to_a_client_for_the_first_time_only_is_no_entry() -> None:
    (made,) = of_rule(
        "US401",
        """
        import requests
        known = None
        def ask():
            return requests.Session().get("http://a", timeout=1)
        def ask_once():
            global known
            if known is None:
                known = ask()
            return known
        def longer():
            return ask()
        @app.get("/once")
        def once(): return ask_once()
        @app.get("/again")
        def again(): return longer()
        """,
    )
    assert [entry.name for entry in made.entries] == ["GET /again"]
    assert made.confidence is Confidence.CERTAIN


def test_a_lost_task_of_a_lifespan_lives_on_the_loop() -> None:
    (lost,) = of_rule("US601", LIFESPAN.format(start="asyncio.create_task(poll())"))
    assert (lost.runs_on, lost.severity) == ("loop", Severity.WARNING)


def test_a_stream_is_a_part_of_its_request() -> None:
    (nap,) = found("""
        import time
        from fastapi.responses import StreamingResponse
        @app.get("/")
        async def route():
            async def parts():
                time.sleep(1)
                yield b""
            return StreamingResponse(parts())
    """)
    assert [each.name for each in nap.entries] == ["GET /"]


def test_a_background_task_is_a_part_of_its_request() -> None:
    (nap,) = found("""
        import time
        async def job():
            time.sleep(1)
        @app.get("/")
        async def route(tasks: BackgroundTasks):
            tasks.add_task(job)
    """)
    assert [each.name for each in nap.entries] == ["GET /"]


def test_a_task_that_requests_share_stays_an_entry() -> None:
    (nap,) = found("""
        import asyncio, time
        async def job():
            time.sleep(1)
        @app.get("/")
        async def route():
            kept = asyncio.create_task(job())
            await kept
    """)
    assert sorted(each.kind for each in nap.entries) == ["route", "task"]


def imports(call: str) -> list[Confidence]:
    source = f"""
        import importlib
        @app.get("/")
        async def route(name: str):
            {call}
    """
    return [each.confidence for each in found(source) if each.code == "US112"]


def test_an_import_of_a_module_of_python_costs_nothing() -> None:
    assert imports('__import__("threading")') == []


@pytest.mark.parametrize("call", ['__import__("pandas")', "importlib.import_module(name)"])
def test_a_module_may_have_been_loaded_before(call: str) -> None:
    assert imports(call) == [Confidence.LIKELY]


@pytest.mark.parametrize("first", ["", "(C500)"])
def test_what_a_class_inherits_from_is_asked_once(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"class C{n + 1}(C{n}): pass\n" for n in range(500))
    names = names_in({"app.py": f"class C0{first}: pass\n{lines}"})
    lookup = Lookup(names, index(names.modules))
    asked: list[ast.expr] = []
    named = Lookup.named

    def counted(self: Lookup, node: ast.expr, where: Where) -> tuple[str, ...]:
        asked.append(node)
        return named(self, node, where)

    monkeypatch.setattr(Lookup, "named", counted)
    lengths = [len(lookup.lineage(each)) for each in lookup.index.classes]
    assert max(lengths) == MOST_BASES
    assert len(asked) <= len(lookup.index.classes)


POOLS = {
    "of processes": ("pool = ProcessPoolExecutor(2)", "pool", False),
    "made for each request": ("", "ProcessPoolExecutor()", False),
    "of a class below": ("class Mine(ProcessPoolExecutor): ...\npool = Mine()", "pool", False),
    "that start-up fills": (
        "pool: ProcessPoolExecutor | None = None\n@app.on_event('startup')\nasync def begin():\n"
        "    global pool\n    pool = ProcessPoolExecutor(1)",
        "pool",
        False,
    ),
    "of threads": ("pool = ThreadPoolExecutor(2)", "pool", True),
    "the default one": ("", "None", True),
    "one of either": (
        "pool = ProcessPoolExecutor() if app.debug else ThreadPoolExecutor()", "pool", True
    ),
    "of which only the base is known": ("pool: Executor = app.pool", "pool", True),
    "of which nothing is known": ("pool = app.pool", "pool", True),
}  # fmt: skip


@pytest.mark.parametrize("pool", POOLS)
def test_what_an_executor_of_processes_runs_takes_no_turns_with_the_loop(pool: str) -> None:
    before, given, is_told = POOLS[pool]
    source = (
        "import asyncio, pandas\n"
        "from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor\n"
        f"{before}\ndef table(name): return pandas.read_csv(name)\n@app.get('/')\n"
        "async def route():\n"
        f"    await asyncio.get_running_loop().run_in_executor({given}, table, 'x')\n"
    )
    assert [each.runs_on for each in of_rule("US303", source)] == ["executor"] * is_told
