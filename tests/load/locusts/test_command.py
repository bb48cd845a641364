"""How Locust is called, and what it is not asked."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from unstall.errors import MissingExtra, UsageError
from unstall.load.locusts.command import (
    Crew,
    Locust,
    check,
    check_worker,
    command_of,
    find_locust,
    listener_in,
    meeting_port,
    worker_command,
)

OURS = Path("/tmp/ours.py").resolve()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "locustfile.py"
    path.write_text("")
    return path


def locust(*files: Path, **more: Any) -> Locust:
    return Locust(files, **{"users": 500, "spawn_rate": 50.0, "seconds": 60.0, **more})


def command(load: Locust, port: int = 5557) -> str:
    return " ".join(command_of(["locust"], load, "http://127.0.0.1:8000", port, OURS))


def test_five_hundred_users_at_fifty_a_second_with_the_file_as_it_is(file: Path) -> None:
    said = command(locust(file))
    assert f"-f {file},{OURS} --host http://127.0.0.1:8000 --headless" in said
    assert "--users 500 --spawn-rate 50 --run-time 60s --stop-timeout 5" in said
    assert "--master" not in said


def test_processes_meet_on_this_machine_only(file: Path) -> None:
    said = command(locust(file, crew=Crew(processes=2)), port=7001)
    assert "--processes 2 --master-host 127.0.0.1 --master-port 7001" in said
    assert "--master-bind-host 127.0.0.1 --master-bind-port 7001" in said


def test_a_master_waits_for_its_workers(file: Path) -> None:
    crew = Crew(master=True, workers=4, host="0.0.0.0", patience=30)
    said = command(locust(file, crew=crew))
    assert "--master --master-bind-host 0.0.0.0 --master-bind-port 5557" in said
    assert "--expect-workers 4 --expect-workers-max-wait 30" in said


def test_a_worker_without_a_file_asks_its_master_for_it(file: Path) -> None:
    crew = Crew(host="load-1", port=7001)
    assert worker_command(["locust"], (), crew, OURS) == [
        "locust", "-f", "-", "--worker", "--master-host", "load-1", "--master-port", "7001",
    ]  # fmt: skip
    assert worker_command(["locust"], (file,), crew, OURS)[2] == f"{file},{OURS}"


def test_locust_is_taken_from_beside_us_or_else_from_the_path() -> None:
    beside = find_locust(which=lambda _: "/opt/locust", installed=lambda _: object())
    assert beside[1:] == ("-m", "locust")
    path = find_locust(which=lambda _: "/opt/locust", installed=lambda _: None)
    assert path == ("/opt/locust",)


def test_without_locust_the_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'unstall\[locust\]'"):
        find_locust(which=lambda _: None, installed=lambda _: None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"users": 0}, "--users is 0, outside 1 to 1e\\+06"),
        ({"spawn_rate": 0.0}, "--spawn-rate is 0"),
        ({"spawn_rate": float("nan")}, "--spawn-rate is nan"),
        ({"seconds": 0.5}, "--seconds is 0.5"),
        ({"crew": Crew(processes=0)}, "--processes is 0"),
        ({"crew": Crew(port=70_000)}, "the port of the master is 70000"),
        ({"crew": Crew(master=True, processes=2)}, "--processes 2 has no meaning"),
    ],
)
def test_numbers_that_make_no_load_are_refused(file: Path, more: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(locust(file, **more))


def test_files_that_locust_cannot_read_are_refused(tmp_path: Path) -> None:
    text, comma = tmp_path / "plan.toml", tmp_path / "a,b.py"
    text.write_text("")
    comma.write_text("")
    for wrong, words in (
        (tmp_path / "none.py", "there is no locustfile"), (text, "is no Python file"),
        (comma, "holds a comma"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            check(locust(wrong))


def test_a_worker_hears_of_a_master_or_a_file_that_cannot_be(file: Path) -> None:
    """Locust would look for that master for ever, without a word."""
    check_worker((file,), Crew(port=65_535))
    with pytest.raises(UsageError, match="the port of the master is 99999, outside 1 to 65535"):
        check_worker((file,), Crew(port=99_999))
    with pytest.raises(UsageError, match="there is no locustfile"):
        check_worker((file.with_name("none.py"),), Crew())


def test_a_port_that_is_taken_is_told_before_anything_is_started() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen at 127.0.0.1:{port}"):
            meeting_port(Crew(master=True, port=port))
    assert meeting_port(Crew(processes=2)) > 0


def test_the_listener_is_handed_over_as_a_copy(tmp_path: Path) -> None:
    assert "def register(" in listener_in(tmp_path).read_text()
