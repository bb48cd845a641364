"""Real Locust, alone and as a master with workers, against a real server.

It is found beside this Python, or on the path as UNSTALL_TEST_LOCUST names it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from tests.support.serving import served
from unstall.errors import MissingExtra, TargetError, UsageError
from unstall.load.locusts import Crew, Locust, Told, find_locust, locustfile_of, run_locust, work
from unstall.model.outcome import Progress
from unstall.model.plan import Scenario, Stage, WitnessPlan
from unstall.prove.processes import free_port

pytestmark = [pytest.mark.live, pytest.mark.slow]

WITNESS = WitnessPlan("/livez", 5)
TWO = """
from locust import HttpUser, constant, task

class Buyer(HttpUser):
    wait_time = constant(0.05)

    @task(2)
    def read(self):
        self.client.get("/items", name="/items")

    @task
    def write(self):
        self.client.post("/orders", json={"sku": "A-1"})
"""


@pytest.fixture(scope="module")
def program() -> tuple[str, ...]:
    if named := os.environ.get("UNSTALL_TEST_LOCUST"):
        return (named,)
    try:
        return find_locust()
    except MissingExtra:
        pytest.skip("Locust is not installed")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = FastAPI()

    @app.get("/livez")
    async def livez() -> str:
        return "ok"

    @app.get("/items")
    async def items() -> list[int]:
        return [1, 2]

    @app.post("/orders")
    async def order() -> Response:
        return Response(status_code=503)

    @app.get("/hang")
    async def hang() -> None:
        await asyncio.sleep(60)

    with served(app, timeout_graceful_shutdown=1) as base:
        yield base


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "locustfile.py"
    path.write_text(TWO)
    return path


def played(url: str, program: tuple[str, ...], *files: Path, **more: Any) -> Told:
    told = {name: more.pop(name) for name in ("progress", "stop") if name in more}
    wanted = {"users": 10, "spawn_rate": 20.0, "seconds": 2.0, "drain": 1.0, **more}
    return asyncio.run(run_locust(url, Locust(files, **wanted), WITNESS, program=program, **told))


def test_a_locustfile_runs_as_it_is_beside_our_witness(
    url: str, program: tuple[str, ...], file: Path
) -> None:
    glances: list[Progress] = []
    told = played(url, program, file, seconds=4.0, progress=glances.append)
    items, orders = told.loaded.outcome["GET /items"], told.loaded.outcome["POST /orders"]
    assert items.statuses == {"200": items.sent}
    assert orders.statuses == {"503": orders.sent}, "Locust itself would only say: failed"
    assert items.sent > orders.sent > 0
    assert items.sent == items.latency.count == sum(each.due for each in items.seconds)
    witness = told.loaded.outcome["witness"]
    assert witness.due >= 6
    assert witness.statuses == {"200": witness.due}
    assert any("closed model" in gap for gap in told.gaps)
    assert glances
    assert not told.loaded.interrupted


@pytest.mark.parametrize("processes", [2])
def test_a_master_and_two_workers_on_this_machine_count_every_request(
    url: str, program: tuple[str, ...], file: Path, processes: int
) -> None:
    told = played(url, program, file, crew=Crew(processes=processes))
    items = told.loaded.outcome["GET /items"]
    assert items.statuses == {"200": items.sent}
    assert items.sent > 20
    assert not [gap for gap in told.gaps if "Locust's own figures" in gap]


def test_a_master_takes_workers_that_others_start(
    url: str, program: tuple[str, ...], file: Path
) -> None:
    port = free_port()

    async def play() -> tuple[Told, int, int]:
        crew = Crew(master=True, workers=2, port=port, patience=40)
        locust = Locust((file,), 10, 20.0, 2.0, drain=1.0, crew=crew)
        worker = Crew(port=port)
        return await asyncio.gather(
            run_locust(url, locust, WITNESS, program=program),
            work((), worker, program),
            work((), worker, program),
        )

    told, *codes = asyncio.run(play())
    assert codes == [0, 0]
    assert not [gap for gap in told.gaps if "Locust's own figures" in gap]
    items = told.loaded.outcome["GET /items"]
    assert items.statuses == {"200": items.sent}
    assert items.sent > 20


def test_workers_of_one_machine_write_the_files_of_the_master_into_folders_of_their_own(
    tmp_path: Path,
) -> None:
    """Locust writes them to the temporary folder, under their names."""
    program = tmp_path / "locust.py"
    program.write_text(
        "import tempfile\n"
        f"with open({str(tmp_path / 'folders')!r}, 'a') as told:\n"
        "    told.write(tempfile.gettempdir() + '\\n')\n"
    )

    async def play() -> list[int]:
        workers = [work((), Crew(port=1), (sys.executable, str(program))) for _ in range(2)]
        return await asyncio.gather(*workers)

    assert asyncio.run(play()) == [0, 0]
    folders = [Path(line) for line in (tmp_path / "folders").read_text().splitlines()]
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


def test_scenarios_of_a_plan_become_a_locustfile_and_keep_their_names(
    url: str, program: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "planned.py"
    scenario = Scenario("read all", path="/items?n=${seq}", stages=(Stage(1, 1),))
    path.write_text(locustfile_of([scenario], wait_s=(0.05, 0.1)))
    told = played(url, program, path, by_name=True)
    stream = told.loaded.outcome["read all"]
    assert stream.statuses == {"200": stream.sent}
    assert stream.sent > 10


def test_users_who_still_wait_at_the_end_are_counted(
    url: str, program: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "planned.py"
    path.write_text(locustfile_of([Scenario("hang", path="/hang")], wait_s=(0, 0)))
    told = played(url, program, path, by_name=True, users=4, seconds=2.0)
    stream = told.loaded.outcome["hang"]
    assert (stream.sent, stream.unanswered) == (4, 4), "the blind spot of a closed loop, told"
    assert stream.latency.min_ns >= 10**9


def test_a_run_that_is_stopped_keeps_what_there_was(
    url: str, program: tuple[str, ...], file: Path
) -> None:
    async def play() -> Told:
        stop = asyncio.Event()

        def told(progress: Progress) -> None:
            if progress.sent:
                stop.set()

        return await run_locust(
            url, Locust((file,), 5, 5.0, 60.0, drain=1.0), WITNESS,
            program=program, stop=stop, progress=told,
        )  # fmt: skip

    told = asyncio.run(play())
    assert told.loaded.interrupted
    assert told.loaded.outcome["GET /items"].sent > 0
    assert told.loaded.seconds < 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("this is no python", "SyntaxError"),
        ("import nothing_like_it", "No module named 'nothing_like_it'"),
        ("x = 1", "No User class found"),
    ],
)
def test_a_locustfile_that_is_no_good_is_told_in_a_sentence(
    url: str,
    program: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)  # it asks pytest for users, too, and that has settings here
    path = tmp_path / "locustfile.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        played(url, program, path)


def test_workers_that_do_not_come_are_waited_for_so_long(
    url: str, program: tuple[str, ...], file: Path
) -> None:
    port = free_port()
    with pytest.raises(TargetError, match="fewer than 3 workers came"):
        played(url, program, file, crew=Crew(master=True, workers=3, port=port, patience=1))


def test_a_command_that_is_no_locust_is_told(url: str, file: Path) -> None:
    with pytest.raises(TargetError, match="Locust ended with code 0"):
        played(url, (sys.executable, "-c", "pass"), file)
    with pytest.raises(TargetError, match="cannot be started"):
        played(url, ("/nowhere/locust",), file)
    says = "import sys; sys.exit('no answer from http://u:hunter2@h')"
    with pytest.raises(TargetError, match="no answer from http://…@h;"):
        played(url, (sys.executable, "-c", says), file)
