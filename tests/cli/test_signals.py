"""A signal is heard while the loop runs, and has its usual effect afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from unstall.cli.signals import heard

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_signal_is_heard_only_while_it_is_asked_for(run: Runner) -> None:
    seen: list[int] = []
    usual = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]

    async def main() -> None:
        with heard(seen.append, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), signal.SIGTERM)
            while not seen:
                await asyncio.sleep(0.01)

    run(main())
    assert seen == [signal.SIGTERM]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == usual


def test_what_was_raised_is_raised_and_nothing_is_heard_any_more() -> None:
    async def main() -> None:
        with heard(lambda _: None, signal.SIGTERM):
            raise KeyError

    usual = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyError):
        uvloop.run(main())
    assert signal.getsignal(signal.SIGTERM) is usual


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_handler_of_somebody_else_is_back_afterwards(run: Runner) -> None:
    theirs: list[int] = []

    async def main() -> None:
        with heard(lambda _: None, signal.SIGTERM):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        while not theirs:
            await asyncio.sleep(0.01)

    usual = signal.signal(signal.SIGTERM, lambda number, _: theirs.append(number))
    try:
        run(main())
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert theirs == [signal.SIGTERM] * 2
