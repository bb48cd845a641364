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
