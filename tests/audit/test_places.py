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


def test_a_pool_that_a_request_leaves_keeps_the_loop_waiting() -> None:
    route = """
    @app.get("/")
    async def route():
        await main()
    """
    assert sites(POOL.format(around="if True:") + route) == ["main concurrent.futures.Executor"]


def test_a_command_beside_the_one_that_serves_has_a_loop_of_its_own() -> None:
    service = """
    import uvicorn
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
