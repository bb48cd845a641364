"""`unstall load`: a plan or a URL in, a table and the right exit code out."""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.load.tiny_server import Seen, always, serving
from tests.support.runs import calm
from unstall.cli import load, main
from unstall.cli.load_order import order_of, start_of
from unstall.errors import UsageError
from unstall.load import Client, Share
from unstall.model.outcome import LATENESS_BOUND_NS
from unstall.model.plan import Stage
from unstall.model.proof import Run
from unstall.report import run_json

of_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
PLAN = """
[witness]
rate = 50
[[scenario]]
name = "look"
request = "GET /look/${seq}"
rate = 100
seconds = 0.3
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a generator is late, and that is another test's."""
    monkeypatch.setattr("unstall.model.outcome.LATENESS_BOUND_NS", 1 << 50)


@pytest.fixture
def server() -> Iterator[Seen]:
    """On a thread of its own: the command has the test's."""
    up, loops = threading.Event(), []
    found: list[Seen] = []

    async def serve() -> None:
        over = asyncio.Event()
        loops.append((asyncio.get_running_loop(), over))
        async with serving(always) as seen:
            found.append(seen)
            up.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert up.wait(10)
    yield found[0]
    loop, over = loops[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()


def plan(folder: Path, more: str = "", text: str = PLAN) -> str:
    file = folder / "plan.toml"
    file.write_text(text + more)
    return str(file)


def run_in(file: Path) -> Run:
    return Run.from_json(json.loads(file.read_text()))


@pytest.mark.live
def test_a_url_is_enough(server: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{server.url}/items?all=1"
    assert main(["load", url, "--rate", "100", "--seconds", "0.3", "--header", "X-A: b"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{url}: ")
    assert [line.split()[0] for line in said.splitlines()[2:4]] == ["load", "witness"]
    asked = [head for head in server.heads if "X-Scenario: load" in head]
    assert asked
    assert all(head.startswith("GET /items?all=1 ") and "X-A: b\r\n" in head for head in asked)


@pytest.mark.live
def test_a_plan_is_played_and_kept(
    server: Seen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "run.json"
    more = '[thresholds]\n"look.error_rate" = "== 0"\n"loop.stalls" = "== 0"\n'
    argv = ["load", plan(tmp_path, more), "--url", server.url, "--json", str(kept)]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "held          look.error_rate == 0: 0" in said
    assert "not held to loop.stalls == 0: the app was not started here" in said
    (phase,) = run_in(kept).phases
    assert phase.name == "healthy"
    assert phase.outcome["look"].due == phase.outcome["look"].answered > 10
    assert phase.outcome["witness"].due == 15


@pytest.mark.live
def test_a_threshold_that_is_missed_is_exit_code_1(
    server: Seen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = '[thresholds]\n"look.due" = "< 3"\n"look.error_rate" = "== 0"\n'
    assert main(["load", plan(tmp_path, more), "--url", server.url]) == 1
    assert "missed        look.due < 3: " in capsys.readouterr().out


@pytest.mark.live
def test_a_generator_that_was_late_tells_no_latency_and_is_exit_code_3(
    server: Seen,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unstall.model.outcome.LATENESS_BOUND_NS", -1)
    assert main(["load", plan(tmp_path), "--url", server.url]) == 3
    captured = capsys.readouterr()
    assert "no latency is told, because it would be ours" in captured.err
    row = next(line.split() for line in captured.out.splitlines() if line.startswith("  look"))
    assert row[-4:] == ["-", "-", "-", "-"]
    assert LATENESS_BOUND_NS == 25_000_000


@pytest.mark.live
def test_an_app_that_is_not_there_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listening: refused for certain
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert main(["load", url, "--rate", "30", "--seconds", "0.3"]) == 3
    captured = capsys.readouterr()
    assert "no request was answered (refused): start the app" in captured.err
    assert " refused" in captured.out


def test_a_load_of_nothing_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["load", "http://127.0.0.1:9/", "--rate", "0", "--seconds", "0.1", "--witness-rate", "0"]
    assert main(argv) == 3
    assert "no request was due: give a rate above 0" in capsys.readouterr().err


@pytest.mark.live
def test_a_baseline_of_the_same_service_is_no_regression(
    server: Seen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "run.json"
    argv = ["load", plan(tmp_path), "--url", server.url]
    assert main([*argv, "--json", str(kept)]) == 0
    assert main([*argv, "--baseline", str(kept)]) in (0, 1)  # by chance one in twenty is
    assert "regression" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["load", "http://127.0.0.1:9/"], ["report", "run.json"]])
def test_a_run_that_its_app_did_not_survive_is_nothing_to_compare_with(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    well = calm()
    ended = replace(well.phases[-1], ended="the app ended: GET /x?token=hunter2")
    for name, phases in {"run": well.phases, "gone": (*well.phases[:-1], ended)}.items():
        made = replace(well, phases=phases)
        (tmp_path / f"{name}.json").write_text(json.dumps(made.to_json()))
    option = "--baseline" if argv[0] == "load" else "--before"
    assert main([*argv, option, "gone.json"]) == 2
    said = capsys.readouterr().err
    assert f"{option} gone.json holds figures of an app that was gone" in said
    assert f"({ended.name}: the app ended: GET /x?token=…)" in said
    assert "name a run that it survived" in said
    main([*argv, option, "run.json"])
    assert "gone" not in capsys.readouterr().err


@pytest.mark.live
def test_shards_are_merged_into_the_whole(
    server: Seen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()  # both have begun by then
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    whole = tmp_path / "whole.json"

    file = plan(tmp_path, '[thresholds]\n"look.good_rate" = "== 1"\n')

    def shard(number: int) -> subprocess.Popen[bytes]:
        argv = ["load", file, "--url", server.url, "--shard", f"{number}/2"]
        argv += ["--start", start, "--json", str(files[number - 1])]
        return subprocess.Popen([sys.executable, "-m", "unstall", *argv], stdout=subprocess.DEVNULL)

    # A machine may be too busy for a part to be punctual; what it sent is written all the same.
    assert {each.wait(60) for each in [shard(1), shard(2)]} <= {0, 3}
    assert main(["load", "merge", *map(str, files), "--json", str(whole)]) == 0
    assert "held          look.good_rate == 1: 1" in capsys.readouterr().out
    assert [run_in(file).thresholds for file in files] == [(), ()]
    assert "thresholds are for the whole" in run_in(files[0]).gaps[0]
    parts = [run_in(file).phases[0].outcome["look"] for file in files]
    assert run_in(whole).phases[0].outcome["look"].due == sum(part.due for part in parts)
    numbers = sorted(
        int(head.split("/look/")[1].split()[0]) for head in server.heads if "/look/" in head
    )
    assert numbers == list(range(1, len(numbers) + 1))
    assert main(["load", "merge", str(files[0])]) == 2
    assert "shard 2/2 is missing" in capsys.readouterr().err
    assert main(["load", file, "--url", server.url, "--baseline", str(files[0])]) == 2
    assert "one.json is shard 1/2 of a load" in capsys.readouterr().err
    merging = ["load", "merge", *map(str, files), "--baseline", str(whole)]
    assert main(merging) in (0, 3)
    assert "no regression" in capsys.readouterr().out


@pytest.mark.live
@pytest.mark.slow
def test_the_app_of_a_plan_is_started_and_watched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "service.py").write_text(APP)
    uvicorn = f"{sys.executable} -m uvicorn service:app --port {{port}} --log-level error"
    for_two = PLAN.replace("seconds = 0.3", "seconds = 2")  # lag is told by the second
    text = f'[app]\ncommand = "{uvicorn}"\n{for_two}[thresholds]\n"loop.lag_p50_ms" = "< 10000"\n'
    file = tmp_path / "run.json"
    assert main(["load", plan(tmp_path, text=text), "--json", str(file)]) == 0
    assert "held          loop.lag_p50_ms < 10000" in capsys.readouterr().out
    (phase,) = run_in(file).phases
    assert 0 < phase.lag_under_load.count < phase.report.lag.count


@pytest.mark.live
@pytest.mark.slow
def test_an_app_that_ends_under_load_is_told_and_nobody_was_frozen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = '    await send({"type": "http.response.start"'
    ends = "    asked += scope['path'].startswith('/look')\n    asked <= 20 or os._exit(7)\n"
    counts = APP.replace(answers, "    global asked\n" + ends + answers)
    (tmp_path / "ending.py").write_text("import os\nasked = 0\n" + counts)
    uvicorn = f"{sys.executable} -m uvicorn ending:app --port {{port}} --log-level error"
    text = f'[app]\ncommand = "{uvicorn}"\n{PLAN.replace("seconds = 0.3", "seconds = 4")}'
    assert main(["load", plan(tmp_path, text=text)]) == 3
    said = capsys.readouterr()
    assert "not-enough-data: the app ended while it was asked (it ended with code 7)" in said.out
    assert "the app ended while it was asked" in said.err


@of_linux
@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_ctrl_c_tells_what_there_is_and_leaves_nobody(
    server: Seen, tmp_path: Path, processes: str
) -> None:
    kept = tmp_path / "run.json"
    argv = ["load", server.url, "--seconds", "600", "--processes", processes, "--json", str(kept)]
    command = subprocess.Popen(
        [sys.executable, "-m", "unstall", *argv], stdout=subprocess.PIPE, text=True
    )
    until(lambda: len(server.heads) > 20)
    children = children_of(command.pid)
    assert len(children) == (0 if processes == "1" else 2)
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=30)
    assert command.returncode == 130
    assert ", interrupted" in said
    assert run_in(kept).interrupted
    assert run_in(kept).phases[0].outcome["load"].answered > 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@of_linux
@pytest.mark.live
@pytest.mark.slow
def test_workers_end_with_a_command_that_is_killed(server: Seen) -> None:
    argv = ["load", server.url, "--seconds", "600", "--processes", "2"]
    command = subprocess.Popen([sys.executable, "-m", "unstall", *argv])
    until(lambda: len(server.heads) > 20)
    children = children_of(command.pid)
    command.kill()
    command.wait()
    until(lambda: not [pid for pid in children if Path(f"/proc/{pid}").exists()])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listens(pid: int) -> bool:
    """Whether a process has a timer to wait with, and so has its own handler for Ctrl-C."""
    try:
        files = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    except FileNotFoundError:  # closed while we looked
        return False
    return any("timerfd" in file for file in files)


def children_of(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task")
    return [
        int(child) for each in task.iterdir() for child in (each / "children").read_text().split()
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["http://10.1.2.3/"], "if it is yours to load, give --allow-remote 10.1.2.3"),
        (["http://10.1.2.3/", "--allow-remote", "10.1.2.4"], "which is not this machine"),
        (["ftp://127.0.0.1/"], "must be an http:// or https:// URL"),
        (["http://127.0.0.1/", "--rate", "-1"], "--rate is -1: give a number from 0 up"),
        (["http://127.0.0.1/", "--rate", "nan"], "--rate is nan"),
        (["http://127.0.0.1/", "--seconds", "0"], "--seconds is 0: give a number from 0.1 up"),
        (["http://127.0.0.1/", "--url", "http://127.0.0.1"], "give one of them"),
        (["http://127.0.0.1/", "--header", "X"], "--header is 'X': give a name and a value"),
        (["http://127.0.0.1/", "--in-flight", "0"], "--in-flight is 0: give 1 or more"),
        (["http://127.0.0.1/", "--processes", "0"], "give 1 to 64"),
        (["http://127.0.0.1/", "--client", "curl"], "give unstall, httpx2, httpx"),
        (["http://127.0.0.1/", "http://127.0.0.1/"], "is one too many"),
        (["http://127.0.0.1/", "--shard", "1/2"], "--shard needs --start"),
        (["http://127.0.0.1/", "--shard", "1/2", "--start", "2999-01-01T00:00:00Z", "--json", "x",
          "--baseline", "before.json"], "--baseline is for the whole: give it to unstall load merge"),
        (["http://127.0.0.1/", "--baseline", "before.json"], "the plan is not that of the baseline"),
        (["http://127.0.0.1/", "--body", "${sec}"], "did you mean ${seq}?"),
        (["http://nosuchhost.invalid/", "--allow-remote", "nosuchhost.invalid"], "address is not known"),
        (["none.toml"], "none.toml cannot be read"),
        ([], "there is no plan here"),
        (["--rate", "5"], "--rate is for a URL"),
        (["merge"], "nothing to merge"),
        (["merge", "none.json"], "name what --json wrote"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_a_sentence(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "before.json").write_text(run_json.render(calm()))
    monkeypatch.chdir(tmp_path)
    assert main(["load", *argv]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAN, "says neither where the app is nor how to start it"),
        ("[app]\nurl = 'http://127.0.0.1'\n", "has no [[scenario]]"),
        ("[app]\nurl = 'http://10.0.0.1'\n" + PLAN, "--allow-remote 10.0.0.1"),
        (PLAN + "[thresholds]\n'lok.p95_ms' = '< 1'\n[app]\nurl='http://127.0.0.1'", "did you mean 'look'?"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_played_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", plan(tmp_path, text=text)]) == 2
    assert message in capsys.readouterr().err


def args(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    load.configure(parser)
    return parser.parse_args(argv)


def test_the_page_shows_flags_and_a_flow_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "load.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser()
    load.configure(parser)
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page))
    assert (
        {"--shard", "--processes"} <= shown <= set(parser.format_help().replace("]", " ").split())
    )
    flow = page.partition("```python\n")[2].partition("```")[0]
    calls = {node.attr for node in ast.walk(ast.parse(flow)) if isinstance(node, ast.Attribute)}
    assert {"post", "random", "status", "json"} <= calls
    assert all(hasattr(Client, call) for call in calls & {"get", "post", "put", "patch", "delete"})


def test_an_order_holds_what_was_asked_for(tmp_path: Path) -> None:
    start = "2126-11-21T15:00:00+01:00"
    file = plan(tmp_path)
    asked = args(file, "--url", "http://127.0.0.1:1", "--shard", "2/3", "--start", start, "--json", "x",
                 "--seed", "9", "--in-flight", "7")  # fmt: skip
    order = order_of(asked, tmp_path)
    assert order.share == Share(1, 3)
    assert order.start == datetime(2126, 11, 21, 14, tzinfo=UTC)
    assert (order.plan.seed, order.plan.in_flight, order.folder) == (9, 7, tmp_path)
    assert order.plan.scenarios[0].stages == (Stage(100, 0.3),)


def test_a_start_is_for_one_phase(tmp_path: Path) -> None:
    start = "2126-11-21T15:00:00Z"
    file = plan(tmp_path, text="repeat = 3\n" + PLAN)
    with pytest.raises(UsageError, match="has repeat = 3"):
        order_of(args(file, "--url", "http://127.0.0.1:1", "--start", start), tmp_path)


@of_linux
@pytest.mark.live
@pytest.mark.slow
def test_ctrl_c_before_the_first_request_is_exit_code_130_too(server: Seen) -> None:
    argv = ["load", server.url, "--start", "2126-11-21T15:00:00Z"]
    command = subprocess.Popen(
        [sys.executable, "-m", "unstall", *argv], stdout=subprocess.PIPE, text=True
    )
    until(lambda: listens(command.pid))
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=30)
    assert command.returncode == 130
    assert ", interrupted" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", "give a moment with its zone"),
        ("2026-11-21T15:00:00", "give a moment with its zone"),
        ("1970-01-01T00:00:10Z", "was 90 s ago"),
    ],
)
def test_a_start_is_a_moment_to_come(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        start_of(text, 100.0)
    assert message in str(refused.value)


@of_linux
def test_children_are_seen_when_there_are_some() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        assert child.pid in children_of(os.getpid())
        child.kill()
