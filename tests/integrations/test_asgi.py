"""`unstall.instrument(app)` on real apps, each in a process of its own: it watches the whole process."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

HEAD = """
import time, urllib.request
import unstall
import unstall.errors
from fastapi import FastAPI
from fastapi.testclient import TestClient
from unstall.integrations.asgi import instruments

app = FastAPI()

@app.get("/freezes/{n}")
async def freezes(n: int):
    time.sleep(0.3)

@app.get("/quick")
async def quick():
    return 1
"""


def said(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", HEAD + dedent(program)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_one_line_names_the_stall_its_route_and_what_the_route_held() -> None:
    out = said("""
        stalls = []
        assert unstall.instrument(app, on_stall=stalls.append) is app
        with TestClient(app) as client:
            client.get("/quick")
            client.get("/freezes/7")
            time.sleep(0.3)
        on = instruments()
        on.stop()
        (stall,) = [s for s in stalls if not s.ongoing and s.entry and "freezes" in s.entry.name]
        (row,) = [row for row in on.monitor.recording().held
                  if row.piece == "request" and "freezes" in row.entry]
        print(stall.cause, stall.entry.name, row.held.sum_ns >= 290_000_000)
        assert instruments() is None
    """)
    assert out.split() == ["waiting", "GET", "/freezes/{n}", "True"]


def test_metrics_are_served_at_the_port_that_was_given() -> None:
    out = said("""
        from unstall.prove.processes import free_port
        port = free_port()
        unstall.instrument(app, metrics=port)
        with TestClient(app) as client:
            client.get("/quick")
            end = time.monotonic() + 30
            text = ""
            while 'unstall_entry_held_seconds_count{entry="GET /quick"} 1' not in text:
                assert time.monotonic() < end, text
                time.sleep(0.05)
                try:
                    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
                except OSError as error:  # it does not listen yet
                    text = str(error)
        instruments().stop()
        print(True)
    """)
    assert out.split() == ["True"]


def test_another_asgi_app_comes_back_wrapped_and_is_named_by_its_method() -> None:
    out = said("""
        async def bare(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        ours = unstall.instrument(bare)
        assert type(ours).__name__ == "Scope"
        client = TestClient(ours)
        print(client.get("/x").text, instruments().monitor.statistics().requests)
        instruments().stop()
    """)
    assert out.split() == ["ok", "1"]


def test_apps_of_one_process_share_one_set_and_other_settings_are_refused() -> None:
    out = said("""
        unstall.instrument(app)
        first = instruments()
        unstall.instrument(FastAPI())
        assert instruments() is first
        try:
            unstall.instrument(FastAPI(), settings=unstall.Settings(threshold_ms=50))
        except unstall.errors.UsageError as error:
            print(error)
        first.stop()
    """)
    assert "after other settings" in out


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("unstall.instrument(None)", "which is no ASGI app"),
        ("unstall.instrument(app, metrics='nine')", "give a port"),
    ],
)
def test_what_cannot_be_is_one_sentence(call: str, sentence: str) -> None:
    out = said(f"""
        from unstall.errors import UsageError
        try:
            {call}
        except UsageError as error:
            print(error)
        print(instruments())
    """)
    assert sentence in out
    assert out.endswith("None\n")
