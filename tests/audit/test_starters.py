"""A task runs where somebody starts it: in the service, in commands alone, or nobody is seen to."""

from __future__ import annotations

import pytest

from tests.audit.reading import HEAD, found, worked
from unstall.audit.ir import Place
from unstall.model.finding import Confidence

NAP = """
import asyncio, time
async def nap():
    time.sleep(1)
"""
SERVES = """
@app.get("/")
async def route():
    start()
"""
START = """
def start():
    asyncio.create_task(nap())
"""
COMMAND = """
if __name__ == "__main__":
    start()
"""
IDLE = """
@app.get("/idle")
def idle(): ...
"""
RUNS = "    import uvicorn\n    serve()\ndef serve():\n    uvicorn.run(app)\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (NAP + START + SERVES, [("loop", Confidence.CERTAIN)]),
        (NAP + START + SERVES + COMMAND, [("loop", Confidence.CERTAIN)]),
        (NAP + START + COMMAND + IDLE, []),
        (NAP + START + COMMAND, [("loop", Confidence.CERTAIN)]),
        (NAP + START + COMMAND + RUNS + IDLE, [("loop", Confidence.CERTAIN)]),
        (NAP + START, [("loop", Confidence.LIKELY)]),
    ],
    ids=[
        "by a route",
        "by a route and a command",
        "by a command alone",
        "by a command of a project without routes",
        "by the command that serves",
        "by nobody",
    ],
)
def test_who_starts_a_task_decides(source: str, expected: list[tuple[str, Confidence]]) -> None:
    assert [(each.runs_on, each.confidence) for each in found(source)] == expected


def test_a_task_that_a_task_starts_is_started_by_whoever_starts_that() -> None:
    chain = """
async def first():
    start()
def begin():
    asyncio.create_task(first())
"""
    served = SERVES.replace("start()", "begin()")
    called = COMMAND.replace("start()", "begin()")

    assert [each.confidence for each in found(NAP + START + chain + served)] == ["certain"]
    assert found(NAP + START + chain + called + IDLE) == []


def test_a_task_of_a_command_is_offline() -> None:
    known = worked({"app.py": HEAD + NAP + START + COMMAND + IDLE})

    (task,) = [each for each in known.entrances if each.function == "app:nap"]
    assert (task.kind, task.place) == ("offline", Place.OFFLINE)


COMMANDS = """
import asyncio, time
import anyio, typer, uvicorn
cli = typer.Typer()
async def nap():
    time.sleep(1)
async def load():
    asyncio.create_task(nap())
    await asyncio.sleep(1)
async def serve_it():
    await uvicorn.Server(uvicorn.Config(app)).serve()
@cli.command()
def serve():
    {serve}
@cli.command()
def record():
    {record}
"""
SERVE = "asyncio.run(serve_it())"


@pytest.mark.parametrize("run", ["asyncio.run(load())", "anyio.run(load)"])
def test_each_command_decides_for_the_tasks_it_starts(run: str) -> None:
    together = "asyncio.run(both())\nasync def both():\n    await load()\n    await serve_it()"

    assert found(COMMANDS.format(serve=SERVE, record=run) + IDLE) == []
    (finding,) = found(COMMANDS.format(serve=together, record="pass") + IDLE)
    assert (finding.runs_on, finding.confidence) == ("loop", Confidence.CERTAIN)


@pytest.mark.parametrize("run", ["asyncio.run(load())", "anyio.run(load)"])
def test_a_loop_that_is_over_before_the_command_serves_is_no_loop_of_the_service(run: str) -> None:
    assert found(COMMANDS.format(serve=f"{run}; {SERVE}", record="pass") + IDLE) == []


def test_a_loop_that_is_used_again_for_the_server_is_the_service_s() -> None:
    again = (
        "loop = asyncio.new_event_loop(); loop.run_until_complete(load()); "
        "loop.run_until_complete(serve_it())"
    )

    (finding,) = found(COMMANDS.format(serve=again, record="pass") + IDLE)
    assert (finding.runs_on, finding.confidence) == ("loop", Confidence.CERTAIN)


def test_what_serves_by_a_function_that_another_loop_runs_is_the_service_s() -> None:
    inside = "anyio.run(both)\nasync def both():\n    await nap()\n    await serve_it()"

    (finding,) = found(COMMANDS.format(serve=inside, record="pass") + IDLE)
    assert (finding.runs_on, finding.confidence) == ("loop", Confidence.LIKELY)


def test_of_one_block_only_what_shares_a_loop_with_the_server_is_the_service_s() -> None:
    alone = COMMAND.replace("start()", "asyncio.run(prepare())") + RUNS
    prepare = "async def prepare():\n    start()\n"

    assert found(NAP + START + prepare + alone + IDLE) == []
