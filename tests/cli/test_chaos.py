"""`unstall chaos`: what it proxies, what it prints in the end, and what it says of bad input."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.upstreams import PATIENCE_S, asked, connected, received, serving
from unstall.cli import main


@contextmanager
def running(*args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "unstall", "chaos", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def address_in(line: str) -> tuple[str, int]:
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert found is not None, line
    return "127.0.0.1", int(found[1])


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_proxies_until_it_is_interrupted_and_prints_the_counts(sign: signal.Signals) -> None:
    with serving() as upstream:
        to = f"127.0.0.1:{upstream.address[1]}"
        args = "--upstream", to, "--hang", "0.001", "--probability", "0.5", "--seed", "7"
        with running(*args) as process:
            line = line_of(process)
            assert line.endswith(f" -> {to}")
            with connected(address_in(line)) as client:
                for _ in range(40):
                    assert asked(client, b"x") == b"x"
            process.send_signal(sign)
            out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    found = re.fullmatch(r"upstream: 1 connection, 40 exchanges, (\d+) of 40 hit\n", out)
    assert found is not None, out
    assert 10 < int(found[1]) < 30


def test_a_toxic_with_attributes_on_one_of_two_upstreams() -> None:
    with serving() as bad, serving() as good:
        args = [
            word for each in (bad, good) for word in ("--upstream", f"127.0.0.1:{each.address[1]}")
        ]
        toxic = "limit_data:bytes=2"
        with running(*args, "--toxic", toxic, "--bad", "1", "--per", "connection") as process:
            address = address_in(line_of(process))
            with connected(address) as first, connected(address) as second:
                first.sendall(b"abc")
                assert received(first, 3) == b"ab"
                assert asked(second, b"abc") == b"abc"


def test_it_is_a_toxiproxy_for_those_who_have_its_clients() -> None:
    with serving() as upstream, running("--control", "127.0.0.1:0") as process:
        client = http.client.HTTPConnection(*address_in(line_of(process)), timeout=PATIENCE_S)
        given = {"name": "redis", "upstream": f"127.0.0.1:{upstream.address[1]}"}
        client.request("POST", "/proxies", json.dumps(given))
        told = json.loads(client.getresponse().read())
        with connected(address_in(told["listen"])) as connection:
            assert asked(connection, b"x") == b"x"
        client.close()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert out == "redis: 1 connection, 1 exchange\n"


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as upstream:
        taken = f"127.0.0.1:{upstream.address[1]}"
        assert main(["chaos", "--listen", taken, "--upstream", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == (
        f"unstall: listen of upstream is {taken}, and somebody listens there already: give another "
        "port, or 0 for a free one\n"
    )


ONE = ["--upstream", "127.0.0.1:1"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "no --upstream was given: name the HOST:PORT to stand in front of"),
        (["--hang", "1"], "no --upstream was given"),
        (["--control", "0", "--hang", "1"], "--toxic or --hang needs an --upstream"),
        (["--control", "0", "--listen", "0"], "--listen needs an --upstream"),
        (["--upstream", "nowhere"], "--upstream is 'nowhere', which is not understood: give"),
        ([*ONE, "--toxic", "latancy"], "there is no kind of fault 'latancy'; did you mean 'latency'?"),
        ([*ONE, "--toxic", "latency:latency"], "--toxic is 'latency:latency', and 'latency' is no NAME=N"),
        ([*ONE, "--toxic", "latency:latency=x"], "latency of --toxic is 'x', which is no number"),
        ([*ONE, "--toxic", "hang"], "'hang' needs seconds, in s: give it"),
        ([*ONE, "--hang", "1", "--probability", "5"], "probability is 5 of 'hang': give one from 0 to 1"),
        ([*ONE, "--hang", "1", "--per", "hour"], "--per is 'hour': give exchange, connection or"),
        ([*ONE, "--hang", "1", "--bad", "2"], "bad is 2, and upstream has 1 upstream: give no more"),
        ([*ONE, "--hang", "1", "--bad", "x"], "--bad is 'x', which is no whole number: give one"),
        ([*ONE, "--hang", "inf"], "--hang is 'inf', which is no number: give one"),
        ([*ONE, "--hang", "1", "--after", "2", "--until", "1"], "until is 1 of 'hang', and it begins"),
        ([*ONE, "--listen", "0.0.0.0:0"], "--listen is 0.0.0.0:0, which other machines can"),
        (["--control", "0.0.0.0:0"], "control is 0.0.0.0:0, which other machines can reach"),
        ([*ONE, "--control", "x:y"], "control is 'x:y', which is not understood: give HOST:PORT"),
        ([*ONE, "--seed", "x"], "--seed is 'x', which is no whole number: give one"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_a_sentence(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chaos", *args]) == 2
    assert capsys.readouterr().err.startswith(f"unstall: {said}")
