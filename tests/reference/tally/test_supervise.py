"""What ends is started again; what cannot start is told."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tally.stack.processes import Reaper
from tally.supervise import TRIES, GaveUp, Program, Supervisor, ended

WAIT_S = 60.0


class Said(list[str]):
    __call__ = list.append


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def supervisor(said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr("tally.supervise.PAUSE_S", 0.01)
    with Reaper() as reaper:
        supervisor = Supervisor(reaper, said)
        yield supervisor
        supervisor.stop()


def python(name: str, code: str, *refusals: int) -> Program:
    return Program(name, (sys.executable, "-c", code), os.environ, frozenset(refusals))


def look_until(supervisor: Supervisor, file: Path, lines: int) -> list[str]:
    end = time.monotonic() + WAIT_S
    while True:
        supervisor.look()
        found = file.read_text().splitlines() if file.exists() else []
        if len(found) >= lines:
            return found
        assert time.monotonic() < end, f"{found}"
        time.sleep(0.02)


def test_what_is_killed_comes_back(supervisor: Supervisor, said: Said, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    )
    supervisor.start(python("api", code))
    (first,) = look_until(supervisor, pids, 1)
    os.kill(int(first), signal.SIGKILL)
    _, second = look_until(supervisor, pids, 2)
    assert second != first
    assert said == ["api ended with SIGKILL and is started again"]


def test_children_of_what_was_killed_go_before_it_comes_back(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '600']);"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} {{child.pid}}\\n'); time.sleep(600)"
    )
    supervisor.start(python("api", code))
    parent, child = look_until(supervisor, pids, 1)[0].split()
    os.kill(int(parent), signal.SIGKILL)
    look_until(supervisor, pids, 2)
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_who_is_slow_to_end_is_told_once(supervisor: Supervisor, tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = (
        "import signal, time\n"
        f"def note(*_): open({str(told)!r}, 'a').write('told\\n'); ends.append(time.monotonic() + 0.5)\n"
        f"ends = []; signal.signal(signal.SIGTERM, note); open({str(told)!r}, 'a').write('ready\\n')\n"
        "while not ends or time.monotonic() < ends[0]: time.sleep(0.01)"
    )
    supervisor.start(python("api", code))
    look_until(supervisor, told, 1)
    supervisor.stop()
    assert told.read_text().splitlines() == ["ready", "told"]


def test_a_refusal_ends_it_at_once(supervisor: Supervisor) -> None:
    supervisor.start(python("api", "raise SystemExit(3)", 3))
    with pytest.raises(GaveUp, match="api does not start"):
        look_until(supervisor, Path("/nowhere"), 1)


def test_what_always_ends_is_given_up(supervisor: Supervisor, said: Said) -> None:
    supervisor.start(python("api", "raise SystemExit(7)"))
    with pytest.raises(GaveUp, match=f"api ended {TRIES} times .* with code 7"):
        look_until(supervisor, Path("/nowhere"), 1)
    assert len(said) == TRIES - 1


def test_an_end_is_named_as_others_name_it() -> None:
    assert [ended(code) for code in (0, 3, -9, -200)] == [
        "code 0",
        "code 3",
        "SIGKILL",
        "signal 200",
    ]
