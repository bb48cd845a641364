"""Whatever is run: its exit code, its signals, its environment are as if it ran alone."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import venv
from pathlib import Path

import pytest

from tests.run.running import (
    APP,
    PATIENCE_S,
    THRESHOLD_MS,
    UNSTALL,
    clean_environment,
    line_in,
    processes_of_session,
    run,
    running,
)
from unstall.explain.report import report_of
from unstall.model.recording import read
from unstall.run.environment import SITE
from unstall.threads import GREEN

pytestmark = pytest.mark.live

UNWATCHED = "unstall: nothing was watched: no Python process of this command ran an event loop\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -KILL $$"], 137),
        (python("raise SystemExit(7)"), 7),
    ],
)
def test_a_command_without_a_loop_passes_its_code_and_is_told_of_in_one_sentence(
    command: list[str], code: int
) -> None:
    done = run(command)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", UNWATCHED)


def test_what_the_command_writes_is_passed_through() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"], "--quiet")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["no-such-program"], "no-such-program was not found: check the name"),
        (["./plain.py"], "./plain.py is not executable: name the program that runs it"),
        ([""], "the COMMAND is empty: name the program to run behind --"),
        (["."], ". is a folder: name a program in it"),
        (["/"], "/ is a folder: name a program in it"),
        (["./no/such/program"], "./no/such/program was not found: check the name"),
        (["./plain.py/x"], "./plain.py/x cannot be started: Not a directory"),
    ],
)
def test_a_command_that_cannot_start_is_one_sentence_and_code_4(
    command: list[str], said: str
) -> None:
    done = run(command)
    assert done.returncode == 4
    assert done.stderr.startswith(f"unstall: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print(1)", "is neither a program nor a script with #!: name the program that runs it"),
        ("#!/no/such/python\n", "names an interpreter that was not found: check its first line"),
    ],
)
def test_a_file_that_is_no_program_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_text(text)
    file.chmod(0o700)
    done = run([str(file)])
    assert (done.returncode, done.stderr) == (4, f"unstall: {file} {said}\n")


def test_a_recording_that_was_begun_is_closed_when_the_command_cannot_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "unstall", "run", "--record",
         str(tmp_path / "x.jsonl"), "--", "no-such-program"],
        env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("end", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_the_code_is_the_commands_whoever_reads_what_unstall_says(end: str) -> None:
    line = f"'{sys.executable}' -m unstall run -- '{sys.executable}' plain.py {end}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=APP, env=clean_environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (5, b"", b"")


def test_a_program_that_ends_at_once_in_error_is_one_sentence() -> None:
    done = run(python("import asyncio; asyncio.run(asyncio.sleep(0.05)); raise SystemExit(3)"))
    assert done.returncode == 3
    assert re.fullmatch(
        r"unstall: too little was watched to judge: the command ended with exit code 3 after 0\.\d s of "
        r"an event loop; what it wrote says why\n",
        done.stderr,
    )


@pytest.mark.slow
def test_a_server_whose_port_is_taken_is_one_sentence() -> None:
    uvicorn = str(Path(sys.executable).parent / "uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run([uvicorn, "service:app", "--port", port])
    ours = [
        line for line in done.stderr.splitlines() if "[Errno" not in line and "INFO" not in line
    ]
    assert done.returncode == 3
    # On a busy machine the import of the app may have been told as well, while it lasted or after it.
    told = re.compile(r"^unstall: (FROZEN|froze|free after) ")
    assert len([line for line in ours if not told.match(line)]) == 1, done.stderr
    assert re.search(
        r": the command ended with exit code 3 after \d+\.\d s of an event loop", ours[-1]
    )
    assert "clean" not in done.stderr


def test_a_watch_that_fails_leaves_the_command_to_itself(tmp_path: Path) -> None:
    """A fault of ours, made here by a broken installation: the listener cannot be imported."""
    code = (
        "import sys; sys.modules['unstall.run.listener'] = None\n"
        "from unstall.cli import main\n"
        f"sys.exit(main(['run', '--', '{sys.executable}', 'plain.py']))"
    )
    done = subprocess.run(
        python(code), cwd=APP, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    said = "unstall: the watch has failed, and the command has not: ModuleNotFoundError("
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_a_program_that_watches_itself_is_told_of_once_and_counted_once() -> None:
    code = (
        "import asyncio, time\n"
        "from unstall import Monitor\n"
        "heard = []\n"
        "monitor = Monitor(on_stall=heard.append).start()\n"
        "async def main():\n"
        "    await asyncio.sleep(0.1); time.sleep(0.4); await asyncio.sleep(0.1)\n"
        "asyncio.run(main())\n"
        "monitor.stop()\n"
        "print(monitor.settings.threshold_ms, [s.ongoing for s in heard][-1:], len(monitor.recording()\n"
        "    .stretches))\n"
    )
    done = run(python(code))
    assert done.stdout == f"{float(THRESHOLD_MS)} [False] 1\n"
    assert done.stderr.count("FROZEN") == 1
    assert "1 finding, 1 stall, " in done.stderr
    assert "1 process, 1 loop" in done.stderr
    assert done.stderr.count("a process runs a Monitor of its own as well") == 1


def test_a_finder_of_ours_does_not_stay_behind() -> None:
    code = (
        "import sys; print([f for f in sys.meta_path if getattr(f, '__name__', '') == 'Fallback'])"
    )
    assert run(python(code), "--quiet").stdout == "[]\n"


def test_a_run_that_is_killed_leaves_the_service_up_and_its_folder_to_the_next(
    tmp_path: Path,
) -> None:
    code = "import sys, time; sys.stderr.write('ready\\n'); time.sleep(60)"
    with (
        tempfile.TemporaryDirectory() as short,  # a socket's name has little room
        running(tmp_path, python(code), env={"TMPDIR": short}) as command,
    ):
        place = Path(short)
        command.until_said("^ready")
        command.process.kill()
        command.process.wait(PATIENCE_S)
        left = processes_of_session(command.process.pid)
        assert len(left) == 1  # a monitor that dies does not take the service with it
        assert len(list(place.glob(f"unstall-{command.process.pid}-*"))) == 1
        assert run(["true"], "--quiet", env={"TMPDIR": short}).returncode == 0
        assert list(place.glob("unstall-*")) == []
        assert processes_of_session(command.process.pid) == left


def test_a_plain_asyncio_program_is_watched(tmp_path: Path) -> None:
    record = tmp_path / "run.jsonl"
    done = run([sys.executable, "plain.py"], "--record", str(record))
    assert done.returncode == 5
    line = line_in(APP / "plain.py", "# BLOCKS")
    first = first_seen(done.stderr)
    assert first.startswith("unstall: FROZEN 0.")
    assert f"  main  plain.py:{line} in main  time.sleep  waiting in clock_nanosleep" in first
    finding = report_of(read(record), "plain").findings[0]
    assert finding.site is not None
    assert (finding.code, finding.site.file, finding.site.line) == ("US101", "plain.py", line)


def first_seen(stderr: str) -> str:
    """The first line about a stall that is not the machine's own."""
    return next(line for line in stderr.splitlines() if "  cause not seen  " not in line)


def test_json_lines_hold_each_stall_and_the_report() -> None:
    done = run([sys.executable, "plain.py"], "--format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = [each for each in lines if each.get("cause") != "starved"]
    assert [each["kind"] for each in told] == ["stall", "stall", "report"]
    assert [each.get("ongoing") for each in told] == [True, False, None]
    assert told[-1]["verdict"] == "findings"


def test_a_worker_that_was_forked_is_watched() -> None:
    done = run([sys.executable, "forking.py"])
    line = line_in(APP / "forking.py", "# BLOCKS")
    assert f"forking.py:{line} in work  time.sleep" in first_seen(done.stderr)
    assert "last word" not in done.stderr


def test_an_interpreter_without_unstall_is_watched_and_finds_nothing_else_of_ours(
    tmp_path: Path,
) -> None:
    venv.create(tmp_path / "bare", symlinks=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    done = run([bare, "plain.py"])
    assert "unstall: FROZEN" in done.stderr
    code = (
        "import importlib.util, sys;"
        "print(importlib.util.find_spec('fastapi'), [p for p in sys.path if 'unstall' in p])"
    )
    assert run([bare, "-c", code], "--quiet").stdout == "None []\n"


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_an_isolated_interpreter_runs_unwatched(flag: str) -> None:
    done = run([sys.executable, flag, "plain.py"])
    assert (done.returncode, done.stderr) == (5, UNWATCHED)


def test_where_threads_are_greenlets_it_is_said_why_nothing_was_watched() -> None:
    code = """
from gevent import monkey
monkey.patch_all()
import asyncio, time

async def main():
    time.sleep(0.3)
    return 7

print(asyncio.run(main()))
"""
    done = run(python(code))
    assert (done.returncode, done.stdout) == (0, "7\n")
    assert done.stderr == f"unstall: nothing was watched: {GREEN}\n"


def test_pythonpath_is_kept_behind_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    code = (
        "import mine, os, sys;"
        "print(os.environ['PYTHONPATH'], [p for p in sys.path if p.endswith('site')])"
    )
    done = run(python(code), "--quiet", env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == f"{SITE}{os.pathsep}{tmp_path} []\n"


def test_the_sitecustomize_that_was_there_before_runs_as_itself(tmp_path: Path) -> None:
    theirs = tmp_path / "sitecustomize.py"
    theirs.write_text("import sys; SEEN = __name__, sys.modules[__name__].__file__")
    code = "import sitecustomize; print(sitecustomize.SEEN)"
    done = run(python(code), "--quiet", env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == f"('sitecustomize', '{theirs}')\n"
    watched = run([sys.executable, "plain.py"], env={"PYTHONPATH": str(tmp_path)})
    assert "unstall: FROZEN" in watched.stderr


def test_an_error_in_their_sitecustomize_is_told_as_python_tells_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')")
    environ = clean_environment() | {"PYTHONPATH": str(tmp_path)}
    alone = subprocess.run(
        python("print(1)"), env=environ, capture_output=True, text=True, check=True
    )
    done = run(python("print(1)"), "--quiet", env={"PYTHONPATH": str(tmp_path)})
    # Once by the interpreter that runs unstall itself, once by the command.
    assert (done.stdout, done.stderr) == (alone.stdout, alone.stderr * 2)
    assert "theirs" in done.stderr


def test_an_import_their_sitecustomize_misses_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import no_such_module")
    done = run(python("print(1)"), "--quiet", env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == "1\n"
    assert "No module named 'no_such_module'" in done.stderr


def test_a_bad_setting_in_the_environment_is_said_once_and_nothing_is_run() -> None:
    done = subprocess.run(
        [*UNSTALL, "run", "--", "echo", "ran"],
        env={**clean_environment(), "UNSTALL_THRESHOLD_MS": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("unstall: UNSTALL_THRESHOLD_MS is 'soon'")


COUNTS = """
import os, signal, sys, time
seen = []
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), lambda number, frame: seen.append(number))
print("ready", file=sys.stderr, flush=True)
deadline = time.monotonic() + 10
while not seen and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.3)
print("seen", len(seen), file=sys.stderr, flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"])
def test_a_signal_to_unstall_reaches_the_command_once(name: str, tmp_path: Path) -> None:
    with running(tmp_path, [*python(COUNTS), name]) as command:
        command.until_said("^ready")
        assert command.end(getattr(signal, name)) == 9
    assert "seen 1\n" in command.stderr


def test_ctrl_c_in_a_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    ours, theirs = os.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    said = tmp_path / "said.txt"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            [*UNSTALL, "run", "--", *python(COUNTS), "SIGINT"],
            env=clean_environment(),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - nothing else can make a terminal its own
        )
    deadline = time.monotonic() + PATIENCE_S
    while "ready" not in said.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.write(ours, b"\x03")
    assert process.wait(PATIENCE_S) == 9
    assert "seen 1\n" in said.read_text()
    os.close(ours)
    os.close(theirs)


def test_the_folder_of_the_socket_is_private_and_gone_at_the_end() -> None:
    code = (
        "import os, pathlib; p = pathlib.Path(os.environ['UNSTALL_SOCKET']).parent;"
        "print(p, oct(p.stat().st_mode & 0o777))"
    )
    folder, mode = run(python(code), "--quiet").stdout.split()
    assert mode == "0o700"
    assert not Path(folder).exists()


def test_a_storm_of_stalls_is_told_in_a_few_lines(tmp_path: Path) -> None:
    code = (
        "import asyncio, time\n"
        "async def main():\n"
        "    for _ in range(16):\n"
        "        await asyncio.sleep(0.01)\n"
        "        time.sleep(0.25)\n"
        "asyncio.run(main())\n"
    )
    began = time.monotonic()
    done = run(python(code))
    took = time.monotonic() - began
    told = [line for line in done.stderr.splitlines() if line.startswith("unstall: ")]
    assert 4 <= len(told) <= 4 + 2 * took
    assert any("more before it not shown" in line for line in told)
    stalls = re.search(r"(\d+) stalls", done.stderr)
    assert stalls is not None
    assert int(stalls[1]) >= 15


def test_latent_calls_are_told_of_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import asyncio, sqlite3\n"
        "async def serve():\n"
        "    for _ in range(3):\n"
        "        sqlite3.connect('orders.db').close()\n"
        "        await asyncio.sleep(0.1)\n"
        "asyncio.run(serve())\n"
    )
    command = [sys.executable, "service.py"]
    record = tmp_path / "run.jsonl"
    asked = run(command, "--latent", "--record", str(record), cwd=tmp_path)
    assert asked.returncode == 0
    assert "serve makes a synchronous SQLite call (orders.db) on the loop" in " ".join(
        asked.stderr.split()
    )
    (finding,) = report_of(read(record), "x").findings
    assert finding.latent
    assert finding.site is not None
    assert (finding.site.file, finding.site.line) == ("service.py", 4)
    assert "SQLite" not in run(command, cwd=tmp_path).stderr
