"""What goes wrong while a call is seen: a mistake of ours, a signal, an error of the host's own."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import pytest

from tests.support.trapped import codes
from tests.support.trapped import made as trap
from tests.traps import works
from unstall.traps.hooks import HOOKS


def test_a_mistake_of_ours_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def saw(self, *_: object) -> None:
            raise RuntimeError("a mistake of ours")

        def waited(self, *_: object) -> None:
            raise RuntimeError("a mistake of ours")

    broken = Broken()
    HOOKS.open(broken)
    try:
        asyncio.run(works.nap())
        asyncio.run(works.read_file())
    finally:
        HOOKS.close(broken)
    assert len(HOOKS.sight.failures) >= 2
    HOOKS.sight.failures.clear()


def test_what_a_signal_handler_raises_inside_a_hook_gets_out_and_the_next_call_is_seen() -> None:
    class Interrupted:
        def saw(self, *_: object) -> None:
            raise KeyboardInterrupt

        def waited(self, *_: object) -> None:
            """No step of this test waits."""

    async def main() -> None:
        HOOKS.open(interrupted)
        try:
            with pytest.raises(KeyboardInterrupt):
                await works.read_file()
            with pytest.raises(KeyboardInterrupt):
                await works.nap()
        finally:
            HOOKS.close(interrupted)
        await works.read_file()

    interrupted = Interrupted()
    with trap() as caught:
        asyncio.run(main())
    assert codes(caught.findings) == ["US106"]
    assert caught.gaps == ()


def test_an_event_with_arguments_nobody_knows_is_a_gap_and_the_next_is_seen() -> None:
    async def main() -> None:
        sys.audit("open")
        await works.read_file()

    with trap() as caught:
        asyncio.run(main())
    assert codes(caught.findings) == ["US106"]
    (gap,) = caught.gaps
    assert "hooks of unstall failed 1 times" in gap
    HOOKS.sight.failures.clear()


def test_errors_of_the_host_are_no_gap() -> None:
    wrong: Any = "abc"

    async def main() -> None:
        with pytest.raises(TypeError):
            time.sleep(wrong)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.read(-1, 1)
        await works.read_file()

    with trap() as caught:
        asyncio.run(main())
    assert codes(caught.findings) == ["US106"]
    assert caught.gaps == ()
