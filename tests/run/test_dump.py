"""What `faulthandler` writes, read back."""

from __future__ import annotations

import faulthandler
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

import pytest

from unstall.explain.blame import site_of, step_of
from unstall.model.place import Owner
from unstall.run.dump import stacks_of
from unstall.watch.stacks import Places

ROOT = Path(__file__).resolve().parents[2]
STDLIB = sysconfig.get_path("stdlib")

DUMP = f"""\
Thread 0x00007f13d37fe6c0 (most recent call first):
  File "{STDLIB}/threading.py", line 327 in wait
  File "{STDLIB}/threading.py", line 982 in run

Current thread 0x00007f13d3fff6c0 [unstall-watchdog] (most recent call first):
  File "/somewhere/site-packages/unstall/watch/watchdog.py", line 97 in _watch

Thread 0x00007f13dcf8b740 (most recent call first):
  File "{STDLIB}/re/__init__.py", line 166 in match
  File "{ROOT}/app/caf\\xe9.py", line 12 in \\u03bb
  File "/somewhere/site-packages/fastapi/routing.py", line 328 in run_endpoint_function
  File "{STDLIB}/asyncio/events.py", line 84 in _run
  File "/somewhere/site-packages/unstall/watch/discover.py", line 129 in run_forever
  File "{STDLIB}/asyncio/runners.py", line 118 in run
  File "{ROOT}/main.py", line 3 in <module>
  File "<frozen importlib._bootstrap>", line ??? in _call_with_frames_removed
"""


def stacks(text: str) -> dict[int, list[tuple[str, int, str, str, Owner]]]:
    read = stacks_of(text.splitlines(), Places(ROOT), ROOT, STDLIB)
    return {
        ident: [(f.file, f.line, f.function, f.module, f.owner) for f in stack.frames]
        for ident, stack in read.items()
    }


def test_threads_are_told_apart_and_the_outermost_frame_comes_first() -> None:
    read = stacks(DUMP)
    assert set(read) == {0x00007F13D37FE6C0, 0x00007F13D3FFF6C0, 0x00007F13DCF8B740}
    loop = read[0x00007F13DCF8B740]
    assert loop[0] == (
        "<frozen importlib._bootstrap>", 0, "_call_with_frames_removed", "importlib._bootstrap",
        Owner.STDLIB,
    )  # fmt: skip
    assert loop[1] == ("main.py", 3, "<module>", "main", Owner.APP)
    assert loop[-1][3:] == ("re", Owner.STDLIB)


def test_names_beyond_ascii_are_what_they_were() -> None:
    frame = stacks(DUMP)[0x00007F13DCF8B740][-2]
    assert frame == ("app/café.py", 12, "λ", "app.café", Owner.APP)


def test_the_line_to_blame_lies_in_the_step_and_not_in_what_started_the_loop() -> None:
    read = stacks_of(DUMP.splitlines(), Places(ROOT), ROOT, STDLIB)
    site = site_of(step_of(read[0x00007F13DCF8B740]))
    assert site is not None
    assert (site.file, site.line, site.call) == ("app/café.py", 12, "re.match")


@pytest.mark.parametrize("text", ["", "b 12 3\n", '{"loops": []}', '  File "a.py", line 1 in f'])
def test_what_is_no_dump_is_passed_over(text: str) -> None:
    assert stacks(text) == {}


def test_a_real_dump_shows_this_very_line() -> None:
    with tempfile.TemporaryFile() as file:
        line = sys._getframe().f_lineno + 1
        faulthandler.dump_traceback(file=file, all_threads=True)
        file.seek(0)
        read = stacks(file.read().decode())
    mine = read[threading.get_ident()][-1]
    assert mine[:2] == (Path(__file__).relative_to(ROOT).as_posix(), line)
    assert mine[4] is Owner.APP
