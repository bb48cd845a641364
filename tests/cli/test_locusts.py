"""`unstall load --engine locust`: what is asked for, and what is refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from unstall.cli import load, locusts
from unstall.cli.commands import answer
from unstall.errors import UsageError
from unstall.load.locusts import Crew

URL = "http://127.0.0.1:8000"


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    load.configure(parser)
    return parser.parse_args(["--engine", "locust", *argv])


def test_the_load_test_of_every_write_up_is_the_default() -> None:
    wanted = locusts.wanted_of(parsed(URL))
    assert (wanted.users, wanted.spawn_rate, wanted.crew) == (500, 50.0, Crew())


@pytest.mark.parametrize(
    ("argv", "users", "rate"),
    [
        (("--users", "20@2.5"), 20, 2.5),
        (("--users", "500", "--spawn-rate", "25"), 500, 25.0),
        (("--users", "200"), 200, 20.0),
        (("--users", "3"), 3, 1.0),
    ],
)
def test_users_and_how_fast_they_come(argv: tuple[str, ...], users: int, rate: float) -> None:
    wanted = locusts.wanted_of(parsed(URL, *argv))
    assert (wanted.users, wanted.spawn_rate) == (users, rate)


def test_what_is_locusts_alone_is_passed_on() -> None:
    wanted = locusts.wanted_of(parsed(URL, "--locust-args=Buyer --tags 'a b'"))
    assert wanted.more == ("Buyer", "--tags", "a b")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--users", "many"), "--users is 'many': write a number"),
        (("--users", "5@1", "--spawn-rate", "2"), "and so does --spawn-rate 2"),
        (("--master", "--worker"), "give one of them"),
        (("--locust-args", "'open"), "which cannot be read: No closing quotation"),
        (("--expect-workers", "2"), "--expect-workers is for a master"),
        (("--rate", "5"), "--rate is for our own engine"),
        (("--shard", "1/2"), "--shard is for our own engine"),
        (("-f", "x.py", "--body", "{}"), "--body is beside a locustfile, which says this itself"),
    ],
)
def test_what_does_not_go_together_is_refused(argv: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        locusts.wanted_of(parsed(URL, *argv))


def test_a_locustfile_needs_no_plan(tmp_path: Path) -> None:
    args = parsed("-f", "locustfile.py", "--url", URL, "--seconds", "60")
    order = locusts.order_with(args, locusts.wanted_of(args), tmp_path)
    assert order.url == URL
    assert args.url == URL, "what was asked is not changed"


def test_a_url_alone_becomes_a_locustfile(tmp_path: Path) -> None:
    args = parsed(f"{URL}/items", "--header", "A: b")
    order = locusts.order_with(args, locusts.wanted_of(args), tmp_path)
    (scenario,) = order.plan.scenarios
    assert (scenario.path, scenario.headers) == ("/items", {"A": "b"})


def test_a_plan_says_how_long_and_the_flag_wins(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        '[[scenario]]\nname = "read"\nrequest = "GET /items"\n'
        "stages = [{ rate = 5, seconds = 20 }, { rate = 10, seconds = 15 }]\n"
    )
    args = parsed("plan.toml", "--url", URL, "--seconds", "7")
    order = locusts.order_with(args, locusts.wanted_of(args), tmp_path)
    assert locusts.lasting(order.plan.scenarios) == 35
    assert locusts.lasting(()) == 60


def test_options_of_locust_without_it_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["load", URL, "--users", "5"]) == 2
    assert "--users is for Locust: give --engine locust with it" in capsys.readouterr().err


def test_a_locustfile_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code = answer(["load", "--engine", "locust", "-f", "none.py", "--url", URL])
    assert code == 2
    assert "there is no locustfile none.py: name it with -f" in capsys.readouterr().err
